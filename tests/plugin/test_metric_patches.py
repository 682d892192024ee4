"""RecBole's metrics of popularity, looked up at once, against its definitions item by item."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.evaluator import metrics
from recbole.evaluator.collector import DataStruct


def value_of(name, lists, counts, tail_ratio=None):
    data = DataStruct()
    data.set("rec.items", torch.tensor(lists))
    data.set("data.count_items", Counter(counts))
    config = {"topk": [len(lists[0])], "metric_decimal_place": 12, "tail_ratio": tail_ratio}
    (value,) = getattr(metrics, name)(config).calculate_metric(data).values()
    return value


items = st.integers(0, 12)  # 0, the padding, may fill a list
some_lists = st.integers(1, 4).flatmap(
    lambda k: st.lists(st.lists(items, min_size=k, max_size=k), min_size=1, max_size=5)
)
some_counts = st.dictionaries(st.integers(1, 12), st.integers(1, 5), min_size=1)


@given(some_lists, some_counts)
def test_average_popularity(lists, counts):
    plain = [sum(counts.get(item, 0) for item in one) / len(one) for one in lists]
    assert value_of("AveragePopularity", lists, counts) == pytest.approx(np.mean(plain))


@given(some_lists, some_counts, st.sampled_from([None, 0.05, 0.5, 1, 2, 4]))
def test_tail_percentage(lists, counts, ratio):
    share = ratio or 0.1  # RecBole's default
    if share > 1:
        tail = [item for item, count in counts.items() if count <= share]
    else:
        rarest = sorted(counts, key=lambda item: (counts[item], item))
        tail = rarest[: max(int(len(counts) * share), 1)]
    plain = [sum(item in tail for item in one) / len(one) for one in lists]
    assert value_of("TailPercentage", lists, counts, ratio) == pytest.approx(np.mean(plain))


def test_a_long_list_of_many_items_takes_no_time():
    """RecBole's own way takes 10^10 comparisons here."""
    lists = np.random.default_rng(0).integers(1, 100_000, (10_000, 100)).tolist()
    counts = dict.fromkeys(range(1, 100_000), 3)
    assert value_of("TailPercentage", lists, counts) == pytest.approx(0.1, abs=0.01)
