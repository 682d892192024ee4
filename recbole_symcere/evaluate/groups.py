"""NDCG of groups: of rare and popular items, of users with few and many interactions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ITEM_BINS", "USER_BINS", "bins", "group_means", "ndcg_by_item_bin"]

_Ids = npt.NDArray[np.integer[Any]]
_Floats = npt.NDArray[np.float64]

ITEM_BINS = ("rare", "middle", "popular")
USER_BINS = ("few", "some", "many")


def bins(values: npt.ArrayLike, weights: npt.ArrayLike, n_bins: int = 3) -> _Ids:
    """Cut values into bins of about equal total weight; equal values share a bin.

    A value's bin is where the middle of its weight lies, the weights laid end to end in order of
    value. Without any weight everything is in bin 0.

    >>> bins([1, 1, 2, 9], [1, 1, 2, 9], 2)
    array([0, 0, 0, 1])
    """
    values, weights = np.asarray(values), np.asarray(weights, dtype=np.float64)
    distinct, place = np.unique(values, return_inverse=True)
    held = np.bincount(place, weights, len(distinct))
    total = held.sum()
    if not total:
        return np.zeros(len(values), dtype=np.int64)
    middle = np.cumsum(held) - held / 2
    of_value = np.minimum((n_bins * middle / total).astype(np.int64), n_bins - 1)
    result: _Ids = of_value[place]
    return result


def ndcg_by_item_bin(
    ranked: _Ids, positives: Sequence[_Ids], bin_of_item: _Ids, n_bins: int, k: int
) -> _Floats:
    """Each user's NDCG@k with the held-out items of one bin alone as the right answers.

    Args:
        ranked: [n_users, >= k] recommended item ids, best first.
        positives: each user's held-out items.
        bin_of_item: [n_items].
        n_bins: number of bins.
        k: length of the list.

    Returns:
        [n_users, n_bins]; NaN where a user has no held-out item of the bin.
    """
    gains = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[np.nan], np.cumsum(gains)])
    user = np.repeat(np.arange(len(positives)), [len(items) for items in positives])
    item = np.concatenate([np.asarray(items) for items in positives])
    right = np.zeros((len(positives), n_bins))
    np.add.at(right, (user, bin_of_item[item]), 1)
    hits = np.zeros_like(right)
    row, place = np.nonzero(ranked[user, :k] == item[:, None])
    np.add.at(hits, (user[row], bin_of_item[item[row]]), gains[place])
    result: _Floats = hits / ideal[np.minimum(right, k).astype(np.int64)]
    return result


def group_means(
    columns: Mapping[str, _Floats], members: Mapping[str, npt.NDArray[np.bool_]]
) -> dict[str, dict[str, float]]:
    """Means of per-user columns over groups of users, and how many users each group has.

    Args:
        columns: name -> [n_users]; a NaN isn't counted.
        members: group -> bool [n_users]. A group without users isn't in the result.
    """
    return {
        group: {"users": int(inside.sum())}
        | {name: float(np.nanmean(values[inside])) for name, values in columns.items()}
        for group, inside in members.items()
        if inside.any()
    }
