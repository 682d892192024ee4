"""What every reader hands on: batches of reviews and one account of what was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.times import Early

#: One review per row. ``timestamp`` is whole UTC seconds since 1970, ``source_line`` is the line of
#: the input where the review starts, counted from 1 (for Parquet the row, counted from 1). Ratings
#: and times are null in every row of a source that has none.
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

#: Column that a source may lack -> the option that says so.
WITHOUT: Mapping[str, str] = {
    "rating": "--implicit=True to do without ratings",
    "timestamp": "--order=unknown to do without times",
}

#: How many source lines a report shows per reason.
N_EXAMPLES = 3
#: How many rejected rows are kept for rejected.jsonl.
N_REJECTED = 1000
# how many files, reasons and notes a message spells out
_MOST_TOLD = 20
_LOST = "\ufffd"


class Batch(NamedTuple):
    """A part of a source: ``n_read == len(reviews) + len(rejected) + n_anonymous``.

    Attributes:
        reviews: table in `SCHEMA`, in the order of the source.
        rejected: table in `REJECTED`.
        n_read: rows found.
        n_anonymous: rows left out because their user is a name that many people share.
        notes: remark -> how often; "{}" in a remark stands for that number.
        absent: columns that the source doesn't have, of rating and timestamp.
        early: numbers that are doubtful as times, or None.
    """

    reviews: pl.DataFrame
    rejected: pl.DataFrame
    n_read: int
    n_anonymous: int = 0
    notes: Counter[str] = Counter()  # noqa: RUF012 # never changed in place
    absent: frozenset[str] = frozenset()
    early: Early | None = None


@dataclass(frozen=True)
class Skipped:
    """Rows left out for one reason.

    Attributes:
        reason: what is wrong, in words.
        count: how many rows.
        lines: the first few source lines.
        value: what was found in the first of them, shortened; "" where there is nothing to show.
        expected: what should have been there.
        file: the file that the lines are of.
    """

    reason: str
    count: int
    lines: tuple[int, ...]
    value: str = ""
    expected: str = ""
    file: str = ""

    def describe(self, with_file: bool = False) -> str:
        """Return one line for a person: count, reason, where, what was found and expected."""
        where = ", ".join(str(line) for line in self.lines)
        more = ", ..." if self.count > len(self.lines) else ""
        found = f"; found {self.value!r}" if self.value else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        plural = "lines" if self.count > 1 else "line"
        file = f"{self.file}, " if with_file else ""
        return f"{self.count} x {self.reason} ({file}{plural} {where}{more}{found}{expected})"


@dataclass(frozen=True)
class ReadReport:
    """The account of one reading, or of several.

    ``rows_read == rows_kept + anonymous + sum of the skipped counts``.

    Attributes:
        files: names of the files, without folders.
        rows_read: rows found, a header and blank lines not counted.
        rows_kept: rows that became reviews.
        skipped: rows that can't be used, by reason, most frequent first.
        notes: what else a person should know, such as a unit of time that was converted.
        anonymous: rows of users whose name many people share.
        rejected: the first unusable rows, for rejected.jsonl.
        damaged: reviews whose text holds U+FFFD, which stands for lost characters.
        absent: columns that the source doesn't have, of rating and timestamp.
    """

    files: tuple[str, ...]
    rows_read: int
    rows_kept: int
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    anonymous: int = 0
    rejected: tuple[Mapping[str, Any], ...] = ()
    damaged: int = 0
    absent: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The files in a few words."""
        first, *_ = self.files
        return first if len(self.files) == 1 else f"{len(self.files)} files, {first} first"

    def listed(self) -> list[str]:
        """Return a line for each file, of the first ones."""
        rest = len(self.files) - _MOST_TOLD
        more = [f"read {rest} more files"] if rest > 0 else []
        return [*(f"read {file}" for file in self.files[:_MOST_TOLD]), *more]

    def described(self) -> list[str]:
        """Return a line for each reason to skip rows, the most frequent ones."""
        several = len(self.files) > 1
        lines = [skipped.describe(several) for skipped in self.skipped[:_MOST_TOLD]]
        rest = len(self.skipped) - len(lines)
        return [*lines, f"and {rest} more reasons"] if rest else lines

    def noted(self) -> list[str]:
        """Return the notes, of many the first ones."""
        rest = len(self.notes) - _MOST_TOLD
        more = [f"and {rest} more notes"] if rest > 0 else []
        return [*self.notes[:_MOST_TOLD], *more]

    def check(self, max_bad: float) -> None:
        """Refuse a reading that lost too much.

        Args:
            max_bad: largest share of the rows, 0 to 1, that may be unusable, and of the reviews
                that may have lost characters.

        Raises:
            InputError: if no row is left or one of the shares is above ``max_bad``.
        """
        if self.rows_read == 0:
            raise InputError(f"{self.title}: holds no reviews; give a file with at least one row")
        n_skipped = sum(skipped.count for skipped in self.skipped)
        share = n_skipped / self.rows_read
        if self.rows_kept and share <= max_bad:
            self._check_damage(max_bad)
            return
        if not n_skipped:
            raise InputError(
                f"{self.title}: each of the {self.rows_read} rows is by an anonymous user; keep "
                "them with --keep_anonymous=True"
            )
        remedy = "Mend the file, or with 'convert generic' name other columns (--user_field ...)"
        if self.rows_kept:
            remedy += f", or accept the loss with --max_bad={_enough(share)}"
        allowed = f"allowed {max_bad:.1%}" if self.rows_kept else "no review is left"
        raise InputError(
            f"{self.title}: {n_skipped} of {self.rows_read} rows cannot be used "
            f"({share:.1%}, {allowed}):\n"
            + "".join(f"  {line}\n" for line in self.described())
            + f"{remedy}."
        )

    def _check_damage(self, max_bad: float) -> None:
        share = self.damaged / self.rows_kept
        if share > max_bad:
            raise InputError(
                f"{self.title}: {self.damaged} of {self.rows_kept} texts hold U+FFFD in the place "
                f"of characters that cannot be read ({share:.1%}, allowed {max_bad:.1%}); name the "
                "file's encoding with --encoding where the source has that option, save the file "
                f"as UTF-8, or accept the loss with --max_bad={_enough(share)}"
            )


