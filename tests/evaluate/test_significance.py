"""Paired tests against definitions written out in plain Python, and against planted truth."""

import itertools
import math
import statistics

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_symcere.evaluate.significance import compare, holm, variance_of_mean


def exact_p(differences):
    """Over all 2^n signs: how often the mean is as far from 0 as the one found."""
    found = abs(math.fsum(differences))
    sums = [
        abs(math.fsum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    return sum(s >= found - 1e-9 for s in sums) / len(sums)


def one(differences, **more):
    return compare([differences], **more)[0]


@pytest.mark.parametrize(
    "differences",
    [
        [0.3, -0.1, 0.55, 0.2, 0.7, -0.4, 0.81, 0.9],
        [0.1, 0.1, -0.1, 0.3, 0.0, 0.2, -0.3, 0.0],  # ties, which are no exact binary fractions
        [1.0, 1.0],
        [0.0, 0.0, 0.0],
    ],
)
def test_few_users_have_every_sign_counted(differences):
    found = one(differences)
    assert found.p_value == pytest.approx(exact_p(differences), abs=1e-12)
    assert one([-d for d in differences]).p_value == found.p_value


def test_the_interval_is_what_the_test_does_not_reject():
    differences = [0.3, -0.1, 0.55, 0.2, 0.7, -0.4, 0.81, 0.9]
    low, high = one(differences, level=0.9).interval
    for end, outwards in ((low, -1e-7), (high, 1e-7)):
        assert exact_p([d - (end - outwards) for d in differences]) >= 0.1
        assert exact_p([d - (end + outwards) for d in differences]) < 0.1


def test_too_few_users_to_reject_anything_have_no_bounds():
    found = one([1.0, 1.0, 1.0, 1.0, 1.0])
    assert found.p_value == 2 / 32
    assert found.interval == (-math.inf, math.inf)
    assert one([1.0] * 6).p_value == 2 / 64
    assert one([1.0] * 6).interval == (1.0, 1.0)


def test_random_flips_are_those_of_all_signs():
    rng = np.random.default_rng(4)
    differences = rng.exponential(1, 16) - 0.6
    found = one(differences)
    assert found.p_value == pytest.approx(exact_p(differences), abs=0.015)
    assert round(found.p_value * 10_000) == pytest.approx(found.p_value * 10_000, abs=1e-9)
    assert one(differences) == found  # seeded
    assert one(differences, seed=1) != found
    # every p-value counts the identity, so that none is 0
    assert one(np.ones(30)).p_value == 1e-4
    by_luck = rng.normal(9, 1, (300, 1)) + rng.normal(0, 0.3, 5)
    assert variance_of_mean(by_luck).seeds > 0
    assert all(1e-4 <= one(by_luck, seed=seed).p_value <= 5e-4 for seed in range(8))


def test_of_many_users_it_is_the_t_test():
    rng = np.random.default_rng(6)
    differences = rng.normal(0.05, 1, 1000)
    expected = scipy.stats.ttest_1samp(differences, 0)
    found = one(differences)
    assert found.difference == pytest.approx(differences.mean())
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.015)
    assert found.interval == pytest.approx(expected.confidence_interval(), abs=0.004)
    assert one(differences, level=0.99).interval.low < found.interval.low


def test_a_comparison_is_the_same_beside_others():
    rng = np.random.default_rng(8)
    tables = [rng.normal(0.1 * n, 1, (50, 1 + n)) for n in range(4)]
    for found, table in zip(compare(tables), tables, strict=True):
        alone = one(table)
        assert found.p_value == alone.p_value
        assert found.interval == pytest.approx(alone.interval, abs=1e-12)
    assert compare([]) == []


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]),
    st.sampled_from([0.9, 0.95, 0.99]),
    st.booleans(),
)
def test_the_interval_never_contradicts_the_p_value(seed, n, n_seeds, mean, level, coarse):
    values = np.random.default_rng(seed).normal(mean, 1, (n, n_seeds))
    found = one(np.round(values) if coarse else values, level=level, n_flips=199, seed=seed)
    low, high = found.interval
    assert (low > 0 or high < 0) == (found.p_value < 1 - level - 1e-12)
    assert low <= found.difference + 1e-12
    assert high >= found.difference - 1e-12


# --- planted truth -------------------------------------------------------------------------------


def rejected(tables, level=0.95):
    return float(np.mean([c.p_value < 1 - level for c in compare(tables, level, 499)]))


def hits(rng, rate, n, n_seeds):
    """A model that has a hit for a share of users, drawn anew for every seed."""
    return (rng.random((n, n_seeds)) < rate).astype(np.float64)


