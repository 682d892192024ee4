"""The popularity of lists, by hand."""

import math
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from recbole.evaluator.collector import DataStruct

import recbole_symcere.evaluate.metrics  # noqa: F401 # adds ours to RecBole's
from recbole_symcere.evaluate import popularity
from recbole_symcere.evaluate.groups import group_means
from recbole_symcere.evaluate.per_user import PerUserEvaluator


def test_popularity_of_lists_at_its_extremes():
    same = np.tile(np.arange(1, 4), (5, 1))
    assert popularity.coverage(same, 6) == 0.5
    assert popularity.gini(same, 3) == pytest.approx(0)
    assert popularity.gini(np.ones((4, 1), dtype=int), 10) == pytest.approx(0.9)
    # a list that no item is left for is filled with RecBole's padding, which is no item
    assert popularity.coverage(np.array([[1, 2, 0]]), 2) == 1.0
    assert popularity.gini(np.array([[1, 2, 0]]), 2) == pytest.approx(0)
    # so it is where a user's own values are averaged: a list of the items 1 and 2, and none at all
    lists, counts = np.array([[1, 2, 0], [0, 0, 0]]), np.array([0, 100, 50, 10])
    nothing = [math.nan] * 3
    expected = {
        popularity.average_popularity: [100, 75, 75],
        popularity.tail_share: [0, 0.5, 0.5],
        partial(popularity.novelty, n_users=200): [1, 1.5, 1.5],
    }
    for measured, values in expected.items():
        np.testing.assert_array_equal(measured(lists, counts), [values, nothing])
    # neither head nor tail
    assert popularity.tail_items(np.array([9, 1, 5, 5, 0, 0])).tolist() == [
        False, True, False, True, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "at_1", "at_3"), [("ARP", 75, 62.5), ("APLT", 0.5, 0.75), ("Novelty", 1.5, 1.75)]
)
def test_a_list_without_an_item_is_missing_from_the_mean_over_users(name, at_1, at_3):
    config = {"topk": [1, 3], "metric_decimal_place": 9, "metrics": [name]}
    lists = torch.tensor([[1, 2, 0], [2, 0, 0], [0, 0, 0]])
    data = DataStruct()
    data.set("rec.items", lists)
    data.set("data.num_items", 4)
    data.set("data.num_users", 201)
    data.set("data.count_items", Counter({1: 100, 2: 50, 3: 10}))
    evaluator = PerUserEvaluator(config)
    found = evaluator.evaluate(data)
    name = name.lower()
    own = [evaluator.per_user[f"{name}@{k}"] for k in (1, 3)]
    assert [found[f"{name}@{k}"] for k in (1, 3)] == [at_1, at_3]
    assert [np.isnan(values).tolist() for values in own] == [[False, False, True]] * 2
    means = group_means({name: own[1]}, {"all": np.array([True, True, True])})
    assert means == {"all": {"users": 3, name: at_3}}
