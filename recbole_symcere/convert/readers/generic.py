"""Any CSV, TSV, JSON lines or Parquet file with one review per row.

The text is one column; a title in another one is not joined to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_options import FieldOptions
from recbole_symcere.convert.delimited import DelimitedRows
from recbole_symcere.convert.jsonlines import JsonLines
from recbole_symcere.convert.lines import LineBlocks, TextLines, check_file
from recbole_symcere.convert.raw import Columns, RawTable
from recbole_symcere.convert.records import Batch, Reading
from recbole_symcere.convert.validate import Expectations, Validator

SOURCE = "generic"

#: File format -> the endings of its files; each may be followed by .gz or .zst (not for Parquet).
FORMATS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
}
_DEFAULTS = {"rating": "1.0", "timestamp": "0"}
_PARQUET_ROWS = 20_000


def read_generic(
    path: Path,
    options: FieldOptions | None = None,
    anonymous: frozenset[str] = frozenset(),
    optional: frozenset[str] = frozenset({"rating"}),
) -> Reading:
    """Read a file of reviews.

    Columns are user_id, item_id, rating, timestamp and text unless ``options`` names others; more
    columns are ignored. Ids stay text exactly as written ("007" is not "7"). A time is a number of
    seconds (or milli-, micro-, nanoseconds: recognised from the file's first rows and noted) or a
    date, UTC where it has no zone. A file without a rating column gets the rating 1.0 for every
    review, which is noted; one whose rating column was named must have it.

    Args:
        path: the file.
        options: names and format; None for the defaults.
        anonymous: user names that many people share, lower case.
        optional: our names of columns that the file may lack unless they are named.

    Returns:
        The reading.

    Raises:
        InputError: if the file cannot be read or its format is unknown; while reading, if a column
            is missing.
    """
    options = options or FieldOptions()
    check_file(path)
    named = {"user_id": options.user_field, "item_id": options.item_field}
    named |= {"rating": options.rating_field, "timestamp": options.time_field}
    named |= {"text": options.text_field}
    columns = Columns(
        {ours: theirs or ours for ours, theirs in named.items()},
        optional=optional - {ours for ours, theirs in named.items() if theirs},
    )
    defaults = {ours: _DEFAULTS[ours] for ours in sorted(columns.optional)}
    limits = _range(options.rating_range)
    expect = Expectations(columns.names, defaults, limits, anonymous=anonymous)
    validate = Validator(path.name, expect)
    file_format = options.input_format or _format_of(path)
    if file_format == "parquet":
        tables = _parquet_tables(path, columns)
        return Reading(SOURCE, path.name, tables, validate, (path,))
    blocks = LineBlocks(path)
    if file_format == "jsonl":
        read = _after(JsonLines(columns, path.name), validate)
        return Reading(SOURCE, path.name, blocks, read, (path,), blocks.position)
    delimiter = "\t" if file_format == "tsv" else ","
    rows = DelimitedRows(TextLines(blocks), path.name, columns, delimiter, options.no_quotes)
    return Reading(SOURCE, path.name, rows, validate, (path,), blocks.position)


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--rating_range: {text!r} is no range; expected two numbers such as 1,5"
        ) from None
    return low, high


def _after(parse: Callable[[Any], RawTable], validate: Validator) -> Callable[[Any], Batch]:
    return lambda block: validate(parse(block))


def _format_of(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    for file_format, endings in FORMATS.items():
        if name.endswith(endings):
            return file_format
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise InputError(
        f"{path.name}: the format cannot be told from the name; expected an ending of {known} "
        f"(.gz or .zst may follow); name it with --input_format={'|'.join(FORMATS)}"
    )


def _parquet_tables(path: Path, columns: Columns) -> Iterator[RawTable]:
    """Yield the named columns as text; a column of dates becomes seconds."""
    start = 1
    try:
        with pq.ParquetFile(path) as file:
            columns.check(file.schema_arrow.names, path.name)
            present = {n: t for n, t in columns.names.items() if t in file.schema_arrow.names}
            for part in file.iter_batches(_PARQUET_ROWS, columns=list(present.values())):
                frame = pl.DataFrame(pl.from_arrow(part))
                yield _as_raw(frame, columns, present, start)
                start += len(frame)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{path.name}: cannot be read as Parquet ({str(error).splitlines()[0]}); "
            "expected a Parquet file with one value per row and column; export it again"
        ) from error


def _as_raw(
    frame: pl.DataFrame, columns: Columns, present: Mapping[str, str], start: int
) -> RawTable:
    schema = frame.schema
    nested = [theirs for theirs in present.values() if schema[theirs].is_nested()]
    if nested:
        raise pl.exceptions.SchemaError(f"column {nested[0]!r} holds {schema[nested[0]]}")
    absent = columns.names.keys() - present.keys()
    return RawTable(
        frame.select(_as_text(schema, ours, theirs) for ours, theirs in present.items())
        .with_columns(
            *(pl.lit(None, pl.String).alias(ours) for ours in absent),
            source_line=pl.int_range(start, start + len(frame)),
            problem=pl.lit(None, pl.String),
        )
        .select(*columns.names, "source_line", "problem"),
        Counter(),
    )


def _as_text(schema: Mapping[str, pl.DataType], ours: str, theirs: str) -> pl.Expr:
    column = pl.col(theirs)
    if schema[theirs].is_temporal() and ours == "timestamp":
        column = column.dt.epoch("s")
    return column.cast(pl.String).alias(ours)
