"""The nearest neighbours of text vectors, and one step of averaging over them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Neighbours", "averaged", "nearest"]

_ROWS = 1024  # of the similarity matrix held at once


class Neighbours(NamedTuple):
    """The k nearest neighbours of each of n vectors.

    Attributes:
        ids: int64 [n, k].
        weights: [n, k]; 0 where there is no neighbour.
    """

    ids: Tensor
    weights: Tensor


def nearest(vectors: Tensor, k: int) -> Neighbours:
    """The graph of item to item of LATTICE and its followers (Zhang et al., MM 2021).

    Row a holds the k vectors b with the largest cosine, a itself among them. With S their cosines,
    those below 0 left out, and D the row sums of S, a weight is S_ab / sqrt(D_a D_b).

    Args:
        vectors: [n, d]; a vector of zeros neighbours nothing.
        k: at least 1; n if there are fewer.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
        >>> nearest(x, 2).weights.double().round(decimals=4).tolist()
        [[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]
    """
    unit = F.normalize(vectors, dim=1)
    found = [(rows @ unit.T).topk(min(k, len(unit)), dim=1) for rows in torch.split(unit, _ROWS)]
    ids = torch.cat([part.indices for part in found])
    cosines = torch.cat([part.values for part in found]).clamp_min(0)
    total = cosines.sum(1)
    scale = torch.where(total > 0, total, 1).rsqrt()
    return Neighbours(ids, cosines * scale[:, None] * scale[ids])


def averaged(vectors: Tensor, neighbours: Neighbours) -> Tensor:
    """Sum of each row's neighbours by their weights: [n, d] -> [n, d]."""
    return F.embedding_bag(
        neighbours.ids, vectors, per_sample_weights=neighbours.weights, mode="sum"
    )
