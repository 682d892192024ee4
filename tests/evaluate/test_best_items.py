"""The best of many scores against a full sort, and against torch's own order."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.evaluate import best_items
from recbole_symcere.evaluate.best_items import best, topk_places

SIZES = [40, 4097, 5000, 9999]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from(SIZES))
def test_the_best_are_those_of_a_full_sort(seed, k, n):
    rng = np.random.default_rng(seed)
    scores = rng.choice([rng.normal(size=(3, n)), rng.integers(0, 4, (3, n))]).astype(np.float32)
    values, places = best(torch.from_numpy(scores), k)
    np.testing.assert_array_equal(values, -np.sort(-scores, axis=1)[:, :k])
    np.testing.assert_array_equal(np.take_along_axis(scores, places.numpy(), 1), values)
    assert all(len(set(row)) == k for row in places.tolist())
    first = [sorted(range(n), key=lambda i, row=row: (-row[i], i))[:k] for row in scores.tolist()]
    assert places.tolist() == first


@pytest.mark.parametrize("n", [3, 500, 9999, 300_000])
def test_of_equal_scores_the_first_places_come_first(n):
    scores = torch.zeros(4, n)
    scores[1, 1::2] = -math.inf
    scores[2] = -math.inf
    scores[2, -1] = 1  # fewer than k items may be recommended
    scores[3, n // 2] = 0.5
    _, places = best(scores, 3)
    of_all = sorted(range(n), key=lambda i: i != n // 2)[:3]
    evens = [0, 2, 4] if n > 3 else [0, 2, 1]
    assert places.tolist() == [[0, 1, 2], evens, [n - 1, 0, 1], of_all]
    assert [sorted(row) for row in best(scores.double(), n)[1][:2].tolist()] == [[*range(n)]] * 2


def rows_of(rng, n, k):
    """Scores [8, n]: all different, with ties here and there, and with what is no number."""
    scores = rng.normal(size=(8, n))
    scores[1] = rng.integers(0, 4, n)
    scores[2] = 0
    scores[3, rng.permutation(n)[: n - k]] = -math.inf
    scores[4, rng.permutation(n)[: n - k + 1]] = -math.inf
    scores[5, rng.integers(n)] = math.nan
    order = np.argsort(-scores[6])
    scores[6, order[k]] = scores[6, order[k - 1]]  # the last of the list and the next
    scores[7, order[: 2 * k]] = scores[6].max() + 1
    return scores.astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from(SIZES))
def test_the_places_are_torchs_own_with_ties_and_without(seed, k, n):
    scores = torch.from_numpy(rows_of(np.random.default_rng(seed), n, k))
    assert torch.equal(topk_places(scores, k), torch.topk(scores, k, dim=1).indices)


@pytest.mark.parametrize("at", [0, 63, 64, 4095, 9983, 9984, 9998])
def test_wherever_the_best_stands(at):
    scores = -torch.arange(9999.0)[None].repeat(2, 1)
    scores[0, at] = 1
    assert topk_places(scores, 3)[0].tolist() == [at, *(i for i in range(4) if i != at)][:3]
    assert topk_places(scores, 3)[1].tolist() == [0, 1, 2]


def test_rows_without_ties_are_never_sorted_whole(monkeypatch):
    scores, widths, topk = torch.rand(5, 9000, dtype=torch.float64), [], torch.topk
    scores[3, :20] = 2
    expected = topk(scores, 10, dim=1).indices

    def noted(values, *args, **kwargs):
        widths.append(values.shape)
        return topk(values, *args, **kwargs)

    monkeypatch.setattr(best_items.torch, "topk", noted)
    assert torch.equal(topk_places(scores, 10), expected)
    assert [rows for rows, width in widths if width == 9000] == [1]
