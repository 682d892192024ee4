"""How long ago an interaction was, against a loop over a user's interactions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.data.recency import histories

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)), max_size=25)


def by_hand(rows, user, item):
    """0.1 to the number of the user's interactions after the pair's last one."""
    mine = [(i, t) for u, i, t in rows if u == user]
    times = [t for i, t in mine if i == item]
    return 0.1 ** sum(t > max(times) for _, t in mine) if times else 0.0


@given(rows)
def test_later_interactions_count_more(rows):
    users, items, times = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    found = histories(users, items, times.astype(float), 4, 5)
    for user in range(4):
        for item in range(5):
            wanted = by_hand(rows, user, item)
            assert found.recent[user, item] == pytest.approx(wanted, rel=1e-6)
            assert found.flat[user, item] == bool(wanted)
            mine = [time for one, _, time in rows if one == user]
            assert found.until[user] == max(mine, default=np.inf)
            assert found.later[user, item] == (round(1 - np.log10(wanted)) if wanted else 0)


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_tells_nothing(rows, random):
    turned = random.sample(rows, len(rows))
    found = []
    for order in (rows, turned):
        users, items, times = np.array(order, dtype=np.int64).reshape(-1, 3).T
        found.append(histories(users, items, times.astype(float), 4, 5).recent.toarray())
    assert np.array_equal(*found)


def test_without_times_all_count_alike():
    found = histories(np.array([1, 1]), np.array([2, 0]), None, 2, 3)
    assert np.array_equal(found.recent.toarray(), found.flat.toarray())
    assert np.isinf(found.until).all()


def test_users_times_items_may_be_more_than_32_bits_hold():
    users, items = np.array([70_000, 69_999], np.int32), np.array([39_999, 5], np.int32)
    found = histories(users, items, None, 70_001, 40_000).flat.tocoo()
    assert [*zip(found.row, found.col, strict=True)] == [(69_999, 5), (70_000, 39_999)]


@given(rows, st.lists(st.integers(0, 6), min_size=4, max_size=4))
def test_the_latest_may_be_hidden(rows, hidden):
    distinct = {(user, item): time for user, item, time in rows}  # each pair once
    table = [(user, item, time) for (user, item), time in distinct.items()]
    users, items, times = np.array(table, dtype=np.int64).reshape(-1, 3).T
    found = histories(users, items, times.astype(float), 4, 5, np.array(hidden))
    for user, n in enumerate(hidden):
        mine = sorted(time for u, _, time in table if u == user)
        shown = mine[: max(len(mine) - n, min(len(mine), 1))]
        items = found.flat[user].indices
        assert found.until[user] == max(shown, default=np.inf)
        assert sorted(distinct[user, item] for item in items.tolist()) == shown
        for item in items.tolist():
            later = sum(time > distinct[user, item] for time in shown)
            assert found.recent[user, item] == pytest.approx(0.1**later, rel=1e-6)


def test_which_of_equal_times_are_hidden_is_not_a_matter_of_their_order():
    users, items = np.zeros(40, dtype=np.int64), np.arange(40)
    hidden = np.array([20])
    one = histories(users, items, np.zeros(40), 1, 40, hidden).flat.indices
    turned = histories(users, items[::-1], np.zeros(40), 1, 40, hidden).flat.indices
    assert set(one.tolist()) == set(turned.tolist())
    assert set(one.tolist()) not in ({*range(20)}, {*range(20, 40)})
