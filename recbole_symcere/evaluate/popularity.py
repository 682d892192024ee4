"""How popular the recommended items are: functions on arrays.

Id 0 is RecBole's padding, no item. It fills the list of a user for whom fewer items are left than
it is long, and is left out everywhere.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "average_popularity",
    "coverage",
    "gini",
    "novelty",
    "tail_items",
    "tail_share",
]

_Ids = npt.NDArray[np.integer[Any]]
_Floats = npt.NDArray[np.float64]

HEAD = 0.2
"""Share of the items, the most popular ones, that aren't the long tail."""


def average_popularity(ranked: _Ids, counts: _Ids) -> _Floats:
    """ARP (Yin et al., 2012): mean number of training interactions of the first k items.

    Args:
        ranked: [n_users, K] recommended item ids, best first.
        counts: [n_items] training interactions of each id.

    Returns:
        [n_users, K]; column k - 1 holds the value at k, NaN for a list without an item.
    """
    return _running_mean(counts, ranked)


def tail_items(counts: _Ids, head: float = HEAD) -> npt.NDArray[np.bool_]:
    """True at ids of the long tail: all but the share ``head`` of the items, the most popular.

    Of equally popular items the lower id is in the head. Id 0 is in neither.
    """
    order = np.argsort(-counts[1:], kind="stable") + 1
    tail = np.ones(len(counts), dtype=bool)
    tail[order[: int(np.ceil(head * len(order)))]] = False
    tail[0] = False
    return tail


def tail_share(ranked: _Ids, counts: _Ids, head: float = HEAD) -> _Floats:
    """APLT (Abdollahpouri et al., 2017): share of the first k items that are of the long tail.

    Args:
        ranked: [n_users, K] recommended item ids.
        counts: [n_items] training interactions of each id.
        head: see `tail_items`.

    Returns:
        [n_users, K]; NaN as in `average_popularity`.
    """
    return _running_mean(tail_items(counts, head), ranked)


def novelty(ranked: _Ids, counts: _Ids, n_users: int) -> _Floats:
    """Mean self-information of the first k items (Zhou et al., 2010): -log2(count / n_users).

    An item without training interactions counts as one with a single interaction.

    Args:
        ranked: [n_users, K] recommended item ids.
        counts: [n_items] training interactions of each id.
        n_users: number of users, padding not included.

    Returns:
        [n_users, K], in bits; NaN as in `average_popularity`.
    """
    return _running_mean(np.log2(n_users / np.maximum(counts, 1)), ranked)


def coverage(ranked: _Ids, n_items: int) -> float:
    """Share of the items that are recommended to anybody; ``n_items`` without the padding."""
    return len(np.unique(ranked[ranked > 0])) / n_items


def gini(ranked: _Ids, n_items: int) -> float:
    """Gini index of how often each item is recommended: 0 if all equally, near 1 if only a few.

    sum_i (2 i - n - 1) c_i / (n sum_i c_i) over the counts c_1 <= ... <= c_n, items that are never
    recommended included; ``n_items`` is n, without the padding id.
    """
    counts = np.zeros(n_items)
    found = np.unique(ranked[ranked > 0], return_counts=True)[1]
    counts[n_items - len(found) :] = np.sort(found)
    places = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float((places * counts).sum() / (n_items * counts.sum()))


def _running_mean(of_item: npt.NDArray[Any], ranked: _Ids) -> _Floats:
    there = ranked > 0
    sums = np.where(there, of_item[ranked], 0).cumsum(axis=1, dtype=np.float64)
    n = there.cumsum(axis=1)
    means: _Floats = np.divide(sums, n, out=np.full(sums.shape, np.nan), where=n > 0)
    return means
