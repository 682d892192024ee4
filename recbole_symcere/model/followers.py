"""Which items users take after an item."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix, csr_matrix, vstack

from recbole_symcere.model.largest import k_largest

__all__ = ["followers"]

_LATER = 100  # interactions that count after one; but for equal times the cost is linear then
_PAIRS = 5_000_000  # of two interactions of a user that are counted at once, of one item at least

_Ints = npt.NDArray[np.int64]


def followers(later: csr_matrix, k: int) -> csr_matrix:
    """How sure the sequential rules "who took j took i later" are.

    W_ji = |{u in N_j : u took i when he took j or later}| / |N_j|

    of the 100 interactions next to that with j, and all that have the time of one of these. The
    sequential rules of Ludewig & Jannach (UMUAI 2018) count what follows a steps later 1 / a times;
    here all of it counts alike.

    Args:
        later: int32 [n_users, n_items], `Histories.later` of the training interactions.
        k: at least 1; for each j the k likeliest i are kept.

    Returns:
        float32 [n_items, n_items], nothing on the diagonal.
    """
    n_users, n_items = later.shape
    users = np.repeat(np.arange(n_users), np.diff(later.indptr))
    order = np.lexsort((later.data, users))  # a user's latest first
    items, age = later.indices[order].astype(np.int64), later.data[order]
    first, end = _of_one_time(users, age)
    begin = first[np.maximum(later.indptr[users], end - 1 - _LATER)]
    by_item = np.argsort(items, kind="stable")
    counts = np.bincount(items, minlength=n_items)
    ends, n_pairs = np.cumsum(counts), np.cumsum((end - begin)[by_item])
    rows, item = [csr_matrix((0, n_items), dtype=np.float32)], 0
    while item < n_items:
        start = ends[item] - counts[item]
        done = n_pairs[start - 1] if start else 0
        stop = int(np.searchsorted(n_pairs, done + _PAIRS, side="right"))
        after = max(int(np.searchsorted(ends, stop, side="right")), item + 1)
        mine = by_item[start : ends[after - 1]]
        places, of = _ranges(begin[mine], end[mine])
        other = places != mine[of]
        pairs = items[mine][of[other]] - item, items[places[other]]
        ones = np.ones(len(pairs[0]), dtype=np.float32)
        found = csr_matrix((ones, pairs), (after - item, n_items))  # equal pairs are added up
        if k < n_items:
            found = k_largest(csc_matrix(found.T), item, k).T
        rows.append(found.multiply(1 / np.maximum(counts[item:after, None], 1)).tocsr())
        item = after
    return vstack(rows, format="csr", dtype=np.float32)


def _of_one_time(users: _Ints, age: npt.NDArray[np.int32]) -> tuple[_Ints, _Ints]:
    """For each interaction the first place of those of its user and time, and the one after them.

    Args:
        users: [n], sorted, and
        age: [n], of each user sorted.
    """
    other = (np.diff(users, prepend=-1) != 0) | (np.diff(age, prepend=-1) != 0)
    bounds = np.append(np.flatnonzero(other), len(users))
    group = np.cumsum(other) - 1
    return bounds[group], bounds[group + 1]


def _ranges(begin: _Ints, end: _Ints) -> tuple[_Ints, _Ints]:
    """Places from begin [n] to end [n], range after range, and which range each is of."""
    lengths = end - begin
    of = np.repeat(np.arange(len(begin)), lengths)
    skipped = begin - (np.cumsum(lengths) - lengths)
    return np.arange(len(of)) + skipped[of], of
