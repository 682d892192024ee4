"""What users take after an item, against loops over their histories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.data.recency import histories
from recbole_symcere.model import followers as module
from recbole_symcere.model.followers import followers

ITEMS = 7
rows = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, ITEMS - 1), st.integers(0, 5)), max_size=40
)


def by_hand(rows, most):
    """Shares of each item's users who took another one at its time or later."""
    found, taken = np.zeros((ITEMS, ITEMS)), np.zeros(ITEMS)
    for user in {user for user, *_ in rows}:
        mine = sorted((time, item) for one, item, time in rows if one == user)
        last = {item: time for time, item in mine}
        for j, time in last.items():
            taken[j] += 1
            after = sorted(t for i, t in last.items() if i != j and t >= time)
            until = after[min(most, len(after)) - 1] if after else -1
            for i, t in last.items():
                found[j, i] += i != j and time <= t <= until
    return found / np.maximum(taken, 1)[:, None]


def known(rows):
    users, items, times = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return histories(users, items, times.astype(float), 5, ITEMS)


@given(rows, st.integers(1, 6), st.integers(1, 30))
def test_shares_of_users_who_go_on_to_an_item(rows, most, pairs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LATER", most)
        patch.setattr(module, "_PAIRS", pairs)
        found = followers(known(rows).later, ITEMS)
    assert found.dtype == np.float32
    assert not found.diagonal().any()
    assert found.toarray() == pytest.approx(by_hand(rows, most), abs=1e-6)


def test_an_item_leads_to_what_follows_it_alone():
    one_after_the_other = [(user, item, item) for user in range(5) for item in range(1, ITEMS)]
    assert np.array_equal(
        followers(known(one_after_the_other).later, ITEMS).toarray()[1:, 1:],
        np.triu(np.ones((ITEMS - 1, ITEMS - 1)), 1),
    )


def test_of_a_long_history_the_next_hundred_count():
    users, items = np.zeros(300, dtype=np.int64), np.arange(300)
    found = followers(histories(users, items, items.astype(float), 1, 300).later, 300).toarray()
    assert np.array_equal(
        found, np.triu(np.ones((300, 300)), 1) - np.triu(np.ones((300, 300)), 101)
    )
    at_once = followers(histories(users, items, None, 1, 300).later, 300).toarray()
    assert np.array_equal(at_once, 1 - np.eye(300))  # none of them is nearer than another


@given(rows, st.integers(1, ITEMS - 1), st.integers(1, 30))
def test_the_likeliest_followers_are_kept(rows, k, pairs):
    later = known(rows).later
    whole = followers(later, ITEMS).toarray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PAIRS", pairs)
        found = followers(later, k).toarray()
    for some, every in zip(found, whole, strict=True):
        best = sorted(range(ITEMS), key=lambda item: (-every[item], item))[:k]
        wanted = np.zeros(ITEMS)
        wanted[best] = every[best]
        assert some == pytest.approx(wanted, abs=1e-6)
