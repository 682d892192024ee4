"""Sorted sets of whole numbers, against Python's sets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.base.sorted_ids import among, distinct

NUMBERS = st.lists(st.integers(-5, 12) | st.integers(-(2**62), 2**62), max_size=20)


@given(NUMBERS, NUMBERS)
def test_they_are_sets(some, others):
    ids, known = distinct(np.array(some, np.int64)), distinct(np.array(others, np.int64))
    assert ids.tolist() == sorted(set(some))
    assert among(ids, known).tolist() == [one in set(others) for one in ids.tolist()]
    unsorted = np.array(some, np.int64)
    assert among(unsorted, known).tolist() == [one in set(others) for one in some]


def test_what_is_given_stays_as_it_is():
    ids = np.array([2, 1, 2])
    distinct(ids)
    assert ids.tolist() == [2, 1, 2]
