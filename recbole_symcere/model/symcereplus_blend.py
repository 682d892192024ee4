"""What near items say, added to SymCEREPlus's scores as far as validation wants it."""

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_symcere.base.options import option, read_options
from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.model.ease_weights import ease_factors

__all__ = [
    "PARTS",
    "Blend",
    "BlendOptions",
    "blend_of",
    "blended_names",
    "deviation",
    "ease_width",
]

_log = logging.getLogger(__name__)

_EASE_SIZE = 256
_EASE_ITEMS = 10_000  # of runs of before, whose blend had no EASE of more
_USERS = 65_536  # whose vectors are made at once
PARTS = ("words", "ease")


@dataclass(frozen=True)
class BlendOptions:
    """What is added to the score."""

    blend: Literal["words", "ease", "both"] | None = option(
        "both", "scores of item neighbourhoods, by words or interactions, weighed on validation"
    )
    blend_ease_reg: float = option(100.0, "L2 regularisation of EASE", above=0)
    blend_ease_exact: int = option(
        10_000,
        "items up to which EASE is exact, in 12 bytes for each pair of items; above it is made of "
        "the leading directions of the interactions",
        minimum=0,
    )


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
        parts = [
            (weight, *self.sides(name), _covariance(self.sides(name)[1]))
            for name, weight in zip(self.names, self.weights, strict=True)
            if weight
        ]
        if not parts:
            return users, items
        width, of_items = users.shape[1], _covariance(items)
        found = users.new_empty(len(users), width + sum(len(of_far) for *_, of_far in parts))
        for start in range(0, len(users), _USERS):
            some = slice(start, start + _USERS)
            found[some, :width] = users[some]
            spread, at = _deviation(users[some], of_items), width
            for weight, near, _, of_far in parts:
                sums = graph.sums_of_items(near, some)
                scale = spread / _deviation(sums, of_far).clamp_min(1e-12)
                found[some, at : at + len(of_far)] = (weight * scale)[:, None] * sums
                at += len(of_far)
        return found, torch.cat([items, *(far for _, _, far, _ in parts)], dim=1)


def deviation(users: Tensor, items: Tensor) -> Tensor:
    """Standard deviation [n_users] of each user's scores of all items but the first."""
    return _deviation(users, _covariance(items))


def _covariance(items: Tensor) -> Tensor:
    """Of the items' vectors [d, d], the first left out."""
    centred = items[1:] - items[1:].mean(dim=0)
    return centred.T @ centred / max(len(centred), 1)


def _deviation(users: Tensor, covariance: Tensor) -> Tensor:
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
        exact = o.blend_ease_exact + 1  # the padding item is in the matrix
        sides["ease"] = functools.partial(
            ease_factors, dataset.history(), o.blend_ease_reg, _EASE_SIZE, exact
        )
        if n_items > o.blend_ease_exact:
            _log.warning(
                f"EASE in the blend is approximate: {n_items:,} items are more than "
                f"blend_ease_exact, {o.blend_ease_exact:,}. Exactly it would take "
                f"{12 * n_items**2 / 1e9:.1f} GB: --blend_ease_exact={n_items}."
            )
    if not sides:
        return None
    blend = Blend(sides)
    if n_items > _EASE_ITEMS:
        blend.register_load_state_dict_pre_hook(_without_ease)  # type: ignore[no-untyped-call] # torch's own
    return blend


def _without_ease(blend: Blend, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Weights of a run of before, whose blend had no EASE: it gets none."""
    kept = state.get(f"{prefix}weights", torch.zeros(0))
    state[f"{prefix}weights"] = F.pad(kept, (0, max(len(blend.names) - len(kept), 0)))


def _twice(words: Tensor) -> Sides:
    return words, words


def blended_names(wanted: str | None, n_kept: int, n_items: int) -> list[str]:
    """The names of a `Blend` that was stored without them, by an earlier version.

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
