"""Effects on several data sets, such as log ratios of two models, and their mean."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats

from recbole_symcere.evaluate.significance import Interval, variance_of_mean

__all__ = ["Effect", "Pooled", "log_ratio", "random_effects"]

_LEAST_ERROR = 1e-6  # below it rows are equal but for rounding


class Effect(NamedTuple):
    """What was found on one data set.

    Attributes:
        value: a log ratio of two means, -inf if the first is 0, or another difference.
        error: its standard error.
    """

    value: float
    error: float


class Pooled(NamedTuple):
    """A mean over data sets.

    Attributes:
        sets: number of data sets in it.
        mean: of their effects.
        interval: of that; None for a single set, or if there is none because an effect is -inf.
        prediction: where the true effect on a further set like these is expected; None as the
            interval, and for two sets.
        tau: standard deviation of the true effects between data sets, as estimated; None as the
            interval.
    """

    sets: int
    mean: float
    interval: Interval | None
    prediction: Interval | None
    tau: float | None


def log_ratio(first: npt.ArrayLike, second: npt.ArrayLike) -> Effect | None:
    r"""Log ratio of two means over the same users and seeds, with its standard error.

    By the delta method log(a / b) varies as the mean of a_us / a - b_us / b does, over users and
    over seeds (`variance_of_mean`): users and seeds are paired as in the test of the difference.

    Args:
        first: values [n_users, n_seeds], at least 0.
        second: those of the model that it is compared with.

    Returns:
        The ratio, or None if the second mean is 0: then there is none.

    Raises:
        ValueError: for fewer than two users, or a value that isn't finite.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    above, below = float(a.mean()), float(b.mean())
    if not below:
        return None
    if not above:
        return Effect(-math.inf, 0.0)
    error = math.sqrt(sum(variance_of_mean(a / above - b / below)))
    return Effect(math.log(above / below), error)


def random_effects(effects: Sequence[Effect], level: float = 0.95) -> Pooled | None:
    r"""Random-effects mean over sets like these, and what a further one may show.

    Weights are 1 / (v_i + \tau^2) with \tau^2 by DerSimonian & Laird (1986). The interval is that
    of Hartung & Knapp (2001) and Sidik & Jonkman (2002): few sets say little about \tau^2, so it is
    \mu \pm t_{k-1} \sqrt{q / \sum w_i} with q = \sum w_i (y_i - \mu)^2 / (k - 1). As few sets may
    agree by chance, q counts as 1 at least (Roever, Knapp & Friede, 2015). It is wide for two sets.
    A set's own effect lies about \mu: the prediction interval is \mu \pm t_{k-2} \sqrt{\tau^2 +
    q / \sum w_i} (Higgins, Thompson & Spiegelhalter, 2009).

    Rows that are equal on a set differ for no user, which doesn't make their effect known without
    error: such a set has the median error of the others. Equal on all sets, both intervals are 0.

    Args:
        effects: one per data set.
        level: of the intervals.

    Returns:
        The mean, or None of no sets. Of a single set it has no interval; with -inf among them
        the mean is -inf, as a geometric mean is.
    """
    if not effects:
        return None
    k = len(effects)
    y = np.array([effect.value for effect in effects])
    if k == 1 or not np.isfinite(y).all():
        return Pooled(k, float(y.mean()), None, None, None)
    errors = np.array([effect.error for effect in effects])
    unequal = errors[errors > _LEAST_ERROR]
    if not len(unequal) and not y.any():
        return Pooled(k, 0.0, Interval(0.0, 0.0), Interval(0.0, 0.0) if k > 2 else None, 0.0)
    usual = np.median(unequal) if len(unequal) else _LEAST_ERROR
    v = np.where(errors > _LEAST_ERROR, errors, usual) ** 2
    w = 1 / v
    rest = sum(float(w[i]) * float(np.delete(w, i).sum()) for i in range(k)) / w.sum()
    differ = float(w @ (y - w @ y / w.sum()) ** 2)
    tau_squared = max(0.0, float((differ - (k - 1)) / rest))
    w = 1 / (v + tau_squared)
    mean = float(w @ y / w.sum())
    q = max(1.0, float(w @ (y - mean) ** 2) / (k - 1))
    variance = q / float(w.sum())
    interval = _about(mean, math.sqrt(variance), level, k - 1)
    spread = math.sqrt(tau_squared + variance)
    prediction = _about(mean, spread, level, k - 2) if k > 2 else None
    return Pooled(k, mean, interval, prediction, math.sqrt(tau_squared))


def _about(mean: float, error: float, level: float, freedom: int) -> Interval:
    half = float(scipy.stats.t.ppf((1 + level) / 2, freedom)) * error
    return Interval(mean - half, mean + half)
