"""JSON lines -> a table of text, one object per line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recbole_symcere.convert.lines import TextLines
from recbole_symcere.convert.raw import Columns, RawBuilder, RawTable

NOT_JSON = "not valid JSON"
NOT_OBJECT = "not a JSON object"
_TEXT_TYPES = frozenset({str, type(None)})

# The standard library's parser: measured as fast as polars' on two cores, and unlike it tells which
# line is broken, keeps numbers as they are written ("1.10", "1e3") and knows half surrogate pairs.
# strict=False takes raw tabs and NULs inside strings; clean.py turns them into spaces.
_DECODER = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=lambda _: None, strict=False
)


def read_json_lines(path: Path, columns: Columns) -> RawTable:
    """Read the named keys of every line.

    Numbers become text exactly as written, so an id 7 is "7" and an id "007" stays "007". A key
    that is absent or null gives null. Blank lines are passed over and noted.

    Args:
        path: JSON lines, plain or gzip.
        columns: the keys to read.

    Returns:
        One row per line that is not blank; the columns are those of ``columns``.

    Raises:
        InputError: if the file cannot be read, or no line has a key that is not optional.
    """
    lines = TextLines(path)
    builder = RawBuilder(list(columns.names))
    keys = list(columns.names.values())
    found: dict[str, None] = {}  # a dict keeps the order in which keys were met
    n_blank = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            n_blank += 1
            continue
        record = _parse(line)
        if isinstance(record, str):
            builder.add_problem(record, number)
            continue
        if not record.keys() <= found.keys():
            found.update(dict.fromkeys(record))
        values = [record.get(key) for key in keys]
        if _TEXT_TYPES.issuperset(map(type, values)):
            builder.add(values, number)
        else:
            builder.add_problem(_not_text(keys, values), number)
    if found:  # else no line could be parsed, and the report says why
        columns.check(found, path.name)
    blank = (f"{n_blank} blank lines passed over",) if n_blank else ()
    return builder.build(path, lines.notes() + blank)


def _parse(line: str) -> dict[str, Any] | str:
    """Return the object in a line, or what is wrong with it."""
    try:
        record = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return NOT_JSON
    return record if isinstance(record, dict) else NOT_OBJECT


def _not_text(keys: list[str], values: list[Any]) -> str:
    """Name the first value that is a list, an object or a truth value."""
    wrong = (k for k, v in zip(keys, values, strict=True) if type(v) not in _TEXT_TYPES)
    return f"{next(wrong)} is neither text nor a number"
