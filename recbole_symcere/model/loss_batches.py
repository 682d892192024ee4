"""Several loss batches that share one propagation, with the gradient of their mean loss.

A propagation over the whole graph costs as much for 512 rows as for 512,000. So the graph's vectors
are worked out once for a group of batches; each batch has a loss of its own, with contrasts among
its own rows, and the group's loss is the mean of theirs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["BatchGroup", "BatchGroups", "group_loss", "grouped", "rows_of"]


class BatchGroup:
    """Batches that are trained on together; to RecBole's trainer it is one batch."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return sum(len(batch) for batch in self.batches)

    def to(self, device: torch.device) -> "BatchGroup":
        """The group with its tensors on a device."""
        return BatchGroup([batch.to(device) for batch in self.batches])


class BatchGroups:
    """A loader whose items are groups of another loader's batches; the last may be smaller.

    Args:
        loader: RecBole's.
        size: batches of a group.

    Attributes:
        size: as given.
    """

    def __init__(self, loader: Any, size: int) -> None:
        self._loader, self.size = loader, size

    def __len__(self) -> int:
        return -(-len(self._loader) // self.size)

    def __iter__(self) -> Iterator[BatchGroup]:
        batches: list[Any] = []
        for batch in self._loader:
            batches.append(batch)
            if len(batches) == self.size:
                yield BatchGroup(batches)
                batches = []
        if batches:
            yield BatchGroup(batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def grouped(loader: Any, model: Any) -> Any:
    """The loader of a model's batches or, where it asks for several at once, of their groups."""
    size = model.batches_per_step(len(loader)) if hasattr(model, "batches_per_step") else 1
    return BatchGroups(loader, size) if size > 1 else loader


def group_loss(
    losses: Callable[..., Any],
    group: BatchGroup,
    shared: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> Any:
    """The mean of each loss term over the batches of a group.

    The gradient is worked out batch by batch, so that no more than one batch's intermediate values
    are held, and then goes back through what the batches share once. Terms are meant to be added
    up: their gradients can't be told apart.

    Args:
        losses: of a batch and the shared tensors, a named tuple of scalars.
        group: the batches, at least one.
        shared: tensors that all batches read.
        weights: that ``losses`` may read beside them.

    Returns:
        What ``losses`` returns.
    """
    distinct = list({id(x): x for x in shared}.values())
    place = [next(n for n, x in enumerate(distinct) if x is y) for y in shared]
    learning = [weight for weight in weights if weight.requires_grad]
    shape: list[Any] = []
    terms = _GroupLoss.apply(  # type: ignore[no-untyped-call]  # torch's own
        losses, group, place, len(distinct), shape, *distinct, *learning
    )
    return shape[0]._make(terms)


class _GroupLoss(torch.autograd.Function):
    """Terms of the batches' mean loss; the gradient of their sum is found in forward."""

    @staticmethod
    def forward(
        ctx: Any,
        losses: Callable[..., Any],
        group: BatchGroup,
        place: list[int],
        n_shared: int,
        shape: list[Any],
        *inputs: Tensor,
    ) -> tuple[Tensor, ...]:
        wanted = ctx.needs_input_grad[5:]
        leaves = [
            x.detach().requires_grad_(want)
            for x, want in zip(inputs[:n_shared], wanted, strict=False)
        ]
        sources = [*leaves, *inputs[n_shared:]]
        learning = [x for x, want in zip(sources, wanted, strict=True) if want]
        sums: list[Tensor | None] = [None] * len(learning)
        totals: list[Tensor] = []
        for batch in group.batches:
            with torch.enable_grad():
                terms = losses(batch, *(leaves[n] for n in place))
                total = sum(terms) / len(group.batches)
            if learning and total.requires_grad:
                found = torch.autograd.grad(total, learning, allow_unused=True)
                sums = [_added(a, b) for a, b in zip(sums, found, strict=True)]
            totals.append(torch.stack([term.detach() for term in terms]))
            shape[:] = [type(terms)]
        found_all = iter(sums)
        ctx.found = [next(found_all) if want else None for want in wanted]
        return tuple(torch.stack(totals).mean(0).unbind())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        scale = grads[0]
        if any(not torch.equal(grad, scale) for grad in grads[1:]):
            raise RuntimeError(
                "The terms of a group's loss can only be added up, each with the same weight."
            )
        return (None,) * 5 + tuple(None if x is None else x * scale for x in ctx.found)


def _added(total: Tensor | None, grad: Tensor | None) -> Tensor | None:
    """A running sum of gradients; those of `rows_of` hold a few rows of many."""
    if grad is None:
        return total
    if not grad.is_sparse:
        return grad.clone() if total is None else total.add_(grad)  # it may be a view
    if total is None:
        total = torch.zeros(grad.shape, dtype=grad.dtype, device=grad.device)
    return total.index_add_(0, grad._indices()[0], grad._values())


def rows_of(ids: Tensor, table: Tensor) -> Tensor:
    """``F.embedding``, whose gradient takes no more than the rows where batches share the table.

    Args:
        ids: int64 of any shape.
        table: [n, d].
    """
    shared = table.is_leaf and table.requires_grad and not isinstance(table, torch.nn.Parameter)
    return F.embedding(ids, table, sparse=shared)
