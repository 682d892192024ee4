"""CSV and TSV -> a table of text, with the exact line of every record."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from recbole_symcere.convert.lines import TextLines
from recbole_symcere.convert.raw import Columns, RawBuilder, RawTable
from recbole_symcere.errors import InputError

WRONG_WIDTH = "wrong number of fields"
BROKEN_QUOTES = "broken quoting"
_NO_QUOTES_HINT = "if quote marks mean nothing in this file, give --no_quotes"


def read_delimited(
    path: Path, columns: Columns, delimiter: str, no_quotes: bool = False
) -> RawTable:
    """Read the named columns of a file with a header line.

    Quoted fields may hold the delimiter, doubled quotes and line breaks. The standard library's
    parser is used because it alone tells the line where each record starts, refuses stray quotes
    instead of swallowing what follows, and keeps every field as written.

    Args:
        path: the file, plain or gzip, UTF-8.
        columns: the columns to read.
        delimiter: one character.
        no_quotes: treat quote marks as ordinary characters.

    Returns:
        One row per record; the columns are those of ``columns``.

    Raises:
        InputError: if the file cannot be read, a column is missing or doubled, or a quote is never
            closed.
    """
    lines = TextLines(path)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if no_quotes else csv.QUOTE_MINIMAL
    with _long_fields():
        records = csv.reader(iter(lines), delimiter=delimiter, quoting=quoting, strict=True)
        header = _header(records, path.name)
        columns.check(header, path.name)
        positions = [
            header.index(theirs) if theirs in header else None for theirs in columns.names.values()
        ]
        builder = RawBuilder(list(columns.names))
        n_blank = _read_records(records, path.name, builder, len(header), positions)
    blank = (f"{n_blank} blank lines passed over",) if n_blank else ()
    return builder.build(path, lines.notes() + blank)


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


def _read_records(
    records: Any, file: str, builder: RawBuilder, width: int, positions: list[int | None]
) -> int:
    """Add every record to ``builder``; return how many blank lines there were."""
    n_blank = 0
    while True:
        start = records.line_num + 1
        try:
            record = next(records)
        except StopIteration:
            return n_blank
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise InputError(
                    f"{file}: the quote opened in line {start} is never closed; expected a closing "
                    f"quote mark; mend that line, or {_NO_QUOTES_HINT}"
                ) from error
            builder.add_problem(BROKEN_QUOTES, start)
            continue
        if not record:
            n_blank += 1
        elif len(record) != width:
            builder.add_problem(WRONG_WIDTH, start)
        else:
            builder.add([None if at is None else record[at] for at in positions], start)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lift the csv module's process-wide limit on the length of a field while reading."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)
