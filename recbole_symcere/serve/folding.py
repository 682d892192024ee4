"""The part of a `Recommender` that takes users and items which its run doesn't know."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from recbole_symcere.base.errors import InputError
from recbole_symcere.evaluate.best_items import best
from recbole_symcere.run.catalogue import Catalogue
from recbole_symcere.serve.fold_stock import Fold, NoFold
from recbole_symcere.serve.frames import as_given, ids_of
from recbole_symcere.serve.scorers import Scorer

__all__ = ["NEW_USER", "Folding", "MakeFold", "NewItem", "checked_texts", "length_of"]

NEW_USER = "new"
"""The user_id of a list for a user who isn't known."""

_K = 10  # the length of a list where none is given

MakeFold = Callable[[], Fold]
"""What makes a `Fold` when the first new user or item comes."""

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]


class NewItem(NamedTuple):
    """An item that a run doesn't know, among those that it knows.

    Attributes:
        vector: float32 [d], as the model gives those of known items.
        scores: float32 [n_users] by places in the catalogue: what known users would score it.
        similar: frame of the nearest known items: rank, item_id, similarity (cosine) and title.
        users: frame of the known users with the highest scores: rank, user_id and score.
    """

    vector: _Floats
    scores: _Floats
    similar: Any
    users: Any


