"""Any CSV, TSV, JSON lines or Parquet file with one review per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from recbole_symcere.convert.delimited import read_delimited
from recbole_symcere.convert.jsonlines import read_json_lines
from recbole_symcere.convert.lines import check_file
from recbole_symcere.convert.raw import OPTIONS, Columns, RawTable
from recbole_symcere.convert.records import Reading
from recbole_symcere.convert.validate import validate
from recbole_symcere.errors import InputError

SOURCE = "generic"

#: File format -> the endings of its files; each may be followed by .gz (not for Parquet).
FORMATS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
}
_DEFAULT_RATING = 1.0


@dataclass(frozen=True)
class GenericOptions:
    """How to read the file.

    Attributes:
        fields: our column name -> the file's, where it is not the same.
        input_format: a key of `FORMATS`; None takes it from the file's ending.
        no_quotes: in CSV and TSV, quote marks are ordinary characters.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    input_format: str | None = None
    no_quotes: bool = False


def read_generic(path: Path, options: GenericOptions | None = None) -> Reading:
    """Read a file of reviews.

    Columns are user_id, item_id, rating, timestamp and text unless ``options`` names others; more
    columns are ignored. Ids stay text exactly as written ("007" is not "7"). A time is a number of
    seconds (or milli-, micro-, nanoseconds: recognised over the whole column and noted) or an ISO
    8601 date, UTC where it has no zone. A file without a rating column gets the rating 1.0 for
    every review, which is noted; one whose rating column was named must have it.

    Args:
        path: the file.
        options: names and format; None for the defaults.

    Returns:
        The reviews and their report; `ReadReport.check` has not been called.

    Raises:
        InputError: if the file cannot be read, its format is unknown or a column is missing.
    """
    options = options or GenericOptions()
    check_file(path)
    columns = Columns(
        {ours: options.fields.get(ours, ours) for ours in OPTIONS},
        optional=frozenset({"rating"} - options.fields.keys()),
    )
    file_format = options.input_format or _format_of(path)
    if file_format == "parquet":
        raw = _read_parquet(path, columns)
    elif file_format == "jsonl":
        raw = read_json_lines(path, columns)
    else:
        delimiter = "\t" if file_format == "tsv" else ","
        raw = read_delimited(path, columns, delimiter, options.no_quotes)
    default_rating = _DEFAULT_RATING if "rating" in columns.optional else None
    checked = validate(raw, columns.names, default_rating)
    return Reading(checked.reviews, checked.report, SOURCE, (path,))


def _format_of(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    for file_format, endings in FORMATS.items():
        if name.endswith(endings):
            return file_format
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise InputError(
        f"{path.name}: the format cannot be told from the name; expected an ending of {known} "
        f"(.gz may follow); name it with --input_format={'|'.join(FORMATS)}"
    )


def _read_parquet(path: Path, columns: Columns) -> RawTable:
    """Read the named columns as text; a column of dates becomes seconds."""
    try:
        schema = pl.read_parquet_schema(path)
        columns.check(list(schema), path.name)
        present = {ours: theirs for ours, theirs in columns.names.items() if theirs in schema}
        frame = pl.read_parquet(path, columns=list(present.values()))
        texts = frame.select(_as_text(schema, ours, theirs) for ours, theirs in present.items())
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{path.name}: cannot be read as Parquet ({str(error).splitlines()[0]}); "
            "expected a Parquet file with one value per row and column; export it again"
        ) from error
    absent = columns.names.keys() - present.keys()
    texts = texts.with_columns(
        *(pl.lit(None, pl.String).alias(ours) for ours in absent),
        source_line=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        problem=pl.lit(None, pl.String),
    )
    return RawTable(path, texts)


def _as_text(schema: Mapping[str, pl.DataType], ours: str, theirs: str) -> pl.Expr:
    column = pl.col(theirs)
    if schema[theirs].is_temporal() and ours == "timestamp":
        column = column.dt.epoch("s")
    return column.cast(pl.String).alias(ours)
