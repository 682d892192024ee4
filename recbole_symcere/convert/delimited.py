"""CSV and TSV -> tables of text, with the exact line of every record."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.jsonlines import BLANK_LINES
from recbole_symcere.convert.lines import TextLines
from recbole_symcere.convert.raw import Columns, RawBuilder, RawTable

WRONG_WIDTH = "wrong number of fields"
BROKEN_QUOTES = "broken quoting"
_BATCH = 20_000
_NO_QUOTES_HINT = "if quote marks mean nothing in this file, give --no_quotes=True"


class DelimitedRows:
    """Iterates over a file with a header line in tables of text.

    Quoted fields may hold the delimiter, doubled quotes and line breaks. The standard library's
    parser is used because it alone tells the line where each record starts, refuses stray quotes
    instead of swallowing what follows, and keeps every field as written.

    Args:
        lines: the file.
        file: its name, for messages.
        columns: the columns to read.
        delimiter: one character.
        no_quotes: treat quote marks as ordinary characters.
        header: the column names, where the file has no header line of its own.
    """

    def __init__(
        self,
        lines: TextLines,
        file: str,
        columns: Columns,
        delimiter: str,
        no_quotes: bool = False,
        header: Sequence[str] | None = None,
    ) -> None:
        self._lines = lines
        self._file = file
        self._columns = columns
        self._delimiter = delimiter
        self._quoting: Literal[0, 3] = csv.QUOTE_NONE if no_quotes else csv.QUOTE_MINIMAL
        self._fixed_header = header

    def __iter__(self) -> Iterator[RawTable]:
        """Yield tables of some ten thousand records; the columns are those of ``columns``.

        Raises:
            InputError: if the file cannot be read, a column is missing or doubled, or a quote is
                never closed.
        """
        with _long_fields():
            records = csv.reader(
                iter(self._lines), delimiter=self._delimiter, quoting=self._quoting, strict=True
            )
            header = self._fixed_header or _header(records, self._file)
            self._columns.check(header, self._file)
            names = self._columns.names
            at = [header.index(name) if name in header else None for name in names.values()]
            builder = RawBuilder(list(names))
            n_blank = 0
            for start, record in _numbered(records, self._file):
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

    def _build(self, builder: RawBuilder, n_blank: int) -> RawTable:
        table = builder.build()
        table.notes.update(self._lines.notes())
        table.notes.update({BLANK_LINES: n_blank} if n_blank else {})
        return table


def _numbered(records: Any, file: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each record, or what is wrong with it, with the line where it starts."""
    while True:
        start = records.line_num + 1
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
        header = [str(name).strip() for name in next(records, [])]
    except csv.Error as error:
        raise InputError(
            f"{file}: the header line cannot be read ({error}); {_NO_QUOTES_HINT}"
        ) from error
    doubled = sorted({name for name in header if header.count(name) > 1})
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
