"""Is one model better than another? Paired tests over users, and what several tests cost.

Every function takes plain arrays. Values of two models are paired by user; of several seeds a user
has one value, their mean, because the seeds of one user aren't independent observations.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats

__all__ = [
    "Comparison",
    "Interval",
    "bootstrap_interval",
    "compare",
    "holm",
    "user_means",
    "wilcoxon",
]

_Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Comparison(NamedTuple):
    """How the values of one model differ from those of another, user by user.

    Attributes:
        users: number of users that both have.
        difference: mean over users of the first minus the second.
        interval: bootstrap interval of that mean.
        p_value: of the Wilcoxon signed-rank test, two-sided, not corrected.
        better: share of users for whom the first is better.
        worse: share of users for whom it is worse; the rest are ties.
    """

    users: int
    difference: float
    interval: Interval
    p_value: float
    better: float
    worse: float


def user_means(seeds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """One value per user: the mean over the seeds; users that a seed lacks are left out.

    >>> user_means([{"a": 0.0, "b": 1.0}, {"a": 1.0}])
    {'a': 0.5}
    """
    if not seeds:
        return {}
    common = set(seeds[0]).intersection(*seeds[1:])
    return {user: float(np.mean([s[user] for s in seeds])) for user in seeds[0] if user in common}


def compare(
    first: Mapping[str, float], second: Mapping[str, float], level: float = 0.95, seed: int = 0
) -> Comparison:
    """Compare two models over the users that both have.

    Args:
        first: user id -> value.
        second: the same of the model that it is compared with.
        level: of the interval.
        seed: of the bootstrap.

    Raises:
        ValueError: for fewer than two common users, or a value that isn't finite.
    """
    users = [user for user in first if user in second]
    differences = np.array([first[user] - second[user] for user in users], dtype=np.float64)
    return Comparison(
        users=len(users),
        difference=float(_checked(differences).mean()),
        interval=bootstrap_interval(differences, level, seed=seed),
        p_value=wilcoxon(differences),
        better=float((differences > 0).mean()),
        worse=float((differences < 0).mean()),
    )


def bootstrap_interval(
    differences: npt.ArrayLike, level: float = 0.95, n_resamples: int = 9999, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of the mean of paired differences [n_users].

    Users are drawn with replacement (Efron & Tibshirani, 1993, section 13.3).

    Args:
        differences: one per user.
        level: share of resampled means inside.
        n_resamples: number of resampled means.
        seed: of the draws.

    Raises:
        ValueError: for fewer than two values, or one that isn't finite.
    """
    values = _checked(differences)
    drawn = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=n_resamples,
        batch=max(1, 4_000_000 // len(values)),  # 32 MB at a time
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(drawn.low), float(drawn.high))


def wilcoxon(differences: npt.ArrayLike) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test on paired differences [n_users].

    Ties (differences of 0) are left out, as Wilcoxon (1945) does; of nothing but ties it is 1.

    Raises:
        ValueError: for fewer than two values, or one that isn't finite.
    """
    values = _checked(differences)
    if not values.any():
        return 1.0
    return float(scipy.stats.wilcoxon(values, zero_method="wilcox").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): adjusted p-values, in the order given.

    The k-th smallest of m is multiplied by m - k + 1; an adjusted value is never below that of a
    smaller p-value, nor above 1. It bounds the chance of one false finding among the m.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return [float(x) for x in adjusted]


def _checked(differences: npt.ArrayLike) -> _Floats:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"expected differences of at least 2 users, found shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("expected finite differences, found NaN or infinite ones")
    return values
