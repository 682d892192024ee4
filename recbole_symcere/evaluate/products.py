"""Scores as dot products, the same bits for a user whoever is scored beside him."""

import torch
from torch import Tensor

__all__ = ["ROWS", "all_products"]

ROWS = 16
"""Matrix products of fewer rows go other ways and round otherwise."""


def all_products(users: Tensor, items: Tensor, out: Tensor | None = None) -> Tensor:
    """Scores of users and every item.

    Args:
        users: [B, d].
        items: [n_items, d].
        out: [at least B and `ROWS`, n_items], written to; a new tensor by default.

    Returns:
        [B, n_items], each row as it is in a batch of any other users.
    """
    n_users = len(users)
    if n_users < ROWS:
        users = torch.cat([users, users.new_zeros(ROWS - n_users, users.shape[1])])
    place = None if out is None else out[: len(users)]
    return torch.mm(users, items.T, out=place)[:n_users]
