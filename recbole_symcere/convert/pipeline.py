"""From a reading to a data set folder: check, clean, filter, write, and account for each step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recbole_symcere.convert.clean import clean_texts, in_order, keep_first
from recbole_symcere.convert.kcore import filter_core
from recbole_symcere.convert.records import Reading, ReadReport
from recbole_symcere.convert.writer import describe_file, write_data_set
from recbole_symcere.errors import InputError


@dataclass(frozen=True)
class Filters:
    """Which reviews stay.

    Attributes:
        k_core: fewest reviews of every user and every item; 0 for no limit.
        user_core: fewest reviews of every user; 0 for no limit.
        keep_repeats: keep later reviews of the same user and item.
        max_skipped: largest share of unusable rows, 0 to 1, before the conversion is refused.

    Raises:
        InputError: if a value is out of range.
    """

    k_core: int = 0
    user_core: int = 0
    keep_repeats: bool = False
    max_skipped: float = 0.01

    def __post_init__(self) -> None:
        for name in ("k_core", "user_core"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name}: {getattr(self, name)} is negative; expected 0 or more")
        if not 0 <= self.max_skipped <= 1:
            raise InputError(
                f"--max_skipped: {self.max_skipped} is no share; expected 0 to 1, such as 0.01"
            )


@dataclass(frozen=True)
class Counts:
    """Size of a table of reviews."""

    users: int
    items: int
    reviews: int
    empty_texts: int
    distinct_texts: int


@dataclass(frozen=True)
class Summary:
    """What a conversion did.

    Attributes:
        reading: the source's part.
        n_single_line: texts that held tabs, line breaks, doubled spaces and the like.
        n_composed: texts that were not in Unicode normal form C.
        n_repeats: later reviews of the same user and item that were removed.
        before_core: size before the k-core.
        counts: size of the data set.
        first_time: earliest UTC second.
        last_time: latest UTC second.
        files: the files written.
    """

    reading: Reading
    n_single_line: int
    n_composed: int
    n_repeats: int
    before_core: Counts
    counts: Counts
    first_time: int
    last_time: int
    files: tuple[Path, ...]


def convert(reading: Reading, filters: Filters, target: Path, command: str) -> Summary:
    """Clean, filter and write what was read.

    Args:
        reading: reviews and report of a reader.
        filters: which reviews stay.
        target: the data set's folder, from `writer.check_target`.
        command: the command line for the manifest, without machine paths.

    Returns:
        What was done.

    Raises:
        InputError: if too many rows were skipped, no review is left or the folder cannot be
            written.
    """
    reading.report.check(filters.max_skipped)
    cleaned = clean_texts(reading.reviews)
    if filters.keep_repeats:
        reviews, n_repeats = in_order(cleaned.reviews), 0
    else:
        reviews, n_repeats = keep_first(cleaned.reviews)
    core = filter_core(reviews, filters.k_core, filters.user_core)
    counts = count(core)
    manifest = {
        **_origin(reading, command),
        "filters": asdict(filters),
        "counts": asdict(counts),
        "read_report": {
            **_read_report(reading.report),
            "texts_tidied": cleaned.n_single_line,
            "texts_made_nfc": cleaned.n_composed,
            "repeats_removed": n_repeats,
            "removed_by_core": len(reviews) - len(core),
        },
    }
    files = write_data_set(target, core, manifest, reading.extra_files)
    times = core["timestamp"].to_numpy()
    return Summary(
        reading,
        cleaned.n_single_line,
        cleaned.n_composed,
        n_repeats,
        count(reviews),
        counts,
        int(times.min()),
        int(times.max()),
        tuple(files),
    )


def count(reviews: pl.DataFrame) -> Counts:
    """Return the size of a table in `records.SCHEMA`."""
    return Counts(
        users=reviews["user_id"].n_unique(),
        items=reviews["item_id"].n_unique(),
        reviews=len(reviews),
        empty_texts=int((reviews["text"] == "").sum()),
        distinct_texts=reviews["text"].n_unique(),
    )


def _origin(reading: Reading, command: str) -> dict[str, Any]:
    return {
        "source": reading.source,
        "synthetic": reading.synthetic,
        "notice": reading.notice,
        "command": command,
        "inputs": [describe_file(path) for path in reading.inputs],
    }


def _read_report(report: ReadReport) -> dict[str, Any]:
    """Return the report without values found: they would be pieces of somebody's reviews."""
    return {
        "rows_read": report.rows_read,
        "rows_kept": report.rows_kept,
        "skipped": [
            {"reason": skipped.reason, "count": skipped.count, "first_lines": skipped.lines}
            for skipped in report.skipped
        ],
        "notes": report.notes,
    }
