"""EASE's weights against the inverse in float64, exact and approximate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recbole_symcere.model import ease_weights
from recbole_symcere.model.ease_weights import EaseWeights, ease_factors

N_USERS, N_ITEMS = 90, 40


def history(seed, n_users=N_USERS, n_items=N_ITEMS):
    """Some items are known to nearly all, and the first to none."""
    rng = np.random.default_rng(seed)
    liked = rng.random((n_users, n_items)) < np.linspace(0.02, 0.6, n_items)
    liked[:, 0] = False
    return liked


def inverse(liked, reg):
    return np.linalg.inv(liked.T.astype(float) @ liked + reg * np.eye(liked.shape[1]))


def oracle(liked, reg):
    p = inverse(liked, reg)
    return np.array(
        [[0.0 if i == j else -p[i, j] / p[j, j] for j in range(len(p))] for i in range(len(p))]
    )


def products(liked, reg, exact):
    weights, every = EaseWeights(csr_matrix(liked), reg, exact), np.eye(liked.shape[1])
    return weights.times(every), weights.transposed_times(every).T


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), reg=st.sampled_from([0.5, 10.0, 300.0]), exact=st.booleans())
def test_products_are_those_of_the_inverse(seed, reg, exact):
    liked = history(seed)
    # of as many eigenvectors as items the approximation is exact
    for found in products(liked, reg, N_ITEMS if exact else N_ITEMS - 1):
        np.testing.assert_allclose(found, oracle(liked, reg), atol=5e-5)


def test_one_item_more_is_solved_for(monkeypatch):
    monkeypatch.setattr(ease_weights, "_inverse", None)
    liked = history(0)
    EaseWeights(csr_matrix(liked), 5.0, N_ITEMS - 1)
    with pytest.raises(TypeError):
        EaseWeights(csr_matrix(liked), 5.0, N_ITEMS)


@pytest.mark.parametrize("pieces", [7, 1000])
def test_with_few_eigenvectors_the_diagonal_alone_is_approximate(monkeypatch, pieces):
    for name in ("_USERS", "_ITEMS", "_COLUMNS"):
        monkeypatch.setattr(ease_weights, name, pieces)
    monkeypatch.setattr(ease_weights, "_RANK", 6)
    liked, reg = history(1), 5.0
    p, off = inverse(liked, reg), ~np.eye(N_ITEMS, dtype=bool)
    off[:, 0] = False  # an item that nobody knows has no weights
    found, turned = products(liked, reg, 0)
    np.testing.assert_allclose(found, turned, atol=2e-4)
    # W_ij = -P_ij / q_j with one q_j for the column, near P_jj
    apart = np.where(off, p, 0)
    own = np.divide((apart**2).sum(0), -(apart * found).sum(0), where=off.any(0), out=np.ones(40))
    largest = np.abs(p / own)[off].max()
    np.testing.assert_allclose(found[off], (-p / own)[off], atol=2e-3 * largest)
    assert np.abs(own / np.diag(p) - 1)[1:].max() < 0.3
    rough = EaseWeights(csr_matrix(liked), reg, 0).times(np.eye(N_ITEMS), rough=True)
    assert np.abs(rough + p / own)[off].max() > 0.05 * largest


def test_the_factors_are_the_nearest_of_their_rank():
    liked = history(2)
    wanted = oracle(liked, 5.0)
    left, values, right = np.linalg.svd(wanted)
    for exact in (N_ITEMS, 0):
        near, far = (
            side.double().numpy() for side in ease_factors(csr_matrix(liked), 5.0, 3, exact)
        )
        assert near.shape == far.shape == (N_ITEMS, 3)
        np.testing.assert_allclose(far.T @ far, np.eye(3), atol=1e-5)
        np.testing.assert_allclose(near @ far.T, (left[:, :3] * values[:3]) @ right[:3], atol=2e-3)
        near, far = (
            side.double().numpy() for side in ease_factors(csr_matrix(liked), 5.0, 99, exact)
        )
        np.testing.assert_allclose(near @ far.T, wanted, atol=5e-5)


def test_many_items_need_no_matrix_of_them(monkeypatch):
    monkeypatch.setattr(ease_weights, "_RANK", 4)
    n_items = 100_000  # 80 GB squared
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 500, 4000), rng.integers(0, n_items // 100, 4000) * 100
    near, far = ease_factors(csr_matrix((np.ones(4000, bool), pairs), (500, n_items)), 10.0, 4, 10)
    assert near.shape == far.shape == (n_items, 4)
    assert near.isfinite().all()
    assert far.isfinite().all()
    assert near.abs().max() > 1e-3
