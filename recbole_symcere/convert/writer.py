"""Writes one data set folder, complete or not at all."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import HashedFile, sha256_of, sync
from recbole_symcere.base.storage import locked, put_back, replaced_place
from recbole_symcere.convert.parallel import ordered_map
from recbole_symcere.version import __version__

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ATTACHED = "attach.json"
#: What the manifest's ``order`` says of a data set without times; "time" of one with times.
UNKNOWN_ORDER = "unknown"

_INTER_HEADER = {
    "user_id": "user_id:token",
    "item_id": "item_id:token",
    "rating": "rating:float",
    "timestamp": "timestamp:float",
}
#: Of ``<name>.reviews.parquet``.
REVIEWS_SCHEMA = pa.schema([(name, pa.large_string()) for name in ("user_id", "item_id", "text")])
_ROW_GROUP = 100_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def check_target(output_dir: Path, name: str, overwrite: bool) -> Path:
    """Say where a data set goes, before any work is done.

    A data set that a killed run had moved aside is put back first.

    Args:
        output_dir: folder of all data sets; need not exist.
        name: name of the data set.
        overwrite: whether an existing data set of that name may be replaced.

    Returns:
        The folder of the data set.

    Raises:
        InputError: if the name is no safe folder name, or the folder exists and may not be
            replaced or holds files that no conversion wrote.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name: {name!r} cannot name a folder; expected at most 100 letters, digits, '_', "
            "'-' and '.', not starting with '.' or '-'; choose another name"
        )
    target = output_dir / name
    put_back(target)
    if not target.exists():
        return target
    if not overwrite:
        kind = "synthetic sample" if _is_synthetic(target) else "data set"
        raise InputError(
            f"--name: the {kind} {target} exists; choose another --name, or "
            "--output_dir, or replace it with --overwrite=True"
        )
    _check_replaceable(target)
    return target


@contextmanager
def new_data_set(target: Path) -> Iterator[Path]:
    """Give a hidden folder beside ``target`` to write to; at the end it takes its name.

    If the block fails the hidden folder is removed and what stood at ``target`` is untouched. What
    killed conversions of this data set left is removed first.

    Args:
        target: folder from `check_target`; an existing one is replaced.

    Yields:
        The hidden folder, empty.

    Raises:
        InputError: if it cannot be written.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    is_first = not target.parent.exists()
    try:
        _remove_leftovers(target)
        partial.mkdir(parents=True)
        try:
            yield partial
            for path in [*partial.iterdir(), partial]:
                sync(path)
            _move_into_place(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if is_first and not target.exists():
                target.parent.rmdir()
    except OSError as error:
        raise InputError(
            f"--output_dir: {target} cannot be written ({error.strerror or error}); check the "
            "free space and the permissions, or choose another --output_dir"
        ) from error


def write_tables(
    folder: Path, name: str, tables: Iterable[pl.DataFrame], absent: Container[str] = ()
) -> dict[str, str]:
    """Write ``<name>.inter`` and ``<name>.reviews.parquet``.

    The first is RecBole's table of user, item, rating and time (whole seconds); an id with a quote
    mark stands in quotes, with the mark doubled, as pandas reads it. The second holds user_id,
    item_id and text, and its row n belongs to row n of the first. The same tables give the same
    bytes.

    Args:
        folder: where to.
        name: name of the data set.
        tables: the reviews in their final order; each table gets row groups of its own.
        absent: columns that the first file does without, of rating and timestamp.

    Returns:
        The SHA-256 of each file by its name.
    """
    inter_path, reviews_path = folder / f"{name}.inter", folder / f"{name}.reviews.parquet"
    with (
        HashedFile(inter_path) as inter,
        HashedFile(reviews_path) as reviews,
        pq.ParquetWriter(
            reviews,
            REVIEWS_SCHEMA,
            compression="zstd",
            use_dictionary=["user_id", "item_id"],
            # without the Arrow schema readers see plain strings, not large ones
            store_schema=False,
        ) as writer,
    ):
        columns = {ours: header for ours, header in _INTER_HEADER.items() if ours not in absent}
        inter.write("\t".join(columns.values()).encode() + b"\n")
        # one thread has to compress all texts, so whatever it can be spared is done beside it
        for rows, texts in ordered_map(partial(_encoded, list(columns)), tables):
            inter.write(rows)
            writer.write_table(texts, row_group_size=_ROW_GROUP)
    return {inter_path.name: inter.sha256(), reviews_path.name: reviews.sha256()}


def _encoded(columns: Sequence[str], table: pl.DataFrame) -> tuple[bytes, pa.Table]:
    """Return rows of an ``.inter`` file and of a review file."""
    rows = io.BytesIO()
    # ids hold neither tabs nor line breaks: validate.py saw to that
    table.select(columns).write_csv(
        rows, separator="\t", quote_style="necessary", include_header=False
    )
    texts = table.select(REVIEWS_SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest())
    return rows.getvalue(), texts


def write_manifest(
    folder: Path,
    name: str,
    manifest: Mapping[str, Any],
    hashes: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write ``manifest.json``, which knows every other file of the folder.

    Args:
        folder: the data set's folder with all its other files.
        name: name of the data set.
        manifest: what to say beside format version, name, outputs and converter version.
        hashes: SHA-256 of files that need not be read for it, by their name.
    """
    outputs = (describe_file(path, hashes.get(path.name)) for path in sorted(folder.iterdir()))
    full = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "converter_version": __version__,
        **manifest,
        "outputs": list(outputs),
    }
    text = json.dumps(full, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def describe_file(path: Path, sha256: str | None = None, name: str | None = None) -> dict[str, Any]:
    """Return name (unless given, without folder), size in bytes and SHA-256 (or it) of a file."""
    return {
        "file": name or path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256 or sha256_of(path),
    }


def read_manifest(path: Path) -> Any:
    """Return what a manifest says, or None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_synthetic(target: Path) -> bool:
    manifest = read_manifest(target / MANIFEST)
    return isinstance(manifest, dict) and bool(manifest.get("synthetic"))


def _remove_leftovers(target: Path) -> None:
    """Remove the hidden folders of processes that are gone."""
    for path in target.parent.glob(f".{target.name}.*.partial"):
        pid = path.name.split(".")[-2]
        if not pid.isdigit() or int(pid) == os.getpid() or not _is_alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's process
    return True


def _move_into_place(partial: Path, target: Path) -> None:
    aside = replaced_place(target)
    shutil.rmtree(aside, ignore_errors=True)
    replaces = target.exists()
    with locked(target):  # also when it stands aside, so that nobody puts it back
        if replaces:
            target.rename(aside)
        try:
            partial.rename(target)
        except BaseException:
            if replaces:
                aside.rename(target)
            raise
    sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _check_replaceable(target: Path) -> None:
    """Refuse to delete files that no conversion wrote."""
    known = set()
    for name in (MANIFEST, ATTACHED):
        manifest = read_manifest(target / name)
        outputs = manifest.get("outputs") if isinstance(manifest, dict) else None
        if isinstance(outputs, list):
            known |= {name, *(entry.get("file") for entry in outputs if isinstance(entry, dict))}
    foreign = sorted(path.name for path in target.iterdir() if path.name not in known)
    if foreign:
        raise InputError(
            f"--overwrite: {target} holds {foreign[0]!r}, which no conversion wrote; move it away "
            "or choose another --name"
        )