def _enough(share: float) -> float:
    """Return a share of three digits that is not smaller."""
    return int(share * 1000 + 1) / 1000


def joined(reports: Sequence[ReadReport]) -> ReadReport:
    """Return the account of several files that were read one after the other.

    Raises:
        InputError: if nothing of a file can be used, or some of them have ratings or times and
            others have none.
    """
    if len(reports) == 1:
        return reports[0]
    for report in reports:
        if report.rows_read and not report.rows_kept:
            report.check(1.0)  # a file of which nothing can be used is none of these
    filled = [report for report in reports if report.rows_kept] or list(reports)
    _check_alike(filled)
    skipped = sorted(
        (skipped for report in reports for skipped in report.skipped), key=lambda s: -s.count
    )
    return ReadReport(
        tuple(file for report in reports for file in report.files),
        sum(report.rows_read for report in reports),
        sum(report.rows_kept for report in reports),
        tuple(skipped),
        tuple(f"{report.title}: {note}" for report in reports for note in report.notes),
        sum(report.anonymous for report in reports),
        tuple(row for report in reports for row in report.rejected)[:N_REJECTED],
        sum(report.damaged for report in reports),
        filled[0].absent,
    )


def _check_alike(reports: Sequence[ReadReport]) -> None:
    for name in ("rating", "timestamp"):
        lacking = [report for report in reports if name in report.absent]
        having = [report for report in reports if name not in report.absent]
        if lacking and having:
            raise InputError(
                f"{lacking[0].title} has no {name}, but {having[0].title} has one; expected all "
                f"files or none to have it; leave files out, or say {WITHOUT[name]}"
            )


class Account:
    """Adds batches up to a `ReadReport`.

    Args:
        file: name of the file, without its folder.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._read = self._kept = self._anonymous = self._damaged = 0
        self._notes: Counter[str] = Counter()
        self._skipped: dict[str, Skipped] = {}
        self._rejected: list[Mapping[str, Any]] = []
        self._absent: frozenset[str] = frozenset()
        self._early: Early | None = None

    def add(self, batch: Batch) -> None:
        """Count a batch; batches come in the order of the source."""
        self._read += batch.n_read
        self._kept += len(batch.reviews)
        self._anonymous += batch.n_anonymous
        self._notes.update(batch.notes)
        self._absent = batch.absent
        if batch.early:
            self._early = batch.early.plus(self._early)
        self._damaged += int(batch.reviews["text"].str.contains(_LOST, literal=True).sum())
        if not len(batch.rejected):
            return
        room = N_REJECTED - len(self._rejected)
        for line, reason, value, _ in batch.rejected.head(room).rows():
            row = {"file": self._file, "line": line, "reason": reason, "value": value}
            self._rejected.append(row)
        groups = batch.rejected.group_by("reason", maintain_order=True).agg(
            pl.len(), pl.col("source_line").head(N_EXAMPLES), pl.first("value", "expected")
        )
        for reason, count, lines, value, expected in groups.rows():
            old = self._skipped.get(reason, Skipped(reason, 0, (), value, expected, self._file))
            self._skipped[reason] = replace(
                old, count=old.count + count, lines=(*old.lines, *lines)[:N_EXAMPLES]
            )

    def report(self) -> ReadReport:
        """Return the account so far."""
        early = (self._early.describe(self._read),) if self._early else ()
        return ReadReport(
            (self._file,),
            self._read,
            self._kept,
            tuple(sorted(self._skipped.values(), key=lambda s: (-s.count, s.lines))),
            (*(note.replace("{}", str(n)) for note, n in self._notes.items()), *early),
            self._anonymous,
            tuple(self._rejected),
            self._damaged,
            self._absent,
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
