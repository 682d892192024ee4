"""Means of text vectors, and that texts which say nothing leave nothing in them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from model.test_contract import prepare
from small_data import small_rows, write_rows
from tiny_models import WORDS

from recbole_symcere.base.options import read_options
from recbole_symcere.data import dataset as data_set
from recbole_symcere.model import profiles
from recbole_symcere.model.catalogue_words import item_words
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


@pytest.fixture
def with_own_texts(small, tmp_path):
    """The small data, where the items' own texts share words that no review has.

    Two thirds of the items have one: i3 and i4 have the same, all others words of their own.
    """
    folder = write_rows(tmp_path, "small", small_rows())
    names = [f"i{n}" for n in range(30) if n % 3 < 2]
    groups = [3 if name == "i4" else int(name[1:]) for name in names]
    texts = [" ".join(WORDS[300 + 3 * group :][:3]) for group in groups]
    pq.write_table(pa.table({"item_id": names, "text": texts}), folder / "small.items.parquet")
    return {**small, "data_path": str(tmp_path)}


def test_an_items_own_text_is_half_of_its_vector(with_own_texts):
    config, _, _, (train, *_) = prepare("SymCEREPlus", with_own_texts)
    dataset, cpu = train.dataset, torch.device("cpu")
    options = read_options(EncoderOptions, config)
    found = node_profiles(dataset, options, cpu, 0, 64, True, False).nodes.double().numpy()
    items = dataset.inter_feat["item_id"].numpy()
    reviews = profiles.interaction_vectors(dataset, options, cpu)
    told = profiles.item_text_vectors(dataset, options, None, cpu)[0].double().numpy()
    wanted = np.zeros_like(found)
    for item in range(1, dataset.item_num):
        mine = reviews.text_ids[(items == item) & (reviews.text_ids >= 0)]
        parts = [reviews.vectors[mine].double().numpy().mean(axis=0)] if len(mine) else []
        parts += [told[item]] if told[item].any() else []
        if parts:
            wanted[item] = np.mean([part / np.linalg.norm(part) for part in parts], axis=0)
    there = wanted.any(axis=1)
    wanted[there] -= wanted[there].mean(axis=0)
    wanted[there] /= np.linalg.norm(wanted[there], axis=1, keepdims=True)
    assert 1 < told.any(axis=1).sum() < there.sum()
    assert np.abs(found - wanted).max() < 1e-4


def test_words_of_an_items_own_text_count(with_own_texts):
    def cosine(**options):
        _, _, _, (train, *_) = prepare("WordKNN", with_own_texts, **options)
        words = item_words(train.dataset).double().numpy()
        a, b = (words[train.dataset.token2id("item_id", name)] for name in ("i3", "i4"))
        return a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12)

    assert cosine() > cosine(own_item_text=False) + 0.1


@pytest.mark.parametrize("name", ["SymCEREPlus", "WordKNN"])
def test_without_own_text_the_file_is_read_for_silent_items_alone(small, with_own_texts, name):
    described = {**with_own_texts, "own_item_text": False}
    pairs = [
        profiles.review_words(prepare(name, settings)[3][0].dataset, 64, False)
        for settings in (small, described)
    ]
    (plain, _), (told, _) = pairs
    written = np.flatnonzero(np.diff(plain[0].indptr))
    width = plain[0].shape[1]
    assert (plain[0][written] != told[0][written, :width]).nnz == 0
    assert len(written) < told[0].shape[0] - 1 or told[0][written].shape[1] == width
