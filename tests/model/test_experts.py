"""Experts without training against float64 oracles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.recency import Histories
from recbole_symcere.model import experts as module
from recbole_symcere.model import low_rank
from recbole_symcere.model.blend_options import EXPERTS, BlendOptions, Kind, kind_of
from recbole_symcere.model.experts import expert, item_knn, nearest_words

USERS, ITEMS = 12, 9


def drawn(seed):
    rng = np.random.default_rng(seed)
    known = rng.random((USERS, ITEMS)) < 0.35
    known[:, 0] = False
    words = rng.normal(size=(ITEMS, 4))
    words[[0, 3]] = 0
    return known.astype(float), words


def k_nearest(cosines, k):
    """Each column's k largest above 0, but for the item itself; of equals the lower items."""
    kept = np.zeros_like(cosines)
    for i in range(len(cosines)):
        order = sorted(
            (j for j in range(len(cosines)) if j != i), key=lambda j: (-cosines[j, i], j)
        )
        for j in order[:k]:
            kept[j, i] = max(cosines[j, i], 0)
    return kept


def cosine(rows):
    lengths = np.linalg.norm(rows, axis=1)
    found = rows @ rows.T / np.maximum(np.outer(lengths, lengths), 1e-12)
    return np.round(found, 9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), k=st.integers(1, 10))
def test_item_knn(seed, k):
    known, _ = drawn(seed)
    wanted = k_nearest(cosine(known.T), k)
    found = item_knn(csr_matrix(known), k).toarray()
    # which of equal neighbours is kept is a matter of rounding
    assert np.allclose(np.sort(found, axis=0), np.sort(wanted, axis=0), atol=1e-6)
    assert np.allclose(np.where(found > 0, cosine(known.T), 0), found, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), k=st.integers(1, 10))
def test_nearest_words(seed, k):
    words = drawn(seed)[1]
    found = nearest_words(words.astype(np.float32), k).toarray()
    assert np.allclose(found, k_nearest(cosine(words), k), atol=1e-6)


def test_neighbours_are_found_block_by_block(monkeypatch):
    known, words = drawn(1)
    whole = item_knn(csr_matrix(known), 3).toarray(), nearest_words(words, 3).toarray()
    monkeypatch.setattr(module, "_ITEMS", 2)
    assert np.allclose(item_knn(csr_matrix(known), 3).toarray(), whole[0])
    assert np.allclose(nearest_words(words, 3).toarray(), whole[1], atol=1e-6)


def ease(known, reg):
    inverse = np.linalg.inv(known.T @ known + reg * np.eye(known.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def low_pass(known, size):
    """The first directions of interactions over the roots of their users' and items' numbers."""
    root = np.sqrt(np.maximum(known.sum(0), 1))
    scaled = known / np.sqrt(np.maximum(known.sum(1, keepdims=True), 1)) / root
    turned = np.linalg.svd(scaled)[2][:size]
    return turned.T / root[:, None] @ turned * root


def together(known):
    """Of the users of an item the share that has another one."""
    found = known.T @ known / np.maximum(known.sum(0), 1)[:, None]
    np.fill_diagonal(found, 0)
    return found


def by_name(name, known, words, exact=100):
    histories = Histories(csr_matrix(known, dtype=np.int32))  # all at one time
    return expert(name, histories, words.astype(np.float32), exact)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("popularity", lambda known, _: np.tile(np.log1p(known.sum(0)), (USERS, 1))),
        ("words", lambda known, words: known @ words @ words.T),
        ("words_2", lambda known, words: known @ k_nearest(cosine(words), 2)),
        ("ease_10", lambda known, _: known @ ease(known, 10)),
        ("ease_500", lambda known, _: known @ ease(known, 500)),
        ("svd_1", lambda known, _: known @ low_pass(known, 1)),
        ("svd_3", lambda known, _: known @ low_pass(known, 3)),
        ("svd_50", lambda known, _: known @ low_pass(known, ITEMS // 2)),
        ("next", lambda known, _: known @ together(known)),
    ],
)
def test_scores(name, wanted):
    known, words = drawn(5)
    one, rows = by_name(name, known, words), csr_matrix(known, dtype=np.float32)
    scores = wanted(known, words)
    assert np.allclose(one.scores(rows), scores, atol=1e-4)
    some = np.array([2, 7])
    assert np.allclose(one.scores(rows, some), scores[:, some], atol=1e-4)


@pytest.mark.parametrize(
    "name", ["popularity", "words", "words_3", "knn_2", "ease_10", "svd_2", "next"]
)
@pytest.mark.parametrize("dense", [4_000, 2])
def test_products_with_scores_that_are_not_made(name, dense, monkeypatch):
    monkeypatch.setattr(module, "_DENSE", dense)
    monkeypatch.setattr(module, "_PAIRS", 0)  # EASE as factors above
    known, words = drawn(6)
    one, rows = by_name(name, known, words), csr_matrix(known, dtype=np.float32)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ITEMS, 3)), rng.normal(size=(USERS, 3))
    scores = one.scores(rows)
    assert np.allclose(one.times(rows, x), scores @ x, atol=1e-4)
    assert np.allclose(one.transposed_times(rows, y), scores.T @ y, atol=1e-4)


