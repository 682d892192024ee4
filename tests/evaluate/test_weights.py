"""How weights of a sum of scores are chosen, against planted truth and RecBole's metrics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_symcere.evaluate import weights as module
from recbole_symcere.evaluate.weights import HeldOut, bagged_weights, shortlisted, single_weights


def reciprocal(hits, _):
    """Of the rank of the first hit."""
    return np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0.0)


def planted(strengths, n_users=200, n_items=30, seed=0):
    """Scores that are noise but for the held-out item of each user, which they raise."""
    rng = np.random.default_rng(seed)
    rows, items = np.arange(n_users), rng.integers(1, n_items, n_users)
    scores = rng.normal(size=(len(strengths), n_users, n_items)).astype(np.float32)
    for score, strength in zip(scores, strengths, strict=True):
        score[rows, items] += strength
    masked = np.zeros((n_users, n_items), dtype=bool)
    masked[:, 0] = True
    kept, places = shortlisted(scores, masked, rows, items, 10)
    return HeldOut([*kept], rows, places, reciprocal, 10), scores, items


def test_what_says_nothing_gets_next_to_nothing():
    found = bagged_weights(planted([3.0, 0.0, 0.0])[0]).weights
    assert found[0] > 0.85
    assert sum(found) == pytest.approx(1)


def test_two_that_know_as_much_share_and_beat_either():
    data, *_ = planted([1.5, 1.5, 0.0])
    found = bagged_weights(data).weights
    assert min(found[:2]) > 2 * found[2]
    alone = max(data.values(tuple(row)).mean() for row in np.eye(3).tolist())
    assert data.values(tuple(found)).mean() > alone + 0.05


def test_few_users_decide_less():
    """On few users noise looks useful; the mean over samples says so less than a single search."""
    single, mean = [], []
    for seed in range(6):
        data, *_ = planted([1.0, 0.0, 0.0, 0.0], n_users=25, seed=seed)
        single.append(np.max(single_weights(data)[1:]))
        mean.append(np.max(bagged_weights(data).weights[1:]))
    assert np.mean(mean) < np.mean(single)


def test_the_choice_is_the_same_each_time():
    assert bagged_weights(planted([1.0, 0.7])[0]) == bagged_weights(planted([1.0, 0.7])[0])


def test_one_score_is_worth_the_same_in_and_out_of_the_bag():
    data, *_ = planted([1.0])
    found = bagged_weights(data)
    assert found.weights == [1.0]
    assert found.out_of_bag == pytest.approx(data.values((1.0,)).mean())


def test_out_of_the_bag_noise_gains_nothing():
    """Beside the users whom the weights were chosen on, and beside others of the same kind."""
    inside, out, truth = [], [], []
    for seed in range(8):
        data, *_ = planted([1.0, *[0.0] * 9], n_users=60, seed=seed)
        more, *_ = planted([1.0, *[0.0] * 9], n_users=2000, seed=100 + seed)
        found = bagged_weights(data)
        weights = tuple(found.weights)
        # against the first score alone, on the same users
        alone = data.values((1.0, *[0.0] * 9)).mean()
        inside.append(data.values(weights).mean() / alone)
        out.append(found.out_of_bag / alone)
        truth.append(more.values(weights).mean() / more.values((1.0, *[0.0] * 9)).mean())
    assert np.mean(inside) > 1.02
    assert np.mean(truth) < 1
    assert np.mean(out) < np.mean(truth) + 0.02


def test_nobody_is_judged_by_weights_that_were_chosen_on_him(monkeypatch):
    """Each sample's weights are marked by its users; the metric says whose are in it."""
    data, *_ = planted([1.0, 0.0], n_users=30)
    samples = []

    def searched(_, times, __):
        samples.append(times > 0)
        return (1.0, float(len(samples)))  # which sample it was

    def values(weights):
        if weights[1] == 0 or weights[0] == 0:
            return np.zeros(30)  # each score alone
        return np.where(samples[int(weights[1]) - 1], 1.0, 0.25)

    monkeypatch.setattr(module, "_searched", searched)
    monkeypatch.setattr(data, "values", values)
    assert bagged_weights(data).out_of_bag == 0.25
    assert not np.all(samples)


def test_a_single_user_is_in_every_bag():
    assert bagged_weights(planted([1.0, 0.0], n_users=1)[0]).out_of_bag is None


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 999),
    weights=st.lists(st.sampled_from([0.0, 0.2, 1.0]), min_size=2, max_size=2),
)
def test_ranks_are_those_of_all_items(seed, weights):
    if not any(weights):
        weights = [1.0, 0.0]
    data, scores, items = planted([0.5, 0.5], n_users=12, n_items=400, seed=seed)
    assert data._scores[0].shape[1] < 400  # a list of candidates
    spread = scores[:, :, 1:].std(axis=2, keepdims=True)
    total = np.einsum("k,kui->ui", weights, scores.astype(float) / spread)[:, 1:]
    ranks = (total > total[np.arange(12), items - 1][:, None]).sum(axis=1)
    wanted = np.where(ranks < 10, 1 / (1 + ranks), 0)
    assert data.values(tuple(weights)) == pytest.approx(wanted)


def test_masked_items_have_no_rank():
    scores = np.array([[[9.0, 5.0, 4.0, 3.0, 2.0]]], dtype=np.float32)
    masked = np.array([[True, True, False, False, False]])
    kept, places = shortlisted(scores, masked, np.array([0]), np.array([3]), 3)
    data = HeldOut([*kept], np.array([0]), places, reciprocal, 3)
    assert data.values((1.0,)).tolist() == [0.5]


def test_several_held_out_items_of_a_user(monkeypatch):
    monkeypatch.setattr(module, "_LISTS", 1)
    scores = np.zeros((1, 2, 9), dtype=np.float32)
    scores[0, :, :] = np.arange(9)
    masked = np.zeros((2, 9), dtype=bool)
    masked[:, 0] = True
    rows, items = np.array([1, 0, 1, 1]), np.array([2, 8, 7, 1])
    kept, places = shortlisted(scores, masked, rows, items, 2)
    assert kept.shape[2] == 5  # two of the list, three that are held out
    told = HeldOut([*kept], rows, places, lambda hits, held_out: (hits, held_out), 2)
    hits, held_out = told.values((1.0,))
    assert hits.tolist() == [[True, False], [False, True]]
    assert held_out.tolist() == [1, 3]


def test_users_are_gathered_batch_by_batch_and_parted_again():
    _, scores, items = planted([1.0, 0.5], n_users=40, n_items=300)
    masked = np.zeros(scores.shape[1:], dtype=bool)
    masked[:, 0] = True

    def batches(size):
        for start in range(0, 40, size):
            some = slice(start, start + size)
            held_out = items[some]
            yield scores[:, some], masked[some], np.arange(len(held_out)), held_out

    whole = HeldOut.gathered(batches(40), reciprocal, 10)
    pieces = HeldOut.gathered(batches(7), reciprocal, 10)
    assert pieces.values((0.7, 0.3)) == pytest.approx(whole.values((0.7, 0.3)))
    users = np.arange(40) % 3 == 1
    part = whole.part([1], users)
    assert (part.n_scores, part.n_users) == (1, users.sum())
    assert part.values((1.0,)) == pytest.approx(whole.values((0.0, 1.0))[users])
