"""A finished run that recommends."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.evaluate.best_items import best
from recbole_symcere.run.catalogue import Catalogue
from recbole_symcere.serve.fold_stock import NoFold
from recbole_symcere.serve.folding import Folding, MakeFold, length_of
from recbole_symcere.serve.frames import SCHEMA, as_given, ids_of, table_of_lists
from recbole_symcere.serve.item_words import ItemWords, NearItem
from recbole_symcere.serve.scorers import Scorer
from recbole_symcere.serve.stored import stored

__all__ = ["SCHEMA", "Lists", "Recommender"]

_Ints = npt.NDArray[np.int64]
_NO_FOLD: MakeFold = partial(NoFold, "vectors alone")


class Lists(NamedTuple):
    """Lists of some users.

    Attributes:
        users: [B] places in the catalogue.
        items: [B, k] places, the best first; 0 where there are fewer than k.
        scores: float32 [B, k].
    """

    users: _Ints
    items: _Ints
    scores: npt.NDArray[np.float32]


class Recommender(Folding):
    """Recommends out of a run, by the ids of its data.

    Of a model of ours neither text encoder nor data are needed: the run's folder has its vectors.

    Args:
        catalogue: who and what is known.
        scorer: of items for users.
        data: folder and name of the data set, for what `similar_by_words` reads.
        make_fold: makes what places new users and items, see `Folding`.

    Attributes:
        catalogue: see above.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        scorer: Scorer,
        data: tuple[Path, str],
        make_fold: MakeFold = _NO_FOLD,
    ) -> None:
        self.catalogue, self._scorer, self._data = catalogue, scorer, data
        self._make_fold = make_fold
        order = np.argsort(catalogue.user, kind="stable")
        self._seen = catalogue.item[order]
        n_users = len(catalogue.users)
        self._starts = np.searchsorted(catalogue.user[order], np.arange(n_users + 1))

    @classmethod
    def load(
        cls,
        run: str | Path,
        popularity: float | None = None,
        **places: str | None,
    ) -> "Recommender":
        """Read a run.

        Args:
            run: its folder.
            popularity: SymCEREPlus's dial; None for the run's own.
            places: data_path, cache_dir and text_encoder, see `load_data_and_model`.

        Raises:
            InputError: if there is no run, it has no checkpoint, or what it holds is damaged.
        """
        return cls(*stored(str(run), places, popularity))

    # --- ids -----------------------------------------------------------------------------------

    @cached_property
    def _places(self) -> dict[str, dict[str, int]]:
        sides = {"user": self.catalogue.users, "item": self.catalogue.items}
        return {
            side: {name: place for place, name in enumerate(ids.to_pylist()) if place}
            for side, ids in sides.items()
        }

    def places(self, side: Literal["user", "item"], names: Sequence[str]) -> _Ints:
        """Places in the catalogue of ids of the file.

        Raises:
            InputError: for one that isn't there.
        """
        known = self._places[side]
        unknown = [name for name in names if name not in known]
        if unknown:
            more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
            raise InputError(
                f"There is no {side} {unknown[0]!r}{more}; the run knows {len(known):,} {side}s."
                f"{did_you_mean(unknown[0], known)}"
            )
        return np.array([known[name] for name in names], np.int64)

    def knows_user(self, name: str) -> bool:
        """Whether the run has a user of that id."""
        return name in self._places["user"]

    def knows_item(self, name: str) -> bool:
        """Whether the run has an item of that id."""
        return name in self._places["item"]

    # --- lists ---------------------------------------------------------------------------------

    def recommend(
        self,
        users: Any = None,
        k: int | None = None,
        exclude_seen: bool = True,
        items: Any = None,
        fallback: Literal["popular"] | None = None,
    ) -> Any:
        """The ``k`` best items of each user.

        Args:
            users: ids: one, a list, a Series, or a frame with user_id; all users by default.
            k: items a user; by default 10, or as many as there are.
            exclude_seen: whether items that a user has an interaction with are left out: any in the
                data, also one that val_interval, cold_items or cold_users took out of the splits.
            items: ids of those that may be recommended; all by default.
            fallback: "popular" gives unknown users the items with the most training interactions.

        Returns:
            user_id, rank from 1, item_id, score and title, by users in the order that was given: a
            polars frame if the users came in one, else of pandas. A list is shorter where fewer
            items are left. Popular items have no score.

        Raises:
            InputError: for an id that isn't there, or k above the number of items.
        """
        names = self.catalogue.users.to_pylist()[1:] if users is None else ids_of(users, "user_id")
        allowed = None if items is None else self.places("item", ids_of(items, "item_id"))
        tables = [*self.tables(names, k, exclude_seen, allowed, fallback)]
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        return as_given(table.to_pydict(), users)

    def tables(
        self,
        names: Sequence[str],
        k: int | None = None,
        exclude_seen: bool = True,
        allowed: _Ints | None = None,
        fallback: Literal["popular"] | None = None,
    ) -> Iterator[pa.Table]:
        """What `recommend` gives, in tables of some users at a time, so that memory is bounded."""
        k = self.checked_k(k, allowed)
        if fallback != "popular":
            self.places("user", names)  # before the first list is out
        step = self._scorer.at_once
        for start in range(0, len(names), step):
            some = names[start : start + step]
            is_known = np.array([self.knows_user(name) for name in some], bool)
            known = [name for name, there in zip(some, is_known, strict=True) if there]
            lists = self.lists(self.places("user", known), k, exclude_seen, allowed)
            yield self._as_table(some, is_known, lists, k, allowed)

    def lists(
        self,
        users: _Ints,
        k: int,
        exclude_seen: bool = True,
        allowed: _Ints | None = None,
    ) -> Lists:
        """The lists of users by their places in the catalogue."""
        if not len(users):
            return Lists(users, np.zeros((0, k), np.int64), np.zeros((0, k), np.float32))
        scores = self._scorer.scores(torch.from_numpy(users))
        scores[:, 0] = -torch.inf
        if allowed is not None:
            barred = torch.ones(scores.shape[1], dtype=torch.bool)
            barred[torch.from_numpy(allowed)] = False
            scores[:, barred] = -torch.inf
        if exclude_seen:
            lengths = self._starts[users + 1] - self._starts[users]
            rows = np.repeat(np.arange(len(users)), lengths)
            seen = [self._seen[self._starts[user] : self._starts[user + 1]] for user in users]
            scores[torch.from_numpy(rows), torch.from_numpy(np.concatenate(seen))] = -torch.inf
        values, places = best(scores, k)
        places = places.masked_fill(values == -torch.inf, 0)
        return Lists(users, places.numpy(), values.float().numpy())

    def _as_table(
        self,
        some: Sequence[str],
        is_known: npt.NDArray[np.bool_],
        lists: Lists,
        k: int,
        allowed: _Ints | None,
    ) -> pa.Table:
        items = np.zeros((len(some), k), np.int64)
        scores = np.full((len(some), k), np.nan, np.float32)
        items[is_known], scores[is_known] = lists.items, lists.scores
        if not is_known.all():
            order = self._popular
            popular = order if allowed is None else order[np.isin(order, allowed)]
            items[~is_known, : len(popular[:k])] = popular[:k]
        there = items > 0
        ranks = np.broadcast_to(np.arange(1, k + 1), items.shape)[there]
        places = items[there]
        return table_of_lists(
            np.repeat(np.array(some, object), there.sum(axis=1)),
            ranks,
            self.catalogue.items.take(places),
            scores[there],
            self.catalogue.titles.take(places),
        )

    @cached_property
    def _popular(self) -> _Ints:
        """Items by their training interactions, most first."""
        counts = np.bincount(
            self.catalogue.item[self.catalogue.part == 0], minlength=len(self.catalogue.items)
        )
        return np.argsort(-counts[1:], kind="stable") + 1

    # --- scores and neighbours -----------------------------------------------------------------

    def score(self, users: Any, items: Any = None) -> Any:
        """The score of each pair.

        Args:
            users: ids, or a frame with user_id and item_id.
            items: ids, one for each user; none with a frame.

        Returns:
            float32 [n]; for a frame the frame's pairs with a column score.

        Raises:
            InputError: for an id that isn't there, or lists of different lengths.
        """
        theirs = ids_of(users if items is None else items, "item_id")
        mine = ids_of(users, "user_id")
        if len(mine) != len(theirs):
            raise InputError(f"{len(mine):,} users and {len(theirs):,} items make no pairs.")
        user, item = self.places("user", mine), self.places("item", theirs)
        found = np.zeros(len(user), np.float32)
        unique, inverse = np.unique(user, return_inverse=True)
        for start in range(0, len(unique), self._scorer.at_once):
            some = torch.from_numpy(unique[start : start + self._scorer.at_once])
            rows = np.flatnonzero((inverse >= start) & (inverse < start + len(some)))
            scores = self._scorer.scores(some)
            found[rows] = scores[inverse[rows] - start, item[rows]].float().numpy()
        if items is None:
            return as_given({"user_id": mine, "item_id": theirs, "score": found}, users)
        return found

    def similar(self, items: Any, k: int | None = None) -> Any:
        """The ``k`` items that are nearest by the model's vectors (cosine).

        A model without vectors is asked which items it scores alike over users.

        Args:
            items: ids: one, a list, a Series, or a frame with item_id.
            k: neighbours an item; by default 10, or as many as there are.

        Returns:
            item_id, rank from 1, similar_id, similarity and title; of the kind that came in.

        Raises:
            InputError: for an item that isn't there, or k above the number of other items.
        """
        names = ids_of(items, "item_id")
        chosen = self.places("item", names)
        k = length_of(k, len(self.catalogue.items) - 2, "other items")
        cosine = self._unit_items[chosen] @ self._unit_items.T
        cosine[:, 0] = -torch.inf
        cosine[torch.arange(len(chosen)), torch.from_numpy(chosen)] = -torch.inf
        values, places = best(cosine, k)
        near = places.flatten().numpy()
        columns = {
            "item_id": np.repeat(names, k).tolist(),
            "rank": [*range(1, k + 1)] * len(names),
            "similar_id": self.catalogue.items.take(near).to_pylist(),
            "similarity": values.flatten().numpy(),
            "title": self.catalogue.titles.take(near).to_pylist(),
        }
        return as_given(columns, items)

    def similar_by_words(self, item: str, k: int = 10) -> list[NearItem]:
        """The items that are nearest by the words of titles and training reviews.

        Raises:
            InputError: for an item that isn't there, or data without titles and reviews.
        """
        return self.words.near(int(self.places("item", [item])[0]), k)

    @cached_property
    def words(self) -> ItemWords:
        """The words of each item."""
        return ItemWords(self.catalogue, *self._data)
