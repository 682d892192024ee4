"""New users of RecBole's own models, as far as a model can place one without training."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.recency import Histories, history_of_one
from recbole_symcere.model.blend import Blend

__all__ = [
    "BlendedFold",
    "Fold",
    "NoFold",
    "PopularFold",
    "SimilarityFold",
    "known_by_one",
    "stock_fold",
    "with_blend",
]

_Ints = npt.NDArray[np.int64]


class Fold(Protocol):
    """What places new users and items."""

    name: str
    """Of the model."""

    def user_scores(self, history: _Ints, reviews: Sequence[str], ordered: bool = False) -> Tensor:
        """Scores [n_items] for a new user, by places of items and texts; see `VectorFold`."""

    def item(self, texts: Sequence[str], users: _Ints) -> tuple[Tensor, Tensor]:
        """A new item's vector [d], and as it is scored [d_s]."""


class NoFold:
    """A model that can't.

    Args:
        name: of the model.
        why: what it lacks.
    """

    def __init__(self, name: str, why: str = "learns a vector of each user in training") -> None:
        self.name, self._why = name, why

    def user_scores(
        self,
        history: _Ints,  # noqa: ARG002
        reviews: Sequence[str],  # noqa: ARG002
        ordered: bool = False,  # noqa: ARG002
    ) -> Tensor:
        """Refused.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"The run is of {self.name}, which {self._why}, so that it can't take a new user "
            "without training. Models that can: ours but DGCLR, WordKNN and SequentialRules; "
            "LightGCN, EASE, ItemKNN and Pop."
        )

    def item(self, texts: Sequence[str], users: _Ints) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Refused.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"The run is of {self.name}, which has no vectors to place a new item among. "
            "Our models but DGCLR have, and LightGCN."
        )


class SimilarityFold(NoFold):
    """EASE and ItemKNN: scores are h W, with h [n_items] the history and W the items' similarities.

    That is what they give a user of that training history; nothing is approximated.

    Args:
        name: of the model.
        similarity: W, [n_items, n_items], dense or sparse.
    """

    def __init__(self, name: str, similarity: Any) -> None:
        super().__init__(name)
        self._similarity = similarity

    def user_scores(
        self,
        history: _Ints,
        reviews: Sequence[str],
        ordered: bool = False,  # noqa: ARG002 # all count alike
    ) -> Tensor:
        """Scores [n_items] of a history."""
        _refuse_texts(self.name, reviews)
        summed = np.asarray(self._similarity[history].sum(axis=0), np.float32).ravel()
        return torch.from_numpy(summed)


class PopularFold(NoFold):
    """Pop: everybody has the same scores.

    Args:
        name: of the model.
        scorer: of known users.
    """

    def __init__(self, name: str, scorer: Any) -> None:
        super().__init__(name)
        self._scores: Tensor = scorer.scores(torch.tensor([1]))[0].clone()

    def user_scores(
        self,
        history: _Ints,  # noqa: ARG002
        reviews: Sequence[str],
        ordered: bool = False,  # noqa: ARG002
    ) -> Tensor:
        """Scores [n_items]."""
        _refuse_texts(self.name, reviews)
        return self._scores


class BlendedFold:
    """A fold whose scores have those of a `Blend` added.

    Args:
        fold: of the model alone.
        blend: of the run.
    """

    def __init__(self, fold: Fold, blend: Blend) -> None:
        self.name, self._alone, self._blend = fold.name, fold, blend

    def user_scores(self, history: _Ints, reviews: Sequence[str], ordered: bool = False) -> Tensor:
        """Scores [n_items]."""
        scores = self._alone.user_scores(history, reviews)
        known = known_by_one(history, len(scores), ordered)
        return self._blend.added(scores[None], known)[0]

    def item(self, texts: Sequence[str], users: _Ints) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Refused.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"The run is of {self.name} with a blend, whose experts say nothing of a new item. "
            "Of the same model without blend, or of SymCEREPlus, new items can be placed."
        )


def known_by_one(history: _Ints, n_items: int, ordered: bool) -> Histories:
    """What one user knows who asks now.

    Args:
        history: [n] places of items, each once.
        n_items: number of items, padding included.
        ordered: whether they are in order of time; else all have one time.
    """
    times = np.arange(len(history), dtype=np.float64) if ordered else None
    return history_of_one(history, times, n_items)


def with_blend(fold: Fold, model: Any) -> Fold:
    """The fold of a model alone, or with the blend that its run has."""
    blend = getattr(model, "blend", None)
    return BlendedFold(fold, blend) if isinstance(blend, Blend) and not blend.alone else fold


def stock_fold(model: Any, scorer: Any) -> Fold:
    """What places new users for a model of RecBole's that has no vectors of ours."""
    blend = getattr(model, "blend", None)
    if not isinstance(blend, Blend):
        return _unblended(model, scorer)
    weights = blend.weights.clone()
    blend.weigh({"model": 1.0})  # Pop's scores are read now
    fold = _unblended(model, scorer)
    blend.weights.copy_(weights)
    return fold if type(fold) is NoFold else with_blend(fold, model)


def _unblended(model: Any, scorer: Any) -> NoFold:
    name = type(model).__name__
    if name == "EASE":
        return SimilarityFold(name, np.asarray(model.item_similarity))
    if name == "ItemKNN":
        if model.method == "user":
            return NoFold(name, "has knn_method: user, similarities of known users alone")
        return SimilarityFold(name, model.w.tocsr())
    return PopularFold(name, scorer) if name == "Pop" else NoFold(name)


def _refuse_texts(name: str, reviews: Sequence[str]) -> None:
    if reviews:
        raise InputError(f"The run is of {name}, which reads no text. Name a history.")
