"""The split of all groups at once: RecBole's own, group by group, is the truth."""

import logging

import numpy as np
import pytest
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from small_data import small_rows, write_rows

from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset, split_data

RATIOS = ([0.8, 0.1, 0.1], [8, 1, 1], [0.5, 0.25, 0.25], [0.9, 0.1, 0.0])


def recboles(self, ratios, group_by):
    """RecBole 1.2.1's `split_by_ratio`, as it stands there."""
    ratios = [ratio / sum(ratios) for ratio in ratios]
    index = {}
    for row, key in enumerate(self.inter_feat[group_by].tolist()):
        index.setdefault(key, []).append(row)
    parts = [[] for _ in ratios]
    for rows in index.values():
        ends = self._calcu_split_ids(tot=len(rows), ratios=ratios)
        for part, start, end in zip(parts, [0, *ends], [*ends, len(rows)], strict=True):
            part.extend(rows[start:end])
    return parts


class Bare(Dataset):
    def __init__(self, users):
        self.inter_feat = Interaction(
            {"user": torch.tensor(users, dtype=torch.int64), "row": torch.arange(len(users))}
        )
        self.config, self.logger = {"unused_col": None}, logging.getLogger()

    def _drop_unused_col(self):
        pass


@pytest.mark.parametrize("ratios", RATIOS)
@pytest.mark.parametrize("seed", range(4))
def test_rows_and_their_order_are_recboles(ratios, seed):
    rng = np.random.default_rng(seed)
    users = (rng.random(300) ** 3 * 40).astype(int).tolist()
    found = Bare(users).split_by_ratio(ratios, group_by="user")
    expected = recboles(Bare(users), ratios, "user")
    assert [part.inter_feat["row"].tolist() for part in found] == expected
    assert sum(map(len, expected)) == 300


def test_a_split_without_groups_is_recboles():
    parts = Bare([1, 2, 3, 4] * 5).split_by_ratio([0.5, 0.5])
    assert [len(part.inter_feat) for part in parts] == [10, 10]


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
@pytest.mark.parametrize("repeatable", [False, True])
def test_items_are_drawn_by_their_popularity_in_training(small, tmp_path, model, repeatable):
    last = [*range(7, 24 * 8, 8)]  # every user's last interaction is of one item
    rows = [
        (user, "late" if n in last else item, *rest)
        for n, (user, item, *rest) in enumerate(small_rows())
    ]
    write_rows(tmp_path / "data", "small", rows)
    drawn = {"train_neg_sample_args": {"distribution": "popularity"}, "repeatable": repeatable}
    config = Config(
        model, "small", config_dict={**small, "data_path": str(tmp_path / "data")} | drawn
    )
    train, *_ = split_data(config, read_dataset(config))
    items = np.concatenate([batch["neg_item_id"].numpy() for _ in range(20) for batch in train])
    assert train.dataset.token2id("item_id", "late") not in items
    assert set(items.tolist()) <= set(train.dataset.inter_feat["item_id"].tolist())
