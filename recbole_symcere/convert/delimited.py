"""CSV and TSV -> tables of text, with the exact line of every record."""

from __future__ import annotations

import csv
import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.jsonlines import BLANK_LINES
from recbole_symcere.convert.lines import TextLines
from recbole_symcere.convert.raw import OPTIONS, Columns, RawBuilder, RawTable, named

WRONG_WIDTH = "wrong number of fields"
BROKEN_QUOTES = "broken quoting"
_BATCH = 20_000
_HEADERLESS = (
    ", or, where the file has no header line, all columns with "
    "--columns=user_id,item_id,rating,timestamp,text"
)
_NO_QUOTES_HINT = "if quote marks mean nothing in this file, give --no_quotes=True"

#: What a delimiter may be called on the command line.
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
_NAMES = {character: name for name, character in DELIMITERS.items()}
_GUESSES = (",", ";", "\t", "|")
_FIRST_LINES = 50
# two of them in a first line make it a header
_HEADER_WORDS = frozenset((*OPTIONS, "user", "item", "review", "date", "time", "stars"))
_MOST_COLUMNS = 1000
# what Excel writes above the header, and reads
_EXCELS_LINE = re.compile(r'"?sep=([,;|\t])"?\s*', re.IGNORECASE)


class DelimitedRows:
    """Iterates over a file with a header line in tables of text.

    Quoted fields may hold the delimiter, doubled quotes and line breaks. The standard library's
    parser is used because it alone tells the line where each record starts, refuses stray quotes
    instead of swallowing what follows, and keeps every field as written.

    Args:
        lines: the file.
        file: its name, for messages.
        columns: the columns to read.
        delimiter: one character; None to guess it from the first lines.
        usual: what the delimiter is where the first lines don't tell; another one is noted.
        no_quotes: treat quote marks as ordinary characters.
        header: the column names, where the file has no header line of its own.
    """

    def __init__(
        self,
        lines: TextLines,
        file: str,
        columns: Columns,
        delimiter: str | None,
        usual: str = ",",
        no_quotes: bool = False,
        header: Sequence[str] | None = None,
    ) -> None:
        self._lines = lines
        self._file = file
        self._columns = columns
        self._delimiter = delimiter
        self._usual = usual
        self._quoting: Literal[0, 3] = csv.QUOTE_NONE if no_quotes else csv.QUOTE_MINIMAL
        self._fixed_header = header
        self._notes: Counter[str] = Counter()

    def __iter__(self) -> Iterator[RawTable]:
        """Yield tables of some ten thousand records; the columns are those of ``columns``.

        Raises:
            InputError: if the file cannot be read, a column is missing or doubled, or a quote is
                never closed.
        """
        with _long_fields():
            lines = iter(self._lines)
            first = list(itertools.islice(lines, _FIRST_LINES))
            delimiter, n_above = self._found_delimiter(first)
            records = csv.reader(
                itertools.chain(first[n_above:], lines),
                delimiter=delimiter,
                quoting=self._quoting,
                strict=True,
            )
            if self._fixed_header:
                _refuse_header(first[n_above:], delimiter, self._file)
            header = self._fixed_header or _header(records, self._file)
            self._columns.check(header, self._file, _HEADERLESS)
            names = self._columns.names
            at = [header.index(name) if name in header else None for name in names.values()]
            builder = RawBuilder(list(names))
            n_blank = 0
            for start, record in _numbered(records, self._file, n_above):
                if record == []:
                    n_blank += 1
                elif isinstance(record, str):
                    builder.add_problem(record, start)
                elif len(record) != len(header):
                    builder.add_problem(WRONG_WIDTH, start)
                else:
                    builder.add([None if n is None else record[n] for n in at], start)
                if len(builder) == _BATCH:
                    yield self._build(builder, 0)
            yield self._build(builder, n_blank)

    def _found_delimiter(self, first: list[str]) -> tuple[str, int]:
        """Return the delimiter, and how many lines stand above the header."""
        excels = _EXCELS_LINE.fullmatch(first[0]) if first else None
        if excels:
            return self._delimiter or excels[1], 1
        if self._delimiter is not None:
            return self._delimiter, 0
        found = self._guessed(first)
        if found != self._usual:
            self._notes[f"fields are separated by {_NAMES[found]}, as the first lines show"] = 1
        return found, 0

    def _guessed(self, first: list[str]) -> str:
        """Return what gives most of the columns, and of that what gives rows of one width."""
        header, wanted = self._fixed_header, {*self._columns.names.values()}

        def fit(delimiter: str) -> tuple[int, float, bool]:
            rows = _rows(first, delimiter, self._quoting)
            names = header or [name.strip() for name in rows[0]] if rows else []
            alike = sum(len(row) == len(names) for row in rows) if len(names) > 1 else 0
            return (
                len(wanted.intersection(names)),
                alike / max(len(rows), 1),
                delimiter == self._usual,
            )

        return max(_GUESSES, key=fit)

    def _build(self, builder: RawBuilder, n_blank: int) -> RawTable:
        table = builder.build()
        table.notes.update(self._lines.notes())
        table.notes.update(self._notes)
        table.notes.update({BLANK_LINES: n_blank} if n_blank else {})
        self._notes = Counter()
        return table


def _rows(lines: Sequence[str], delimiter: str, quoting: Literal[0, 3]) -> list[list[str]]:
    """Return the records of some lines, of which the last may be cut."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(row for row in csv.reader(lines, delimiter=delimiter, quoting=quoting) if row)
    return rows


def _refuse_header(first: list[str], delimiter: str, file: str) -> None:
    cells = [cell.strip(' "\r\n') for line in first[:1] for cell in line.split(delimiter)]
    if len(_HEADER_WORDS.intersection(map(str.lower, cells))) > 1:
        raise InputError(
            f"{file}: the first line, {named(cells)}, is a header, but --columns names the columns "
            "of a file without one; leave it out, and name columns with --user_field and so on"
        )


def _numbered(records: Any, file: str, n_above: int) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each record, or what is wrong with it, with the line where it starts."""
    while True:
        start = records.line_num + n_above + 1
        try:
            yield start, next(records)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise InputError(
                    f"{file}: the quote opened in line {start} is never closed; expected a closing "
                    f"quote mark; mend that line, or {_NO_QUOTES_HINT}"
                ) from error
            yield start, BROKEN_QUOTES


def _header(records: Any, file: str) -> list[str]:
    try:
        first: list[str] = next(
            (record for record in records if record), []
        )  # blank lines may come before
        header = [str(name).strip() for name in first]
    except csv.Error as error:
        raise InputError(
            f"{file}: the header line cannot be read ({error}); {_NO_QUOTES_HINT}"
        ) from error
    if len(header) > _MOST_COLUMNS:
        raise InputError(
            f"{file}: the header line names {len(header):,} columns, which starts "
            f"{named(header)}; expected at most {_MOST_COLUMNS:,}; name the right --delimiter, or "
            "give the right file"
        )
    # a spreadsheet ends its lines with columns that have no name
    doubled = sorted(name for name, count in Counter(header).items() if name and count > 1)
    if doubled:
        raise InputError(
            f"{file}: the header names {doubled[0]!r} more than once; rename one of the columns"
        )
    return header


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lift the csv module's process-wide limit on the length of a field while reading."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)
