"""Means of text vectors, and that texts which say nothing leave nothing in them."""

import numpy as np
import pytest
import torch
from model.test_contract import prepare
from small_data import small_rows, write_rows
from tiny_models import WORDS

from recbole_symcere.base.options import read_options
from recbole_symcere.data import dataset as data_set
from recbole_symcere.model import profiles
from recbole_symcere.model.profiles import node_profiles
from recbole_symcere.text import owners as owners_of
from recbole_symcere.text.owners import mean_of
from recbole_symcere.text.text_options import EncoderOptions


@pytest.mark.parametrize("at_once", [2, 100])
def test_means_against_numpy(monkeypatch, at_once):
    monkeypatch.setattr(owners_of, "_VECTORS", at_once)
    rng = np.random.default_rng(0)
    vectors = torch.from_numpy(rng.normal(size=(9, 5)).astype(np.float32))
    chosen, owners = rng.integers(-1, 9, 60), rng.integers(0, 12, 60)
    found = mean_of(vectors, chosen, owners, 13)
    for owner in range(13):
        own = [c for c, o in zip(chosen, owners, strict=True) if o == owner and c >= 0]
        expected = vectors[own].double().mean(0) if own else torch.zeros(5)
        assert torch.allclose(found[owner].double(), expected.double(), atol=1e-6)


def test_the_mean_of_one_text_is_its_vector_however_often_it_is_owned():
    vectors = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 64)).astype(np.float32))
    owners = np.repeat(np.arange(50), np.arange(50))
    found = mean_of(vectors, np.zeros(len(owners), np.int64), owners, 50)
    assert torch.equal(found[1:], vectors.expand(49, 64))
    assert not found[0].any()


def test_constant_texts_give_no_profile_that_tells_items_apart(small):
    _, model, *_ = prepare("SymCEREPlus", small, text_control="constant")
    items = model.profiles  # nobody reads those of users
    described = items[items.any(dim=1)]
    assert not len(described) or torch.equal(described, described[:1].expand_as(described))


def test_profiles_of_items_do_not_depend_on_those_of_users_or_on_pieces(small, monkeypatch):
    config, model, _, (train, *_) = prepare("SymCEREPlus", small)

    def made(with_users):
        options, device = read_options(EncoderOptions, config), torch.device("cpu")
        return node_profiles(train.dataset, options, device, 8, 64, True, with_users)

    whole = made(True)
    assert len(whole.nodes) == model.n_users + model.n_items
    monkeypatch.setattr(data_set, "_PIECE", 10)
    for with_users, owners in ((True, 5), (True, 100), (False, 5)):
        monkeypatch.setattr(profiles, "_OWNERS", owners)
        found = made(with_users)
        wanted = whole.nodes if with_users else whole.nodes[model.n_users :]
        assert found.nodes.shape == wanted.shape
        assert torch.allclose(found.nodes, wanted, atol=1e-5)
        assert torch.allclose(found.words, whole.words, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ({}, ["items"]),
        ({"profile": "user"}, ["users", "items"]),
        ({"profile": "both"}, ["users", "items"]),
        ({"node_weight": 0.1}, ["users", "items"]),
        ({"profile": None, "id_scale": 1.0}, ["items"]),
    ],
    ids=str,
)
def test_profiles_of_users_are_made_where_they_are_read(small, options, sides):
    model = prepare("SymCEREPlus", small, **options)[1]
    sizes = {"users": model.n_users, "items": model.n_items}
    assert len(model.profiles) == sum(sizes[side] for side in sides)


def test_users_words_stand_in_the_items_space(small, tmp_path):
    """The words of users by the items' idf and directions, against NumPy."""
    rng = np.random.default_rng(0)
    write_rows(
        tmp_path,
        "small",
        [(*row[:4], " ".join(rng.choice(WORDS[:200], 5))) for row in small_rows()],
    )
    _, _, _, (train, *_) = prepare("SymCEREPlus", small, data_path=str(tmp_path))
    dataset = train.dataset
    encoder = read_options(EncoderOptions, dataset.config)
    nodes = node_profiles(dataset, encoder, torch.device("cpu"), 1000, 64, dense=False).nodes
    found = nodes[: dataset.user_num]
    texts = [text.split() for text in dataset.training_reviews().to_pylist()]
    words = sorted({word for text in texts for word in text})
    counts = {}
    for field, size in (("item_id", dataset.item_num), ("user_id", dataset.user_num)):
        counts[field] = np.zeros((size, len(words)))
        for owner, text in zip(dataset.inter_feat[field].tolist(), texts, strict=True):
            for word in text:
                counts[field][owner, words.index(word)] += 1
    n_with = (counts["item_id"] > 0).sum(axis=0)
    n_rows = (counts["item_id"].sum(axis=1) > 0).sum()
    kept = (n_with >= 2) & (n_with <= 0.3 * n_rows)
    idf = np.log((1 + dataset.item_num) / (1 + n_with[kept])) + 1
    items, users = (
        np.where(rows > 0, 1 + np.log(np.maximum(rows, 1)), 0)[:, kept] * idf
        for rows in counts.values()
    )
    items, users = (
        x / np.maximum(np.linalg.norm(x, axis=1), 1e-12)[:, None] for x in (items, users)
    )
    _, _, directions = np.linalg.svd(items, full_matrices=False)
    rows = users @ directions[: found.shape[1]].T
    there = users.any(axis=1)
    rows[there] -= rows[there].mean(axis=0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1), 1e-12)[:, None]
    assert found.shape[1] > 20
    assert np.abs((found @ found.T).numpy() - rows @ rows.T).max() < 0.05
