"""Known pairs as arrays: RecBole's own sets, draws and lists are the truth."""

import numpy as np
import pytest
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.sampler import Sampler
from recbole.utils import init_seed

from recbole_symcere.data.known_pairs import ItemLists, KnownPairs, PairSampler
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset, split_data, split_dataset

PHASES = ["train", "valid", "test"]


@pytest.fixture
def parts(small):
    return split_dataset(
        config := Config("SymCERE", "small", config_dict=small), read_dataset(config)
    )


def test_the_pairs_of_each_phase_are_recboles(parts):
    theirs, ours = Sampler(PHASES, parts).used_ids, PairSampler(PHASES, parts).used_ids
    for phase in PHASES:
        users = range(len(theirs[phase]))
        assert [ours[phase][user] for user in users] == list(theirs[phase])
        assert ours[phase][np.array([2, 1])] == [theirs[phase][2], theirs[phase][1]]


@pytest.mark.parametrize("users", [[1, 2, 3, 4] * 8, [5] * 32, [7]])
@pytest.mark.parametrize("num", [1, 3])
def test_the_draws_are_recboles(parts, users, num):
    drawn = []
    for kind in (Sampler, PairSampler):
        sampler = kind(PHASES, parts).set_phase("train")
        init_seed(3, True)
        drawn.append(sampler.sample_by_user_ids(np.array(users), None, num))
    assert drawn[0].dtype == drawn[1].dtype == torch.int64
    assert torch.equal(*drawn)
    known = PairSampler(PHASES, parts).used_ids["train"]
    assert not any(
        item in known[user] for user, item in zip(users * num, drawn[1].tolist(), strict=True)
    )


def test_a_user_who_knows_everything_is_refused_as_by_recbole(parts):
    for part in parts:
        part.inter_feat["user_id"][:] = 1
    parts[0].inter_feat["item_id"][: parts[0].item_num - 1] = torch.arange(1, parts[0].item_num)
    for kind in (Sampler, PairSampler):
        with pytest.raises(ValueError, match="interacted with all items"):
            kind(PHASES, parts)


def test_the_loader_over_all_items_masks_and_asks_what_recboles_does(small):
    config = Config("SymCERE", "small", config_dict=small)
    loaders = split_data(config, read_dataset(config))
    parts = split_dataset(config, read_dataset(config))
    theirs = Sampler(PHASES, parts)
    for phase, ours, part in zip(PHASES[1:], loaders[1:], parts[1:], strict=True):
        stock = FullSortEvalDataLoader(config, part, theirs.set_phase(phase))
        assert isinstance(ours.uid2history_item, ItemLists)
        assert not isinstance(stock.uid2history_item, ItemLists)
        assert ours.uid_list.tolist() == stock.uid_list.tolist()
        assert ours.uid2items_num.tolist() == stock.uid2items_num.tolist()
        for one, other in zip(ours, stock, strict=True):
            assert torch.equal(one[0]["user_id"], other[0]["user_id"])
            for a, b in ((one[1], other[1]), (one[2:], other[2:])):
                pairs = [sorted(zip(*(x.tolist() for x in found), strict=True)) for found in (a, b)]
                assert pairs[0] == pairs[1]


def test_a_list_can_be_replaced_and_others_have_none():
    lists = ItemLists(np.array([12, 14]), np.array([1, 2]), 4, 10)
    assert [x if x is None else x.tolist() for x in lists[[0, 1, 2, 3]]] == [None, [2, 4], [], None]
    lists[1] = torch.tensor([7])
    assert lists[1].tolist() == [7]
    assert lists.lengths.tolist() == [0, 2, 0, 0]


def test_no_pair_at_all():
    known = KnownPairs(np.array([], dtype=np.int64), 5, 4)
    assert known[3] == set()
    assert not known.contain(np.array([1]), np.array([1])).any()


def test_users_can_be_counted_and_walked_through():
    known = KnownPairs(np.array([5, 6, 11]), 5, 3)
    assert [*known] == [set(), {0, 1}, {1}]
    assert len(known) == 3
    for user in (-1, 3):
        with pytest.raises(IndexError, match="expected 0 to 2"):
            known[user]
