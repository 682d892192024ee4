"""A run's split as RecBole's benchmark files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from recbole_symcere.run.catalogue import LEFT_OUT, PARTS, Catalogue

__all__ = ["LEFT_OUT_NAME", "write_split"]

LEFT_OUT_NAME = "left_out"
"""Of the file of what the data have and no split has."""

_IDS = {"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id"}
_OTHERS = ("RATING_FIELD", "TIME_FIELD")


def write_split(
    folder: Path, catalogue: Catalogue, settings: Mapping[str, Any], data: tuple[Path, str]
) -> str:
    """Write ``split/<name>/<name>.{train,valid,test}.inter``: the pairs of the run, in its order.

    Ratings and times come from the data set where it is still there and tells them for each pair
    beyond doubt; without them the pairs stand alone. They are for RecBole's general models: its
    sequential ones want a list of earlier items in each row of such files.

    Pairs that val_interval or cold starts took out of all three are in ``<name>.left_out.inter``,
    if there are any: a user's list is without them too.

    Args:
        folder: it is there.
        catalogue: of the run.
        settings: of the run, which name the columns.
        data: folder and name of the run's data set.

    Returns:
        What was written, in words.
    """
    user, item = (str(settings.get(key) or usual) for key, usual in _IDS.items())
    pairs = pl.DataFrame(
        {
            user: pl.Series(catalogue.users.take(catalogue.user).to_pylist(), dtype=pl.String),
            item: pl.Series(catalogue.items.take(catalogue.item).to_pylist(), dtype=pl.String),
            "part": catalogue.part,
        }
    )
    kinds = {user: "token", item: "token"}
    more = _ratings_and_times(data, settings, (user, item))
    if more is not None:
        joined = pairs.join(more, on=[user, item], how="left", maintain_order="left")
        others = [name for name in more.columns if name not in kinds]
        if joined.select(pl.all_horizontal(pl.col(others).is_not_null().all())).item():
            pairs, kinds = joined, {**kinds, **dict.fromkeys(others, "float")}
    target = folder / "split" / data[1]
    target.mkdir(parents=True)
    counts = []
    for number, part in [*enumerate(PARTS), (LEFT_OUT, LEFT_OUT_NAME)]:
        if number == LEFT_OUT and number not in catalogue.part:
            continue
        rows = pairs.filter(pl.col("part") == number).select(*kinds)
        rows = rows.rename({name: f"{name}:{kind}" for name, kind in kinds.items()})
        rows.write_csv(target / f"{data[1]}.{part}.inter", separator="\t", quote_style="never")
        counts.append(f"{len(rows):,} {part.replace('_', ' ')}")
    columns = ", ".join(kinds)
    return f"the split as RecBole's benchmark files: {', '.join(counts)} ({columns})"


def _ratings_and_times(
    data: tuple[Path, str], settings: Mapping[str, Any], ids: tuple[str, str]
) -> pl.DataFrame | None:
    """Ratings and times of each pair as the file spells them; None where that can't be told."""
    folder, name = data
    file = folder / f"{name}.inter"
    if settings.get("benchmark_filename") is not None or not file.is_file():
        return None
    separator = str(settings.get("field_separator") or "\t")
    table = pl.read_csv(file, separator=separator, infer_schema=False, quote_char=None)
    table = table.rename({column: column.partition(":")[0] for column in table.columns})
    others = [settings.get(key) for key in _OTHERS]
    others = [column for column in others if column in table.columns]
    if not others or not set(ids) <= set(table.columns):
        return None
    table = table.select(*ids, *others)
    # of a pair that is there twice the run kept one, but which isn't written down
    return None if table.select(ids).is_duplicated().any() else table