@pytest.mark.parametrize(
    ("pairs", "limit", "lost"), [(USERS * ITEMS, 100, False), (2, 100, True), (99, 5, True)]
)
def test_ease_is_whole_where_a_user_has_a_column_for_each_item(pairs, limit, lost, monkeypatch):
    """Above the items that it is always whole for."""
    for name, value in {"_DENSE": 2, "_RANK": 3, "_PAIRS": pairs, "_COLUMNS": (1, 1)}.items():
        monkeypatch.setattr(module, name, value)
    known, words = drawn(9)
    scores = by_name("ease_10", known, words, limit).scores(csr_matrix(known, dtype=np.float32))
    assert np.allclose(scores, known @ ease(known, 10), atol=1e-4) != lost


def test_directions_in_which_no_history_differs_say_nothing():
    known = np.zeros((USERS, ITEMS))
    known[:, 2:5] = 1  # all users know the same
    one = np.zeros((1, ITEMS), dtype=np.float32)
    one[0, 2] = 1
    scores = by_name("svd_3", known, known.T).scores(csr_matrix(one))
    assert np.allclose(scores, known[:1] / 3, atol=1e-5)


def in_parts():
    """Users and items of one part, beside two parts of which each has a singular value of 1."""
    rng = np.random.default_rng(8)
    known = np.zeros((40, 30))
    known[1:30, 1:20] = rng.random((29, 19)) < 0.3
    known[30:33, 20:23] = known[33:37, 23:26] = 1
    return known


@pytest.mark.parametrize("most", [2_000, 5], ids=["dense", "sparse"])
def test_of_parts_that_nothing_connects_the_largest_counts(most, monkeypatch):
    monkeypatch.setattr(low_rank, "_DENSE", most)
    known = in_parts()
    near, far = low_rank.low_pass(csr_matrix(known), 4)
    wanted = np.zeros((30, 30))
    wanted[1:20, 1:20] = low_pass(known[1:30, 1:20], 4)
    assert np.allclose(near @ far.T, wanted, atol=1e-5)


@pytest.mark.parametrize("most", [2_000, 5], ids=["dense", "sparse"])
def test_a_filter_is_the_same_in_any_order_and_at_any_time(most, monkeypatch):
    monkeypatch.setattr(low_rank, "_DENSE", most)
    known, rng = in_parts(), np.random.default_rng(9)
    near, far = low_rank.low_pass(csr_matrix(known), 4)
    np.random.seed(5)  # noqa: NPY002 # of no importance either
    again = low_rank.low_pass(csr_matrix(known), 4)
    assert all(np.array_equal(a, b) for a, b in zip((near, far), again, strict=True))
    users, items = rng.permutation(40), rng.permutation(30)
    other_near, other_far = low_rank.low_pass(csr_matrix(known[users][:, items]), 4)
    assert np.allclose((near @ far.T)[items][:, items], other_near @ other_far.T, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 2), (2, 9), (9, 2)])
def test_a_filter_of_few_users_or_items(shape):
    known = np.zeros(shape)
    known[1, 1] = 1
    near, far = low_rank.low_pass(csr_matrix(known), 8)
    assert np.allclose(near @ far.T, np.diag(known[1] if shape[1] > 1 else known[0]), atol=1e-6)


def test_names():
    assert kind_of("recent_ease_100") == Kind("ease", 100, True)
    assert kind_of("recent_svd_8") == Kind("svd", 8, True)
    assert kind_of("words") == Kind("words", None, False)
    assert kind_of("next") == Kind("next", None, True)
    assert kind_of("trend") == Kind("trend", None, True)
    assert BlendOptions(["all"]).experts == EXPERTS
    assert BlendOptions().experts == ()
    for name in EXPERTS:
        kind_of(name)


@pytest.mark.parametrize(
    "name",
    [
        *("EASE", "ease", "knn", "svd", "knn_0", "popularity_3", "recent_popularity", "words_x"),
        *("both", "next_5", "recent_next", "trend_2", "recent_trend"),
    ],
)
def test_names_of_no_expert_are_refused(name):
    with pytest.raises(InputError, match=f"blend names '{name}'; expected all, or names such as"):
        BlendOptions([name])


def test_a_name_given_twice_is_refused():
    with pytest.raises(InputError, match="blend names knn_5 twice"):
        BlendOptions(["knn_5", "words", "knn_5"])
