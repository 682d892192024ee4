"""How much each of several scores counts in their sum: searched on held-out items, with bagging."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Bagged", "HeldOut", "bagged_weights", "shortlisted", "single_weights"]

CANDIDATES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Weights that are tried beside the 1 of the best single score."""

_BAGS = 20
_ROUNDS = 3
_LISTS = 5  # times k, how long each score's list is that candidates come from
_LOWEST = np.float32(-1e30)

_Floats = npt.NDArray[np.floating]
_Ints = npt.NDArray[np.int64]
_Batch = tuple[_Floats, npt.NDArray[np.bool_], _Ints, _Ints]
Metric = Callable[[npt.NDArray[np.bool_], _Ints], _Floats]
"""From hits [n_users, k], best rank first, and numbers of held-out items [n_users] to values."""


class HeldOut:
    """Scores of users' best items, and where their held-out items stand.

    Args:
        scores: K arrays [n_users, c] of standardised scores of c candidates.
        rows: int64 [n] user of each held-out item, a row of ``scores``, and
        places: int64 [n] its candidate.
        metric: what is maximised, the mean over users.
        k: places of a list that the metric reads.
    """

    def __init__(
        self, scores: Sequence[_Floats], rows: _Ints, places: _Ints, metric: Metric, k: int
    ) -> None:
        self.n_scores, self.n_users = len(scores), len(scores[0])
        self._scores, self._rows, self._places = scores, rows, places
        self._metric, self._k = metric, k
        self._held_out = np.bincount(rows, minlength=self.n_users)
        self._known: dict[tuple[float, ...], _Floats] = {}

    @classmethod
    def gathered(cls, batches: Iterable[_Batch], metric: Metric, k: int) -> "HeldOut":
        """Of users batch by batch: for each what `shortlisted` is given, but for k."""
        parts, rows, places, n_users = [], [], [], 0
        for scores, masked, row, item in batches:
            kept, place = shortlisted(scores, masked, row, item, k)
            parts.append(kept)
            rows.append(row + n_users)
            places.append(place)
            n_users += kept.shape[1]
        width = max(part.shape[2] for part in parts)
        more = [((0, 0), (0, 0), (0, width - part.shape[2])) for part in parts]
        # what fills up is no item of a list
        filled = [np.pad(p, by, constant_values=_LOWEST) for p, by in zip(parts, more, strict=True)]
        every = [*np.concatenate(filled, axis=1)]
        return cls(every, np.concatenate(rows), np.concatenate(places), metric, k)

    def part(self, scores: Sequence[int], users: npt.NDArray[np.bool_] | None = None) -> "HeldOut":
        """Some of the scores, by their places, and of the users [n_users]."""
        chosen = [self._scores[n] for n in scores]
        if users is None:
            return HeldOut(chosen, self._rows, self._places, self._metric, self._k)
        mine, place = users[self._rows], np.cumsum(users) - 1
        return HeldOut(
            [one[users] for one in chosen],
            place[self._rows[mine]],
            self._places[mine],
            self._metric,
            self._k,
        )

    def values(self, weights: tuple[float, ...]) -> _Floats:
        """The metric of each user's list [n_users] by the weighted sum."""
        if weights not in self._known:
            total = np.zeros_like(self._scores[0])
            for weight, scores in zip(weights, self._scores, strict=True):
                if weight:
                    total += np.float32(weight) * scores
            own = total[self._rows, self._places]
            ranks = (total[self._rows] > own[:, None]).sum(axis=1)
            hits = np.zeros((self.n_users, self._k), dtype=bool)
            inside = ranks < self._k
            hits[self._rows[inside], ranks[inside]] = True
            self._known[weights] = self._metric(hits, self._held_out)
        return self._known[weights]


class Bagged(NamedTuple):
    """The mean of what is found on samples of the users.

    Attributes:
        weights: [K], they sum to 1.
        out_of_bag: the metric of users by the weights of the samples that they aren't in, the mean
            over users who are missing in some. So nobody is judged by weights that were chosen on
            him; as those are of single samples and not their mean, it is rather too low. None if
            no sample leaves anybody out.
    """

    weights: list[float]
    out_of_bag: float | None


