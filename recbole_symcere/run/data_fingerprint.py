"""Whether data are those of a run: a hash of the files that it reads."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from recbole_symcere.base.known_hashes import known_sha256
from recbole_symcere.data.intact import memory_of

__all__ = ["data_fingerprint", "fingerprint_of", "kinds_read"]


def data_fingerprint(config: Any, stored: str | None = None) -> str:
    """`fingerprint_of` the data set that a Config names.

    Args:
        config: of a run.
        stored: what the run has noted. An earlier version hashed no users, items and graphs; where
            it fits the other files, it is given back, and the run keeps it.
    """
    folder, name = Path(config["data_path"]), str(config["dataset"])
    memory = memory_of(config["cache_dir"])
    kinds = kinds_read(config["load_col"], config["additional_feat_suffix"])
    found = fingerprint_of(folder, name, memory, kinds)
    if stored not in {None, found} and stored == fingerprint_of(folder, name, memory):
        return str(stored)
    return found


def kinds_read(load_col: Any, more: Any) -> set[str]:
    """The ends of the atomic files that RecBole reads beside ``.inter``, if they are there.

    Args:
        load_col: the setting; None reads all.
        more: the setting additional_feat_suffix.
    """
    if load_col is None:
        return {"user", "item", "kg", "link", *(more or ())}
    return {kind for kind, columns in load_col.items() if columns and kind != "inter"}


def fingerprint_of(
    folder: Path, name: str, memory: Path | None, kinds: Collection[str] = ()
) -> str:
    """sha256 over the names and contents of the files that a data set is read from.

    Args:
        folder: the data set's.
        name: its name.
        memory: where the files' own hashes are remembered.
        kinds: ends of its files beside ``.inter`` and ``.parquet``, see `kinds_read`.
    """
    digest, others = hashlib.sha256(), {f"{name}.{kind}" for kind in kinds}
    for path in sorted(folder.iterdir()):
        ours = path.name.startswith(name) and path.suffix in {".inter", ".parquet"}
        if ours or path.name in others:
            digest.update(f"{path.name} {known_sha256(path, memory)}\n".encode())
    return digest.hexdigest()
