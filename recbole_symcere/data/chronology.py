"""The order of interactions in time, and what decides where times are equal.

Dumps are often sorted by item, so that among interactions of one time the order of the file puts
late, rare items into the test split. A hash of user and item is an order that means nothing.
RecBole by itself keeps the order of the file; with this package imported its runs have the hash.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_symcere.data.left_out import pair_keys

__all__ = ["is_later", "row_times", "tie_keys", "tied_share", "token_hashes"]

_U64 = np.uint64
_MIX = (_U64(0xBF58476D1CE4E5B9), _U64(0x94D049BB133111EB))  # splitmix64


def token_hashes(tokens: Sequence[str]) -> npt.NDArray[np.uint64]:
    """A hash of each token that is the same on every machine and in every version [n]."""
    joined = b"".join(
        hashlib.blake2b(str(token).encode(), digest_size=8).digest() for token in tokens
    )
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)


def tie_keys(
    users: npt.NDArray[np.uint64], items: npt.NDArray[np.uint64], seed: int
) -> npt.NDArray[np.uint64]:
    """What interactions of one time are sorted by: a hash of user, item and seed [n].

    Args:
        users: `token_hashes` of the users [n].
        items: of the items [n].
        seed: another one gives another order.
    """
    with np.errstate(over="ignore"):  # modulo 2^64 is what a hash wants
        start = _mixed(users + _U64(seed % 2**63 + 1) * _U64(0x9E3779B97F4A7C15))
        return _mixed(start ^ (items * _U64(0xD1B54A32D192ED03)))


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> _U64(30))) * _MIX[0]
    x = (x ^ (x >> _U64(27))) * _MIX[1]
    return x ^ (x >> _U64(31))


def tied_share(
    users: npt.NDArray[np.int64], times: npt.NDArray[np.float64], n_train: npt.NDArray[np.int64]
) -> float:
    """Share of users whose last training and first held-out interaction have one time.

    Args:
        users: user id of each interaction in order of time [n].
        times: its time [n].
        n_train: number of training interactions of each user id, the first of its own.

    Returns:
        Of the users that have both; 0 where none has.

    Example:
        >>> users, times = np.array([0, 0, 1, 1]), np.array([5.0, 5.0, 5.0, 6.0])
        >>> tied_share(users, times, np.array([1, 1]))
        0.5
    """
    order = np.argsort(users, kind="stable")
    users, times = users[order], times[order]
    start = np.flatnonzero(np.diff(users, prepend=-1))  # of each user that there is
    there, n = users[start], np.diff(start, append=len(users))
    kept = n_train[there]
    both = (kept > 0) & (kept < n)
    last = (start + kept - 1)[both]
    return float((times[last] == times[last + 1]).mean()) if len(last) else 0.0


def row_times(part: Any) -> npt.NDArray[np.float64] | None:
    """The time of each interaction of a split as the file has it [n]; None if no time is loaded.

    RecBole hands times out as float32, whose steps are two minutes for seconds since 1970. Of a
    pair that is repeated within such a step the part's first row has the first time.

    Args:
        part: of a RecBole data set; ``timed_pairs`` has the keys and times of all its interactions.
    """
    if part.time_field not in part.inter_feat.columns:
        return None
    rounded = np.asarray(part.inter_feat[part.time_field], np.float32)
    found = rounded.astype(np.float64)
    if getattr(part, "timed_pairs", None) is None:
        return found
    pairs, times = part.timed_pairs
    order = np.lexsort((times, pairs))
    pairs, times, near = pairs[order], times[order], times[order].astype(np.float32)
    wanted = pair_keys(part)
    first, end = (np.searchsorted(pairs, wanted, side) for side in ("left", "right"))
    once = end - first == 1
    found[once] = times[first[once]]
    taken: dict[tuple[int, float], int] = {}
    for row in np.flatnonzero(end - first > 1).tolist():
        place = first[row] + np.searchsorted(near[first[row] : end[row]], rounded[row])
        before = taken.get((int(wanted[row]), float(rounded[row])), 0)
        taken[int(wanted[row]), float(rounded[row])] = before + 1
        if place + before < end[row] and near[place + before] == rounded[row]:
            found[row] = times[place + before]
    return found


def is_later(part: Any, before: Any) -> bool:
    """Whether each user's interactions of one split are none of them earlier than of another.

    Args:
        part: a RecBole data set, and
        before: the other one. Without times nothing is later.
    """
    found, last = row_times(part), np.full(before.user_num, -np.inf)
    known = row_times(before)
    if found is None or known is None:
        return False
    np.maximum.at(last, before.inter_feat[before.uid_field].numpy(), known)
    return bool((found >= last[part.inter_feat[part.uid_field].numpy()]).all())
