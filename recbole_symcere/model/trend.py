"""What all users took of late."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recbole_symcere.data.recency import Histories
from recbole_symcere.model.experts import ItemMap

__all__ = ["Trend", "trend"]

_SHARE = 0.003  # of all interactions, after which one counts 1/e: nine days of eight years
_STEPS = 4  # in so many, at which counts are kept
_NUMBERS = 50_000_000  # of counts that are kept: 200 MB

_Ints = npt.NDArray[np.int64]
_Times = npt.NDArray[np.float64]


class Trend(ItemMap):
    """Counts of items at some times, of which each user takes the last before his own.

    Args:
        counts: float32 [t + 1, n_items].
        since: float64 [t], sorted: the times from which on all but the first counts hold.
    """

    def __init__(self, counts: npt.NDArray[np.float32], since: _Times) -> None:
        super().__init__(counts)
        self._since = since

    def rows(self, known: Histories, recent: bool) -> csr_matrix:  # noqa: ARG002 # it always is
        """1 at each user's counts, [b, t + 1]."""
        n, place = len(known.until), np.searchsorted(self._since, known.until, side="right")
        ones = np.ones(n, dtype=np.float32)
        return csr_matrix((ones, (np.arange(n), place)), (n, len(self._since) + 1))

    @property
    def now(self) -> "Trend":
        """The last counts alone."""
        return Trend(self.near[-1:], np.empty(0))


def trend(items: _Ints, times: _Times | None, n_items: int) -> Trend:
    """Popularity of late: what was taken before a user's last interaction, the latest most.

    x_ui = log(1 + sum_{interactions v with i, at t_vi <= t_u} exp(-n_vi / (.003 n)))

    with n_vi the number of interactions, of all n, between that one and the time t_u of u's latest
    one. Counts are kept at four times in each .003 n interactions, or fewer where they would be
    more than 50 million, and a user has the last of them that reach no further than t_u.

    Args:
        items: [n] of the training interactions.
        times: [n] of any unit; without times all are of one, so that this is popularity.
        n_items: number of item ids, padding included.
    """
    n = len(items)
    if times is None or not n:
        counts = np.log1p(np.bincount(items, minlength=n_items))
        return Trend(counts[None].astype(np.float32), np.empty(0))
    order = np.lexsort((items, times))
    items, times = items[order], times[order]
    late = max(_SHARE * n, 1.0)
    step = max(int(late / _STEPS), -(-n * n_items // _NUMBERS), 1)
    ends = np.append(np.arange(step, n, step), n)
    counts, now, before = np.zeros((len(ends) + 1, n_items), np.float32), np.zeros(n_items), 0
    for place, end in enumerate(ends, start=1):
        weight = np.exp((np.arange(before, end) - (end - 1)) / late)
        now = now * np.exp((before - end) / late) + np.bincount(items[before:end], weight, n_items)
        counts[place] = np.log1p(now)
        before = end
    return Trend(counts, times[ends - 1])
