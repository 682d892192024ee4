"""k-core: users and items with enough reviews, repeated until nothing changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recbole_symcere.base.errors import InputError


def core_rows(
    users: NDArray[np.integer], items: NDArray[np.integer], user_min: int, item_min: int
) -> NDArray[np.bool_]:
    """Mark the rows of the largest subset whose users and items all have enough rows in it.

    Args:
        users: (rows,) user number of each row, counted from 0.
        items: (rows,) item number of each row, counted from 0.
        user_min: fewest rows of a user.
        item_min: fewest rows of an item.

    Returns:
        (rows,) True where the row stays. The result does not depend on the order of the rows.
    """
    keep = np.zeros(len(users), dtype=bool)
    rows = np.arange(len(users))
    n_kept = -1
    while n_kept != (n_kept := len(rows)):
        enough_users, enough_items = np.bincount(users) >= user_min, np.bincount(items) >= item_min
        stay = enough_users[users] & enough_items[items]
        if not stay.all():
            rows, users, items = rows[stay], users[stay], items[stay]
    keep[rows] = True
    return keep


def filter_core(
    users: NDArray[np.integer], items: NDArray[np.integer], k_core: int = 0, user_core: int = 0
) -> NDArray[np.bool_]:
    """Mark the rows of users and items with enough reviews.

    Rows are counted, so repeated pairs count more than once where they were kept.

    Args:
        users: (rows,) user number of each row, counted from 0.
        items: (rows,) item number of each row, counted from 0.
        k_core: fewest reviews of every user and every item; 0 for no limit.
        user_core: fewest reviews of every user; 0 for no limit.

    Returns:
        (rows,) True where the row stays.

    Raises:
        InputError: if nothing stays.
    """
    keep = core_rows(users, items, max(k_core, user_core), k_core)
    if keep.any() or not len(users):
        return keep
    limits = [
        f"--{name}={value}"
        for name, value in (("k_core", k_core), ("user_core", user_core))
        if value
    ]
    both = bool(k_core)
    largest = _largest_core(users, items, both)
    raise InputError(
        f"{' '.join(limits)}: no review is left of {len(np.unique(users))} users, "
        f"{len(np.unique(items))} items and {len(users)} reviews; the largest value that leaves "
        f"something is --{'k_core' if both else 'user_core'}={largest}"
        + (" without --user_core" if k_core and user_core else "")
        + "; choose a smaller one"
    )


def _largest_core(users: NDArray[np.integer], items: NDArray[np.integer], both: bool) -> int:
    """Return the largest k that leaves a row; cores are nested, so halving finds it."""
    low, high = 1, int(np.bincount(users).max())
    while low < high:
        middle = (low + high + 1) // 2
        if core_rows(users, items, middle, middle if both else 0).any():
            low = middle
        else:
            high = middle - 1
    return low
