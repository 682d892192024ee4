"""Ids and tables as people have them: lists, arrays, pandas and polars."""

import sys
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from recbole_symcere.base.errors import InputError

__all__ = ["SCHEMA", "as_given", "ids_of", "table_of_lists"]

SCHEMA = pa.schema(
    [
        *(("user_id", pa.string()), ("rank", pa.int32()), ("item_id", pa.string())),
        *(("score", pa.float32()), ("title", pa.string())),
    ]
)
"""Of tables of lists."""


def ids_of(given: Any, column: str) -> list[str]:
    """Ids as text.

    Args:
        given: one id, a list, an array, a Series or a DataFrame with ``column``.
        column: "user_id" or "item_id".

    Raises:
        InputError: for a frame without that column.
    """
    if isinstance(given, str | int):
        return [str(given)]
    if hasattr(given, "columns"):
        if column not in given.columns:
            there = ", ".join(map(str, given.columns))
            raise InputError(f"The frame has no column {column}; it has {there}.")
        given = given[column]
    return [str(value) for value in given]


def as_given(columns: Mapping[str, Any], given: Any) -> Any:
    """A table of the kind that ids came in: polars for polars, else pandas."""
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(given, polars.DataFrame | polars.Series):
        return polars.DataFrame(dict(columns))
    import pandas as pd

    return pd.DataFrame(dict(columns))


def table_of_lists(users: Any, ranks: Any, items: Any, scores: Any, titles: Any) -> pa.Table:
    """The columns of `SCHEMA` as a table; scores that are NaN become null."""
    columns = [
        pa.array(column, field.type, from_pandas=True)
        for column, field in zip((users, ranks, items, scores, titles), SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
