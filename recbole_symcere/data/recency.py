"""How long ago a user's interactions were, counted in his own interactions."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recbole_symcere.data.chronology import tie_keys

__all__ = ["DECAY", "Histories", "histories", "history_of_one"]

DECAY = 0.1
"""What an interaction counts for beside the next one, where later ones shall count more."""


class Histories:
    """The items of users, each counting as much, or the later ones more.

    Args:
        later: int32 [n_users, n_items], 1 + the number of interactions that the user had after
            that with the item; nothing where he doesn't know it.
        until: float64 [n_users] time of each user's latest interaction, from which on he wants to
            know what comes next; inf is later than all, as everywhere if it isn't given.
    """

    def __init__(self, later: csr_matrix, until: NDArray[np.float64] | None = None) -> None:
        self.later = later
        self.until = np.full(later.shape[0], np.inf) if until is None else until

    @cached_property
    def flat(self) -> csr_matrix:
        """Float32 [n_users, n_items], 1 where the user knows the item."""
        return self._with(np.ones(len(self.later.data), dtype=np.float32))

    @cached_property
    def recent(self) -> csr_matrix:
        """Likewise, 0.1^a for an item after which the user had a further ones."""
        return self._with((DECAY ** (self.later.data - 1.0)).astype(np.float32))

    def of(self, users: slice | NDArray[np.int64]) -> "Histories":
        """Those of some users."""
        return Histories(self.later[users], self.until[users])

    def _with(self, values: NDArray[np.float32]) -> csr_matrix:
        return csr_matrix((values, self.later.indices, self.later.indptr), self.later.shape)


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
    users, items = users.astype(np.int64), items.astype(np.int64)  # a pair's key needs 64 bits
    at = np.zeros(len(users)) if times is None else times
    if hidden is not None:
        kept = _but_the_latest(users, items, at, hidden)
        users, items, at = users[kept], items[kept], at[kept]
    order = np.lexsort((at, users))
    users, items, at = users[order], items[order], at[order]
    count = np.bincount(users, minlength=n_users)
    ends = np.cumsum(count)
    same = np.zeros(len(users), dtype=bool)
    same[:-1] = (users[1:] == users[:-1]) & (at[1:] == at[:-1])  # as the next one
    places = np.arange(len(users))
    last = np.minimum.accumulate(np.where(same, len(users), places)[::-1])[::-1]
    age = ends[users] - 1 - last  # of equal times all have the last one's
    # the first of a repeated pair from the end is its last: rows are in order of time
    keys, first = np.unique((users * n_items + items)[::-1], return_index=True)
    later = (1 + age[::-1][first]).astype(np.int32)
    until = np.full(n_users, np.inf)
    if times is not None:
        until[count > 0] = at[ends[count > 0] - 1]
    pairs = csr_matrix((later, (keys // n_items, keys % n_items)), (n_users, n_items))
    return Histories(pairs, until)


def history_of_one(
    items: NDArray[np.int64],
    times: NDArray[np.float64] | None,
    n_items: int,
    until: float = np.inf,
) -> Histories:
    """The history of one user, who wants to know what comes next from ``until`` on.

    Args:
        items: [n] of his interactions, and
        times: [n], as in `histories`.
        n_items: number of item ids, padding included.
        until: a time; later than all if not given, whatever his times are.
    """
    known = histories(np.zeros_like(items), items, times, 1, n_items)
    return Histories(known.later, np.array([until]))


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
