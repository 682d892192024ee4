"""What of the texts is encoded before training: masked copies, and texts of items."""

import logging

import numpy as np
import pytest
import torch
from model.test_contract import prepare

from recbole_symcere.base.errors import InputError
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.masking import draw_words, mask_words_by_draws


@pytest.mark.parametrize("mode", ["frozen", "lora"])
def test_masked_copies_are_drawn_by_the_runs_seed(small, mode):
    settings = {"word_mask": 0.5, "text_mode": mode, "lora_layers": None if mode == "frozen" else 1}
    settings |= {"lora_dropout": 0.0} if mode == "lora" else {}
    encoder, tokenizer = load_encoder(small["text_encoder"])
    for seed in (3, 4):
        _, model, _, (train, *_) = prepare("SymCERE", small, seed=seed, **settings)
        store = train.reviews.store
        texts = [n for n in range(len(store)) if store.lengths[n] > 6][:3]
        batch = store.take(texts)
        if mode == "frozen":
            copies = model.reviews.masked[:, texts]
        else:
            views = [torch.full((3,), view) for view in range(model.reviews.kept.views)]
            masked = [model.reviews.kept.masked(*batch, view) for view in views]
            with torch.no_grad():
                copies = torch.stack([model.reviews.encoder.eval()(*copy) for copy in masked])
        assert len(copies) == 2
        truth = []
        for view in range(2):
            draws, _ = draw_words(*batch[:2], seed, view)
            copy = mask_words_by_draws(*batch, draws, 0.5, tokenizer.mask_token_id)
            with torch.no_grad():
                truth.append(TextEncoder(encoder).eval()(*copy))
        torch.testing.assert_close(copies, torch.stack(truth), atol=1e-5, rtol=0)


def test_runs_of_other_seeds_share_the_reviews_vectors(small):
    one, two = (prepare("SymCERE", small, seed=seed)[1].reviews for seed in (3, 4))
    assert torch.equal(one.original, two.original)
    assert not torch.equal(one.masked, two.masked)
    again = prepare("SymCERE", small, seed=3)[1].reviews
    assert torch.equal(again.masked, one.masked)
    told = prepare("SymCERE", small, seed=4, mask_seed=3)[1].reviews
    assert torch.equal(told.masked, one.masked)


def means_of(small, train, max_length=16):
    """The mean of each item's review vectors, encoded one by one, and of which items."""
    backbone, tokenizer = load_encoder(small["text_encoder"])
    encoder, found = TextEncoder(backbone).eval(), {}
    items = train.inter_feat["item_id"].tolist()
    for item, text in zip(items, train.training_reviews().to_pylist(), strict=True):
        if text:
            tokens = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
            with torch.no_grad():
                vector = encoder(tokens["input_ids"], tokens["attention_mask"])[0]
            found.setdefault(item, []).append(vector)
    return {item: torch.stack(vectors).mean(dim=0) for item, vectors in found.items()}


def test_an_items_text_is_the_mean_of_its_reviews(small):
    settings = {"text_level": "item", "item_text": "mean", "masked_views": 2, "word_mask": 0.0}
    _, model, _, (train, *_) = prepare("SymCERE", small, **settings)
    truth = means_of(small, train.dataset)
    assert model.protocol["item_text"] == "mean"
    assert model.reviews.original.shape == (model.n_items, model.reviews.width)
    for item in range(model.n_items):
        expected = truth.get(item, torch.zeros(model.reviews.width))
        for vectors in (model.reviews.original, *model.reviews.masked):  # nothing is masked
            torch.testing.assert_close(vectors[item], expected, atol=1e-5, rtol=0)
    batch = next(iter(train))
    there = [item if item in truth else -1 for item in batch["item_id"].tolist()]
    assert batch["text_id"].tolist() == there
    assert torch.isfinite(sum(model.calculate_loss(batch)))


