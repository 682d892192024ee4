"""Writes one data set folder, complete or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from recbole_symcere.errors import InputError
from recbole_symcere.files import sha256_of, sync
from recbole_symcere.version import __version__

FORMAT_VERSION = 1
MANIFEST = "manifest.json"

_INTER_HEADER = {
    "user_id": "user_id:token",
    "item_id": "item_id:token",
    "rating": "rating:float",
    "timestamp": "timestamp:float",
}
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
    aside = _aside(target)
    if aside.exists() and not target.exists():
        aside.rename(target)
    if not target.exists():
        return target
    if not overwrite:
        raise InputError(
            f"--name: the data set {target} exists; choose another --name, or replace it with "
            "--overwrite"
        )
    _check_replaceable(target)
    return target


def write_data_set(
    target: Path, reviews: pl.DataFrame, manifest: Mapping[str, Any], extra: Mapping[str, bytes]
) -> list[Path]:
    """Write the files of a data set and move them into place in one step.

    ``<name>.inter`` is RecBole's table of user, item, rating and time (whole seconds).
    ``<name>.reviews.parquet`` holds user_id, item_id and text; its row n belongs to row n of
    ``.inter``. ``manifest.json`` describes both. The same arguments give the same bytes.

    Args:
        target: folder from `check_target`; an existing one is replaced.
        reviews: table in `records.SCHEMA` in its final order.
        manifest: what to say beside format version, name, outputs and converter version.
        extra: further files, name to content.

    Returns:
        The files written.

    Raises:
        InputError: if the folder cannot be written.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _write_files(partial, target.name, reviews, manifest, extra)
            _move_into_place(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"--output_dir: {target} cannot be written ({error.strerror or error}); check the "
            "free space and the permissions, or choose another --output_dir"
        ) from error
    return sorted(target.iterdir())


def describe_file(path: Path) -> dict[str, Any]:
    """Return name, size in bytes and SHA-256 of a file, without its folder."""
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _write_files(
    folder: Path,
    name: str,
    reviews: pl.DataFrame,
    manifest: Mapping[str, Any],
    extra: Mapping[str, bytes],
) -> None:
    inter = reviews.select(pl.col(ours).alias(theirs) for ours, theirs in _INTER_HEADER.items())
    # ids hold neither tabs, line breaks nor quotes: validate.py saw to that
    inter.write_csv(folder / f"{name}.inter", separator="\t", quote_style="never")
    pq.write_table(
        reviews.select("user_id", "item_id", "text").to_arrow(compat_level=pl.CompatLevel.oldest()),
        folder / f"{name}.reviews.parquet",
        compression="zstd",
        row_group_size=_ROW_GROUP,
        use_dictionary=["user_id", "item_id"],
        # without the Arrow schema readers see plain strings, not polars' large ones
        store_schema=False,
    )
    for extra_name, content in extra.items():
        (folder / extra_name).write_bytes(content)
    full = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "converter_version": __version__,
        **manifest,
        "outputs": [describe_file(path) for path in sorted(folder.iterdir())],
    }
    text = json.dumps(full, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    for path in [*folder.iterdir(), folder]:
        sync(path)


def _move_into_place(partial: Path, target: Path) -> None:
    aside = _aside(target)
    shutil.rmtree(aside, ignore_errors=True)
    replaces = target.exists()
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
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        known = {entry["file"] for entry in manifest["outputs"]} | {MANIFEST}
    except (OSError, ValueError, TypeError, KeyError):
        known = set()
    foreign = sorted(path.name for path in target.iterdir() if path.name not in known)
    if foreign:
        raise InputError(
            f"--overwrite: {target} holds {foreign[0]!r}, which no conversion wrote; move it away "
            "or choose another --name"
        )


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")