def test_equal_means_are_rejected_at_the_nominal_rate_whatever_the_seeds_do():
    rng = np.random.default_rng(0)
    # many small values beside few large ones: means over five seeds, and a deterministic model
    tables = [hits(rng, 0.05, 600, 5) - hits(rng, 0.05, 600, 1) for _ in range(400)]
    assert 0.02 <= rejected(tables) <= 0.07
    ranks = [scipy.stats.wilcoxon(table.mean(axis=1)).pvalue < 0.05 for table in tables]
    assert np.mean(ranks) > 0.8  # a test of ranks tests something else


@pytest.mark.parametrize("n_seeds", [2, 5])
def test_luck_of_the_seeds_is_no_difference(n_seeds):
    rng = np.random.default_rng(n_seeds)
    luck = 0.8 * math.sqrt(n_seeds / 300)  # seeds add .64 of what users do
    noise, users = rng.normal(0, 0.5, (600, 300, n_seeds)), rng.normal(0, 1, (600, 300, 1))
    tables = [*(users + noise + rng.normal(0, luck, (600, 1, n_seeds)))]
    assert 0.025 <= rejected(tables) <= 0.08
    of_users_alone = rejected([table.mean(axis=1) for table in tables])
    assert of_users_alone > 0.095


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    tables = [
        rng.exponential(0.3, (200, 1)) + rng.normal(0, 0.3, (200, 3)) + rng.normal(0, 0.01, 3)
        for _ in range(500)
    ]
    for level in (0.9, 0.95):
        found = compare(tables, level, 499)
        inside = np.mean([low <= 0.3 <= high for low, high in (c.interval for c in found)])
        assert abs(inside - level) < 0.035


def test_a_real_difference_is_found():
    rng = np.random.default_rng(2)
    tables = [hits(rng, 0.12, 600, 3) - hits(rng, 0.05, 600, 3) for _ in range(50)]
    assert rejected(tables) > 0.95


# --- users and seeds -----------------------------------------------------------------------------


def plain_variance(table):
    """The analysis of variance in plain Python: users, seeds."""
    n, s = len(table), len(table[0])
    users = [statistics.mean(row) for row in table]
    seeds = [statistics.mean(column) for column in zip(*table, strict=True)]
    mean = statistics.mean(users)
    rest = sum(
        (table[u][k] - users[u] - seeds[k] + mean) ** 2 for u in range(n) for k in range(s)
    ) / ((n - 1) * (s - 1))  # fmt: skip
    added = max(0.0, statistics.variance(seeds) - rest / n)
    return statistics.variance(users) / n, added / s


def test_what_users_and_seeds_add_to_the_variance():
    rng = np.random.default_rng(3)
    table = rng.normal(0, 1, (9, 4)) + rng.normal(0, 2, 4)
    assert variance_of_mean(table) == pytest.approx(plain_variance(table.tolist()))
    assert variance_of_mean(table)[1] > 0
    assert variance_of_mean(table[:, 0]) == pytest.approx((table[:, 0].var(ddof=1) / 9, 0))
    same = np.repeat(rng.normal(0, 0.1, (500, 1)), 3, axis=1)
    assert variance_of_mean(same).seeds == 0  # a deterministic model
    assert one(same) == one(same[:, 0])._replace(seeds=3)


def test_it_is_unbiased_where_seeds_matter():
    rng = np.random.default_rng(7)
    found = [
        variance_of_mean(
            rng.normal(0, 1, (30, 1)) + rng.normal(0, 0.5, 3) + rng.normal(0, 0.4, (30, 3))
        )
        for _ in range(3000)
    ]
    users, seeds = np.mean(found, axis=0)
    assert users == pytest.approx((1 + 0.16 / 3) / 30, rel=0.03)
    assert seeds == pytest.approx(0.25 / 3, rel=0.06)


def test_users_who_gain_and_lose_are_counted_over_the_seeds():
    found = one([[1.0, 0.0], [-1.0, 1.0], [0.25, 0.0], [-0.5, 0.0]])
    assert (found.users, found.seeds) == (4, 2)
    assert found.difference == pytest.approx((0.5 + 0.0 + 0.125 - 0.25) / 4)
    assert (found.better, found.worse) == (0.5, 0.25)


@pytest.mark.parametrize(
    "values", [[], [1.0], [[1.0, 2.0]], [[], []], [1.0, np.nan], [1.0, np.inf], [[[1.0]], [[2.0]]]]
)
def test_too_few_and_broken_values(values):
    for function in (one, variance_of_mean):
        with pytest.raises(ValueError, match=r"expected .*, found"):
            function(values)


def test_other_users_cannot_be_compared_at_once():
    with pytest.raises(ValueError, match="the same users in every comparison"):
        compare([[1.0, 2.0], [1.0, 2.0, 3.0]])


# --- several tests -------------------------------------------------------------------------------


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
