"""The history mask against a loop over sets."""

import doctest

import numpy as np
import oracles
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.data import history as module
from recbole_symcere.data.history import (
    distinct_pairs,
    history_mask,
    history_matrix,
    negative_mask,
)

N_USERS, N_ITEMS = 4, 6
pair_lists = st.lists(st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1)))


def columns(pairs):
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


@given(pair_lists, pair_lists)
def test_masks_equal_their_loops(pairs, batch):
    users, items = columns(batch)
    history = history_matrix(*columns(pairs), N_USERS, N_ITEMS)
    known = history_mask(users, items, history)
    assert known.dtype == torch.bool
    assert known.shape == (len(batch), len(batch))
    assert known.tolist() == oracles.history_mask(users, items, pairs)
    assert negative_mask(items, known).tolist() == oracles.negative_mask(users, items, pairs)


@given(pair_lists, pair_lists)
def test_tensors_give_what_arrays_give(pairs, batch):
    users, items = columns(batch)
    history = history_matrix(*(torch.tensor(x) for x in columns(pairs)), N_USERS, N_ITEMS)
    tensors = torch.tensor(users), torch.tensor(items, dtype=torch.int32)
    known = history_mask(*tensors, history)
    assert torch.equal(known, history_mask(users, items, history))
    assert torch.equal(negative_mask(tensors[1], known), negative_mask(items, known))


def test_the_matrix_holds_each_pair_once_in_order():
    history = history_matrix(np.array([1, 0, 1, 1]), np.array([5, 2, 0, 5]), N_USERS, N_ITEMS)
    assert history.dtype == bool
    assert history.nnz == 3
    assert history.has_canonical_format
    assert history[[1]].indices.tolist() == [0, 5]


def test_a_matrix_out_of_order_with_repeats_and_stored_zeros():
    data, indices = np.array([1.0, 2.0, 1.0, 0.0]), np.array([5, 0, 5, 3])
    history = sp.csr_matrix((data, indices, [0, 0, 4, 4, 4]), shape=(N_USERS, N_ITEMS))
    items = np.array([0, 3, 5])
    assert history_mask(np.array([1, 1, 0]), items, history).tolist() == [
        [True, False, True],
        [True, False, True],
        [False, False, False],
    ]


def test_the_same_item_is_no_negative_even_outside_the_history():
    none = torch.zeros(2, 2, dtype=torch.bool)
    assert not negative_mask(np.array([3, 3]), none).any()


def test_ids_outside_the_range():
    history = history_matrix(np.array([0]), np.array([0]), 2, 3)
    with pytest.raises(ValueError, match="users holds ids from 0 to 2, expected 0 to 1"):
        history_mask(np.array([0, 2]), np.array([0, 1]), history)
    with pytest.raises(ValueError, match="items holds ids from -1 to 1, expected 0 to 2"):
        history_mask(np.array([0, 1]), np.array([-1, 1]), history)
    with pytest.raises(ValueError, match="items holds ids from 3 to 3, expected 0 to 2"):
        history_matrix(np.array([0]), np.array([3]), 2, 3)


rows_of_batches = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-1, 1)), min_size=1, max_size=9
)


@given(rows_of_batches)
def test_distinct_pairs_with_and_without_their_texts(rows):
    users, items, texts = torch.tensor(rows).T
    for found, keys in (
        (distinct_pairs(users, items), [row[:2] for row in rows]),
        (distinct_pairs(users, items, texts), rows),
    ):
        wanted = [n for n, key in enumerate(keys) if key not in keys[:n]]
        assert torch.arange(len(rows))[found].tolist() == wanted


def test_wrong_shapes_and_types():
    history = history_matrix(np.array([0]), np.array([0]), 2, 3)
    with pytest.raises(ValueError, match="items has 1 entries, expected 2, as users has"):
        history_mask(np.array([0, 1]), np.array([0]), history)
    with pytest.raises(ValueError, match=r"users has shape \(1, 1\) and dtype int64, expected 1-D"):
        history_mask(np.array([[0]]), np.array([0]), history)
    with pytest.raises(ValueError, match=r"items has shape \(1,\) and dtype float64"):
        history_mask(np.array([0]), np.array([0.5]), history)
    with pytest.raises(ValueError, match=r"history_mask has shape \(2, 3\) and items \(2,\)"):
        negative_mask(np.array([0, 1]), torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"history_mask has dtype torch\.float32"):
        negative_mask(np.array([0, 1]), torch.zeros(2, 2))


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
