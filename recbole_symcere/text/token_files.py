"""The files of a token store: written aside and renamed, checked, memory-mapped."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_symcere.base.files import sha256_of, sync
from recbole_symcere.base.storage import aside_folder, writing

__all__ = ["damage", "map_arrays", "read_meta", "write"]

_FILES = ("ids.bin", "words.bin", "offsets.npy", "text_index.npy")
_HASH_UP_TO = 64 * 2**20  # bytes; larger files are checked by size alone, to open at once


def damage(folder: Path) -> str | None:
    """What is wrong with the store in ``folder``, or None if it can be read."""
    try:
        meta = read_meta(folder)
        for name in _FILES:
            path = folder / name
            size = path.stat().st_size
            if size != meta["files"][name]["bytes"]:
                return f"{name} has {size} bytes, expected {meta['files'][name]['bytes']}"
            if size <= _HASH_UP_TO and sha256_of(path) != meta["files"][name]["sha256"]:
                return f"{name} does not have the sha256 that meta.json tells"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def read_meta(folder: Path) -> dict[str, Any]:
    """The store's meta.json.

    Raises:
        OSError: if it is absent.
        ValueError: if it is not the JSON that was written.
    """
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    if not isinstance(meta, dict) or meta.get("checksum") != _checksum(meta):
        raise ValueError("meta.json was changed")
    return meta


def map_arrays(folder: Path, meta: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Memory-map the four arrays: ids, words [n_tokens], offsets [n_texts + 1], text_index."""
    # np.asarray: the same mapped memory without memmap's slow indexing
    arrays: dict[str, npt.NDArray[Any]] = {
        name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))
        for name in ("offsets", "text_index")
    }
    for name, dtype in (("ids", np.dtype(meta["ids_dtype"])), ("words", np.dtype(np.int16))):
        # an empty file cannot be mapped; one element that no text reaches stands for it
        arrays[name] = (
            np.asarray(np.memmap(folder / f"{name}.bin", dtype=dtype, mode="r"))
            if meta["n_tokens"]
            else np.zeros(1, dtype=dtype)
        )
    return arrays


def write(
    folder: Path,
    chunks: Iterable[tuple[npt.NDArray[np.int64], ...]],
    text_index: npt.NDArray[np.int64],
    facts: dict[str, Any],
    ids_dtype: type[np.unsignedinteger[Any]],
) -> None:
    """Write a store aside, then rename it to ``folder``.

    Of two writers the second finds a sound store in place and discards its own copy.

    Raises:
        StorageError: if it can't be written.

    Args:
        folder: where the store shall be.
        chunks: (ids, word indices, lengths) of consecutive texts.
        text_index: int64 [n_rows].
        facts: what meta.json tells beside counts and checksums.
        ids_dtype: uint16 or uint32.
    """
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with aside_folder(folder) as aside:
            whole = aside / "store"
            whole.mkdir()
            _write(whole, chunks, text_index, facts, ids_dtype)
            _publish(whole, folder)


def _write(
    folder: Path,
    chunks: Iterable[tuple[npt.NDArray[np.int64], ...]],
    text_index: npt.NDArray[np.int64],
    facts: dict[str, Any],
    ids_dtype: type[np.unsignedinteger[Any]],
) -> None:
    lengths = [np.zeros(1, dtype=np.int64)]
    with (folder / "ids.bin").open("wb") as ids, (folder / "words.bin").open("wb") as words:
        for chunk_ids, chunk_words, chunk_lengths in chunks:
            ids.write(chunk_ids.astype(ids_dtype).tobytes())
            words.write(chunk_words.astype(np.int16).tobytes())
            lengths.append(chunk_lengths)
    offsets = np.cumsum(np.concatenate(lengths), dtype=np.int64)
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "text_index.npy", text_index)
    meta = {
        **facts,
        "n_texts": len(offsets) - 1,
        "n_tokens": int(offsets[-1]),
        "ids_dtype": np.dtype(ids_dtype).name,
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
            for name in _FILES
        },
    }
    meta["checksum"] = _checksum(meta)
    (folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
    for path in (*(folder / name for name in (*_FILES, "meta.json")), folder):
        sync(path)


def _publish(whole: Path, folder: Path) -> None:
    if folder.exists() and damage(folder) is not None:
        folder.rename(whole.with_name("broken"))
    try:
        whole.rename(folder)
    except OSError:
        if damage(folder) is not None:  # not the other writer's sound copy, but a real failure
            raise
    sync(folder.parent)


def _checksum(meta: dict[str, Any]) -> str:
    content = {name: value for name, value in meta.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
