"""Reads RecBole's atomic files, ours and others'."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recbole_symcere.base.errors import InputError


def read_inter(path: Path, user: str, item: str, time: str) -> pl.DataFrame:
    """Read users, items and times of an ``.inter`` file as text, row by row as RecBole does.

    Args:
        path: the file, tab-separated, with a header of ``name:type``.
        user: name of the column of users.
        item: name of the column of items.
        time: name of the column of times; it may be missing.

    Returns:
        String columns user_id, item_id and timestamp (null where the file has no times).

    Raises:
        InputError: if the file cannot be read or lacks a column.
    """
    try:
        frame = pl.read_csv(path, separator="\t", infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{path.name}: cannot be read as RecBole's table ({str(error).splitlines()[0]}); "
            "expected tab-separated rows of the same width under a header of name:type"
        ) from error
    # RecBole passes over blank lines
    frame = frame.filter(pl.any_horizontal(pl.all().is_not_null()))
    columns = {column.rpartition(":")[0]: column for column in frame.columns}
    for name in (user, item):
        if name not in columns:
            raise InputError(
                f"{path.name}: there is no column {name!r}; found {', '.join(columns)}; name the "
                "columns with --inter_fields=USER,ITEM,TIME"
            )
    return frame.select(
        user_id=columns[user],
        item_id=columns[item],
        timestamp=columns[time] if time in columns else pl.lit(None, pl.String),
    )


def reviews_path_of(inter: Path) -> Path:
    """The review file that goes with an ``.inter`` file."""
    return inter.with_name(f"{inter.name.removesuffix('.inter')}.reviews.parquet")
