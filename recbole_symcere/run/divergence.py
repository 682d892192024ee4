"""What tells that a training has diverged: its loss, its weights and its scores."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recbole_symcere.model.base import VectorRecommender

__all__ = ["DivergedError", "check_loss", "check_weights", "checked_scores"]

_TOO_HIGH = 1e3  # times the first batch's loss
_OF_VECTORS = VectorRecommender.full_sort_predict
_NEAR_ZERO = 0.1  # what a first loss counts as at least
_ADVICE = (
    "Training stopped; the weights after the last finished epoch are kept. Lower learning_rate or "
    "raise temperature; without l2_normalize this is expected with NGCF."
)


class DivergedError(ArithmeticError):
    """A loss, a weight or a score is no number any more, or the loss rose a thousandfold.

    The message names it, and the epoch, which is counted from 0.
    """


def check_loss(
    loss: float, terms: Mapping[str, Tensor], start: float, epoch: int, batch: int
) -> None:
    """Stop if a batch's loss isn't finite, or above 10^3 times that of the first batch.

    Args:
        loss: the sum of the terms.
        terms: name -> scalar.
        start: the loss of the training's first batch.
        epoch: counted from 0, as is ``batch``.
        batch: see there.

    Raises:
        DivergedError: naming the terms.
    """
    if math.isfinite(loss):
        if loss > _TOO_HIGH * max(abs(start), _NEAR_ZERO):
            raise DivergedError(
                f"The loss is {loss:.3g} in epoch {epoch}, batch {batch}, more than 1,000 times "
                f"the {start:.3g} that it began with. {_ADVICE}"
            )
        return
    names = [
        f"{name} = {term.item():g}"
        for name, term in terms.items()
        if not math.isfinite(term.item())
    ] or [f"the sum of {', '.join(terms)}"]
    raise DivergedError(
        f"The loss isn't finite in epoch {epoch}, batch {batch}: {', '.join(names)}. {_ADVICE}"
    )


def check_weights(model: Any, epoch: int) -> None:
    """Stop if a weight of the model isn't finite.

    Raises:
        DivergedError: naming the first tensor that has such weights.
    """
    if not isinstance(model, nn.Module):
        return  # of another library
    for name, weight in model.named_parameters():
        bad = _count(weight.detach())
        if bad:
            raise DivergedError(
                f"After epoch {epoch} {bad:,} of {weight.numel():,} weights of {name} aren't "
                f"finite. {_ADVICE}"
            )


@contextlib.contextmanager
def checked_scores(model: Any, when: str) -> Iterator[None]:
    """Let the model's scores stop an evaluation if any isn't finite.

    Args:
        model: the model that is evaluated inside.
        when: what the message says of the time, such as "after epoch 3".

    Raises:
        DivergedError: from inside, at the first batch with such scores.
    """

    def checked(score: Callable[..., Any], are_bounded: Callable[[], bool]) -> Callable[..., Any]:
        def scored(*args: Any, **kwargs: Any) -> Any:
            scores = score(*args, **kwargs)
            bad = _count(scores) if isinstance(scores, Tensor) and not are_bounded() else 0
            if bad:
                raise DivergedError(
                    f"{bad:,} of {scores.numel():,} scores of a batch aren't finite {when}, so "
                    f"that they rank nothing. {_ADVICE}"
                )
            return scores

        return scored

    names = [name for name in ("full_sort_predict", "predict") if hasattr(model, name)]
    own = {name: vars(model)[name] for name in names if name in vars(model)}
    try:
        for name in names:
            object.__setattr__(model, name, checked(getattr(model, name), _bound(model, name)))
        yield
    finally:
        for name in names:
            vars(model).pop(name, None)
        vars(model).update(own)


def _bound(model: Any, name: str) -> Callable[[], bool]:
    """What tells whether the method ``name`` can't but give finite scores, without a look at them.

    A product of a user's and an item's vector, and all that is summed up on the way to it, is at
    most the product of the vectors' lengths (Cauchy and Schwarz).
    """
    method = vars(model).get(name, getattr(type(model), name))
    if method is not _OF_VECTORS:
        return lambda: False
    vectors, is_bounded = None, False

    def are_bounded() -> bool:
        nonlocal vectors, is_bounded
        if model.scoring_vectors() is not vectors:
            vectors = model.scoring_vectors()
            users, items = (torch.linalg.vector_norm(side, dim=1).max() for side in vectors)
            is_bounded = bool(users * items < torch.finfo(users.dtype).max / 2)
        return is_bounded

    return are_bounded


def _count(values: Tensor) -> int:
    """How many aren't finite."""
    if not values.is_floating_point() or values.sum().isfinite():  # one pass, seldom a second
        return 0
    return int((~values.isfinite()).sum())
