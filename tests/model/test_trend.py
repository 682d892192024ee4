"""Popularity of late against a loop over all that was taken before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_symcere.data.recency import Histories, histories
from recbole_symcere.model import trend as module
from recbole_symcere.model.trend import trend

USERS, ITEMS = 5, 7
rows = st.lists(
    st.tuples(st.integers(0, USERS - 1), st.integers(1, ITEMS - 1), st.integers(0, 9)),
    min_size=1,
    max_size=60,
)


def by_hand(rows, until, late):
    """Of all interactions up to a time, the latest first."""
    before = sorted((time, item) for _, item, time in rows if time <= until)
    found = np.zeros(ITEMS)
    for age, (_, item) in enumerate(reversed(before)):
        found[item] += np.exp(-age / late)
    return np.log1p(found)


def columns(rows):
    users, items, times = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return users, items, times.astype(float)


@settings(max_examples=50)
@given(rows, st.floats(0.01, 0.5))
def test_the_latest_of_what_was_taken_until_then_counts_most(rows, share):
    users, items, times = columns(rows)
    known = histories(users, items, times, USERS, ITEMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SHARE", share)
        patch.setattr(module, "_STEPS", 1_000)  # a step for each interaction
        one = trend(items, times, ITEMS)
    scores = one.scores(one.rows(known, True))
    for user in range(USERS):
        mine = [time for other, _, time in rows if other == user]
        wanted = by_hand(rows, max(mine, default=np.inf), max(share * len(rows), 1))
        assert scores[user] == pytest.approx(wanted, abs=1e-5)


@given(rows, st.integers(0, USERS - 1))
def test_nothing_later_than_a_users_latest_interaction_counts(rows, user):
    users, items, times = columns(rows)
    mine = times[users == user]
    if not len(mine):
        return
    known = histories(users, items, times, USERS, ITEMS)
    late = times > mine.max()
    turned = np.where(late, 1 + items % (ITEMS - 1), items)  # another item
    scores = [
        one.scores(one.rows(known, True))
        for one in (trend(items, times, ITEMS), trend(turned, times, ITEMS))
    ]
    assert np.array_equal(scores[0][user], scores[1][user])


def test_counts_are_kept_at_few_times_where_there_are_many(monkeypatch):
    rng = np.random.default_rng(0)
    items, times = rng.integers(1, ITEMS, 4_000), rng.random(4_000)
    fine = trend(items, times, ITEMS)
    assert len(fine.near) == 2 + (4_000 - 1) // 3  # of steps of a quarter of 12, none, and all
    monkeypatch.setattr(module, "_NUMBERS", 50 * ITEMS)
    coarse = trend(items, times, ITEMS)
    assert len(coarse.near) == 51
    ends = np.sort(times)[79::80]  # the coarse ones' own times, where nothing is left out
    known = Histories(np.zeros((50, ITEMS)), ends)
    ages = np.arange(80, 4_001, 80)[:, None] - 1 - np.arange(4_000)  # of all, at these times
    weight = np.where(ages >= 0, np.exp(-np.abs(ages) / 12), 0)
    exact = np.log1p(weight @ np.eye(ITEMS)[items[np.argsort(times)]])
    assert coarse.scores(coarse.rows(known, True)) == pytest.approx(exact, abs=1e-5)
    found = fine.scores(fine.rows(known, True))
    assert not np.allclose(found, exact, atol=0.01)  # two of three lack the latest one or two
    assert np.allclose(found[2::3], exact[2::3], atol=1e-5)


def test_without_times_it_is_popularity():
    items = np.array([1, 2, 2, 5])
    one = trend(items, None, ITEMS)
    known = histories(np.array([0, 0, 1, 2]), items, None, 4, ITEMS)
    wanted = np.log1p(np.bincount(items, minlength=ITEMS))
    assert one.scores(one.rows(known, True)) == pytest.approx(np.tile(wanted, (4, 1)))


def test_products_and_what_is_now():
    rng = np.random.default_rng(2)
    users, items = rng.integers(0, USERS, 50), rng.integers(1, ITEMS, 50)
    times = rng.integers(0, 9, 50).astype(float)
    one = trend(items, times, ITEMS)
    rows = one.rows(histories(users, items, times, USERS, ITEMS), True)
    scores, some = one.scores(rows), np.array([2, 5])
    assert np.allclose(one.scores(rows, some), scores[:, some])
    x, y = rng.normal(size=(ITEMS, 3)), rng.normal(size=(USERS, 3))
    assert np.allclose(one.times(rows, x), scores @ x)
    assert np.allclose(one.transposed_times(rows, y), scores.T @ y)
    asking = Histories(histories(users, items, times, USERS, ITEMS).later)
    at_once = one.scores(one.rows(asking, True))
    last = by_hand(list(zip(users, items, times, strict=True)), np.inf, 1)
    assert at_once == pytest.approx(np.tile(last, (USERS, 1)), abs=1e-5)
    now = one.now
    assert np.array_equal(now.scores(now.rows(asking, True)), at_once)
