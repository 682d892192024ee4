"""Paired tests against definitions written out in plain Python."""

import itertools
import statistics

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.evaluate.significance import (
    bootstrap_interval,
    compare,
    holm,
    user_means,
    wilcoxon,
)


def exact_wilcoxon(differences):
    """Over all 2^n signs: how often the rank sum is as far from its mean as the one found."""
    kept = [d for d in differences if d != 0]
    sizes = sorted(abs(d) for d in kept)
    ranks = [statistics.mean(n + 1 for n, s in enumerate(sizes) if s == abs(d)) for d in kept]
    middle = sum(ranks) / 2
    found = abs(sum(r for r, d in zip(ranks, kept, strict=True) if d > 0) - middle)
    sums = [
        abs(sum(r for r, up in zip(ranks, signs, strict=True) if up) - middle)
        for signs in itertools.product([0, 1], repeat=len(kept))
    ]
    return sum(s >= found - 1e-9 for s in sums) / len(sums)


def test_wilcoxon_counts_all_signs():
    differences = [0.3, -0.1, 0.55, 0.2, 0.7, -0.4, 0.81, 0.9]
    assert wilcoxon(differences) == pytest.approx(exact_wilcoxon(differences), abs=1e-12)
    assert wilcoxon([-d for d in differences]) == pytest.approx(wilcoxon(differences))


def test_ties_are_left_out_and_nothing_but_ties_is_no_difference():
    differences = [0.3, -0.1, 0.55, 0.2, 0.7]
    assert wilcoxon([*differences, 0.0, 0.0]) == pytest.approx(wilcoxon(differences), abs=0.1)
    assert wilcoxon([0.0, 0.0, 0.0]) == 1.0


def plain_holm(p):
    """Multiply the k-th smallest by how many are left, then never go down."""
    result, running = [0.0] * len(p), 0.0
    for done, place in enumerate(sorted(range(len(p)), key=lambda n: p[n])):
        running = max(running, (len(p) - done) * p[place])
        result[place] = min(1.0, running)
    return result


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm(p):
    adjusted = holm(p)
    assert adjusted == pytest.approx(plain_holm(p))
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    # it lies between no correction and Bonferroni's
    assert all(a <= min(1, len(p) * b) + 1e-12 for a, b in zip(adjusted, p, strict=True))


def test_holm_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_the_bootstrap_interval_is_that_of_resampled_means():
    rng = np.random.default_rng(5)
    values = rng.normal(0.1, 1, 60)
    means = [values[rng.integers(60, size=60)].mean() for _ in range(20_000)]
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.02)
    assert bootstrap_interval(values) == (low, high)  # seeded
    wide = bootstrap_interval(values, level=0.99)
    assert wide.low < low < values.mean() < high < wide.high


def test_it_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(300):
        low, high = bootstrap_interval(rng.normal(0.3, 1, 80), 0.9, n_resamples=500, seed=trial)
        inside += low <= 0.3 <= high
    assert 0.85 <= inside / 300 <= 0.95


def test_users_are_paired_by_id_and_not_by_place():
    first = {"a": 1.0, "b": 0.0, "c": 0.5, "d": 0.9}
    second = {"d": 0.0, "c": 0.5, "b": 0.25, "a": 0.0, "e": 9.0}
    found = compare(first, second)
    assert found.users == 4
    assert found.difference == pytest.approx((1.0 - 0.25 + 0.0 + 0.9) / 4)
    assert (found.better, found.worse) == (0.5, 0.25)
    assert found.interval.low <= found.difference <= found.interval.high


def test_seeds_are_averaged_before_anything_is_tested():
    seeds = [{"a": 0.0, "b": 1.0}, {"b": 0.0, "a": 1.0, "c": 1.0}]
    assert user_means(seeds) == {"a": 0.5, "b": 0.5}
    assert user_means([]) == {}


def test_p_values_of_equal_models_are_uniform():
    rng = np.random.default_rng(3)
    p = [wilcoxon(rng.normal(size=40)) for _ in range(400)]
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]], [1.0, np.nan], [1.0, np.inf]])
def test_too_few_and_broken_values(values):
    for function in (wilcoxon, bootstrap_interval):
        with pytest.raises(ValueError, match="expected"):
            function(values)
