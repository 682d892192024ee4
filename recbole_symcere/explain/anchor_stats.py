"""Statistics of word contributions: by kind, by word, with items as clusters; on plain arrays.

Reviews of one item aren't independent: they share its vector and its words. So intervals come from
drawing items with replacement, each with all its reviews, and a word's standard error from the sums
over its items.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats
from scipy.sparse import csr_matrix

from recbole_symcere.evaluate.significance import Interval, holm

__all__ = [
    "Estimate",
    "WordTable",
    "by_kind",
    "item_bootstrap",
    "match",
    "shuffled_labels",
    "superiority",
    "word_table",
]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_BATCH = 100  # resamples at once


class Estimate(NamedTuple):
    """A mean, or a difference of means, with its 95 % interval from the item bootstrap."""

    value: float
    interval: Interval


class WordTable(NamedTuple):
    """Contributions by word, one entry each.

    Attributes:
        mean: mean contribution.
        error: its standard error, clustered by item; NaN for a word of fewer than five items.
        p_value: two-sided, against 0; NaN as above.
        p_holm: corrected by Holm over the words that have one.
        reviews: reviews explained that have the word.
        items: their items.
    """

    mean: _Floats
    error: _Floats
    p_value: _Floats
    p_holm: _Floats
    reviews: _Ints
    items: _Ints


def by_kind(
    kind: _Ints, item: _Ints, values: npt.ArrayLike, n_kinds: int
) -> tuple[csr_matrix, csr_matrix]:
    """Sums and counts of each item and kind, two CSR [n_items, n_kinds], for `item_bootstrap`.

    Args:
        kind: of each entry, 0 <= kind < n_kinds; or any other grouping, such as words.
        item: of each entry, 0 <= item.
        values: of each entry.
        n_kinds: number of kinds.
    """
    shape = (int(item.max(initial=-1)) + 1, n_kinds)
    values = np.asarray(values, dtype=np.float64)
    sums = csr_matrix((values, (item, kind)), shape=shape)
    return sums, csr_matrix((np.ones_like(values), (item, kind)), shape=shape)


def item_bootstrap(
    sums: csr_matrix,
    counts: csr_matrix,
    statistics: Callable[[_Floats], _Floats],
    n_resamples: int,
    seed: int,
) -> list[Estimate]:
    """Statistics of group means, with percentile intervals from drawing items with replacement.

    Args:
        sums: [n_items, n_groups] of values.
        counts: [n_items, n_groups].
        statistics: from means [k, n_groups] to statistics [k, s]. A group that a draw lacks has a
            mean of NaN there; such draws are left out.
        n_resamples: number of draws.
        seed: of the draws.

    Returns:
        s estimates.
    """
    rng = np.random.default_rng(seed)
    n_items = sums.shape[0]
    drawn = []
    for start in range(0, n_resamples, _BATCH):
        size = min(_BATCH, n_resamples - start)
        weights = rng.multinomial(n_items, np.full(n_items, 1 / n_items), size).astype(np.float64)
        drawn.append(statistics(_means((sums.T @ weights.T).T, (counts.T @ weights.T).T)))
    found = statistics(_means(_total(sums), _total(counts)))[0]
    samples = np.concatenate(drawn)
    return [
        Estimate(float(value), Interval(*_quantiles(column)))
        for value, column in zip(found, samples.T, strict=True)
    ]


def _total(matrix: csr_matrix) -> _Floats:
    return np.asarray(matrix.sum(axis=0), dtype=np.float64).reshape(1, -1)


def _means(sums: _Floats, counts: _Floats) -> _Floats:
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def _quantiles(column: _Floats) -> tuple[float, float]:
    finite = column[np.isfinite(column)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def word_table(word: _Ints, item: _Ints, values: npt.ArrayLike, n_words: int) -> WordTable:
    """Mean contribution of each word, tested against 0 with items as clusters.

    The mean of a word is a ratio of sums over its m items, S_i over n_i, so its variance is
    m / (m - 1) sum_i (S_i - mean n_i)^2 / (sum_i n_i)^2; t has m - 1 degrees of freedom.
    """
    sums, counts = by_kind(word, item, values, n_words)
    total, n = _total(sums)[0], _total(counts)[0]
    m = np.asarray((counts > 0).sum(axis=0)).ravel().astype(np.int64)
    mean = _means(total[None], n[None])[0]
    residual = sums - counts.multiply(np.nan_to_num(mean)[None]).tocsr()
    squares = _total(residual.multiply(residual).tocsr())[0]
    judged = m >= 5
    error, p, adjusted = (np.full(n_words, np.nan) for _ in range(3))
    error[judged] = np.sqrt(squares[judged] * m[judged] / (m[judged] - 1)) / n[judged]
    z = np.divide(mean, error, out=np.zeros(n_words), where=judged & (error > 0))
    p[judged] = 2 * scipy.stats.t.sf(np.abs(z[judged]), m[judged] - 1)
    adjusted[judged] = holm(p[judged].tolist())
    return WordTable(mean, error, p, adjusted, n.astype(np.int64), m)


def shuffled_labels(
    table: WordTable,
    first: npt.NDArray[np.bool_],
    second: npt.NDArray[np.bool_],
    n_draws: int,
    seed: int,
) -> list[float]:
    """The difference of two groups' mean contributions, their labels dealt anew to their words.

    Args:
        table: contributions by word.
        first: whether a word is of the first group.
        second: whether it is of the second.
        n_draws: number of draws.
        seed: of the draws.

    Returns:
        A difference for each draw; none where a group has no word.
    """
    judged = (first | second) & (table.reviews > 0)
    label = first[judged]
    if label.all() or not label.any():
        return []
    n = table.reviews[judged]
    total, rng = table.mean[judged] * n, np.random.default_rng(seed)
    drawn = (rng.permutation(label) for _ in range(n_draws))
    return [
        float(total[one].sum() / n[one].sum() - total[~one].sum() / n[~one].sum()) for one in drawn
    ]


def superiority(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Chance that a random value of the first is above one of the second; ties count half.

    Example:
        >>> superiority([3.0, 2.0], [1.0, 2.0])
        0.875
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if not len(a) or not len(b):
        return float("nan")
    ranks = scipy.stats.rankdata(np.concatenate([a, b]))
    return float((ranks[: len(a)].sum() - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))


def match(wanted: _Floats, pool: _Floats, caliper: float = 0.5) -> tuple[_Ints, _Ints]:
    """For each wanted word the nearest of the pool within the caliper, with replacement.

    Args:
        wanted: [a, k] covariates, such as log frequency and IDF.
        pool: [b, k] covariates.
        caliper: largest distance in standard deviations of all words, on each covariate.

    Returns:
        Places in ``wanted`` and in ``pool`` of the pairs; wanted words without a neighbour within
        the caliper have none.
    """
    if not len(wanted) or not len(pool):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    scale = np.concatenate([wanted, pool]).std(axis=0)
    scale[scale == 0] = 1.0
    distance = np.abs(wanted[:, None] - pool[None]) / scale  # [a, b, k]
    within = (distance <= caliper).all(axis=2)
    nearest = np.where(within, (distance**2).sum(axis=2), np.inf).argmin(axis=1)
    near = within.any(axis=1)
    return np.flatnonzero(near), nearest[near]
