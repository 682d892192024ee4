"""Any CSV, TSV, JSON lines or Parquet file with one review per row.

The text is one column; a title in another one is not joined to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.archives import data_member, only_member
from recbole_symcere.convert.convert_options import FieldOptions
from recbole_symcere.convert.delimited import DELIMITERS, DelimitedRows
from recbole_symcere.convert.encodings import AUTO, Recoder, codec_of
from recbole_symcere.convert.jsonlines import JsonLines
from recbole_symcere.convert.lines import LineBlocks, TextLines, check_file, decompressed
from recbole_symcere.convert.parquet import parquet_tables
from recbole_symcere.convert.ratings import rating_form
from recbole_symcere.convert.raw import Columns, RawTable
from recbole_symcere.convert.records import WITHOUT, Batch, Reading
from recbole_symcere.convert.times import checked_format
from recbole_symcere.convert.validate import Expectations, Validator

SOURCE = "generic"

#: File format -> the endings of its files; each may be followed by .gz, .zst or .zip (not for
#: Parquet).
FORMATS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
}
_PACKED = (".gz", ".zst", ".bz2", ".zip")
_WORKBOOKS = (".xlsx", ".xls", ".ods")
_USUAL = {"csv": ",", "tsv": "\t"}
_RATING_HINT = "; --decimal=, reads 4,5 and --rating_map words or 3/5"
_DATE_HINT = "; --date_format reads others, such as %d.%m.%Y or %m/%d/%Y"
_NAMED = {
    "user_id": "user_field", "item_id": "item_field", "rating": "rating_field",
    "timestamp": "time_field", "text": "text_field",
}  # fmt: skip


def read_generic(
    path: Path,
    options: FieldOptions | None = None,
    anonymous: frozenset[str] = frozenset(),
    lacking: frozenset[str] = frozenset(),
) -> Reading:
    """Read a file of reviews.

    Columns are user_id, item_id, rating, timestamp and text unless ``options`` names others; more
    columns are ignored. Ids stay text exactly as written ("007" is not "7"). A time is a number of
    seconds (or milli-, micro-, nanoseconds: recognised from the file's first rows and noted) or a
    date, UTC where it has no zone. A file may have no column of ratings or times, which is noted,
    unless that was named or another column looks like it.

    Args:
        path: the file.
        options: names and format; None for the defaults.
        anonymous: user names that many people share, lower case.
        lacking: our names of columns that the file may lack although another looks like it.

    Returns:
        The reading.

    Raises:
        InputError: if the file cannot be read, its format is unknown or options contradict each
            other; while reading, if a column is missing.
    """
    options = options or FieldOptions()
    check_file(path)
    file_format = options.input_format or _format_of(path)
    _refuse_without_effect(options, file_format)
    columns = _columns(options, lacking)
    expect = Expectations(
        columns.names,
        columns.optional,
        frozenset(columns.names.keys() & WITHOUT.keys()) - lacking,
        rating_range=_range(options.rating_range),
        ratings=rating_form(options.rating_map, options.decimal, _RATING_HINT),
        date_format=None if options.date_format is None else checked_format(options.date_format),
        date_hint=_DATE_HINT,
        anonymous=anonymous,
    )
    validate = Validator(path.name, expect)
    if file_format == "parquet":
        tables = parquet_tables(path, columns, options.date_format)
        return Reading(SOURCE, path.name, tables, validate, (path,))
    member = data_member(path, FORMATS[file_format])
    opener = decompressed if member is None else only_member(member.__eq__, member)
    blocks = LineBlocks(path, opener, recoder=Recoder(codec_of(options.encoding)))
    if file_format == "jsonl":
        read = _after(JsonLines(columns, path.name), validate)
        return Reading(SOURCE, path.name, blocks, read, (path,), blocks.position)
    rows = DelimitedRows(
        TextLines(blocks),
        path.name,
        columns,
        _delimiter(options.delimiter),
        _USUAL[file_format],
        options.no_quotes,
        _header(options.columns, columns),
    )
    return Reading(SOURCE, path.name, rows, validate, (path,), blocks.position)


def _refuse_without_effect(options: FieldOptions, file_format: str) -> None:
    """Stop at options that contradict each other or mean nothing for this format."""
    table = "has no effect on a file of this format; leave it out, or name another --input_format"
    by_name = "a file's columns are named either by the file or by --columns; leave one out"
    ratings = options.rating_field or options.rating_map or options.rating_range
    fields = (getattr(options, name) for name in _NAMED.values())
    for option, wrong, why in (
        ("delimiter", options.delimiter and file_format not in _USUAL, table),
        ("columns", options.columns and file_format not in _USUAL, table),
        ("no_quotes", options.no_quotes and file_format not in _USUAL, table),
        ("encoding", options.encoding != AUTO and file_format == "parquet", table),
        ("columns", options.columns and any(fields), by_name),
        (
            "implicit",
            options.implicit and (ratings or options.decimal != "."),
            "no ratings are read, so nothing can be said of them; leave one out",
        ),
        (
            "order",
            options.order == "unknown" and (options.time_field or options.date_format),
            "no times are read, so nothing can be said of them; leave one out",
        ),
    ):
        if wrong:
            raise InputError(f"--{option}: {why}")


def _columns(options: FieldOptions, lacking: frozenset[str]) -> Columns:
    """Say what the columns are called and which a file may lack."""
    unread = {"rating"} if options.implicit else set()
    unread |= {"timestamp"} if options.order == "unknown" else set()
    given = {ours: getattr(options, name) for ours, name in _NAMED.items() if ours not in unread}
    optional = frozenset(
        ours for ours in ("rating", "timestamp") if ours in given and not given[ours]
    )
    names = {ours: theirs or ours for ours, theirs in given.items()}
    _refuse_twice(names, optional - lacking)
    return Columns(names, optional, doubted=optional - lacking)


def _refuse_twice(names: Mapping[str, str], optional: frozenset[str]) -> None:
    """Stop at a column that would be two things."""
    first: dict[str, str] = {}
    for ours, theirs in names.items():
        other = first.setdefault(theirs, ours)
        if other != ours:
            without = next((WITHOUT[name] for name in (other, ours) if name in optional), None)
            raise InputError(
                f"--{_NAMED[other]}, --{_NAMED[ours]}: the column {theirs!r} would be both the "
                f"{other} and the {ours}; expected a column for each; name another with one of them"
                + (f", or say {without}" if without else "")
            )


def _header(text: str | None, columns: Columns) -> list[str] | None:
    """Read ``--columns``: what each column of a file without a header line is."""
    if text is None:
        return None
    header = [name.strip() for name in text.split(",")]
    named = [name for name in header if name != "-"]
    wrong = [name for name in named if name not in _NAMED or named.count(name) > 1]
    missing = columns.names.keys() - columns.optional - {*named}
    if wrong or missing:
        what = f"{wrong[0]!r} is no name or stands there twice" if wrong else f"no {min(missing)}"
        raise InputError(
            f"--columns: {what}; expected each of {', '.join(_NAMED)} once at most, user_id, "
            "item_id and text at least, and - for other columns"
        )
    # what is not read needs names of its own
    return [f"-{n}" if name == "-" else name for n, name in enumerate(header)]


def _delimiter(text: str | None) -> str | None:
    if text is None:
        return None
    character = DELIMITERS.get(text.lower(), text.replace("\\t", "\t"))
    if len(character) != 1 or character in '"\r\n':
        raise InputError(
            f"--delimiter: {text!r} cannot stand between fields; expected one character, or one of "
            f"{', '.join(DELIMITERS)}"
        )
    return character


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not low <= high:  # nor is one of them nan
        raise InputError(
            f"--rating_range: {text!r} is no range; expected two numbers, the smaller one first, "
            "such as 1,5"
        )
    return low, high


def _after(parse: Callable[[Any], RawTable], validate: Validator) -> Callable[[Any], Batch]:
    return lambda block: validate(parse(block))


def _format_of(path: Path) -> str:
    all_endings = tuple(ending for endings in FORMATS.values() for ending in endings)
    name = path.name.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    if name.endswith(_WORKBOOKS):
        raise InputError(f"{path.name}: a workbook cannot be read; save its sheet as CSV in UTF-8")
    if not name.endswith(all_endings):
        name = (data_member(path, all_endings) or name).lower()
    for file_format, endings in FORMATS.items():
        if name.endswith(endings):
            return file_format
    known = ", ".join(all_endings)
    raise InputError(
        f"{path.name}: the format cannot be told from the name; expected an ending of {known} "
        f"(.gz, .zst or .zip may follow); name it with --input_format={'|'.join(FORMATS)}"
    )
