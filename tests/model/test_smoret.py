"""SMORE-T against a float64 oracle."""

import numpy as np
import oracles
import pytest
from model.parts import (
    at,
    bpr,
    check_gradient,
    l2,
    loss_of,
    mean_per,
    observed,
    rows_of,
    text_vectors_of,
)
from model.test_smoret_neighbours import oracle as similar_texts

from recbole_symcere.model.smoret_neighbours import nearest

LOUD = {"n_layers": 2, "n_item_layers": 2, "n_neighbours": 4, "dropout": 0.0}
LOUD |= {"temperature": 0.3, "cl_weight": 0.7, "reg_weight": 0.01}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def convolved(x, spectrum):
    """The filter in the time domain: a circular convolution with the inverse of the spectrum."""
    size = x.shape[1]
    half = spectrum[:, 0] + 1j * spectrum[:, 1]
    frequencies = np.arange(size // 2 + 1)
    result = np.zeros_like(x)
    for row, signal in enumerate(x):
        transformed = [
            sum(signal[n] * np.exp(-2j * np.pi * f * n / size) for n in range(size))
            for f in frequencies
        ]
        product = half * transformed
        for n in range(size):
            total = 0.0
            for f in frequencies:
                once = f in (0, size / 2)  # all others stand for their conjugates too
                part = product[f].real if once else 2 * product[f]
                total += (part * np.exp(2j * np.pi * f * n / size)).real
            result[row, n] = total / size
    return result


def views(given, text):
    w = given.weight
    content = oracles.lightgcn(given.adjacency, w["embedding.weight"], 2)
    features = w["text"] @ w["projection.weight"].T + w["projection.bias"]
    gate = sigmoid(convolved(features, w["spectrum"]) @ w["gate.weight"].T + w["gate.bias"])
    graph = similar_texts(text, 4)
    items = graph @ graph @ (w["embedding.weight"][given.n_users :] * gate)
    users = given.adjacency[: given.n_users, given.n_users :] @ items
    preference = sigmoid(content @ w["preference.weight"].T + w["preference.bias"])
    return content, preference * np.concatenate([users, items])


def terms(given, content, side):
    final, contrasted = content + side, 0
    for one, other in list(zip(rows_of(given, side), rows_of(given, content), strict=True))[:2]:
        rows = oracles.unit(one), oracles.unit(other)
        contrasted += oracles.contrastive_rows(*rows, oracles.others(len(one)), 0.3).mean()
    return bpr(given, final), 0.7 * contrasted, 0.01 * l2(given, final)


@pytest.mark.parametrize("size", [16, 7])
def test_its_loss_gradient_and_scores(small, size, monkeypatch):
    seen = []

    def spread(text, k):  # the tiny encoder finds all texts alike; that leaves neighbours to chance
        seen.append(text)
        return nearest(text - text.mean(0), k)

    monkeypatch.setattr("recbole_symcere.model.smoret.nearest", spread)
    model, batch, given = observed("SMORET", small, **{**LOUD, "embedding_size": size})
    text, _ = mean_per(text_vectors_of(given, small), given.items, given.n_items)
    assert np.allclose(seen[0], text, atol=1e-5)
    content, side = views(given, text - text.mean(0))
    loss = loss_of(model, batch)
    expected = terms(given, content, side)
    # text vectors are float32
    assert (loss.bpr, loss.contrast, loss.l2) == pytest.approx(expected, abs=1e-5)
    vectors = np.concatenate([x.numpy() for x in model.eval().scoring_vectors()])
    assert np.allclose(vectors, content + side, atol=1e-5)

    def total(weight):
        moved = at(given, weight)
        return sum(terms(moved, *views(moved, text - text.mean(0))))

    check_gradient(
        model.train(), lambda: model.calculate_loss(batch), given.weight, total, digits=1e-4
    )


def test_text_vectors_start_at_the_items_reviews_and_learn(small):
    from model.test_contract import prepare, trained

    _, model, _, (train, *_) = prepare("SMORET", small)
    part = train.dataset.inter_feat
    given = type("Given", (), {"train": train.dataset})
    text, has = mean_per(text_vectors_of(given, small), part["item_id"].numpy(), model.n_items)
    assert np.allclose(model.text.detach(), text, atol=1e-5)
    assert not model.text[~has].any()
    learned, _ = trained("SMORET", small)
    assert not np.allclose(learned.text.detach(), text, atol=1e-5)
