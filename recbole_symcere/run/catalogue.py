"""Users, items and interactions of a run, kept in its folder for those who recommend."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_symcere.base import processes
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import replacing, sha256_of
from recbole_symcere.base.sorted_ids import among, distinct

__all__ = [
    "CATALOGUE",
    "LEFT_OUT",
    "PARTS",
    "Catalogue",
    "catalogue_of",
    "read_catalogue",
    "write_catalogue",
]

CATALOGUE = "catalogue_sha256"
"""In metrics.json: which catalogue belongs to it."""

PARTS = ("train", "valid", "test")

LEFT_OUT = len(PARTS)
"""Number of the part that no split has: what val_interval, cold_items or cold_users took away.

A user's lists and the history that people are shown know of it. Training, metrics and all that is
compared with them don't.
"""

_FILES = ("users.parquet", "items.parquet", "interactions.parquet")


@dataclass(frozen=True)
class Catalogue:
    """Who and what a model knows; an id of a model is a place here, and place 0 is padding.

    Attributes:
        users: [n_users] ids as in the file.
        items: [n_items] ids as in the file.
        titles: [n_items] of items, "" where none is known.
        user: [n] place of each interaction's user, and
        item: [n] of its item.
        part: [n] 0, 1 or 2, of `PARTS`, which it belongs to, or `LEFT_OUT`.
    """

    users: pa.Array
    items: pa.Array
    titles: pa.Array
    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    part: npt.NDArray[np.int8]


def catalogue_of(dataset: Any, loaders: tuple[Any, ...]) -> Catalogue:
    """The catalogue of a data set and its three loaders."""
    tables = [loader.dataset.inter_feat for loader in loaders]
    user, item = (
        np.concatenate([np.asarray(table[field], np.int64) for table in tables])
        for field in (dataset.uid_field, dataset.iid_field)
    )
    items = _names(dataset, dataset.iid_field)
    part = np.repeat(np.arange(len(PARTS), dtype=np.int8), [len(table) for table in tables])
    begun, first = _beginnings(dataset, tables)
    user, item = np.concatenate([begun, user]), np.concatenate([first, item])
    left = _left_out(dataset, user, item)
    part = np.concatenate(
        [np.zeros(len(begun), np.int8), part, np.full(len(left), LEFT_OUT, np.int8)]
    )
    user = np.concatenate([user, left // dataset.item_num])
    item = np.concatenate([item, left % dataset.item_num])
    users = _names(dataset, dataset.uid_field)
    return Catalogue(users, items, _titles(dataset, items), user, item, part)


def _beginnings(dataset: Any, tables: list[Any]) -> tuple[npt.NDArray[np.int64], ...]:
    """Users and the first item of each, which a sequential model's rows have in their lists alone.

    Such a row asks for the item after those of its list, and nothing asks for the first one.
    """
    length = getattr(dataset, "item_list_length_field", None)
    items = getattr(dataset, f"{dataset.iid_field}_list_field", None)
    found: dict[int, int] = {}
    for table in tables:
        if length in table and items in table:
            rows = np.flatnonzero(np.asarray(table[length]) == 1)
            for user, list_ in zip(table[dataset.uid_field][rows], table[items][rows], strict=True):
                found.setdefault(int(user), int(list_[0]))
    return np.array([*found], np.int64), np.array([*found.values()], np.int64)


def _left_out(
    dataset: Any, user: npt.NDArray[np.int64], item: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Keys of the pairs that the data have beyond those of the splits."""
    keys: npt.NDArray[np.int64] = getattr(dataset, "left_out", np.empty(0, np.int64))
    if not len(keys):
        return keys
    keys = distinct(keys)
    return keys[~among(keys, np.sort(user * dataset.item_num + item))]


def _names(dataset: Any, field: str) -> pa.Array:
    return pa.array([str(name) for name in dataset.field2id_token[field]], pa.string())


def _titles(dataset: Any, items: pa.Array) -> pa.Array:
    """By ``<name>.items.parquet``, where there is one with a column title."""
    import pyarrow.compute as pc

    file = Path(dataset.dataset_path) / f"{dataset.dataset_name}.items.parquet"
    if not file.is_file() or not {"item_id", "title"} <= set(pq.read_schema(file).names):
        return pa.array([""] * len(items), pa.string())
    table = pq.read_table(file, columns=["item_id", "title"])
    rows = pc.index_in(items, value_set=table["item_id"].cast(pa.string()))
    return pc.fill_null(table["title"].cast(pa.string()).combine_chunks().take(rows), "")


def write_catalogue(run: Path, catalogue: Catalogue) -> dict[str, str]:
    """Write ``catalogue/`` into a run's folder.

    Returns:
        Name of a file -> its sha256, for metrics.json.
    """
    pairs = pa.table({"user": catalogue.user, "item": catalogue.item, "part": catalogue.part})
    items = pa.table({"item_id": catalogue.items, "title": catalogue.titles})
    tables = (pa.table({"user_id": catalogue.users}), items, pairs)
    if not processes.is_first():
        return {}
    written = {}
    (run / "catalogue").mkdir(exist_ok=True)
    for name, table in zip(_FILES, tables, strict=True):
        with replacing(run / "catalogue" / name, make_folder=False) as aside:
            pq.write_table(table, aside, compression="zstd")
            written[name] = sha256_of(aside)
    return written


def read_catalogue(run: Path, metrics: Mapping[str, Any]) -> Catalogue | None:
    """The catalogue in a run's folder; None if an earlier version wrote none.

    Args:
        run: the folder.
        metrics: what its metrics.json tells.

    Raises:
        InputError: if it is damaged.
    """
    written = metrics.get(CATALOGUE)
    if written is None:
        return None
    tables = []
    for name in _FILES:
        file = run / "catalogue" / name
        try:
            if sha256_of(file) != written[name]:
                raise ValueError("it isn't the file that metrics.json tells of")
            tables.append(pq.read_table(file))
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"{file} can't be read: {error}. Remove metrics.json beside its folder, and let "
                f"--resume={run} write both anew."
            ) from None
    users, items, pairs = tables
    return Catalogue(
        users["user_id"].combine_chunks(),
        items["item_id"].combine_chunks(),
        items["title"].combine_chunks(),
        *(pairs[name].to_numpy() for name in ("user", "item", "part")),
    )