class Folding:
    """New users and items, without training; what is known stays as it is."""

    catalogue: Catalogue
    _scorer: Scorer
    _make_fold: MakeFold

    @cached_property
    def _fold(self) -> Fold:
        return self._make_fold()

    @cached_property
    def _unit_items(self) -> torch.Tensor:
        return F.normalize(self._scorer.item_vectors().float(), dim=1)

    def places(self, side: Literal["user", "item"], names: Sequence[str]) -> _Ints:
        """Places in the catalogue of ids of the file."""
        raise NotImplementedError

    def checked_k(self, k: int | None, allowed: _Ints | None = None) -> int:
        """The length of lists, see `length_of`.

        Raises:
            InputError: if it is below 1, or above the number of items.
        """
        n = len(self.catalogue.items) - 1 if allowed is None else len(allowed)
        return length_of(k, n, "items to choose from")

    def fold_in(
        self,
        history: Any = None,
        reviews: Any = None,
        k: int | None = None,
        exclude_seen: bool = True,
        items: Any = None,
        ordered: bool = False,
    ) -> Any:
        """The ``k`` best items of a user whom the run doesn't know; see `VectorFold`.

        A history alone needs the run's folder alone (of a model of RecBole's its data too). Texts
        need the run's text encoder and data; of our models SymCERE, SymCEREPlus and AlphaRec read
        them.

        Args:
            history: ids of items that he knows: one, a list, a Series, or a frame with item_id.
            reviews: a text of his or several: what he wrote of items, or what he looks for.
            k: items; by default 10, or as many as there are.
            exclude_seen: whether the items of ``history`` are left out.
            items: ids of those that may be recommended; all by default.
            ordered: whether ``history`` is in order of time, the latest last. A blend's experts of
                recent interactions need it; without it all that he knows counts alike.

        Returns:
            What `recommend` returns, for the user_id "new".

        Raises:
            InputError: for an item that isn't there, k above the number of items, nothing to go by,
                a text without a word, or a model that can't.
        """
        known = self._known(history, ordered)
        texts = checked_texts("reviews", reviews)
        if not len(known) and not texts:
            raise InputError(
                "The history is empty, so that nothing tells what the user likes: name an item "
                "that he knows, or a text of his. Items that all may like: "
                "recommend --fallback=popular."
            )
        allowed = None if items is None else self.places("item", ids_of(items, "item_id"))
        k = self.checked_k(k, allowed)
        scores = self._fold.user_scores(known, texts, ordered).float()[None].clone()
        barred = torch.zeros(scores.shape[1], dtype=torch.bool)
        if allowed is not None:
            barred |= True
            barred[torch.from_numpy(allowed)] = False
        if exclude_seen:
            barred[torch.from_numpy(known)] = True
        barred[0] = True
        scores[:, barred] = -torch.inf
        values, places = (side[0].numpy() for side in best(scores, k))
        values, places = values[values > -np.inf], places[values > -np.inf]
        columns = {
            "user_id": [NEW_USER] * len(places),
            "rank": np.arange(1, len(places) + 1, dtype=np.int32),
            "item_id": self.catalogue.items.take(places).to_pylist(),
            "score": values,
            "title": self.catalogue.titles.take(places).to_pylist(),
        }
        return as_given(columns, history)

    def _known(self, history: Any, ordered: bool) -> _Ints:
        """Places of a history's items, each once; in order of time where it was last.

        Raises:
            InputError: for one that isn't there.
        """
        names = [] if history is None else ids_of(history, "item_id")
        if ordered:
            names = [*dict.fromkeys(names[::-1])][::-1]
        return self.places("item", [*dict.fromkeys(names)])

    def fold_in_item(
        self, text: Any = None, reviews: Any = None, users: Any = None, k: int | None = None
    ) -> NewItem:
        """An item that the run doesn't know: what it is near to, and who would like it.

        Args:
            text: its description.
            reviews: texts of a few reviews of it, instead of the description or beside it.
            users: ids of known users who have it, one step of propagation.
            k: items, and users; by default 10, or as many as there are items.

        Raises:
            InputError: as `fold_in`.
        """
        texts = checked_texts("text", text) + checked_texts("reviews", reviews)
        known = self.places("user", [] if users is None else ids_of(users, "user_id"))
        if not texts and not len(known):
            raise InputError("Nothing tells what the item is: give text, reviews or users.")
        k = self.checked_k(k)
        if isinstance(self._fold, NoFold):
            self._fold.item(texts, known)  # says why it can't
        n_users = len(self.catalogue.users) - 1
        vector, row = self._fold.item(texts, known)
        cosine = self._unit_items @ F.normalize(vector, dim=0)
        cosine[0] = -torch.inf
        near, places = (side[0].numpy() for side in best(cosine[None], k))
        scores = self._fold.users @ row  # type: ignore[attr-defined] # of vectors
        liking = scores.clone()
        liking[0] = -torch.inf
        liking[torch.from_numpy(known)] = -torch.inf
        likes, who = (side[0].numpy() for side in best(liking[None], min(k, n_users - len(known))))
        similar = {
            "rank": range(1, k + 1),
            "item_id": self.catalogue.items.take(places).to_pylist(),
            "similarity": near,
            "title": self.catalogue.titles.take(places).to_pylist(),
        }
        fans = {
            "rank": range(1, len(who) + 1),
            "user_id": self.catalogue.users.take(who).to_pylist(),
            "score": likes,
        }
        frames = (as_given(columns, users) for columns in (similar, fans))
        return NewItem(vector.numpy(), scores.numpy(), *frames)


def checked_texts(name: str, given: Any) -> list[str]:
    """Texts as a list, each with a word in it.

    Raises:
        InputError: for one without.
    """
    if given is None:
        return []
    texts = [given] if isinstance(given, str) else [str(text) for text in given]
    for place, text in enumerate(texts):
        if not any(letter.isalnum() for letter in text):
            which = "" if isinstance(given, str) else f"[{place}]"
            raise InputError(f"{name}{which} is {text!r}, without a word: give a text.")
    return texts


def length_of(k: int | None, n: int, what: str) -> int:
    """The length of a list of ``n`` things at most, 10 where none is given and there are as many.

    Raises:
        InputError: if it is below 1 or above ``n``.
    """
    length = min(_K, max(n, 1)) if k is None else k
    if not 1 <= length <= n:
        raise InputError(f"k is {length}: expected 1 to {n:,}, the number of {what}.")
    return length