def test_masked_copies_of_an_item_are_means_of_masked_reviews(small):
    means = {"text_level": "item", "item_text": "mean"}
    _, model, *_ = prepare("SymCERE", small, **means, word_mask=0.5)
    _, single, _, (reviews, *_) = prepare("SymCERE", small, word_mask=0.5)
    items = reviews.dataset.inter_feat["item_id"]
    texts = torch.from_numpy(reviews.reviews.training_ids(reviews.dataset))
    item = int(items[texts >= 0].mode().values)
    own = texts[(items == item) & (texts >= 0)]
    assert len(own) > 2
    expected = single.reviews.masked[:, own].mean(dim=1)
    torch.testing.assert_close(model.reviews.masked[:, item], expected, atol=1e-5, rtol=0)
    assert not torch.allclose(expected[0], expected[1], atol=1e-3)


def test_collabcontext_reads_the_mean_or_joined_reviews(small):
    _, joined, *_ = prepare("CollabContext", small, item_text="joined")
    _, model, _, (train, *_) = prepare("CollabContext", small, item_text="mean")
    truth = means_of(small, train.dataset)
    assert [m.protocol["item_text"] for m in (joined, model)] == ["joined", "mean"]
    assert model.protocol["items_without_text"] == model.n_items - 1 - len(truth)
    for item in range(model.n_items):
        expected = truth.get(item, torch.zeros(model.item_text.shape[1]))
        expected = torch.nn.functional.normalize(expected, dim=0)
        torch.testing.assert_close(model.item_text[item], expected, atol=1e-5, rtol=0)
    assert not torch.allclose(joined.item_text, model.item_text, atol=1e-3)


def test_what_is_cut_of_joined_reviews_is_told(small, caplog):
    def told(**extra):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "recbole_symcere"):
            prepare("CollabContext", small, **extra)
        return [r.getMessage() for r in caplog.records if "joined" in r.getMessage()]

    _, _, _, (train, *_) = prepare("SymCERE", small)
    _, tokenizer = load_encoder(small["text_encoder"])
    whole = read = begun = 0
    n_reviews, per_item = 0, {}
    order = train.dataset.inter_feat["timestamp"].argsort(stable=True)
    texts = train.dataset.training_reviews().to_pylist()
    for row in order.tolist():
        if texts[row]:
            ids = tokenizer(texts[row], add_special_tokens=False)["input_ids"]
            per_item.setdefault(int(train.dataset.inter_feat["item_id"][row]), []).append(len(ids))
    for sizes in per_item.values():
        whole, n_reviews, left = whole + sum(sizes), n_reviews + len(sizes), 14
        read += min(14, sum(sizes))
        for size in sizes:
            begun += left > 0
            left -= size
    assert told(item_text="joined", max_length=16) == [
        f"item_text: joined: max_length=16 reads {100 * read / whole:.0f} % of the items' joined "
        f"training reviews, {begun / len(per_item):.1f} of {n_reviews / len(per_item):.1f} reviews "
        "an item, the oldest first. item_text: mean reads them all."
    ]
    assert not told(item_text="joined", max_length=66)
    assert not told(item_text="mean", max_length=16)


def test_the_mean_is_of_vectors_that_stay(small):
    settings = {"text_level": "item", "text_mode": "lora", "max_length": 64}
    with pytest.raises(InputError, match=r"item_text=mean: .* text_mode is lora\. Set item_text"):
        prepare("SymCERE", small, **settings, item_text="mean")
    _, model, *_ = prepare("SymCERE", small, **settings)
    assert model.protocol["item_text"] == "joined"
    _, _, _, (train, *_) = prepare("SymCERE", small, text_level="item", item_text="mean")
    with pytest.raises(InputError, match="the mean of reviews has no tokens"):
        train.reviews.take(np.array([1]))


def test_item_text_that_nothing_reads_is_told(small, caplog):
    with caplog.at_level(logging.WARNING, "recbole_symcere"):
        prepare("SymCERE", small, item_text="mean")
    assert [r.getMessage() for r in caplog.records if "without effect" in r.getMessage()] == [
        "item_text: without effect, because text_level is interaction."
    ]
