"""A model in float64 on the small data set, and what an oracle needs of it as NumPy arrays."""

from types import SimpleNamespace

import numpy as np
import oracles
import pyarrow as pa
import pytest
import torch
from model.test_contract import prepare

from recbole_symcere.data.dataset import ReviewDataset
from recbole_symcere.graph.bipartite import BipartiteGraph


def observed(name, small, **extra):
    """The model, its first training batch, and a namespace of arrays for an oracle.

    Weights are drawn large, so that no term of a loss is small beside another.
    """
    _, model, dataset, (train, *_) = prepare(name, small, **extra)
    model = model.double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    batch = next(iter(train))
    part = train.dataset.inter_feat
    users, items = part["user_id"].numpy(), part["item_id"].numpy()
    model.graph = BipartiteGraph(users, items, model.n_users, model.n_items, torch.float64)
    given = SimpleNamespace(
        users=users,
        items=items,
        n_users=model.n_users,
        n_items=model.n_items,
        weight={name: p.detach().numpy() for name, p in model.named_parameters()},
        batch={name: batch[name].numpy() for name in batch.columns},
        adjacency=oracles.normalised_adjacency(
            zip(users, items, strict=True), model.n_users, model.n_items
        ),
        dataset=dataset,
        train=train.dataset,
    )
    return model, batch, given


def loss_of(model, batch):
    """The terms of a batch's loss as numbers."""
    with torch.no_grad():
        terms = model.calculate_loss(batch)
    return SimpleNamespace(**{name: term.item() for name, term in terms._asdict().items()})


def check_gradient(model, loss, weight, total, digits=1e-6):
    """A model's gradient against slopes of an oracle's loss along random directions.

    ``loss`` gives the model's terms; ``total`` gives the oracle's loss for weights like ``weight``,
    NumPy arrays by the names of the model's parameters.
    """
    model.zero_grad()
    sum(loss()).backward()
    gradient = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert gradient.keys() == weight.keys()
    rng, step = np.random.default_rng(5), 1e-5
    for _ in range(2):
        way = {name: rng.normal(size=w.shape) for name, w in weight.items()}
        ends = [
            total({name: w + sign * step * way[name] for name, w in weight.items()})
            for sign in (1, -1)
        ]
        ours = sum((gradient[name].numpy() * way[name]).sum() for name in weight)
        assert abs(ours) > 0.001
        assert ours == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=digits)


def at(given, weight):
    """``given`` with other weights."""
    return SimpleNamespace(**{**vars(given), "weight": weight})


def rows_of(given, nodes):
    """Vectors of the batch's users, items and sampled items."""
    items = given.n_users + given.batch["item_id"]
    sampled = given.n_users + given.batch["neg_item_id"]
    return nodes[given.batch["user_id"]], nodes[items], nodes[sampled]


def l2(given, table):
    drawn = rows_of(given, table)
    return sum((rows**2).sum() for rows in drawn) / (2 * len(drawn[0]))


def bpr(given, nodes):
    users, items, sampled = rows_of(given, nodes)
    return oracles.bpr_rows((users * items).sum(1), (users * sampled).sum(1)).mean()


def recorded_noise(monkeypatch):
    """Every draw of torch.rand_like from here on, in order, as NumPy arrays."""
    draws, rand_like = [], torch.rand_like

    def recorded(x, **how):
        draws.append(rand_like(x, **how))
        return draws[-1]

    monkeypatch.setattr(torch, "rand_like", recorded)
    return draws


def mean_per(vectors, ids, size):
    """Mean of the vectors of each user or item, and which of them have one."""
    means, has = [], []
    for n in range(size):
        own = [vectors[r] for r in np.flatnonzero(ids == n) if vectors[r] is not None]
        has.append(bool(own))
        means.append(np.mean(own, axis=0) if own else np.zeros(32))
    return np.array(means), np.array(has)


def silence(monkeypatch):
    """Leave some users and items without a single training review."""
    every = ReviewDataset.training_reviews

    def fewer(self):
        pairs = (self.inter_feat[field] for field in ("user_id", "item_id"))
        rows = zip(*pairs, every(self).to_pylist(), strict=True)
        return pa.array(["" if u % 5 == 0 or i % 4 == 0 else text for u, i, text in rows])

    def in_one_piece(self):
        texts = fewer(self)
        yield np.arange(len(texts)), texts

    monkeypatch.setattr(ReviewDataset, "training_reviews", fewer)
    monkeypatch.setattr(ReviewDataset, "review_pieces", in_one_piece)


def text_vectors_of(given, small):
    """The review vector of each training interaction, None for an empty one; encoded one by one."""
    from recbole_symcere.text.encoder import TextEncoder, load_encoder

    backbone, tokenizer = load_encoder(small["text_encoder"])
    encoder = TextEncoder(backbone).eval()
    vectors = []
    for text in given.train.training_reviews().to_pylist():
        if not text:
            vectors.append(None)
            continue
        tokens = tokenizer(text, truncation=True, max_length=16, return_tensors="pt")
        with torch.no_grad():
            vector = encoder(tokens["input_ids"], tokens["attention_mask"])
        vectors.append(vector[0].double().numpy())
    return vectors
