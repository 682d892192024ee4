import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.utils import InputType, init_seed
from small_data import small_rows

from recbole_symcere.data import dataloader as batch
from recbole_symcere.data.dataset import ROW_FIELD
from recbole_symcere.model.symcere import SymCERE
from recbole_symcere.plugin.config import Config
from recbole_symcere.text.load import load_tokenizer

ROWS = small_rows()


def loader(settings, **extra):
    # LoRA reads tokens
    config = Config("SymCERE", "small", config_dict={**settings, "text_mode": "lora", **extra})
    init_seed(1, True)
    return data_preparation(config, create_dataset(config))[0]


def tokens_of(rows, attention):
    return [row[mask].tolist() for row, mask in zip(rows, attention, strict=True)]


def test_each_row_carries_its_own_review(small):
    train = loader(small)
    tokenizer = load_tokenizer(small["text_encoder"])
    seen = 0
    for data in train:
        texts = [ROWS[row][4] for row in data[ROW_FIELD].tolist()]
        expected = [
            tokenizer(text, truncation=True, max_length=16)["input_ids"] if text else []
            for text in texts
        ]
        assert tokens_of(data[batch.REVIEW_IDS], data[batch.REVIEW_ATTENTION]) == expected
        found = data[batch.TEXT_ID]
        same = [a == b for a, b in zip(found, found.roll(1), strict=True)]
        assert same == [a == b for a, b in zip(texts, np.roll(texts, 1), strict=True)]
        seen += len(texts)
    assert seen == 24 * 6


def test_the_history_mask_is_brute_force(small):
    train = loader(small)
    data = train.dataset.inter_feat
    history = set(zip(data["user_id"].tolist(), data["item_id"].tolist(), strict=True))
    for one in train:
        users, items = one["user_id"].tolist(), one["item_id"].tolist()
        expected = [[(user, item) in history for item in items] for user in users]
        assert one[batch.HISTORY_MASK].tolist() == expected


def test_the_full_history_is_offered_with_a_warning(small, caplog):
    train = loader(small, history_scope="all")
    assert "history_scope: all leaks" in caplog.text
    assert train.history.nnz == len(ROWS)
    assert loader(small).history.nnz == 24 * 6


def test_item_level_text_is_the_items_training_reviews(small):
    train = loader(small, text_level="item", max_length=64)
    texts = train.dataset.training_item_texts().to_pylist()
    tokenizer = load_tokenizer(small["text_encoder"])
    data = next(iter(train))
    for item, ids, mask in zip(
        data["item_id"].tolist(), data[batch.REVIEW_IDS], data[batch.REVIEW_ATTENTION], strict=True
    ):
        expected = tokenizer(texts[item], truncation=True, max_length=64)["input_ids"]
        assert ids[mask].tolist() == expected


def test_pointwise_negatives_carry_no_review(small):
    config = Config("SymCERE", "small", config_dict={**small, "text_mode": "lora"})
    config["MODEL_INPUT_TYPE"] = InputType.POINTWISE
    train = data_preparation(config, create_dataset(config))[0]
    data = next(iter(train))
    negative = data["label"] == 0
    assert negative.any()
    assert not data[batch.REVIEW_ATTENTION][negative].any()
    assert (data[batch.TEXT_ID][negative] == -1).all()
    reviewed = torch.tensor([bool(ROWS[row][4]) for row in data[ROW_FIELD].tolist()])
    assert torch.equal(data[batch.REVIEW_ATTENTION].any(1), reviewed & ~negative)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_workers_give_the_same_reviews(small):
    def observed(workers):
        return [
            (data[ROW_FIELD], data[batch.REVIEW_IDS], data[batch.HISTORY_MASK])
            for data in loader(small, worker=workers)
        ]

    for alone, together in zip(observed(0), observed(2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_last_batch_and_a_batch_of_one(small):
    assert [len(data) for data in loader(small, train_batch_size=100)] == [100, 44]
    one = next(iter(loader(small, train_batch_size=1)))
    assert one[batch.HISTORY_MASK].tolist() == [[True]]


def test_frozen_batches_hold_the_number_of_each_text_and_no_token(small):
    tuned, frozen = list(loader(small)), list(loader(small, text_mode="frozen"))
    seen = 0
    for one, other in zip(tuned, frozen, strict=True):
        assert set(one.columns) - set(other.columns) == {
            batch.REVIEW_IDS,
            batch.REVIEW_ATTENTION,
            batch.REVIEW_WORDS,
        }
        assert all(torch.equal(one[name], other[name]) for name in other.columns)
        reviewed = one[batch.REVIEW_ATTENTION].any(dim=1)
        assert torch.equal(other[batch.TEXT_ID] >= 0, reviewed)
        seen += int((~reviewed).sum())
        rows, (ids, *tokens), mask = batch.reviewed_rows(other)
        known, (known_ids, *_), known_mask = batch.reviewed_rows(one)
        assert tokens == [None] * 3
        assert torch.equal(ids, known_ids)
        assert torch.equal(mask, known_mask)
        assert torch.equal(torch.arange(len(one))[rows], torch.arange(len(one))[known])
    assert seen, "no review is empty, so that nothing is shown"


def test_sampled_items_are_drawn_only_where_a_loss_reads_them(small):
    with_bpr, without = loader(small), loader(small, beta=0.0)
    assert "neg_item_id" in next(iter(with_bpr)).columns
    assert "neg_item_id" not in next(iter(without)).columns


class OfAUser(SymCERE):
    """A model of the user's own, which may read all of a batch."""


def test_a_users_own_model_gets_whole_batches(small):
    config = Config(OfAUser, "small", config_dict={**small, "text_mode": "frozen", "beta": 0.0})
    columns = next(iter(data_preparation(config, create_dataset(config))[0])).columns
    assert {batch.REVIEW_IDS, "neg_item_id"} <= set(columns)
