import numpy as np
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.data.chronology import is_later, tie_keys, tied_share, token_hashes

NAMES = st.lists(st.text(max_size=5), min_size=1, max_size=8)


@given(NAMES, st.integers(0, 2**40))
def test_keys_are_those_of_plain_arithmetic(names, seed):
    hashes = token_hashes(names)
    found = tie_keys(hashes, hashes[::-1], seed)
    wanted = [oracles.tie_key(u, i, seed) for u, i in zip(names, names[::-1], strict=True)]
    assert found.tolist() == wanted


def test_keys_stay_what_they_are():
    # a split is by these numbers: another value would be another benchmark
    keys = tie_keys(token_hashes(["A1", "用户"]), token_hashes(["B000", "酒店"]), 0)
    assert [f"{key:016x}" for key in keys.tolist()] == ["0c1c24bd183d602b", "a9960fdafb78402a"]


def test_keys_are_spread_and_have_no_favourites():
    users, items = (token_hashes([f"{kind}{n}" for n in range(200)]) for kind in "ui")
    for seed in (0, 1):
        keys = tie_keys(np.repeat(users, 200), np.tile(items, 200), seed).reshape(200, 200)
        ranks = keys.argsort(axis=1).argsort(axis=1)
        # an item's mean rank over 200 users has a deviation of 57.7 / sqrt(200) = 4.1
        assert abs(ranks.mean(axis=0) - 99.5).max() < 18
        assert len(np.unique(keys)) == keys.size


@given(st.data())
def test_the_share_of_ties_by_hand(data):
    n = data.draw(st.integers(1, 30))
    users = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    times = np.sort(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))).astype(float)
    n_train = np.array(data.draw(st.lists(st.integers(0, 6), min_size=5, max_size=5)))
    tied = []
    for user in range(5):
        own = times[users == user]
        if 0 < n_train[user] < len(own):
            tied.append(own[n_train[user] - 1] == own[n_train[user]])
    assert tied_share(users, times, n_train) == pytest.approx(np.mean(tied) if tied else 0)


class Part:
    """A split of rows (user, time), as `is_later` reads it."""

    uid_field, time_field, user_num, timed_pairs = "user", "time", 4, None

    def __init__(self, *rows):
        users, times = np.array(rows, dtype=np.float64).reshape(-1, 2).T
        self.inter_feat = Feat(user=torch.from_numpy(users.astype(np.int64)), time=times)


class Feat(dict):
    columns = property(dict.keys)


TRAIN = Part((1, 5), (1, 7), (2, 100))


@pytest.mark.parametrize(
    ("rows", "later"),
    [
        ([(1, 8), (2, 101)], True),
        ([(1, 7), (2, 100)], True),  # equal times are none earlier
        ([(1, 8), (2, 99)], False),
        ([(1, 6), (2, 101)], False),
        ([(3, 0)], True),  # a user who isn't in training
    ],
)
def test_what_is_later_than_another_split(rows, later):
    assert is_later(Part(*rows), TRAIN) is later


def test_without_times_nothing_is_later():
    part = Part((1, 8))
    del part.inter_feat["time"]
    assert is_later(part, TRAIN) is is_later(TRAIN, part) is False
