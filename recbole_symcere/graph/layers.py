"""The mean of a graph's layers, each a step of neighbourhood averaging, with its own gradient."""

from typing import Any

import torch
from torch import Tensor

from recbole_symcere.graph.bipartite import BipartiteGraph, Side
from recbole_symcere.graph.columns import by_columns

__all__ = ["layer_mean", "side_mean"]


def layer_mean(graph: BipartiteGraph, x: Tensor, n_layers: int) -> Tensor:
    """(I + M + ... + M^K) x / (K + 1) with the graph's matrix M, as [n_nodes, d].

    Raises:
        ValueError: as `BipartiteGraph.propagate`.
    """
    mean: Tensor = _LayerMean.apply(graph.matrix(), graph.checked(x), n_layers)  # type: ignore[no-untyped-call]  # torch's own
    return mean


class _LayerMean(torch.autograd.Function):
    """`layer_mean`; the matrix is symmetric, so backward is the same polynomial.

    By Horner's rule, x + M (x + M (x + ...)): one fused product and sum per layer, nothing kept.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, x: Tensor, n_layers: int) -> Tensor:
        ctx.matrix, ctx.n_layers = matrix, n_layers

        def horner(x: Tensor) -> tuple[Tensor]:
            total, share = x, 1 / (n_layers + 1)
            for left in reversed(range(n_layers)):
                factor = 1.0 if left else share
                total = torch.addmm(x, matrix, total, beta=factor, alpha=factor)
            return (total if n_layers else x.clone(),)

        with torch.autocast(x.device.type, enabled=False):
            return by_columns(horner, x, work=n_layers * matrix.values().numel())[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, None]:
        grad: Tensor = _LayerMean.apply(ctx.matrix, grads[0], ctx.n_layers)  # type: ignore[no-untyped-call]  # torch's own
        return None, grad, None


def side_mean(graph: BipartiteGraph, x: Tensor, side: Side, n_layers: int) -> Tensor:
    """`layer_mean` of a table that is zero on the other side, in half the time.

    The mean is linear: `layer_mean` of two tables one below the other is the sum of their two
    `side_mean`. So a side that doesn't learn has to be worked out only once.

    Args:
        graph: the graph.
        x: [n_users, d] or [n_items, d], the table of ``side``.
        side: "user" or "item".
        n_layers: K, at least 0.

    Returns:
        [n_nodes, d].

    Raises:
        ValueError: as `BipartiteGraph.propagate`.
    """
    x = graph.checked(x, side)
    to_user, to_item = graph.blocks()
    across, back = (to_item, to_user) if side == "user" else (to_user, to_item)
    own, other = _SideMean.apply(across, back, x, n_layers)  # type: ignore[no-untyped-call]  # torch's own
    return torch.cat([own, other] if side == "user" else [other, own])


class _SideMean(torch.autograd.Function):
    """The even layers stay on the side of the table, the odd ones go across."""

    @staticmethod
    def forward(
        ctx: Any, across: Tensor, back: Tensor, x: Tensor, n_layers: int
    ) -> tuple[Tensor, Tensor]:
        ctx.blocks, ctx.n_layers = (across, back), n_layers
        ctx.work = n_layers * across.values().numel()

        def layers(x: Tensor) -> tuple[Tensor, ...]:
            sums = [x.clone(), x.new_zeros(len(across), x.shape[1])]
            for k in range(1, n_layers + 1):
                x = (across if k % 2 else back) @ x
                sums[k % 2] += x
            return tuple(total.div_(n_layers + 1) for total in sums)

        with torch.autocast(x.device.type, enabled=False):
            own, other = by_columns(layers, x, work=ctx.work)
        return own, other

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor, None]:
        across, back = ctx.blocks

        def horner(*grads: Tensor) -> tuple[Tensor]:
            """From the last layer back to the table."""
            grad = grads[ctx.n_layers % 2]
            for k in range(ctx.n_layers, 0, -1):
                # the blocks are each other's transpose
                grad = torch.addmm(grads[(k - 1) % 2], back if k % 2 else across, grad)
            return (grad / (ctx.n_layers + 1),)

        with torch.autocast(grads[0].device.type, enabled=False):
            return None, None, by_columns(horner, *grads, work=ctx.work)[0], None
