"""What every reader hands on: one table of reviews and one account of what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from recbole_symcere.errors import InputError

#: One review per row. ``timestamp`` is whole UTC seconds since 1970, ``source_line`` is the line of
#: the input where the review starts, counted from 1 (for Parquet the row, counted from 1).
SCHEMA: Mapping[str, pl.DataType] = {
    "user_id": pl.String(),
    "item_id": pl.String(),
    "rating": pl.Float64(),
    "timestamp": pl.Int64(),
    "text": pl.String(),
    "source_line": pl.Int64(),
}

#: How many source lines a report shows per reason.
N_EXAMPLES = 3


@dataclass(frozen=True)
class Skipped:
    """Rows left out for one reason.

    Attributes:
        reason: what is wrong, in words.
        count: how many rows.
        lines: the first few source lines.
        value: what was found in the first of them, shortened; "" where there is nothing to show.
        expected: what should have been there.
    """

    reason: str
    count: int
    lines: tuple[int, ...]
    value: str = ""
    expected: str = ""

    def describe(self) -> str:
        """Return one line for a person: count, reason, where, what was found and expected."""
        where = ", ".join(str(line) for line in self.lines)
        more = ", ..." if self.count > len(self.lines) else ""
        found = f"; found {self.value!r}" if self.value else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        plural = "lines" if self.count > 1 else "line"
        return f"{self.count} x {self.reason} ({plural} {where}{more}{found}{expected})"


@dataclass(frozen=True)
class ReadReport:
    """The account of one reading: ``rows_read == rows_kept + sum of the skipped counts``.

    Attributes:
        file: name of the file, without its folder.
        rows_read: rows found, a header and blank lines not counted.
        rows_kept: rows that became reviews.
        skipped: the rest, by reason, most frequent first.
        notes: what else a person should know, such as a unit of time that was converted.
    """

    file: str
    rows_read: int
    rows_kept: int
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def check(self, max_skipped: float) -> None:
        """Refuse a reading that lost too much.

        Args:
            max_skipped: largest share of the rows, 0 to 1, that may be skipped.

        Raises:
            InputError: if no row is left or the share of skipped rows is above ``max_skipped``.
        """
        if self.rows_read == 0:
            raise InputError(f"{self.file}: holds no reviews; give a file with at least one row")
        n_skipped = self.rows_read - self.rows_kept
        share = n_skipped / self.rows_read
        if self.rows_kept and share <= max_skipped:
            return
        remedy = "Mend the file, or with 'convert generic' name other columns (--user_field ...)"
        if self.rows_kept:
            # rounded up, so that the value shown is enough
            remedy += f", or accept the loss with --max_skipped={int(share * 1000 + 1) / 1000}"
        raise InputError(
            f"{self.file}: {n_skipped} of {self.rows_read} rows cannot be used "
            f"({share:.1%}, allowed {max_skipped:.1%}):\n"
            + "".join(f"  {skipped.describe()}\n" for skipped in self.skipped)
            + f"{remedy}."
        )


@dataclass(frozen=True)
class Reading:
    """Reviews from one source, with everything the manifest must say about their origin.

    Attributes:
        reviews: table in `SCHEMA`.
        report: what was read and what was skipped.
        source: name of the source, such as "generic".
        inputs: the files read.
        notice: a warning that belongs to the data, or None.
        synthetic: whether the reviews were generated.
        extra_files: further files of the data set, name to content.
    """

    reviews: pl.DataFrame
    report: ReadReport
    source: str
    inputs: tuple[Path, ...] = ()
    notice: str | None = None
    synthetic: bool = False
    extra_files: Mapping[str, bytes] = field(default_factory=dict)
