"""Differentiable functions in one matrix each, for the losses: faster than what autograd records.

They know nothing of models; `recbole_symcere.loss.contrastive` checks what they are given.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = [
    "AnchorSoftmax",
    "LogPotential",
    "NegativeLogSoftmax",
    "PairSoftmax",
    "SampledSoftmax",
    "UnitRows",
    "unit_rows",
]

# An exp that underflows takes ten times as long. What is cut off here is 1e-35 of the largest.
_LOWEST = -80.0

# The largest logit whose exp can be summed up as it is.
_HIGHEST = 30.0

# Logits that are held at once on a CPU: a whole batch of 512, a few rows of a larger one.
_BLOCK = 1 << 18


class NegativeLogSoftmax(torch.autograd.Function):
    """-log softmax along the rows, read on the diagonal, over the entries that are ``kept``.

    Half the time of ``masked_fill`` and ``log_softmax`` on a CPU. One [B, B] matrix is written and
    then worked on in place; it is also all that backward needs.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, kept: Tensor | None) -> Tensor:
        """[B, B] logits and a bool mask of that shape to [B]."""
        if kept is None:
            weights = logits.clone()
        else:
            ones = _as_numbers(kept, logits.dtype)
            weights = torch.add(logits, ones - 1, alpha=torch.finfo(logits.dtype).max)
        top = weights.amax(1, keepdim=True)
        weights.sub_(top).clamp_(min=_LOWEST).exp_()
        if kept is not None:
            weights.mul_(ones)  # now exactly 0
        total = weights.sum(1, keepdim=True)
        ctx.save_for_backward(weights, total)
        return total.log().squeeze(1) + (top.squeeze(1) - logits.diagonal())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """[B] to [B, B]."""
        weights, total = ctx.saved_tensors
        grad = weights * (grads[0].unsqueeze(1) / total)
        grad.diagonal().sub_(grads[0])
        return grad, None


