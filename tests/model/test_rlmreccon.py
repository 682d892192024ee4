"""RLMRec-Con against a float64 oracle."""

import copy

import numpy as np
import oracles
import pytest
from model.parts import (
    at,
    bpr,
    check_gradient,
    loss_of,
    mean_per,
    observed,
    rows_of,
    silence,
    text_vectors_of,
)

LOUD = {"n_layers": 2, "temperature": 0.3, "kd_weight": 0.7, "reg_weight": 0.01}


def mlp(given, x):
    w = {name.removeprefix("projection.layers."): p for name, p in given.weight.items()}
    hidden = x @ w["0.weight"].T + w["0.bias"]
    return np.where(hidden > 0, hidden, 0.01 * hidden) @ w["2.weight"].T + w["2.bias"]


def terms(given, pairs, users, items):
    """L_BPR, the alignment and L2; users and items are profiles and who has one."""
    nodes = oracles.lightgcn(given.adjacency, given.weight["embedding.weight"], 2)
    graph, aligned = rows_of(given, nodes), 0
    for role, field in enumerate(("user_id", "item_id", "neg_item_id")):
        ids = given.batch[field]
        table, has = users if role == 0 else items
        kept = [r for r in range(len(ids)) if has[ids[r]]]
        if role < 2:  # a copy of a pair isn't its negative
            kept = [r for r in kept if pairs.index(pairs[r]) == r]
        text = oracles.unit(mlp(given, table))
        candidates = text[has] if role == 0 else text[ids[kept]]
        rows = []
        for r in kept:
            e = oracles.unit(graph[role][[r]])[0]
            total = sum(np.exp(oracles.dot(e, c) / 0.3) for c in candidates)
            rows.append(-np.log(np.exp(oracles.dot(e, text[ids[r]]) / 0.3) / total))
        aligned += np.mean(rows)
    squares = sum((p**2).sum() for p in given.weight.values())
    return bpr(given, nodes), 0.7 * aligned, 0.01 * squares


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("n_sampled", [1, 2])
def test_its_loss_and_gradient(small, silent, n_sampled, monkeypatch):
    if silent:
        silence(monkeypatch)
    model, batch, given = observed("RLMRecCon", small, **LOUD, edge_dropout=0.0)
    if n_sampled == 2:  # RecBole repeats the rows and samples another item for the copies
        batch = copy.deepcopy(batch).repeat(2)
        batch["neg_item_id"][len(batch) // 2 :] = batch["neg_item_id"][: len(batch) // 2].flip(0)
        given.batch = {name: batch[name].numpy() for name in batch.columns}
    pairs = list(zip(given.batch["user_id"], given.batch["item_id"], strict=True))
    assert (len(set(pairs)) < len(pairs)) == (n_sampled == 2)
    loss = loss_of(model, batch)
    vectors = text_vectors_of(given, small)
    users = mean_per(vectors, given.users, given.n_users)
    items = mean_per(vectors, given.items, given.n_items)
    assert silent == (not users[1][1:].all())
    ranking, aligned, squares = terms(given, pairs, users, items)
    assert loss.alignment == pytest.approx(aligned, abs=1e-5)  # vectors are float32
    assert loss.bpr == pytest.approx(ranking, abs=1e-9)
    assert loss.l2 == pytest.approx(squares, abs=1e-9)
    check_gradient(
        model,
        lambda: model.calculate_loss(batch),
        given.weight,
        lambda weight: sum(terms(at(given, weight), pairs, users, items)),
        digits=1e-4,
    )


def test_training_leaves_edges_out_and_scoring_does_not(small):
    model, batch, given = observed("RLMRecCon", small, **LOUD, edge_dropout=0.5)
    first, second = (loss_of(model, batch) for _ in range(2))
    assert first.bpr != second.bpr
    nodes = oracles.lightgcn(given.adjacency, given.weight["embedding.weight"], 2)
    users, items = model.eval().scoring_vectors()
    assert np.allclose(np.concatenate([users, items]), nodes, atol=1e-12)
