"""Settings that the searches of another comparison found, as its runs.csv tells them."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from recbole_symcere.base.errors import InputError

__all__ = ["Found", "found_settings"]

_COLUMNS = ("dataset", "row", "trials", "tuned")


class Found(NamedTuple):
    """What a search found, and of how many trials."""

    settings: dict[str, Any]
    trials: int


def found_settings(file: str) -> dict[tuple[str, str], Found]:
    """Of every data set and row that was searched.

    Args:
        file: a runs.csv.

    Returns:
        By name of the data set and label of the row.

    Raises:
        InputError: for a file that can't be read or is no runs.csv, or seeds of a row that had
            different settings.
    """
    known: dict[tuple[str, str], Found] = {}
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"tuned_by: {file} can't be read: {error}.") from error
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(
            f"tuned_by: {file} has no column {missing[0]}. Name the runs.csv that a comparison "
            "has written."
        )
    for row in rows:
        if not row["tuned"]:
            continue
        key = row["dataset"], row["row"]
        found = _read(file, row)
        if known.setdefault(key, found) != found:
            raise InputError(
                f"tuned_by: {file} has two kinds of settings for {key[1]} on {key[0]}."
            )
    return known


def _read(file: str, row: Mapping[str, str]) -> Found:
    try:
        settings, trials = json.loads(row["tuned"]), int(row["trials"])
    except (ValueError, TypeError, RecursionError):
        settings, trials = None, 0
    if not isinstance(settings, dict) or not settings or trials < 1:
        raise InputError(
            f"tuned_by: {file} has no settings and trials of {row['row']} on {row['dataset']} "
            "that can be read."
        )
    return Found(settings, trials)
