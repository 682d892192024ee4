"""How long ago a user's interactions were, counted in his own interactions."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recbole_symcere.data.chronology import tie_keys

__all__ = ["DECAY", "Histories", "histories"]

DECAY = 0.1
"""What an interaction counts for beside the next one, where later ones shall count more."""


class Histories:
    """The items of users, each counting as much, or the later ones more.

    Attributes:
        flat: float32 [n_users, n_items], 1 where the user knows the item.
        recent: likewise, 0.1^a for an item after which the user had a further ones.
    """

    def __init__(self, flat: csr_matrix, recent: csr_matrix) -> None:
        self.flat, self.recent = flat, recent

    def of(self, users: slice) -> "Histories":
        """Those of some users."""
        return Histories(self.flat[users], self.recent[users])


def histories(
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    times: NDArray[np.float64] | None,
    n_users: int,
    n_items: int,
    hidden: NDArray[np.int64] | None = None,
) -> Histories:
    """Histories of interactions.

    Args:
        users: [n] users of the interactions.
        items: [n] their items; a repeated pair counts once, at its last time.
        times: [n] of any unit; None if none is known, so that no interaction is later than another.
        n_users: number of user ids, padding included.
        n_items: number of item ids, padding included.
        hidden: [n_users] how many of each user's latest interactions are left out, of equal times
            any; one stays of a user who has some.

    Example:
        >>> user = np.zeros(3, dtype=np.int64)
        >>> histories(user, np.arange(3), np.array([5.0, 9.0, 9.0]), 1, 3).recent.toarray()
        array([[0.01, 1.  , 1.  ]], dtype=float32)
    """
    at = np.zeros(len(users)) if times is None else times
    if hidden is not None:
        kept = _but_the_latest(users, items, at, hidden)
        users, items, at = users[kept], items[kept], at[kept]
    order = np.lexsort((at, users))
    users, items, at = users[order], items[order], at[order]
    ends = np.cumsum(np.bincount(users, minlength=n_users))
    same = np.zeros(len(users), dtype=bool)
    same[:-1] = (users[1:] == users[:-1]) & (at[1:] == at[:-1])  # as the next one
    places = np.arange(len(users))
    last = np.minimum.accumulate(np.where(same, len(users), places)[::-1])[::-1]
    age = ends[users] - 1 - last  # of equal times all have the last one's
    shape = n_users, n_items
    flat = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape)
    flat.data[:] = 1
    # the largest of a repeated pair is its last: rows are in order of time, and later ones win
    keys, first = np.unique((users * n_items + items)[::-1], return_index=True)
    value = (DECAY ** age[::-1][first]).astype(np.float32)
    return Histories(flat, csr_matrix((value, (keys // n_items, keys % n_items)), shape))


def _but_the_latest(
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    times: NDArray[np.float64],
    hidden: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Places of the interactions that stay where each user's ``hidden`` latest are left out."""
    drawn = tie_keys(users.astype(np.uint64), items.astype(np.uint64), seed=0)
    order = np.lexsort((drawn, times, users))
    count = np.bincount(users, minlength=len(hidden))
    owner = users[order]
    from_end = np.cumsum(count)[owner] - 1 - np.arange(len(owner))
    return order[from_end >= np.minimum(hidden, count - 1)[owner]]
