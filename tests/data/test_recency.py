"""How long ago an interaction was, against a loop over a user's interactions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.data.recency import histories

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)), max_size=25)


def by_hand(rows, user, item):
    """0.3 to the number of the user's interactions after the pair's last one."""
    mine = [(i, t) for u, i, t in rows if u == user]
    times = [t for i, t in mine if i == item]
    return 0.3 ** sum(t > max(times) for _, t in mine) if times else 0.0


@given(rows)
def test_later_interactions_count_more(rows):
    users, items, times = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    found = histories(users, items, times.astype(float), 4, 5)
    for user in range(4):
        for item in range(5):
            wanted = by_hand(rows, user, item)
            assert found.recent[user, item] == pytest.approx(wanted, rel=1e-6)
            assert found.flat[user, item] == bool(wanted)


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
