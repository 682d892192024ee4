"""Encoding the texts of a batch in several processes, each a part of them, with gradient.

Every process has all texts of the batch and needs all of their vectors; it encodes about as many
tokens as each of the others and gathers the rest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from recbole_symcere.base import processes

__all__ = ["encode_shared", "own_texts"]


def encode_shared(
    encode: Callable[[Tensor | slice], Tensor], lengths: Tensor, encoder: nn.Module
) -> Tensor:
    """What ``encode`` gives of all rows, each of which one process encodes.

    Backward each process gets the gradient of its own rows, times the number of processes, so that
    the mean of the weights' gradients over the processes is that of one process.

    Dropout inside the encoder is drawn from a state of each process's own. The state that all share
    goes on as if nothing but one number had been drawn, so that what is drawn after it is the same
    everywhere.

    Args:
        encode: from numbers of texts [R], or a slice of all, to their vectors [R, d_t].
        lengths: tokens of each text [B].
        encoder: whose dropout it is.

    Returns:
        [B, d_t], the same in all processes.
    """
    parts = own_texts(lengths)
    if len(parts) == 1:
        return encode(slice(None))
    mine = parts[processes.rank()]
    with _own_randomness(encoder, lengths.device):
        own = encode(mine)
    places = torch.cat(parts)
    vectors: Tensor = _Gathered.apply(own, mine, places.argsort())  # type: ignore[no-untyped-call]  # torch's own
    return vectors


def own_texts(lengths: Tensor) -> list[Tensor]:
    """The rows that each process encodes, of about equally many tokens.

    Args:
        lengths: tokens of each text [B].

    Returns:
        Row numbers for each process, longest text first; a single part of all rows where there are
        fewer texts than processes.
    """
    n = processes.count()
    order = torch.argsort(lengths, descending=True, stable=True)
    if n == 1 or len(order) < n:
        return [order]
    # there and back: 0 1 2 2 1 0 0 1 2 ...
    turn = torch.arange(len(order), device=order.device) % (2 * n)
    whose = torch.where(turn < n, turn, 2 * n - 1 - turn)
    return [order[whose == process] for process in range(n)]


class _Gathered(torch.autograd.Function):
    """The rows of all processes in the order of the batch."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, mine: Tensor, order: Tensor) -> Tensor:
        ctx.mine = mine
        return processes.gathered_rows(own.detach())[order]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0][ctx.mine] * processes.count(), None, None


@contextmanager
def _own_randomness(encoder: nn.Module, device: torch.device) -> Iterator[None]:
    if not any(isinstance(m, nn.Dropout) and m.training and m.p for m in encoder.modules()):
        yield
        return
    seed = int(torch.randint(2**62, ()))
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed + processes.rank())
        yield