class LogPotential(torch.autograd.Function):
    """log sum_{a<b} exp(-t |x_a - x_b|^2) of the rows of x.

    Five to ten times as fast as ``pdist`` on a CPU: the distances come from one product. The mean
    is taken out first, which changes no distance, so that rows that lie close together keep their
    digits.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: float) -> Tensor:
        """[B, d] with B of at least 2 to a scalar."""
        x = x - x.mean(0)
        with torch.autocast(x.device.type, enabled=False):
            weights = x @ x.T
        squares = weights.diagonal().clone()
        weights.mul_(2).sub_(squares).sub_(squares[:, None])  # -|x_a - x_b|^2
        weights.mul_(t).fill_diagonal_(-torch.inf)
        top = weights.max()
        weights.sub_(top).clamp_(min=_LOWEST).exp_().fill_diagonal_(0)
        total = weights.sum() / 2  # each pair stands there twice
        ctx.save_for_backward(x, weights, total)
        ctx.t = t
        return top + total.log()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """A scalar to [B, d]."""
        x, weights, total = ctx.saved_tensors
        with torch.autocast(x.device.type, enabled=False):
            grad = torch.addmm(weights.sum(1, keepdim=True) * x, weights, x, alpha=-1)
        return grad.mul_(-2 * ctx.t * grads[0] / total), None


class AnchorSoftmax(torch.autograd.Function):
    """Weighted sum of -log softmax of anchor @ candidate.T, read on the diagonal.

    For logits of at most `_HIGHEST`, see `takes`, as those of unit vectors are: nothing has to be
    subtracted before exp. On a CPU it goes by blocks of rows, and finds the
    gradient on the way: no [B, B] matrix is written. A third of the time of `NegativeLogSoftmax`.
    """

    @staticmethod
    def takes(left: Tensor, right: Tensor) -> bool:
        """Whether no logit can be too large, by Cauchy and Schwarz."""
        if not len(left):
            return False
        lengths = (x.detach().square().sum(1).amax() for x in (left, right))
        return bool(torch.stack([*lengths]).prod() <= _HIGHEST**2)

    @staticmethod
    def forward(
        ctx: Any, anchor: Tensor, candidate: Tensor, kept: Tensor | None, weight: float
    ) -> Tensor:
        """[B, d] twice, a bool mask [B, B] of what takes part, None for all, to a scalar."""
        with torch.autocast(anchor.device.type, enabled=False):
            size = len(anchor)
            rows = max(_BLOCK // size, 64) if anchor.device.type == "cpu" else size
            total = anchor.new_zeros(())
            to_anchor, to_candidate = torch.empty_like(anchor), candidate.new_zeros(candidate.shape)
            for start in range(0, size, rows):
                block = slice(start, start + rows)
                exps = (anchor[block] @ candidate.T).exp_()
                own = exps[:, block].diagonal().clone()
                if kept is not None:
                    exps.mul_(_as_numbers(kept[block], exps.dtype))
                sums = exps.sum(1)
                total += (sums / own).log_().sum()  # exactly 0 where there is nothing else
                scale = (weight / sums)[:, None]
                torch.mm(exps, candidate, out=to_anchor[block]).mul_(scale)
                to_candidate.addmm_(exps.T, anchor[block] * scale)
            to_anchor.sub_(candidate, alpha=weight)
            to_candidate.sub_(anchor, alpha=weight)
        ctx.save_for_backward(to_anchor, to_candidate)
        return total * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """A scalar to [B, d] twice."""
        to_anchor, to_candidate = ctx.saved_tensors
        return to_anchor * grads[0], to_candidate * grads[0], None, None


class PairSoftmax(torch.autograd.Function):
    """`AnchorSoftmax` in both directions, the rows' of left @ right.T and its columns', added up.

    One matrix of exps serves both, so that three products do where two calls need six. Masks hold
    few excluded entries, which are set one by one.
    """

    @staticmethod
    def takes(left: Tensor, right: Tensor) -> bool:
        """Whether `AnchorSoftmax` does, and one [B, B] matrix is no more than it holds at once."""
        on_cpu = left.device.type == "cpu"
        return not (on_cpu and len(left) ** 2 > _BLOCK) and AnchorSoftmax.takes(left, right)

    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, kept: Tensor, turned: bool, weight: float
    ) -> Tensor:
        """[B, d] twice and a bool mask [B, B] of what takes part in the rows, to a scalar.

        With ``turned``, the mask's transpose tells what takes part in the columns; else the mask.
        """
        with torch.autocast(left.device.type, enabled=False):
            exps = (left @ right.T).exp_()
            own, flat, size = exps.diagonal().clone(), exps.view(-1), len(left)
            # of what is excluded in one direction only, the exp is kept for the other one
            no_row = no_column = _places(~kept)
            if turned:
                no_column = no_row % size * size + no_row // size
            all_of_rows = flat.index_select(0, no_row)
            flat.index_fill_(0, no_row, 0)
            row_sums, for_rows = exps.sum(1), flat.index_select(0, no_column)
            flat.put_(no_row, all_of_rows).index_fill_(0, no_column, 0)
            column_sums, for_columns = exps.sum(0), flat.index_select(0, no_row)
            by_row, by_column = weight / row_sums, weight / column_sums
            exps.mul_(by_row[:, None] + by_column)
            flat.put_(no_row, for_columns * by_column[no_row % size])
            flat.put_(no_column, for_rows * by_row[no_column // size])
            to_left = (exps @ right).sub_(right, alpha=2 * weight)
            to_right = (exps.T @ left).sub_(left, alpha=2 * weight)
        ctx.save_for_backward(to_left, to_right)
        # each exactly 0 where there is nothing else
        return ((row_sums / own).log_() + (column_sums / own).log_()).sum() * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """A scalar to [B, d] twice."""
        to_left, to_right = ctx.saved_tensors
        return to_left * grads[0], to_right * grads[0], None, None, None


class SampledSoftmax(torch.autograd.Function):
    """log(exp(s) + sum_j n_j exp(s_j)) - s for each row, with counts n_j that may be 0."""

    @staticmethod
    def forward(ctx: Any, score: Tensor, sampled: Tensor, times: Tensor) -> Tensor:
        """S [B], s_j [B, m] and n_j [B, m], numbers or bool, to [B]."""
        times = _as_numbers(times, sampled.dtype)
        # what takes no part must not decide what is subtracted
        weights = torch.add(sampled, times.clamp(max=1) - 1, alpha=torch.finfo(sampled.dtype).max)
        top = torch.maximum(weights.amax(1), score)
        weights.sub_(top[:, None]).clamp_(min=_LOWEST).exp_().mul_(times)
        own = (score - top).exp()
        total = weights.sum(1) + own
        ctx.save_for_backward(weights, own, total)
        return total.log() + (top - score)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """[B] to [B] and [B, m]."""
        weights, own, total = ctx.saved_tensors
        scale = grads[0] / total
        return own * scale - grads[0], weights * scale[:, None], None


class UnitRows(torch.autograd.Function):
    """``F.normalize`` of rows [n, d]: the same numbers, in a third of the operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """[n, d] to [n, d]."""
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min_(1e-12)
        unit: Tensor = x / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """[n, d] to [n, d]."""
        unit, length = ctx.saved_tensors
        along = (grads[0] * unit).sum(1, keepdim=True)
        return torch.addcmul(grads[0], unit, along, value=-1).div_(length)


def unit_rows(x: Tensor) -> Tensor:
    """Rows at length 1; a row of zeros stays one.

    Args:
        x: [n, d].

    Returns:
        [n, d].

    Example:
        >>> unit_rows(torch.tensor([[3.0, 4.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """
    unit: Tensor = UnitRows.apply(x)  # type: ignore[no-untyped-call] # torch's own
    return unit


def _as_numbers(kept: Tensor, dtype: torch.dtype) -> Tensor:
    """A new tensor of zeros and ones of a bool mask, five times as fast as from bool; or counts."""
    return kept.view(torch.uint8).to(dtype) if kept.dtype == torch.bool else kept.to(dtype)


def _places(mask: Tensor) -> Tensor:
    """Where a bool mask is True, in the order of its memory; NumPy finds it in a third."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.view(-1).nonzero().squeeze(1)
