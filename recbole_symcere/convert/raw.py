"""The table between a file format and the checks: every value still text, as it was written."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.records import WITHOUT

#: Our column -> the option that names the file's column.
OPTIONS = {
    "user_id": "--user_field",
    "item_id": "--item_field",
    "rating": "--rating_field",
    "timestamp": "--time_field",
    "text": "--text_field",
}

# our column -> words of a name that tells of it
_ALIKE = {
    "rating": r"\w*ratings?|\w*stars?|scores?|overall|grade",
    "timestamp": r"\w*times?|\w*date|timestamp|created|when",
}
_WRONG_SOURCE = "give a file of this source, or use 'convert generic' and name the columns"
_MOST_NAMES = 20
_LONGEST_NAME = 40

_HALF_CHARACTERS = "{} values held half a character; replaced by U+FFFD"


@dataclass(frozen=True)
class Columns:
    """What the columns (or JSON keys) of a file are called.

    Attributes:
        names: our column name -> the file's.
        optional: our names of columns that a file may lack; they are then null.
        renamable: whether the user can name the columns by `OPTIONS`.
        doubted: which of the optional ones a file may lack only where no other of its columns
            looks like it.
    """

    names: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    renamable: bool = True
    doubted: frozenset[str] = frozenset()

    def check(self, found: Collection[str], file: str, further: str = "") -> None:
        """Refuse a file that lacks a column.

        Args:
            found: the column names in the file.
            file: its name, for the message.
            further: what else may help.

        Raises:
            InputError: if a column that is not optional is missing, or one that is doubted and
                another looks like it.
        """
        lacking = [ours for ours, theirs in self.names.items() if theirs not in found]
        alike = {ours: self._alike(ours, found) for ours in lacking if ours in self.doubted}
        missing = [ours for ours in lacking if ours not in self.optional]
        looks = {ours: name for ours, name in alike.items() if name is not None}
        if missing:
            raise InputError(
                f"{file}: there is no column {self.names[missing[0]]!r}; found "
                f"{named(found) or 'none'}; "
                + (self._remedy(missing, looks) + further if self.renamable else _WRONG_SOURCE)
            )
        for ours, name in looks.items():
            raise InputError(
                f"{file}: there is no column {self.names[ours]!r}, but {name!r} looks like it; "
                f"name the column that holds the {ours} with {OPTIONS[ours]}={name}, or say "
                f"{WITHOUT[ours]}"
            )

    def _remedy(self, missing: Sequence[str], looks: Mapping[str, str]) -> str:
        first, *others = missing
        remedy = f"name the column that holds the {first} with {OPTIONS[first]}=NAME"
        options = [f"{OPTIONS[ours]}={looks.get(ours, 'NAME')}" for ours in (*others, *looks)]
        return f"{remedy}, and the others with {' '.join(options)}" if options else remedy

    def _alike(self, ours: str, found: Collection[str]) -> str | None:
        """Return another column whose name tells of what ours holds."""
        for name in found:
            # the words of review_date and of reviewDate
            parts = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().replace("_", " ")
            if name not in self.names.values() and re.search(rf"\b(?:{_ALIKE[ours]})\b", parts):
                return name
        return None


def named(names: Collection[str]) -> str:
    """Spell out some names for a message, so that it stays readable where they are many or long."""
    first = (repr(name[:_LONGEST_NAME]) for name in itertools.islice(names, _MOST_NAMES))
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(first) + more


class RawTable(NamedTuple):
    """Rows as text.

    Attributes:
        frame: the reader's columns, all String; ``source_line`` (Int64); ``problem`` (String),
            which says why a row could not be taken apart: its other columns are then null.
        notes: remark -> how often, as in `records.Batch`.
    """

    frame: pl.DataFrame
    notes: Counter[str]


class RawBuilder:
    """Collects rows of text for one table.

    Args:
        columns: names of the text columns.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._rows: list[Sequence[str | None]] = []
        self._lines: list[int] = []
        self._problems: list[str | None] = []
        self._notes: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, values: Sequence[str | None], line: int) -> None:
        """Add one row of values in the order of the columns."""
        self._append(values, line, None)

    def add_problem(self, problem: str, line: int) -> None:
        """Add one row that could not be taken apart."""
        self._append((None,) * len(self._columns), line, problem)

    def build(self) -> RawTable:
        """Return the rows added since the last call."""
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(self._columns)
        data = {
            name: self._series(name, values)
            for name, values in zip(self._columns, columns, strict=True)
        }
        data["source_line"] = pl.Series("source_line", self._lines, dtype=pl.Int64)
        data["problem"] = pl.Series("problem", self._problems, dtype=pl.String)
        table = RawTable(pl.DataFrame(data), self._notes)
        self._rows, self._lines, self._problems, self._notes = [], [], [], Counter()
        return table

    def _append(self, values: Sequence[str | None], line: int, problem: str | None) -> None:
        self._rows.append(values)
        self._lines.append(line)
        self._problems.append(problem)

    def _series(self, name: str, values: Sequence[str | None]) -> pl.Series:
        try:
            return pl.Series(name, values, dtype=pl.String)
        except UnicodeEncodeError:
            # JSON can spell half of a surrogate pair (\ud83d), which no UTF-8 text can hold
            mended = [value and _without_surrogates(value) for value in values]
            changed = sum(a != b for a, b in zip(values, mended, strict=True))
            self._notes[_HALF_CHARACTERS] += changed
            return pl.Series(name, mended, dtype=pl.String)


def _without_surrogates(value: str) -> str:
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
