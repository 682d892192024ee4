"""Random-effects means against published numbers, plain Python and planted truth."""

import math
import statistics

import numpy as np
import pytest
import scipy.stats

from recbole_symcere.evaluate.meta_analysis import Effect, log_ratio, random_effects

# Colditz et al. (1994), BCG vaccine: cases and others among the vaccinated, and among the rest
BCG = [
    *((4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619)),
    *((33, 5036, 47, 5761), (180, 1361, 372, 1079), (8, 2537, 10, 619)),
    *((505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600)),
    *((186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825)),
]


def bcg():
    found = []
    for a, b, c, d in BCG:
        ratio = math.log(a / (a + b) * (c + d) / c)
        found.append(Effect(ratio, math.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))))
    return found


def plain(ratios):
    """DerSimonian & Laird, then Hartung & Knapp with q of at least 1; mean, tau^2, half widths."""
    k, y, v = len(ratios), [r.value for r in ratios], [r.error**2 for r in ratios]
    w = [1 / x for x in v]
    fixed = sum(a * b for a, b in zip(w, y, strict=True)) / sum(w)
    spread = sum(a * (b - fixed) ** 2 for a, b in zip(w, y, strict=True))
    tau2 = max(0.0, (spread - (k - 1)) / (sum(w) - sum(a * a for a in w) / sum(w)))
    w = [1 / (x + tau2) for x in v]
    mean = sum(a * b for a, b in zip(w, y, strict=True)) / sum(w)
    q = sum(a * (b - mean) ** 2 for a, b in zip(w, y, strict=True)) / (k - 1)
    error = math.sqrt(max(1.0, q) / sum(w))
    further = scipy.stats.t.ppf(0.975, k - 2) * math.sqrt(tau2 + error**2)
    return mean, tau2, scipy.stats.t.ppf(0.975, k - 1) * error, further


def test_published_numbers():
    # R's metafor, rma(yi, vi, data=dat.bcg, method="DL"): -0.7141, tau^2 0.3088
    found = random_effects(bcg())
    assert found.sets == 13
    assert found.mean == pytest.approx(-0.7141, abs=5e-5)
    assert found.tau**2 == pytest.approx(0.3088, abs=5e-5)


def check(found, ratios):
    """What is found is what the formulas give for these ratios."""
    mean, tau2, half, further = plain(ratios)
    assert found.mean == pytest.approx(mean)
    assert found.tau**2 == pytest.approx(tau2)
    assert found.interval == pytest.approx((mean - half, mean + half))
    assert found.prediction == pytest.approx((mean - further, mean + further))


@pytest.mark.parametrize("errors", [(0.05, 0.1, 0.2, 0.07), (0.5, 0.7, 0.9, 0.6)])
def test_mean_and_interval_are_the_formulas(errors):
    # sets that differ, and sets that agree better than their errors let expect
    ratios = [Effect(y, e) for y, e in zip((0.1, 0.3, -0.2, 0.4), errors, strict=True)]
    for given in (ratios, bcg()):
        check(random_effects(given), given)
    assert (random_effects(ratios).tau == 0) == (errors[0] == 0.5)
    wide = random_effects(ratios, level=0.99).interval
    assert wide.low < random_effects(ratios).interval.low


def test_it_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside, further = [], []
    for _ in range(2000):
        errors = rng.uniform(0.03, 0.15, 6)
        *true, next_one = rng.normal(0.1, 0.1, 7)
        found = random_effects([*map(Effect, true + rng.normal(0, errors), errors)])
        inside.append(found.interval.low <= 0.1 <= found.interval.high)
        further.append(found.prediction.low <= next_one <= found.prediction.high)
    assert 0.93 <= np.mean(inside) <= 0.975
    assert 0.88 <= np.mean(further) <= 0.92  # tau of six sets is often too small, as the docs say


def test_none_one_and_nothing():
    assert random_effects([]) is None
    single = random_effects([Effect(0.2, 0.1)])
    assert (single.sets, single.mean, single.interval, single.tau) == (1, 0.2, None, None)
    assert single.prediction is None
    two = random_effects([Effect(0.2, 0.1), Effect(0.3, 0.1)])
    assert two.interval is not None
    assert two.prediction is None
    nothing = random_effects([Effect(0.2, 0.1), Effect(-math.inf, 0.0)])
    assert (nothing.sets, nothing.mean, nothing.interval) == (2, -math.inf, None)


def test_a_set_of_equal_rows_has_the_median_error_of_the_others():
    given = [Effect(0.06, 0.05), Effect(0.04, 0.06), Effect(0.0, 0.0), Effect(0.09, 0.02)]
    floored = [ratio._replace(error=ratio.error or 0.05) for ratio in given]
    found = random_effects(given)
    check(found, floored)
    assert found.interval.high > 0.05  # not the mean of 0 with no width that a sure 0 would give
    assert random_effects([Effect(0.0, 0.0)] * 3) == (3, 0, (0, 0), (0, 0), 0)
    assert random_effects([Effect(0.0, 0.0)] * 2) == (2, 0, (0, 0), None, 0)


@pytest.mark.parametrize(("k", "effect"), [(3, 0.05), (7, 0.03)])
def test_with_a_set_of_equal_rows_it_covers_the_truth(k, effect):
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(300):
        errors = rng.uniform(0.03, 0.1, k)
        ratios = effect + rng.normal(0, errors)
        ratios[0] = errors[0] = 0
        interval = random_effects([*map(Effect, ratios, errors)]).interval
        inside.append(interval.low <= effect * (k - 1) / k <= interval.high)
    assert np.mean(inside) >= 0.95


def test_the_log_ratio_and_its_error_over_users_and_seeds():
    rng = np.random.default_rng(1)

    def draw():
        """The true ratio is 1.5; users have tastes in common, seeds their luck."""
        user = rng.gamma(2, 0.05, (150, 1))
        a = 1.5 * user * np.exp(rng.normal(-0.02, 0.2, (150, 3))) * np.exp(rng.normal(0, 0.04, 3))
        b = user * np.exp(rng.normal(-0.02, 0.2, (150, 3))) * np.exp(rng.normal(0, 0.04, 3))
        return log_ratio(a, b)

    found = [draw() for _ in range(1500)]
    assert statistics.mean(r.value for r in found) == pytest.approx(math.log(1.5), abs=0.004)
    spread = statistics.stdev(r.value for r in found)
    assert math.sqrt(statistics.mean(r.error**2 for r in found)) == pytest.approx(spread, rel=0.06)
    a, b = np.array([[0.1], [0.5], [0.6]]), np.array([[0.2], [0.2], [0.4]])
    terms = [x / 0.4 - y / (0.8 / 3) for x, y in zip(a.ravel(), b.ravel(), strict=True)]
    assert log_ratio(a, b).value == pytest.approx(math.log(1.2 / 0.8))
    assert log_ratio(a, b).error == pytest.approx(statistics.stdev(terms) / math.sqrt(3))
    assert log_ratio(a, a).error == 0


def test_a_ratio_to_nothing_is_none_and_that_of_nothing_is_0():
    some, nothing = np.array([0.0, 0.5]), np.zeros(2)
    assert log_ratio(some, nothing) is None
    assert log_ratio(nothing, nothing) is None
    assert log_ratio(nothing, some) == (-math.inf, 0.0)
    with pytest.raises(ValueError, match="found NaN"):
        log_ratio(np.array([1.0, np.nan]), some)
