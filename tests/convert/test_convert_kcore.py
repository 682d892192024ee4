from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.kcore import core_rows, filter_core

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40)


def brute_force(pairs, user_min, item_min):
    """Remove one offending row at a time until none is left; written without the package."""
    rows = list(range(len(pairs)))
    while True:
        users = Counter(pairs[row][0] for row in rows)
        items = Counter(pairs[row][1] for row in rows)
        bad = [r for r in rows if users[pairs[r][0]] < user_min or items[pairs[r][1]] < item_min]
        if not bad:
            return rows
        rows.remove(bad[-1])


def numbers(pairs):
    users = np.array([u for u, _ in pairs], dtype=np.int64)
    items = np.array([i for _, i in pairs], dtype=np.int64)
    return users, items


def kept(pairs, **limits):
    return np.flatnonzero(filter_core(*numbers(pairs), **limits)).tolist()


@given(PAIRS, st.integers(0, 5), st.integers(0, 5))
def test_the_core_is_what_removing_row_by_row_leaves(pairs, user_min, item_min):
    left = np.flatnonzero(core_rows(*numbers(pairs), user_min, item_min))
    assert left.tolist() == brute_force(pairs, user_min, item_min)


@given(PAIRS, st.integers(1, 4))
def test_the_filter_is_a_fixed_point_and_keeps_the_order(pairs, k):
    expected = brute_force(pairs, k, k)
    if not expected:
        return
    assert kept(pairs, k_core=k) == expected
    again = [pairs[row] for row in expected]
    assert kept(again, k_core=k) == list(range(len(again)))


def test_user_core_limits_users_only():
    pairs = [(0, 0), (0, 1), (1, 2)]
    assert kept(pairs, user_core=2) == [0, 1]


def test_k_core_and_user_core_hold_together():
    pairs = [(u, i) for u in range(2) for i in range(2)] + [(2, i) for i in range(3)]
    assert kept(pairs, k_core=1, user_core=3) == [4, 5, 6]


def test_no_limit_keeps_everything():
    pairs = [(0, 0), (1, 1)]
    assert kept(pairs) == [0, 1]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"k_core": 4}, r"--k_core=4: .*4 users, 5 items and 11 reviews; .*is --k_core=3;"),
        ({"user_core": 9}, r"--user_core=9: .*4 users, 5 items .*is --user_core=4;"),
        ({"k_core": 1, "user_core": 9}, r"--user_core=9.*--k_core=3 without --user_core"),
    ],
)
def test_an_empty_core_says_what_there_was_and_what_would_work(limits, message):
    block = [(u, i) for u in range(3) for i in range(3)]
    pairs = [*block, (0, 3), (3, 4)]
    with pytest.raises(InputError, match=message):
        kept(pairs, **limits)
