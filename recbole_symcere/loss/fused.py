"""Differentiable functions in one matrix each, for the losses: faster than what autograd records.

They know nothing of models; `recbole_symcere.loss.contrastive` checks what they are given.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["LogPotential", "NegativeLogSoftmax", "PairSoftmax", "SampledSoftmax", "UnitRows"]

# An exp that underflows takes ten times as long. What is cut off here is 1e-35 of the largest.
_LOWEST = -80.0

# The largest logit whose exp can be summed up as it is.
_HIGHEST = 30.0


class NegativeLogSoftmax(torch.autograd.Function):
    """-log softmax along ``dim``, read on the diagonal, over the entries that are ``kept``.

    Half the time of ``masked_fill`` and ``log_softmax`` on a CPU. One [B, B] matrix is written and
    then worked on in place; it is also all that backward needs.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, kept: Tensor | None, dim: int) -> Tensor:
        """[B, B] logits and a bool mask of that shape to [B]."""
        if kept is None:
            weights = logits.clone()
        else:
            ones = _as_numbers(kept, logits.dtype)
            weights = torch.add(logits, ones - 1, alpha=torch.finfo(logits.dtype).max)
        top = weights.amax(dim, keepdim=True)
        weights.sub_(top).clamp_(min=_LOWEST).exp_()
        if kept is not None:
            weights.mul_(ones)  # now exactly 0
        total = weights.sum(dim, keepdim=True)
        ctx.save_for_backward(weights, total)
        ctx.dim = dim
        return total.log().squeeze(dim) + (top.squeeze(dim) - logits.diagonal())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """[B] to [B, B]."""
        weights, total = ctx.saved_tensors
        grad = weights * (grads[0].unsqueeze(ctx.dim) / total)
        grad.diagonal().sub_(grads[0])
        return grad, None, None


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


class PairSoftmax(torch.autograd.Function):
    """`NegativeLogSoftmax` of left @ right.T along the rows, the columns or both.

    For logits of at most `_HIGHEST`, see `takes`, as those of unit vectors are: one matrix of exps
    serves both directions, and nothing is subtracted first.
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
        ctx: Any, left: Tensor, right: Tensor, *kept: Tensor | None
    ) -> tuple[Tensor, ...]:
        """[B, d] twice and, for rows and then for columns, the bool mask [B, B] of what takes part.

        None as a mask keeps all. Returns [B] for each mask that is given.
        """
        with torch.autocast(left.device.type, enabled=False):
            exps = left @ right.T
        exps.exp_()
        weights = [
            exps if one is None else _as_numbers(one, exps.dtype).mul_(exps) for one in kept
        ]
        totals = [one.sum(1 - dim) for dim, one in enumerate(weights)]
        ctx.save_for_backward(left, right, *weights, *totals)
        own = exps.diagonal()
        return tuple((total / own).log_() for total in totals)  # exactly 0 where it is all there is

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]  # torch's own
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """[B] for each mask to [B, d] twice."""
        left, right, *rest = ctx.saved_tensors
        n = len(grads)
        weights, scales = rest[:n], [g / total for g, total in zip(grads, rest[n:], strict=True)]
        grad = weights[0] * scales[0][:, None]
        for one, scale in zip(weights[1:], scales[1:], strict=True):
            grad.addcmul_(one, scale)
        grad.diagonal().sub_(sum(grads))
        with torch.autocast(left.device.type, enabled=False):
            return grad @ right, grad.T @ left, *[None] * n


class SampledSoftmax(torch.autograd.Function):
    """log(exp(s) + sum_j n_j exp(s_j)) - s for each row, with counts n_j that may be 0."""

    @staticmethod
    def forward(ctx: Any, score: Tensor, sampled: Tensor, times: Tensor) -> Tensor:
        """s [B], s_j [B, m] and n_j [B, m], numbers or bool, to [B]."""
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
    @once_differentiable  # type: ignore[untyped-decorator]  # torch's own
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
        unit = x / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]  # torch's own
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """[n, d] to [n, d]."""
        unit, length = ctx.saved_tensors
        along = (grads[0] * unit).sum(1, keepdim=True)
        return torch.addcmul(grads[0], unit, along, value=-1).div_(length)


def _as_numbers(kept: Tensor, dtype: torch.dtype) -> Tensor:
    """A new tensor of zeros and ones of a bool mask, five times as fast as from bool; or counts."""
    return kept.view(torch.uint8).to(dtype) if kept.dtype == torch.bool else kept.to(dtype)