def bagged_weights(held_out: HeldOut, seed: int = 0) -> Bagged:
    """Weights that are the mean of what is found on resampled users (Breiman, 1996).

    On each sample the score that is best alone gets 1, and coordinate by coordinate the others take
    the candidate with the best metric, the smallest of equals, until none changes. A weight that
    only a few users ask for is in few samples, so the mean is shrunk where there is little data.

    Args:
        held_out: what decides.
        seed: of the samples.
    """
    rng = np.random.default_rng(seed)
    k = held_out.n_scores
    alone = np.stack([held_out.values(tuple(row)) for row in np.eye(k).tolist()])
    total, judged, judges = np.zeros(k), np.zeros(held_out.n_users), np.zeros(held_out.n_users)
    for _ in range(_BAGS):
        drawn = rng.integers(0, held_out.n_users, held_out.n_users)
        times = np.bincount(drawn, minlength=held_out.n_users) / held_out.n_users
        found = _searched(held_out, times, int(np.argmax(alone @ times)))
        total += np.array(found) / sum(found)
        left = times == 0
        judged[left] += held_out.values(found)[left]
        judges += left
    apart = judges > 0
    out_of_bag = float((judged[apart] / judges[apart]).mean()) if apart.any() else None
    return Bagged((total / total.sum()).tolist(), out_of_bag)


def single_weights(held_out: HeldOut) -> list[float]:
    """Weights [K] that sum to 1 of one search on all users, where `bagged_weights` takes many."""
    times = np.full(held_out.n_users, 1 / held_out.n_users)
    alone = [held_out.values(tuple(row)) @ times for row in np.eye(held_out.n_scores).tolist()]
    found = np.array(_searched(held_out, times, int(np.argmax(alone))))
    weights: list[float] = (found / found.sum()).tolist()
    return weights


def _searched(held_out: HeldOut, times: _Floats, anchor: int) -> tuple[float, ...]:
    best = tuple(float(n == anchor) for n in range(held_out.n_scores))

    def value(weights: tuple[float, ...]) -> float:
        # sums of the same numbers in another order differ by rounding
        return round(float(held_out.values(weights) @ times), 12)

    for _ in range(_ROUNDS):
        start = best
        for place in range(len(best)):
            if place != anchor:
                tried = [(*best[:place], weight, *best[place + 1 :]) for weight in CANDIDATES]
                best = max(tried, key=value)
        if best == start:
            break
    return best


def shortlisted(
    scores: _Floats, masked: npt.NDArray[np.bool_], rows: _Ints, items: _Ints, k: int
) -> tuple[_Floats, _Ints]:
    """Standardised scores of the items that can stand in a list, and where held-out items are.

    An item that is among no score's first 5 k is left out.

    Args:
        scores: float32 [K, b, n_items].
        masked: bool [b, n_items], items that aren't ranked.
        rows: int64 [n] rows of held-out items, and
        items: int64 [n] themselves.
        k: items of a list.

    Returns:
        Float32 [K, b, c], and the candidate [n] of each held-out item.
    """
    centred = scores - scores[:, :, 1:].mean(axis=2, keepdims=True)
    centred /= np.maximum(scores[:, :, 1:].std(axis=2, keepdims=True), 1e-12)
    # equal scores shall not all count as below the held-out item, nor by their number
    centred += 1e-5 * np.random.default_rng(0).random(scores.shape[2], dtype=np.float32)
    centred[:, masked] = _LOWEST
    n_items, length = scores.shape[2], _LISTS * k
    if n_items <= length * len(scores):
        return centred, items
    lists = np.argpartition(-centred, length, axis=2)[:, :, :length]
    most = int(np.bincount(rows, minlength=scores.shape[1]).max(initial=0))
    wanted = np.zeros((scores.shape[1], most), dtype=np.int64)  # padding is masked
    order = np.argsort(rows, kind="stable")
    at = np.arange(len(rows)) - np.searchsorted(rows[order], rows[order])
    wanted[rows[order], at] = items[order]
    chosen = np.sort(np.concatenate([*lists, wanted], axis=1), axis=1)
    kept = np.take_along_axis(centred, chosen[None], axis=2)
    repeated = np.zeros(chosen.shape, dtype=bool)
    repeated[:, 1:] = chosen[:, 1:] == chosen[:, :-1]
    kept[:, repeated] = _LOWEST
    return kept, np.argmax(chosen[rows] == items[:, None], axis=1)
