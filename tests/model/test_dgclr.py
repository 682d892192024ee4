"""DGCLR (our ranking adaptation) against a float64 oracle in loops over interactions."""

import numpy as np
import oracles
import pytest
import torch
from model.parts import loss_of, observed, text_vectors_of
from model.test_contract import prepare

from recbole_symcere.base.errors import InputError

PLANTED = {"dropout": 0.3, "epochs": 15}

SETTINGS = {"n_factors": 2, "embedding_size": 8, "review_size": 6, "dropout": 0.0}
SETTINGS |= {"temperature": 0.3, "cl_weight": 0.7, "n_positives": 3}


def softmax(x):
    e = np.exp(np.array(x) - max(x))
    return e / e.sum()


def cosine(a, b):
    return oracles.dot(a, b) / np.sqrt(oracles.dot(a, a) * oracles.dot(b, b))


def factor_vectors(given, reviews):
    """u^k, i^k after the layer, and w, by the equations of `FactorGraphs`."""
    w = {name.removeprefix("factors."): p for name, p in given.weight.items()}
    users, items = np.split(w["embedding"], [given.n_users])
    edges = sorted(set(zip(given.users.tolist(), given.items.tolist(), strict=True)))
    share = 1 / (1 + np.exp(-w["eta"]))
    mixed = []
    for e, (u, i) in zip(reviews, edges, strict=True):
        semantic = [oracles.dot(e @ w["semantic"][k], w["prototypes"][k]) / 0.5 for k in range(2)]
        structural = [cosine(users[u, k], items[i, k]) / 0.5 for k in range(2)]
        mixed.append(share * softmax(semantic) + (1 - share) * softmax(structural))
    of_user, of_item = np.zeros((given.n_users, 2)), np.zeros((given.n_items, 2))
    for p, (u, i) in zip(mixed, edges, strict=True):
        of_user[u] += p
        of_item[i] += p
    weights = [p / np.sqrt(of_user[u] * of_item[i]) for p, (u, i) in zip(mixed, edges, strict=True)]
    result = []
    for side, size, source, ends in (
        ("user", given.n_users, items, edges),
        ("item", given.n_items, users, [(i, u) for u, i in edges]),
    ):
        total = np.zeros((size, 2, 4))
        for p, e, (target, origin) in zip(weights, reviews, ends, strict=True):
            for k in range(2):
                message = source[origin, k] @ w[f"node.{side}"][k]
                message = message + e @ w["semantic"][k] @ w[f"review.{side}"][k]
                total[target, k] += p[k] * message
        total = np.where(total > 0, total, 0.1 * total)
        out = [total[:, k] @ w[f"out.{side}"][k] + w[f"bias.{side}"][k] for k in range(2)]
        result.append(np.stack(out, axis=1))
    return *result, dict(zip(edges, weights, strict=True))


def joined(users, items, query, u, i):
    """h_ui."""
    a = softmax([oracles.dot(users[u, k], query) for k in range(2)])
    return np.concatenate([a[k] * users[u, k] * items[i, k] for k in range(2)])


def test_its_loss_and_its_scores(small):
    model, batch, given = observed("DGCLR", small, **SETTINGS)
    users, items, weights = factor_vectors(given, model.edge_review.numpy())
    query = given.weight["query"][0]
    rows = [
        (int(u), int(i), int(j))
        for u, i, j in zip(*(given.batch[f] for f in ("user_id", "item_id", "neg_item_id")),
                           strict=True)
    ]  # fmt: skip
    positive = np.array([joined(users, items, query, u, i) for u, i, _ in rows])
    negative = np.array([joined(users, items, query, u, j) for u, _, j in rows])
    loss = loss_of(model, batch)
    ranking = oracles.bpr_rows(positive.sum(1), negative.sum(1)).mean()
    assert loss.bpr == pytest.approx(ranking, abs=1e-9)
    h, losses = oracles.unit(positive), []
    for r, (u, i, _) in enumerate(rows):
        alike = [oracles.dot(weights[u, i], weights[v, j]) for v, j, _ in rows]
        chosen = np.argsort(alike)[-3:]
        terms = [np.exp(oracles.dot(h[r], other) / 0.3) for other in h]
        losses.append(-np.log(sum(terms[s] for s in chosen) / sum(terms)))
    assert loss.contrast == pytest.approx(0.7 * np.mean(losses), abs=1e-9)
    scores = np.array(model.eval().scoring_vectors()[0]) @ model.scoring_vectors()[1].numpy().T
    u, i, _ = rows[0]
    assert scores[u, i] == pytest.approx(positive[0].sum(), abs=1e-9)


def test_each_edge_has_its_own_review(small):
    model, _, given = observed("DGCLR", small, **SETTINGS)
    vectors = text_vectors_of(given, small)
    present = [r for r in range(len(vectors)) if vectors[r] is not None]
    x = np.array([vectors[r] for r in present])
    x = x - x.mean(0)
    left, *_ = np.linalg.svd(x, full_matrices=False)
    gram = left[:, :6] @ left[:, :6].T  # whitening leaves the left singular vectors
    length = np.sqrt(np.diag(gram))
    place = model.graph.edges_of(torch.tensor(given.users), torch.tensor(given.items)).numpy()
    ours = model.edge_review.numpy()[place]
    ours_gram = ours[present] @ ours[present].T
    assert np.allclose(ours_gram, gram / length[:, None] / length, atol=1e-3)  # float32 vectors
    assert (ours[[r for r in range(len(vectors)) if vectors[r] is None]] == 0).all()


def test_two_passes_differ_by_dropout_and_scores_have_none(small):
    model, batch, _ = observed("DGCLR", small, **{**SETTINGS, "dropout": 0.5})
    assert loss_of(model, batch).bpr != loss_of(model, batch).bpr
    model.eval()
    first = model.scoring_vectors()[0]
    model.forget()
    assert torch.equal(first, model.scoring_vectors()[0])


def test_a_width_that_cannot_be_shared_out(small):
    with pytest.raises(InputError, match="embedding_size is 16, but it must be a multiple of n_f"):
        prepare("DGCLR", small, n_factors=3)
