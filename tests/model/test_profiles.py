"""Means of text vectors, and that texts which say nothing leave nothing in them."""

import numpy as np
import torch
from model.test_contract import prepare

from recbole_symcere.model.profiles import mean_of


def test_means_against_numpy():
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
    items = model.profiles[model.n_users :]
    described = items[items.any(dim=1)]
    assert not len(described) or torch.equal(described, described[:1].expand_as(described))
