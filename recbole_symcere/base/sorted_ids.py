"""Sets of whole numbers as sorted arrays.

NumPy's `unique` and `isin` hash integers since version 2.3; with ten million distinct ones that
takes a hundred times as long as sorting them.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["among", "distinct"]


def distinct(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The distinct ones of whole numbers [n], ascending.

    Example:
        >>> distinct(np.array([3, 1, 3])).tolist()
        [1, 3]
    """
    found = np.sort(ids)
    first = np.ones(len(found), dtype=bool)
    np.not_equal(found[1:], found[:-1], out=first[1:])
    return found[first]


def among(ids: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of whole numbers [n] stand among others.

    Args:
        ids: in any order.
        known: ascending.

    Example:
        >>> among(np.array([3, 1, 4]), np.array([1, 4])).tolist()
        [False, True, True]
    """
    if not len(known):
        return np.zeros(len(ids), dtype=bool)
    place = np.searchsorted(known, ids).clip(max=len(known) - 1)
    found: npt.NDArray[np.bool_] = known[place] == ids
    return found
