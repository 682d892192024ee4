"""What the page shows of a run, as plain values."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.words import distinct_words
from recbole_symcere.run.catalogue import LEFT_OUT, PARTS
from recbole_symcere.serve import web_answers as answers
from recbole_symcere.serve.item_words import ItemWords, NearItem
from recbole_symcere.serve.recommender import Recommender

__all__ = ["MOST", "FoldInMissingError", "WebViews"]

MOST = 100
"""Rows that one answer has at most."""

_PARTS = {**dict(enumerate(PARTS)), LEFT_OUT: "left out"}
_SHOWN_WORDS = 5
_MARKED_WORDS = 12
_REVIEWS = 5  # of each side that tell why


class FoldInMissingError(InputError):
    """This run, or this version, can't recommend to somebody it wasn't trained on."""


class WebViews:
    """Answers about a run.

    One request at a time is worked on, by a lock: models of RecBole's keep vectors between calls,
    so that two at once could mix them. What is loaded when first needed is loaded here, once.

    Args:
        recommender: the run.
        about: its folder, model and data set, by these names ("run", "model", "dataset").
    """

    def __init__(self, recommender: Recommender, about: Mapping[str, str]) -> None:
        self._recommender, self._lock = recommender, Lock()
        self._catalogue = recommender.catalogue
        self._note = ""
        self._words: ItemWords | None = None
        try:
            self._words = recommender.words
            self._words.find("a", 1)
        except InputError as error:
            self._note = str(error)
        items = len(self._catalogue.items) - 1
        if items > 2:
            recommender.similar(self._catalogue.items[1].as_py(), 1)
        self._order = np.argsort(self._catalogue.user, kind="stable")
        self._of_user = self._catalogue.user[self._order]
        self._about: answers.About = {
            "run": about["run"],
            "model": about["model"],
            "dataset": about["dataset"],
            "users": len(self._catalogue.users) - 1,
            "items": items,
            "most": max(1, min(MOST, items - 1)),
            "words": self._note,
            "fold_in": hasattr(recommender, "fold_in"),
        }

    def about(self) -> answers.About:
        """What is served."""
        return self._about

    # --- finding -------------------------------------------------------------------------------

    def users(self, q: str, k: int) -> answers.Users:
        """Users whose id holds ``q``."""
        places, total = _search([self._catalogue.users], q, k)
        return {"found": self._catalogue.users.take(places).to_pylist(), "total": total}

    def items(self, q: str, k: int) -> answers.Items:
        """Items whose id or title holds ``q``."""
        places, total = _search([self._catalogue.items, self._catalogue.titles], q, k)
        return {"found": [self._named(int(place)) for place in places], "total": total}

    def find(self, text: str, k: int) -> answers.FoundItems:
        """Items that use words of ``text``.

        Raises:
            InputError: for data without titles and reviews.
        """
        words = self._known_words()
        with self._lock:
            return {"items": [self._near(one) for one in words.find(text, k)]}

    # --- users ---------------------------------------------------------------------------------

    def history(self, user: str, k: int) -> answers.History:
        """A user's interactions, of training first; reviews of training ones.

        Those that no split has are there too, marked "left out": his list is without them.

        Raises:
            InputError: for an unknown user.
        """
        place = self._place("user", user)
        rows = self._rows(place)
        reviews = self._words.reviews.of_user(place) if self._words else {}
        return {
            "user": user,
            "history": [
                {
                    **self._named(item),
                    "part": _PARTS[part],
                    # by part, for a pair may stand in several where a user repeats
                    "review": reviews.get(item) if part == 0 else None,
                }
                for item, part in rows[:k]
            ],
            "total": len(rows),
        }

    def recommend(self, user: str, k: int, why: bool) -> answers.Recommendations:
        """A user's list; with ``why``, the words that each item shares with his training items.

        Raises:
            InputError: for an unknown user, or k above the number of items.
        """
        place = self._place("user", user)
        with self._lock:
            lists = self._recommender.lists(np.array([place], np.int64), k)
        found = [int(item) for item in lists.items[0] if item]
        words: list[list[str]] = [[] for _ in found]
        if why and self._words:
            words = self._words.shared(self._trained(place), found, _SHOWN_WORDS)
        rows = enumerate(zip(found, lists.scores[0].tolist(), words, strict=False), 1)
        return {
            "user": user,
            "items": [
                {**self._named(item), "rank": rank, "score": score, "words": shared}
                for rank, (item, score, shared) in rows
            ],
        }

    def why(self, user: str, item: str) -> answers.Why:
        """The words that an item shares with a user's training items, marked in reviews.

        Reviews that hold most of these words are shown.

        Raises:
            InputError: for an unknown user or item, or data without titles and reviews.
        """
        known = self._known_words()
        one, other = self._place("user", user), self._place("item", item)
        mine = [place for place in self._trained(one) if place != other]
        words = known.shared(mine, [other], _MARKED_WORDS)[0]
        his = [(one, place, text) for place, text in known.reviews.of_user(one).items()]
        of_item = [(who, other, text) for who, text in known.reviews.of_item(other).items()]
        return {
            "user": user,
            **self._named(other),
            "words": words,
            "from_user": self._telling([row for row in his if row[1] != other], words),
            "from_item": self._telling([row for row in of_item if row[0] != one], words),
        }

    def fold_in(self, items: Sequence[str], k: int) -> answers.FoundItems:
        """Recommendations for somebody who chose ``items``, whom the run needn't know.

        It passes the items on to `Recommender.fold_in`, where there is one.

        Raises:
            FoldInMissingError: where there is none, or the model can't.
            InputError: for an unknown item.
        """
        for item in items:
            self._place("item", item)
        fold_in = getattr(self._recommender, "fold_in", None)
        if fold_in is None:
            raise FoldInMissingError(
                "This version can't recommend to somebody whom the run wasn't trained on."
            )
        try:
            with self._lock:
                table = fold_in(history=list(items), k=k)
        except InputError as error:  # the items are known and k is checked: it is the model
            raise FoldInMissingError(str(error)) from None
        columns = (list(table["item_id"]), list(table["score"]))
        rows = [
            (self._place("item", str(item)), float(s)) for item, s in zip(*columns, strict=True)
        ]
        return {"items": [{**self._named(n), "similarity": s, "words": []} for n, s in rows]}

    # --- items ---------------------------------------------------------------------------------

    def item(self, item: str) -> answers.Item:
        """An item.

        Raises:
            InputError: for an unknown one.
        """
        place = self._place("item", item)
        train = self._catalogue.part == 0
        reviews = self._words.reviews.of_item(place) if self._words else {}
        rows = [(who, place, text) for who, text in reviews.items()]
        return {
            **self._named(place),
            "interactions": int(((self._catalogue.item == place) & train).sum()),
            "reviews": self._telling(rows, []),
        }

    def similar(self, item: str, k: int) -> answers.Neighbours:
        """An item's neighbours.

        Raises:
            InputError: for an unknown one, or k above the number of other items.
        """
        place = self._place("item", item)
        with self._lock:
            table = self._recommender.similar(item, k)
        near = self._words.near(place, k) if self._words else []
        columns = (table["similar_id"], table["title"], table["similarity"])
        return {
            "item": item,
            "vectors": [
                {"item": name, "title": title, "similarity": float(cosine), "words": []}
                for name, title, cosine in zip(*columns, strict=True)
            ],
            "words": [self._near(one) for one in near],
            "note": self._note,
        }

    # --- parts ---------------------------------------------------------------------------------

    def _place(self, side: Literal["user", "item"], name: str) -> int:
        return int(self._recommender.places(side, [name])[0])

    def _named(self, item: int) -> answers.Named:
        catalogue = self._catalogue
        return {"item": catalogue.items[item].as_py(), "title": catalogue.titles[item].as_py()}

    def _near(self, one: NearItem) -> answers.Near:
        return {**self._named(one.item), "similarity": one.similarity, "words": one.shared}

    def _known_words(self) -> ItemWords:
        if self._words is None:
            raise InputError(self._note)
        return self._words

    def _rows(self, user: int) -> list[tuple[int, int]]:
        """Items and parts of a user's interactions, of training first."""
        start, end = np.searchsorted(self._of_user, [user, user + 1])
        rows = self._order[start:end]
        pairs = zip(self._catalogue.item[rows], self._catalogue.part[rows], strict=True)
        return sorted(((int(item), int(part)) for item, part in pairs), key=lambda pair: pair[1])

    def _trained(self, user: int) -> list[int]:
        return [item for item, part in self._rows(user) if part == 0]

    def _telling(
        self, reviews: Sequence[tuple[int, int, str]], words: Sequence[str]
    ) -> list[answers.Review]:
        """The reviews that hold most of the words, in pieces; the first if there are no words."""
        wanted = set(words)
        found = [(*row, distinct_words(row[2]) if wanted else {}) for row in reviews if row[2]]
        found.sort(key=lambda row: -len(wanted & row[3].keys()))
        return [
            {
                "user": self._catalogue.users[user].as_py(),
                **self._named(item),
                "pieces": _pieces(
                    text, [at for word in wanted & places.keys() for at in places[word]]
                ),
            }
            for user, item, text, places in found[:_REVIEWS]
        ]


def _pieces(text: str, marked: list[tuple[int, int]]) -> list[answers.Piece]:
    pieces: list[answers.Piece] = []
    at = 0
    for start, end in [*sorted(marked), (len(text), len(text))]:
        if start > at:
            pieces.append({"text": text[at:start], "marked": False})
        if end > start:
            pieces.append({"text": text[start:end], "marked": True})
        at = end
    return pieces


def _search(columns: Sequence[Any], q: str, k: int) -> tuple[npt.NDArray[np.int64], int]:
    """Places whose texts hold ``q``: equal ones first, then those that begin with it."""
    n = len(columns[0])
    worth = np.zeros(n, np.int8)
    for column in columns:
        holds = (pc.match_substring(column, q, ignore_case=True), 1)
        begins = (pc.starts_with(column, q, ignore_case=True), 2)
        equals = (pc.equal(column, q), 3)
        for mask, value in (holds, begins, equals):
            there = mask.to_numpy(zero_copy_only=False).astype(bool)
            worth[there] = np.maximum(worth[there], value)
    worth[0] = 0  # padding is nobody
    order = np.argsort(-worth, kind="stable")[:k]
    return order[worth[order] > 0].astype(np.int64), int((worth > 0).sum())
