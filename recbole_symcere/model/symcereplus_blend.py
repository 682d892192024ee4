"""What near items say, added to SymCEREPlus's scores as far as validation wants it."""

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

from recbole_symcere.base.options import option, read_options
from recbole_symcere.graph.bipartite import BipartiteGraph

__all__ = [
    "PARTS",
    "Blend",
    "BlendOptions",
    "blend_of",
    "blended_names",
    "deviation",
    "ease_factors",
    "ease_weights",
    "ease_width",
]

_log = logging.getLogger(__name__)

_EASE_ITEMS = 10_000  # at most: dense matrices of items by items, about 3 GB at this size
_EASE_SIZE = 256
_EASE_SEED = 0  # of the randomised decomposition: factors don't depend on a run's seed
PARTS = ("words", "ease")


@dataclass(frozen=True)
class BlendOptions:
    """What is added to the score."""

    blend: Literal["words", "ease", "both"] | None = option(
        "both", "scores of item neighbourhoods, by words or interactions, weighed on validation"
    )
    blend_ease_reg: float = option(100.0, "L2 regularisation of EASE", above=0)


Sides = tuple[Tensor, Tensor]


class Blend(nn.Module):
    """Scores of a model and of item neighbourhoods on one scale, as one dot product.

    With s_ui the model's score, N_u the training items of u, and A_k, B_k the two sides of an
    item-item similarity k::

        x_k,ui = sum_{j in N_u} A_k,j . B_k,i
        y_ui = s_ui + sum_k w_k (sd_u(s) / sd_u(x_k)) x_k,ui

    where sd_u is the deviation over all items, so that w_k tells how much k counts beside the
    model. The w_k are no parameters: `BlendTrainer` chooses them on validation, and they are
    0 until then.

    Args:
        sides: name -> a function that makes A_k and B_k [n_items, d_k], called when first needed.

    Attributes:
        names: of the similarities.
        weights: w_k [K].
    """

    weights: Tensor

    def __init__(self, sides: Mapping[str, Callable[[], Sides]]) -> None:
        super().__init__()
        self.names = list(sides)
        self.register_buffer("weights", torch.zeros(len(sides)))
        self._make = dict(sides)
        self._made: dict[str, Sides] = {}

    def sides(self, name: str) -> Sides:
        """A_k and B_k [n_items, d_k] of a similarity."""
        if name not in self._made:
            near, far = self._make[name]()
            self._made[name] = near.to(self.weights.device), far.to(self.weights.device)
        return self._made[name]

    def forward(self, users: Tensor, items: Tensor, graph: BipartiteGraph) -> Sides:
        """Vectors whose dot product is y.

        Args:
            users: [n_users, d], and
            items: [n_items, d], whose dot product is s; item 0 is padding.
            graph: whose edges are the N_u.
        """
        spread = deviation(users, items)
        parts = [(users, items)]
        for name, weight in zip(self.names, self.weights, strict=True):
            if not weight:
                continue
            near, far = self.sides(name)
            sums = graph.sums_of_items(near)
            scale = spread / deviation(sums, far).clamp_min(1e-12)
            parts.append((weight * scale[:, None] * sums, far))
        users, items = (torch.cat(side, dim=1) for side in zip(*parts, strict=True))
        return users, items


def deviation(users: Tensor, items: Tensor) -> Tensor:
    """Standard deviation [n_users] of each user's scores of all items but the first."""
    centred = items[1:] - items[1:].mean(dim=0)
    covariance = centred.T @ centred / max(len(centred), 1)
    return ((users @ covariance) * users).sum(dim=1).clamp_min(0).sqrt()


def blend_of(config: Any, dataset: Any, words: Tensor) -> Blend | None:
    """The blend that the configuration asks for; None for none.

    Args:
        config: RecBole's configuration.
        dataset: the training split.
        words: [n_items, d], what the words of each item's reviews say; no columns for nothing.
    """
    o = read_options(BlendOptions, config)
    n_items, wanted = dataset.item_num - 1, {o.blend, *(PARTS if o.blend == "both" else ())}
    sides: dict[str, Callable[[], Sides]] = {}
    if "words" in wanted:
        if words.shape[1]:
            sides["words"] = functools.partial(_twice, words)
        else:
            _log.info("words take no part in the blend: no two items share one")
    if "ease" in wanted:
        if n_items <= _EASE_ITEMS:
            sides["ease"] = functools.partial(
                ease_factors, dataset.history(), o.blend_ease_reg, _EASE_SIZE
            )
        else:
            _log.info(
                f"EASE takes no part in the blend: {n_items:,} items are more than {_EASE_ITEMS:,}"
            )
    return Blend(sides) if sides else None


def _twice(words: Tensor) -> Sides:
    return words, words


def ease_factors(history: csr_matrix, reg_weight: float, size: int) -> tuple[Tensor, Tensor]:
    """EASE (Steck, WWW 2019), whose item-item matrix is kept as its first singular vectors.

    For the history X [users, items] and P = (X^T X + reg I)^-1::

        W_ij = -P_ij / P_jj,   W_jj = 0,   A B^T = W truncated to rank s

    Args:
        history: [n_users, n_items], 1 for an interaction.
        reg_weight: reg, above 0.
        size: s; fewer where there are fewer items.

    Returns:
        float32 A and B [n_items, s]: a user's scores are (sum of A's rows over its items) B^T.
    """
    weights = ease_weights(history, reg_weight)
    size = min(size, len(weights))
    left, values, right = randomized_svd(weights, size, random_state=_EASE_SEED)
    first, second = (np.ascontiguousarray(side, np.float32) for side in (left * values, right.T))
    return torch.from_numpy(first), torch.from_numpy(second)


def ease_weights(history: csr_matrix, reg_weight: float) -> np.ndarray:
    """W of `ease_factors`, float64 [n_items, n_items]."""
    counts = csr_matrix(history, dtype=np.float64)
    gram = (counts.T @ counts).toarray()
    gram[np.diag_indices_from(gram)] += reg_weight
    inverse = np.linalg.inv(gram)
    weights: np.ndarray = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def blended_names(wanted: str | None, n_kept: int, n_items: int) -> list[str]:
    """The names of a stored `Blend`, whose checkpoint keeps their weights alone.

    Args:
        wanted: the setting blend.
        n_kept: how many weights there are.
        n_items: padding included.
    """
    if wanted != "both" or n_kept == len(PARTS):
        return [*PARTS] if wanted == "both" else [str(wanted)][:n_kept]
    return ["ease" if n_items - 1 <= _EASE_ITEMS else "words"][:n_kept]


def ease_width(n_items: int) -> int:
    """Columns of EASE's sides for so many items, padding included."""
    return min(_EASE_SIZE, n_items)
