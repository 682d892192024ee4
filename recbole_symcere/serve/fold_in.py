"""Users and items that a run doesn't know, placed among those that it knows; nothing is trained."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.recency import DECAY, Histories
from recbole_symcere.evaluate.products import all_products
from recbole_symcere.model.blend import Blend
from recbole_symcere.model.blend_options import BlendOptions
from recbole_symcere.model.experts import Expert, basis_columns, expert
from recbole_symcere.model.registry import class_of, is_ours, lineage
from recbole_symcere.model.trend import Trend
from recbole_symcere.run.catalogue import Catalogue
from recbole_symcere.serve.fold_stock import known_by_one
from recbole_symcere.serve.fold_text import TEXT_MODELS, TextFold

__all__ = ["FoldError", "VectorFold"]

_ALIKE = 10  # items whose mean a new item gets of experts that can't know it

_Ints = npt.NDArray[np.int64]


class FoldError(Exception):
    """Vectors that nothing can be placed among: the model's name, and why."""


class VectorFold:
    """New users and items of a model whose score is a product of vectors.

    With g the vectors that the model gives (the mean of its layers) and |N| the numbers of training
    interactions, a new user's history N_u, a new item's users N_i, and its texts T give::

        h_u = sum_{i in N_u} g_i / sqrt(|N_u| |N_i|)         one step, the g_i fixed
        g_u = h_u,  t(T),  or  h_u / |h_u| + t(T) / |t(T)|   by what is there

    and g_i likewise, where t is `TextFold` (of a user the mean over his reviews, each read as the
    text of an item that he likes). Then the score is made as the model makes it: g at length 1 for
    a cosine, SymCEREPlus's popularity and `Blend`, whose sums over N_u are exact, with one time for
    all of N_u.

    Differs from the model: for LightGCN one step over the mean of the layers 0 to K is the layers 1
        to K + 1, so that layer K + 1 stands where a trained user has its own layer 0. Users of
        SymCEREPlus with profile: item, without ids and with odd n_layers have neither: their
        vectors are exact. Of models without a graph (DirectAU on tables) and of NGCF the step is an
        approximation. |N_i| doesn't count the new user. A new item has the median popularity and,
        of experts other than "words", the mean of the ten items most like it.

    Args:
        catalogue: of the run.
        state: of its checkpoint: settings, and weights of the blend.
        vectors: what `VectorRecommender.stored_vectors` gave.
        text: makes what reads texts, when the first one comes.

    Raises:
        FoldError: for DGCLR, for a blend of a run before version 0.2, and for vectors of a class of
            the user's own with columns that nothing explains.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        state: Mapping[str, Any],
        vectors: Mapping[str, Any],
        text: Callable[[], TextFold],
    ) -> None:
        self._settings, self._make_text = state["settings"], text
        self._text: TextFold | None = None
        self.name = str(self._settings["model"])
        self.raw_users, self.raw_items = vectors["raw"]
        self.users, self.items = vectors["scored"] or vectors["raw"]
        train = catalogue.part == 0
        shape = (len(catalogue.users), len(catalogue.items))
        pairs = (np.ones(train.sum()), (catalogue.user[train], catalogue.item[train]))
        self._history = csr_matrix(pairs, shape)
        self._history.data[:] = 1  # a repeated pair counts once
        self._family = lineage(class_of(self.name)) if is_ours(self.name) else []
        if "DGCLR" in self._family:
            raise FoldError(self.name, "weighs each edge of its graph by factors that it learns")
        d = self.raw_items.shape[1]
        # of the items: a blend weighs the users' columns
        self._cosine = not torch.equal(self.items[:, :d], self.raw_items)
        weights = state["state_dict"]
        self._bias = "SymCEREPlus" in self._family and weights.get("item_bias") is not None
        self._own = d + self._bias
        kept, self._names = weights.get("blend.weights"), state.get("blend_names") or []
        self._weights = torch.ones(1) if kept is None else kept.cpu()
        self._words, self._decay = state.get("blend_words"), state.get("blend_decay")
        self._later, self._trend = state.get("blend_later"), state.get("blend_trend")
        if len(self._weights) > 1 and len(self._names) != len(self._weights):
            raise FoldError(self.name, "has the blend of a run before version 0.2; train it anew")
        if self.items.shape[1] - self._own - self._word_columns != self._rest_columns:
            raise FoldError(self.name, "adds columns of its own to its vectors")

    # --- users ---------------------------------------------------------------------------------

    def user_scores(self, history: _Ints, reviews: Sequence[str], ordered: bool = False) -> Tensor:
        """Scores [n_items] for a new user.

        Args:
            history: [n] places of items that he knows, each once.
            reviews: texts of his; one of both has to be there.
            ordered: whether the history is in order of time, the latest last.
        """
        return all_products(self.user(history, reviews, ordered)[None], self.items)[0]

    def user(self, history: _Ints, reviews: Sequence[str], ordered: bool = False) -> Tensor:
        """The vector [d_s] whose product with those of the items is the score."""
        parts, words = [], torch.zeros(0, 0)
        if len(history):
            parts.append(self._step(self.raw_items, history, self._degrees[1]))
        if reviews:
            vectors, words = self._texts([[review] for review in reviews])
            parts.append(vectors.mean(dim=0))
        own = self._as_scored(_joined(parts))[None]
        if self._bias:
            own = torch.cat([own, torch.ones(1, 1)], dim=1)
        if not self._weights[1:].any():
            return own[0]
        recent = self._blend.recent_names
        if ordered and recent and self._decay != DECAY:
            raise InputError(
                f"The run is of a version whose {', '.join(recent)} counted recent interactions "
                "otherwise. Leave ordered out, or train it anew."
            )
        more = words.sum(dim=0) if words.shape[1] else None
        users, _ = self._blend.forward(
            own,
            self.items[:, : self._own],
            known_by_one(history, self._history.shape[1], ordered),
            more if self._word_columns else None,
            self.items[:, self._own + self._word_columns :],
        )
        return users[0]

    @cached_property
    def _degrees(self) -> tuple[_Ints, _Ints]:
        """Training interactions of the users, and of the items."""
        of_users, of_items = (
            np.asarray(self._history.sum(axis=axis)).ravel().astype(np.int64) for axis in (1, 0)
        )
        return of_users, of_items

    @property
    def _word_columns(self) -> int:
        """How many columns the expert "words" has, none where it has no weight."""
        counts = "words" in self._names and self._weights[self._names.index("words")]
        return int(self._words.shape[1]) if counts and self._words is not None else 0

    @property
    def _rest_columns(self) -> int:
        """How many columns the other experts have."""
        weights = dict(zip(self._names[1:], self._weights[1:].tolist(), strict=False))
        counts = any(weight for name, weight in weights.items() if name != "words")
        return basis_columns(*self._history.shape) if counts else 0

    @cached_property
    def _blend(self) -> Blend:
        exact = int(self._settings.get("blend_ease_exact", BlendOptions.blend_ease_exact))
        words = None if self._words is None else self._words.numpy()

        pairs = self._history
        # without an order all are of one time
        order = pairs.data.astype(np.int32) if self._later is None else self._later.numpy()
        known = Histories(csr_matrix((order, pairs.indices, pairs.indptr), pairs.shape))

        def make(name: str) -> Expert:
            if name == "trend" and self._trend is not None:
                return Trend(self._trend.numpy(), np.empty(0))
            return expert(name, known, words, exact)

        blend = Blend(tuple(self._names[1:]), make, known)
        blend.weights = self._weights
        return blend

    # --- items ---------------------------------------------------------------------------------

    def item(self, texts: Sequence[str], users: _Ints) -> tuple[Tensor, Tensor]:
        """A new item's vector [d] as the model's own, and [d_s] as it is scored.

        Args:
            texts: of the item: its description, or reviews.
            users: places of users who know it; one of both has to be there.
        """
        parts, words = [], torch.zeros(1, 0)
        if texts:
            vectors, words = self._texts([texts])
            parts.append(vectors[0])
        if len(users):
            parts.append(self._step(self.raw_users, users, self._degrees[0]))
        vector = _joined(parts)
        own = self.items[:, : self.raw_items.shape[1]]
        before = self._as_scored(self.raw_items).norm(dim=1).max().clamp_min(1e-12)
        row = self.items.new_zeros(self.items.shape[1])
        row[: len(vector)] = self._as_scored(vector) * own.norm(dim=1).max() / before
        if self._bias:
            trained = torch.from_numpy(self._degrees[1] > 0)
            row[self._own - 1] = self.items[trained, self._own - 1].median()
        if words.shape[1] and self._word_columns:
            row[self._own : self._own + words.shape[1]] = words[0]
        rest = self._own + self._word_columns
        if len(row) > rest:
            row[rest:] = self.items[self._alike(vector, words), rest:].mean(dim=0)
        return vector, row

    # --- parts ---------------------------------------------------------------------------------

    def _step(self, vectors: Tensor, places: _Ints, degrees: _Ints) -> Tensor:
        """One step of propagation to a new node, h of the class."""
        scale = 1 / np.sqrt(len(places) * np.maximum(degrees[places], 1))
        return torch.from_numpy(scale).to(vectors.dtype) @ vectors[torch.from_numpy(places)]

    def _alike(self, vector: Tensor, words: Tensor) -> Tensor:
        """Places of the trained items nearest to a new one, by its words if it has some."""
        by_words = self._words is not None and words.any()
        known, new = (self._words, words[0]) if by_words else (self.raw_items, vector)
        near = F.normalize(torch.as_tensor(known), dim=1) @ F.normalize(new, dim=0)
        near[torch.from_numpy(self._degrees[1] == 0)] = -torch.inf
        return near.topk(min(_ALIKE, int((self._degrees[1] > 0).sum()))).indices

    def _as_scored(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self._cosine else vectors

    def _texts(self, owners: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        if self._text is None:
            if not set(TEXT_MODELS) & set(self._family):
                raise InputError(
                    f"The run is of {self.name}, in which a text alone has no vector; texts of new "
                    f"users and items are read by {', '.join(TEXT_MODELS)}. Name a history."
                )
            self._text = self._make_text()
        return self._text.items(owners)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """The one part, or the sum of both at length 1."""
    if len(parts) == 1:
        return parts[0]
    return torch.stack([F.normalize(part, dim=0) for part in parts]).sum(dim=0)
