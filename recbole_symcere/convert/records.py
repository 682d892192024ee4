"""What every reader hands on: batches of reviews and one account of what was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from recbole_symcere.base.errors import InputError

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

#: One row that is no review: where it is, what is wrong, what was found and expected.
REJECTED: Mapping[str, pl.DataType] = {
    "source_line": pl.Int64(),
    "reason": pl.String(),
    "value": pl.String(),
    "expected": pl.String(),
}

#: How many source lines a report shows per reason.
N_EXAMPLES = 3
#: How many rejected rows are kept for rejected.jsonl.
N_REJECTED = 1000


class Batch(NamedTuple):
    """A part of a source: ``n_read == len(reviews) + len(rejected) + n_anonymous``.

    Attributes:
        reviews: table in `SCHEMA`, in the order of the source.
        rejected: table in `REJECTED`.
        n_read: rows found.
        n_anonymous: rows left out because their user is a name that many people share.
        notes: remark -> how often; "{}" in a remark stands for that number.
    """

    reviews: pl.DataFrame
    rejected: pl.DataFrame
    n_read: int
    n_anonymous: int = 0
    notes: Counter[str] = Counter()  # noqa: RUF012 # never changed in place


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
    """The account of one reading.

    ``rows_read == rows_kept + anonymous + sum of the skipped counts``.

    Attributes:
        file: name of the file, without its folder.
        rows_read: rows found, a header and blank lines not counted.
        rows_kept: rows that became reviews.
        skipped: rows that can't be used, by reason, most frequent first.
        notes: what else a person should know, such as a unit of time that was converted.
        anonymous: rows of users whose name many people share.
        rejected: the first unusable rows, for rejected.jsonl.
    """

    file: str
    rows_read: int
    rows_kept: int
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    anonymous: int = 0
    rejected: tuple[Mapping[str, Any], ...] = ()

    def check(self, max_bad: float) -> None:
        """Refuse a reading that lost too much.

        Args:
            max_bad: largest share of the rows, 0 to 1, that may be unusable.

        Raises:
            InputError: if no row is left or the share of unusable rows is above ``max_bad``.
        """
        if self.rows_read == 0:
            raise InputError(f"{self.file}: holds no reviews; give a file with at least one row")
        n_skipped = sum(skipped.count for skipped in self.skipped)
        share = n_skipped / self.rows_read
        if self.rows_kept and share <= max_bad:
            return
        if not n_skipped:
            raise InputError(
                f"{self.file}: each of the {self.rows_read} rows is by an anonymous user; keep "
                "them with --keep_anonymous=True"
            )
        remedy = "Mend the file, or with 'convert generic' name other columns (--user_field ...)"
        if self.rows_kept:
            # rounded up, so that the value shown is enough
            remedy += f", or accept the loss with --max_bad={int(share * 1000 + 1) / 1000}"
        raise InputError(
            f"{self.file}: {n_skipped} of {self.rows_read} rows cannot be used "
            f"({share:.1%}, allowed {max_bad:.1%}):\n"
            + "".join(f"  {skipped.describe()}\n" for skipped in self.skipped)
            + f"{remedy}."
        )


class Account:
    """Adds batches up to a `ReadReport`.

    Args:
        file: name of the file, without its folder.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._read = self._kept = self._anonymous = 0
        self._notes: Counter[str] = Counter()
        self._skipped: dict[str, Skipped] = {}
        self._rejected: list[Mapping[str, Any]] = []

    def add(self, batch: Batch) -> None:
        """Count a batch; batches come in the order of the source."""
        self._read += batch.n_read
        self._kept += len(batch.reviews)
        self._anonymous += batch.n_anonymous
        self._notes.update(batch.notes)
        if not len(batch.rejected):
            return
        room = N_REJECTED - len(self._rejected)
        for line, reason, value, _ in batch.rejected.head(room).rows():
            self._rejected.append({"line": line, "reason": reason, "value": value})
        groups = batch.rejected.group_by("reason", maintain_order=True).agg(
            pl.len(), pl.col("source_line").head(N_EXAMPLES), pl.first("value", "expected")
        )
        for reason, count, lines, value, expected in groups.rows():
            old = self._skipped.get(reason, Skipped(reason, 0, (), value, expected))
            self._skipped[reason] = Skipped(
                reason,
                old.count + count,
                (*old.lines, *lines)[:N_EXAMPLES],
                old.value,
                old.expected,
            )

    def report(self) -> ReadReport:
        """Return the account so far."""
        return ReadReport(
            self._file,
            self._read,
            self._kept,
            tuple(sorted(self._skipped.values(), key=lambda s: (-s.count, s.lines))),
            tuple(note.replace("{}", str(n)) for note, n in self._notes.items()),
            self._anonymous,
            tuple(self._rejected),
        )


@dataclass(frozen=True)
class Reading:
    """Reviews from one source, not read yet, with what the manifest must say about their origin.

    Attributes:
        source: name of the source, such as "generic".
        file: name of what is read, for messages.
        blocks: parts of the source in order.
        read: turns a block into a batch. It is called for the first block alone, which decides the
            unit of times, and then for several blocks at once.
        inputs: the files read.
        position: bytes of the inputs read so far, or None where that can't be told.
        notice: a warning that belongs to the data, or None.
        synthetic: whether the reviews were generated.
        extra_files: further files of the data set, name to content.
    """

    source: str
    file: str
    blocks: Iterable[Any]
    read: Callable[[Any], Batch]
    inputs: tuple[Path, ...] = ()
    position: Callable[[], int] | None = None
    notice: str | None = None
    synthetic: bool = False
    extra_files: Mapping[str, bytes] = field(default_factory=dict)
