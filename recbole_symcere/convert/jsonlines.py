"""JSON lines -> tables of text, one object per line."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.encodings import decode_line, invalid_note
from recbole_symcere.convert.lines import Block
from recbole_symcere.convert.raw import Columns, RawBuilder, RawTable

NOT_JSON = "not valid JSON"
NOT_OBJECT = "not a JSON object"
BLANK_LINES = "{} blank lines passed over"
# columns whose numbers stay as they are written
_EXACT = ("user_id", "item_id", "text", "summary")
_TEXT_TYPES = frozenset({str, type(None)})
_PIECE = 64 << 10
_LINE_END, _RETURN, _OPENS, _CLOSES = b"\n\r{}"
# how values look that may have been no strings, and how those start that polars writes otherwise
_NOT_A_STRING = r"^(?:-?\d[\d.eE+-]*$|[\[{]|true$|false$)"
_REWRITTEN = rb"(?:[-\[{tf]|\d+[.eE])"

# strict=False takes raw tabs and NULs inside strings; clean.py turns them into spaces
_DECODER = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=lambda _: None, strict=False
)


class JsonLines:
    """Takes blocks of JSON lines apart; safe to call from several threads after the first block.

    polars parses a block at once, several times as fast as Python's own parser. What it refuses
    (a broken line, bytes that are not UTF-8, raw control characters) and what it would write
    otherwise than the file does (an id 1.10 or 1e3, half a character, a list) is narrowed down by
    halving and goes to Python's parser, so that every line has its own verdict.

    Numbers become text; those of ids and texts exactly as written, so 7 is "7" and 1.10 is "1.10".
    A key that is absent or null gives null. Blank lines are passed over and noted.

    Args:
        columns: the keys to read.
        file: name of the file, for messages.
    """

    def __init__(self, columns: Columns, file: str) -> None:
        self._columns = columns
        self._file = file
        self._schema = dict.fromkeys(columns.names.values(), pl.String())
        self._exact = [columns.names[ours] for ours in _EXACT if ours in columns.names]
        self._checked = False

    def __call__(self, block: Block) -> RawTable:
        """Return one row per line of the block that is not blank.

        Raises:
            InputError: if no line of the first block has a key that is not optional, or the file is
                one document instead of a line for each review.
        """
        parts = list(self._parts(block))
        notes = sum((part.notes for part in parts), Counter(block.notes))
        table = RawTable(pl.concat([part.frame for part in parts]).sort("source_line"), notes)
        if not self._checked:
            self._check_keys(table.frame, block)
            self._checked = True
        return table

    def _parts(self, block: Block) -> Iterator[RawTable]:
        """Yield the rows; what the fast parser refuses is halved until it is small."""
        whole, rest = _apart(block)
        table = self._fast(*whole)
        if table is not None:
            yield table
            yield self._careful(rest)
        elif len(block.data) <= _PIECE or block.n_lines == 1:
            yield self._careful(_numbered(block))
        else:
            for half in _halves(block):
                yield from self._parts(half)

    def _fast(self, data: bytes, numbers: pl.Series) -> RawTable | None:
        """Return a row for each line, or None if one of them is none or would be changed."""
        if data[:1] != b"{":  # polars would decompress what looks compressed
            return None
        try:
            frame = pl.read_ndjson(data, schema=self._schema)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return None
        if len(frame) != len(numbers) or not self._is_faithful(frame, data):
            return None
        return RawTable(
            frame.select(
                *(pl.col(theirs).alias(ours) for ours, theirs in self._columns.names.items()),
                source_line=numbers,
                problem=pl.lit(None, pl.String),
            ),
            Counter(),
        )

    def _is_faithful(self, frame: pl.DataFrame, data: bytes) -> bool:
        """Tell whether every value is what the file says."""
        columns = {key: pl.col(key) for key in self._schema}
        # polars writes half a character as NUL
        halves = [column.str.contains("\0", literal=True).any() for column in columns.values()]
        if frame.select(pl.any_horizontal(halves)).item():
            return False
        looks = {key: columns[key].str.contains(_NOT_A_STRING).any() for key in self._exact}
        doubtful = [key for key, doubt in frame.select(**looks).row(0, named=True).items() if doubt]
        doubtful = [key for key in doubtful if not _all_strings(key, frame, data)]
        names = b"|".join(re.escape(key).encode() for key in doubtful)
        return not doubtful or not re.search(rb'"(?:%s)"\s*:\s*%s' % (names, _REWRITTEN), data)

    def _careful(self, lines: Iterable[tuple[int, bytes]]) -> RawTable:
        builder = RawBuilder(list(self._columns.names))
        keys = list(self._columns.names.values())
        n_invalid = n_blank = 0
        for number, line in lines:
            text, valid = decode_line(line)
            n_invalid += not valid
            if not text.strip():
                n_blank += 1
                continue
            record = _parse(text)
            if isinstance(record, str):
                builder.add_problem(record, number)
                continue
            values = [self._spelled(key, record.get(key)) for key in keys]
            if _TEXT_TYPES.issuperset(map(type, values)):
                builder.add(values, number)
            else:
                builder.add_problem(_not_text(keys, values), number)
        table = builder.build()
        table.notes.update(invalid_note(n_invalid))
        table.notes.update({BLANK_LINES: n_blank} if n_blank else {})
        return table

    def _spelled(self, key: str, value: Any) -> Any:
        """A truth value as polars writes it: it may stand for a rating."""
        return str(value).lower() if isinstance(value, bool) and key not in self._exact else value

    def _check_keys(self, frame: pl.DataFrame, block: Block) -> None:
        whole = frame.filter(pl.col("problem").is_null())
        if 2 * len(whole) < len(frame):
            self._refuse_document(block.data.lstrip())
        if all(whole[ours].null_count() < len(whole) for ours in self._columns.names):
            return
        records = (_parse(decode_line(line)[0]) for line in io.BytesIO(block.data))
        # a dict keeps the order in which keys were met
        found = {key: None for record in records if isinstance(record, dict) for key in record}
        if found:  # else no line could be parsed, and the report says why
            self._columns.check(found, self._file)

    def _refuse_document(self, data: bytes) -> None:
        """Stop at JSON that is laid out over lines by its structure, not by reviews."""
        for begins, is_one, jq in (
            (data.startswith(b"["), "is one JSON array", "jq -c '.[]'"),
            (re.match(rb"\{\s*\n", data), "holds JSON objects of several lines", "jq -c ."),
        ):
            if begins:
                raise InputError(
                    f"{self._file}: {is_one}; expected one object per line; write it so, as "
                    f"{jq} does"
                )


def _all_strings(key: str, frame: pl.DataFrame, data: bytes) -> bool:
    """Tell, by counting, that every value of a key is written as a string."""
    n_values = len(frame) - frame[key].null_count()
    name = json.dumps(key).encode()
    return n_values in {data.count(name + b': "'), data.count(name + b':"')}


def _apart(block: Block) -> tuple[tuple[bytes, pl.Series], list[tuple[int, bytes]]]:
    """Set lines apart that don't begin and end as an object does.

    They are what broken lines nearly always look like, and found at a fraction of what it takes to
    parse a block for nothing.

    Returns:
        The other lines and their numbers; the lines set apart, each with its number. Where these
        are more than half there is more to a block than broken lines, and none is set apart.
    """
    octets = np.frombuffer(block.data, np.uint8)
    ends = np.flatnonzero(octets == _LINE_END)
    if not block.data.endswith(b"\n"):
        ends = np.append(ends, len(octets))
    starts = np.concatenate(([0], ends[:-1] + 1))
    last = octets[np.maximum(ends - 1, 0)]
    last = np.where(last == _RETURN, octets[np.maximum(ends - 2, 0)], last)
    ragged = np.flatnonzero((octets[starts] != _OPENS) | (last != _CLOSES))
    numbers = pl.int_range(block.first_line, block.first_line + len(ends), eager=True)
    if not len(ragged) or 2 * len(ragged) > len(ends):
        return (block.data, numbers), []
    view = memoryview(block.data)
    bounds = zip([0, *(ends[ragged] + 1)], [*starts[ragged], len(octets)], strict=True)
    whole = b"".join(view[start:end] for start, end in bounds)
    lines = zip(starts[ragged].tolist(), ends[ragged].tolist(), strict=True)
    rest = [(block.first_line + int(n), block.data[start:end])
            for n, (start, end) in zip(ragged, lines, strict=True)]  # fmt: skip
    keep = np.ones(len(ends), dtype=bool)
    keep[ragged] = False
    return (whole, numbers.filter(keep)), rest


def _numbered(block: Block) -> Iterator[tuple[int, bytes]]:
    return enumerate(io.BytesIO(block.data), start=block.first_line)


def _halves(block: Block) -> tuple[Block, Block]:
    """Cut a block of several lines at the line break that is nearest to its middle from above."""
    data = block.data
    end = data.rfind(b"\n", 0, len(data) // 2) + 1 or data.find(b"\n") + 1
    first = Block(data[:end], block.first_line)
    return first, Block(data[end:], block.first_line + first.n_lines)


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
