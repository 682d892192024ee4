"""What turns frozen text vectors into vectors that learn: matrices, an MLP, or a table instead."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from scipy.linalg import eigh
from torch import nn

__all__ = ["Adaptor", "FromDirections", "LearnedTable", "linear_or_mlp", "relu_dropout"]

_ROWS = 16_384  # that are read at once
_MOST = 65_536  # rows that tell directions
_NOTHING = 1e-10  # of the largest squared singular value: a direction in which no rows differ


class Adaptor(nn.Module):
    """Linear layers with ReLU and dropout between them, that keep the width of text vectors.

    Args:
        width: p, of input and output.
        hidden_sizes: widths of the hidden layers; None for two of width p.
        dropout: probability in [0, 1) after each hidden layer.
    """

    def __init__(self, width: int, hidden_sizes: Sequence[int] | None, dropout: float) -> None:
        super().__init__()
        sizes = [width, *([width, width] if hidden_sizes is None else hidden_sizes), width]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.dropout = dropout

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[..., p] to [..., p]."""
        *hidden, last = self.layers
        for layer in hidden:
            vectors = relu_dropout(layer(vectors), self.dropout if self.training else 0.0)
        adapted: torch.Tensor = last(vectors)
        return adapted


class LearnedTable(nn.Module):
    """Text vectors that learn themselves, in the place of an `Adaptor`.

    Args:
        vectors: [n, p], where they start.
    """

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(vectors.clone())

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 # as an Adaptor's
        """The table [n, p]; what is given stays aside."""
        return self.weight


def relu_dropout(x: torch.Tensor, probability: float) -> torch.Tensor:
    """ReLU and then dropout, in a third of torch's time on a CPU, where drawing is what takes long.

    Four entries share one draw of 64 bits, so the probability is rounded to a multiple of 2^-16.

    Args:
        x: any shape.
        probability: in [0, 1) of an entry to become 0; the others are scaled to keep the mean.
    """
    if x.device.type != "cpu" or not probability:
        return F.dropout(F.relu(x), probability)
    step = 1 << 16
    dropped = min(round(probability * step), step - 1)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)  # uniform in -2^15 ... 2^15 - 1
    keep = (bits >= dropped - step // 2).logical_and_(x > 0)
    return x * keep.view(torch.uint8).to(x.dtype).mul_(step / (step - dropped))


def linear_or_mlp(size: int, hidden: int, out: int) -> nn.Module:
    """[..., size] to [..., out]: a matrix, or an MLP with one layer of width ``hidden``."""
    if not hidden:
        return nn.Linear(size, out, bias=False)
    return nn.Sequential(nn.Linear(size, hidden), nn.LeakyReLU(), nn.Linear(hidden, out))


class FromDirections(nn.Module):
    """A matrix that starts at the leading directions of its inputs, turned at random.

    With V [p, d] the first right singular vectors of the inputs and a random orthogonal Q::

        f(x) = W x / c,   W = c Q V^T at the start

    so that at the start f keeps the products of inputs as well as d numbers can, where those of a
    random matrix are off by about 1 / sqrt(d). Adam moves a weight by about the learning rate
    whatever its size: c times as large, W learns c times as slowly.

    Args:
        inputs: [n, p]; rows of zeros have no part in V. Of more than 65,536 at most so many, evenly
            drawn, tell it.
        width: d. Of fewer directions than that, the rest of V is 0.
        slowness: c.
    """

    def __init__(self, inputs: torch.Tensor, width: int, slowness: float) -> None:
        super().__init__()
        self.slowness = slowness
        directions = _leading_directions(inputs, width)  # [p, k]
        turn = nn.init.orthogonal_(torch.empty(width, width))[:, : directions.shape[1]]
        self.matrix = nn.Parameter(slowness * turn @ directions.T)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[..., p] to [..., d]."""
        return F.linear(vectors, self.matrix) / self.slowness


def _leading_directions(rows: torch.Tensor, size: int) -> torch.Tensor:
    """The first right singular vectors of rows [n, p], as columns [p, min(size, p)]."""
    width, rows = rows.shape[1], rows[:: -(-len(rows) // _MOST) or 1]
    squares = torch.zeros(width, width, dtype=torch.float64)
    for some in torch.split(rows, _ROWS):
        squares.addmm_(some.double().T, some.double())
    values, found = eigh(squares.numpy(), subset_by_index=[max(width - size, 0), width - 1])
    return torch.from_numpy(found * (values > _NOTHING * values.max())).to(rows.dtype)
