"""Parquet -> tables of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.raw import Columns, RawTable

_ROWS = 20_000
_IDS = ("user_id", "item_id")


def parquet_tables(path: Path, columns: Columns, date_format: str | None) -> Iterator[RawTable]:
    """Yield the named columns as text.

    A column of dates becomes seconds. Ids of a column of floating-point numbers, which is what
    whole numbers with a gap become elsewhere, are whole numbers: 1, not 1.0.

    Args:
        path: the file.
        columns: the columns to read.
        date_format: the form of the times that was named, or None.

    Raises:
        InputError: if the file is no Parquet, or a column is missing or of a type that cannot be
            what it is named for.
    """
    start = 1
    try:
        with pq.ParquetFile(path) as file:
            columns.check(file.schema_arrow.names, path.name)
            present = {n: t for n, t in columns.names.items() if t in file.schema_arrow.names}
            time = present.get("timestamp")
            if time and date_format and pa.types.is_temporal(file.schema_arrow.field(time).type):
                raise InputError(
                    f"--date_format: {time!r} of {path.name} holds times, not text; leave it out"
                )
            for part in file.iter_batches(_ROWS, columns=list(present.values())):
                frame = pl.DataFrame(pl.from_arrow(part))
                yield _as_raw(frame, columns, present, path.name, start)
                start += len(frame)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{path.name}: cannot be read as Parquet ({str(error).splitlines()[0]}); "
            "expected a Parquet file with one value per row and column; export it again"
        ) from error


def _as_raw(
    frame: pl.DataFrame, columns: Columns, present: Mapping[str, str], file: str, start: int
) -> RawTable:
    schema = frame.schema
    for ours, theirs in present.items():
        if schema[theirs].is_nested():  # some of them polars would spell out
            raise _refusal(file, ours, theirs, schema[theirs], "it is nested")
    floats = [present[ours] for ours in _IDS if schema[present[ours]].is_float()]
    texts = {ours: _as_text(schema[theirs], ours, theirs) for ours, theirs in present.items()}
    problems = [
        pl.when(pl.col(name).is_not_nan() & ~_is_exact(schema[name], name)).then(
            pl.lit(
                f"{name} is a floating-point number, but no whole one below 2^{_bits(schema[name])}"
            )
        )
        for name in floats
    ]
    added = {
        "source_line": pl.int_range(start, start + len(frame)),
        "problem": pl.coalesce(*problems, pl.lit(None, pl.String)),
    }
    try:
        table = frame.select(**texts, **added)
    except pl.exceptions.PolarsError:
        _refuse_a_column(frame, texts, present, file)
        raise
    absent = (pl.lit(None, pl.String).alias(ours) for ours in columns.names.keys() - present.keys())
    notes = Counter(
        {
            f"{name} holds floating-point numbers; ids are read as 1, not as 1.0": 1
            for name in floats
        }
    )
    return RawTable(table.with_columns(*absent).select(*columns.names, *added), notes)


def _as_text(kind: pl.DataType, ours: str, theirs: str) -> pl.Expr:
    column = pl.col(theirs)
    if ours == "timestamp" and kind.is_temporal():
        column = column.dt.epoch("s")
    if ours in _IDS and kind.is_float():
        column = pl.when(_is_exact(kind, theirs)).then(column).cast(pl.Int64)
    return column.cast(pl.String)


def _is_exact(kind: pl.DataType, name: str) -> pl.Expr:
    column = pl.col(name)
    return column.eq(column.floor()) & column.abs().lt(2 ** _bits(kind))


def _bits(kind: pl.DataType) -> int:
    """Return the power of two from which on neighbouring whole numbers are one."""
    return 24 if kind == pl.Float32 else 53


def _refuse_a_column(
    frame: pl.DataFrame, texts: Mapping[str, pl.Expr], present: Mapping[str, str], file: str
) -> None:
    """Stop at the first column whose values are no text."""
    for ours, theirs in present.items():
        try:
            frame.select(texts[ours])
        except pl.exceptions.PolarsError as error:
            raise _refusal(file, ours, theirs, frame.schema[theirs], str(error)) from error


def _refusal(file: str, ours: str, theirs: str, kind: pl.DataType, why: str) -> InputError:
    dates = ", dates" if ours == "timestamp" else ""
    return InputError(
        f"{file}: column {theirs!r} is of the type {kind}, whose values cannot be read as {ours} "
        f"({why.splitlines()[0]}); expected text{dates} or numbers, one value per row and column; "
        "name another column, or export it as text"
    )
