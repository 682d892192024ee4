"""The reviews of a run's training interactions, by user and by item."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recbole_symcere.run.catalogue import Catalogue

__all__ = ["TrainingReviews"]

_Ints = npt.NDArray[np.int64]


class TrainingReviews:
    """Reviews of training interactions; those of held-out ones are never read out of the file.

    Args:
        catalogue: of the run.
        file: ``<name>.reviews.parquet`` of its data set; no reviews where it isn't there.
    """

    def __init__(self, catalogue: Catalogue, file: Path) -> None:
        found = _joined(catalogue, file) if file.is_file() else _EMPTY
        self._texts: Any = found["text"]
        self._user, self._item = (found[side].to_numpy() for side in ("user", "item"))
        self._by_user = np.argsort(self._user, kind="stable")
        self._by_item = np.argsort(self._item, kind="stable")
        self._users, self._items = self._user[self._by_user], self._item[self._by_item]

    def __len__(self) -> int:
        return len(self._texts)

    def of_user(self, user: int) -> dict[int, str]:
        """Place of an item -> the user's review of it."""
        rows = self._by_user[_run_of(self._users, user)]
        return dict(zip(self._item[rows].tolist(), self._texts[rows].to_list(), strict=True))

    def of_item(self, item: int) -> dict[int, str]:
        """Place of a user -> his review of the item."""
        rows = self._by_item[_run_of(self._items, item)]
        return dict(zip(self._user[rows].tolist(), self._texts[rows].to_list(), strict=True))

    def joined_by_item(self) -> Iterator[tuple[int, str]]:
        """Each item that has reviews, with all of them as one text."""
        frame = pl.DataFrame({"item": self._item, "text": self._texts})
        texts = frame.group_by("item", maintain_order=True).agg(pl.col("text").str.join(" "))
        yield from texts.iter_rows()


_EMPTY = pl.DataFrame(schema={"user": pl.Int64, "item": pl.Int64, "text": pl.String})


def _run_of(ordered: _Ints, value: int) -> slice:
    start, end = np.searchsorted(ordered, [value, value + 1])
    return slice(int(start), int(end))


def _joined(catalogue: Catalogue, file: Path) -> pl.DataFrame:
    train = catalogue.part == 0
    user, item = catalogue.user[train], catalogue.item[train]
    pairs = pl.DataFrame(
        {
            "user_id": catalogue.users.take(user),
            "item_id": catalogue.items.take(item),
            "user": user,
            "item": item,
        }
    )
    reviews = pl.read_parquet(file, columns=["user_id", "item_id", "text"])
    reviews = reviews.cast({"user_id": pl.String, "item_id": pl.String})
    reviews = reviews.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    return (
        pairs.unique(maintain_order=True)
        .join(reviews, on=["user_id", "item_id"], how="inner", maintain_order="left")
        .drop_nulls("text")
        .select("user", "item", "text")
    )
