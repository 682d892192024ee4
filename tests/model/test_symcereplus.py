"""SymCEREPlus against a float64 oracle, its switches, and what it makes of text alone."""

import numpy as np
import oracles
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from model.parts import loss_of, mean_per, observed, silence, text_vectors_of
from model.test_contract import all_scores, prepare, trained
from model.test_symcere import two_losses
from small_data import write_small
from tiny_models import WORDS

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import read_options
from recbole_symcere.model.profiles import node_profiles
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data
from recbole_symcere.text.text_options import EncoderOptions

OFF = {"rank_weight": 0.0, "cross_weight": 0.0, "alpha": 0.0, "beta": 0.0, "node_weight": 0.0}
DENSE = {"profile_text": "dense", "n_layers": 2, "n_negatives": 7}


def directions(rows, has):
    """Rows as unit vectors around the mean of those that there are."""
    centred = np.where(has[:, None], rows - rows[has].mean(axis=0), 0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def dense_profiles(given, small):
    vectors = text_vectors_of(given, small)
    sides = ((given.users, given.n_users), (given.items, given.n_items))
    return [directions(*mean_per(vectors, ids, n)) for ids, n in sides]


def nodes_of(given, small, side):
    users, items = dense_profiles(given, small)
    w = given.weight
    text = np.concatenate([users if side != "item" else 0 * users, 0 * items if side == "user"
                           else items])  # fmt: skip
    ego = text @ w["seed.matrix"].T / 5
    if "embedding.weight" in w:
        ego = ego + w["id_scale"] * w["embedding.weight"]  # observed draws that too
    return oracles.unit(oracles.lightgcn(given.adjacency, ego, 2) + 1e-30)


@pytest.mark.parametrize(("side", "scale"), [("item", 0.0), ("user", 0.5), ("both", 0.5)])
@pytest.mark.parametrize("bias", [True, False])
def test_its_ranking_term(small, side, scale, bias, monkeypatch):
    silence(monkeypatch)
    settings = {**DENSE, **OFF, "rank_weight": 2.0, "profile": side, "id_scale": scale}
    model, batch, given = observed("SymCEREPlus", small, **settings, item_bias=bias)
    nodes = nodes_of(given, small, side)
    popularity = given.weight["item_bias"] if bias else np.zeros(given.n_items)
    torch.manual_seed(3)
    loss = loss_of(model, batch)
    torch.manual_seed(3)
    trained_items = np.unique(given.items)
    drawn = trained_items[torch.randint(len(trained_items), (7,)).numpy()]
    known = set(zip(given.users.tolist(), given.items.tolist(), strict=True))
    rows, spared = [], 0
    for user, item in zip(given.batch["user_id"], given.batch["item_id"], strict=True):
        allowed = [j for j in drawn if (user, j) not in known]
        spared += 7 - len(allowed)
        scores = [
            np.exp(oracles.dot(nodes[user], nodes[given.n_users + j]) / 0.4 + popularity[j])
            for j in (item, *allowed)
        ]
        rows.append(-np.log(scores[0] / sum(scores)))
    assert spared > 10
    assert loss.rank == pytest.approx(
        2 * np.mean(rows), abs=2e-4
    )  # centring leaves few digits of float32
    assert (loss.cross, loss.intra, loss.bpr, loss.node) == (0, 0, 0, 0)


def test_its_node_term(small, monkeypatch):
    silence(monkeypatch)
    model, batch, given = observed("SymCEREPlus", small, **{**DENSE, **OFF, "node_weight": 0.5})
    nodes, w = nodes_of(given, small, "item"), given.weight
    means = []
    for field, start, profiles in zip(
        ("user_id", "item_id"), (0, given.n_users), dense_profiles(given, small), strict=True
    ):
        ids = [n for n in np.unique(given.batch[field]) if profiles[n].any()]
        assert len(ids) < len(np.unique(given.batch[field]))
        text = profiles[ids] @ w["node_projection.weight"].T
        graph, text = nodes[start + np.array(ids)], oracles.unit(text)
        others = np.ones((len(ids), len(ids)), dtype=bool)
        both = [oracles.contrastive_rows(a, b, others, 0.2).mean()
                for a, b in ((graph, text), (text, graph))]  # fmt: skip
        means.append(np.mean(both))
    assert loss_of(model, batch).node == pytest.approx(0.5 * np.mean(means), abs=2e-4)


@pytest.mark.parametrize("side", ["item", "user", "both"])
def test_it_starts_at_the_leading_directions_of_the_profiles_it_reads(small, side):
    settings = {"profile": side, "embedding_size": 4, "blend": None}
    start, again, anywhere = (
        prepare("SymCEREPlus", small, **settings, seed=seed, profile_start=where)[1]
        for seed, where in ((1, "directions"), (2, "directions"), (1, "random"))
    )
    sides = {"item": slice(-start.n_items, None), "user": slice(start.n_users)}
    read = sides.get(side, slice(None))
    profiles = start.profiles.numpy()[read]
    _, _, turned = np.linalg.svd(profiles.astype(np.float64), full_matrices=False)
    kept = profiles @ turned[:4].T
    for model in (start, again):
        ego = model.ego().detach()[read].numpy()
        np.testing.assert_allclose(ego @ ego.T, kept @ kept.T, atol=2e-3)
    assert not torch.allclose(start.ego(), again.ego(), atol=1e-2)
    ego = anywhere.ego().detach()[read].numpy()
    assert np.abs(ego @ ego.T - kept @ kept.T).max() > 0.1


def test_with_every_addition_off_it_is_symcere(small):
    off = {"blend": None, "profile": None, "id_scale": 1.0, "item_bias": False, "rank_weight": 0.0,
           "node_weight": 0.0, "cross_weight": 1.0}  # fmt: skip
    shared = {"alpha": 0.5, "beta": 0.05, "learning_rate": 0.01}
    ours, _ = trained("SymCEREPlus", small, **off, **shared)
    theirs, _ = trained("SymCERE", small, **shared)
    assert torch.equal(ours.embedding.weight, theirs.embedding.weight)
    assert torch.allclose(all_scores(ours) * 0.4, all_scores(theirs), atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "both"},
        {"profile": "user", "profile_text": "lexical"},
        {"profile": None, "id_scale": 1.0},
        {"profile_hidden": 8},
        {"profile_start": "random"},
        {"learn_id_scale": True, "id_scale": 0.1},
        {"node_weight": 0.5},
        {"alpha": 0.5, "beta": 0.5},
        {"backbone": "NGCF", "hidden_size_list": [16, 8], "node_weight": 0.5},
        {"text_control": "constant"},
        {"text_level": "item"},
        {"cross_weight": 0.3},
        {"rank_weight": 0.5},
        {"rank_temperature": 0.2},
        {"profile_text": "dense"},
        {"n_negatives": 5},
    ],
    ids=str,
)
def test_every_switch_trains_and_changes_the_loss(small, options):
    model, _ = trained("SymCEREPlus", small, epochs=1, **options)
    assert torch.isfinite(all_scores(model)).all()
    plain = two_losses("SymCEREPlus", small)
    changed = two_losses("SymCEREPlus", small, **options)
    assert max(abs(a - b) for a, b in zip(plain, changed, strict=True)) > 1e-6


def test_without_a_bias_popularity_is_not_learned(small):
    model, _ = trained("SymCEREPlus", small, epochs=1)  # it begins at 0, so that no loss differs
    without, _ = trained("SymCEREPlus", small, epochs=1, item_bias=False)
    assert model.item_bias.abs().max() > 0
    assert not hasattr(without, "item_bias")
    assert not torch.allclose(all_scores(model), all_scores(without))


@pytest.mark.parametrize("weight", [0.03, 0.5])
def test_the_cross_modal_term_is_symceres_by_its_weight(small, weight):
    settings = {**DENSE, **OFF, "profile": None, "id_scale": 1.0, "item_bias": False}
    ours, batch, _ = observed("SymCEREPlus", small, **{**settings, "cross_weight": weight})
    theirs, *_ = observed("SymCERE", small, n_layers=2, alpha=0.0, beta=0.0)
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if k in theirs.state_dict()})
    expected = loss_of(theirs, batch).cross
    assert expected > 0.1
    assert loss_of(ours, batch).cross == pytest.approx(weight * expected, rel=1e-9)


def test_without_ids_and_without_text_there_is_nothing_to_learn(small):
    with pytest.raises(InputError, match="profile is ~ and id_scale 0"):
        prepare("SymCEREPlus", small, profile=None)


@pytest.mark.parametrize("side", ["item", "user"])
def test_a_side_without_anything_in_layer_0_needs_layers(small, side):
    settings = {"profile_text": "lexical", "n_layers": 0, "blend": None}
    message = (
        rf"n_layers=0: profile: {side} seeds one side, .* zero\. Set n_layers to 1 or more, or"
    )
    with pytest.raises(InputError, match=message):
        prepare("SymCEREPlus", small, **settings, profile=side)
    others = ({"profile": "both"}, {"profile": side, "id_scale": 0.5},
              {"profile": side, "backbone": "NGCF"}, {"profile": side, "n_layers": 1})  # fmt: skip
    for extra in others:
        model = prepare("SymCEREPlus", small, **{**settings, **extra})[1].eval()
        assert all(vectors[1:].any() for vectors in model.forward())


def test_ids_take_part_only_if_asked_for(small):
    assert not any("embedding" in key for key in prepare("SymCEREPlus", small)[1].state_dict())
    learned = prepare("SymCEREPlus", small, learn_id_scale=True, id_scale=0.25)[1]
    assert learned.id_scale.item() == 0.25
    assert learned.id_scale.requires_grad


def test_the_dial_moves_popularity_alone(small):
    model, _ = trained("SymCEREPlus", small, blend=None)
    full, plus = all_scores(model), model.plus
    without = type(plus)(**{**plus.__dict__, "popularity": 0.0})
    model.plus = without
    model.forget()
    difference = full - all_scores(model)
    assert torch.allclose(difference, model.item_bias.expand_as(difference), atol=1e-6)
    assert model.item_bias.abs().max() > 0.01
    assert (all_scores(model).abs() <= 1 / 0.4 + 1e-5).all()


def test_an_item_without_interactions_is_placed_by_its_text(small, tmp_path):
    folder = write_small(tmp_path / "d")
    settings = {**small, "data_path": str(tmp_path / "d"),
                "cold_items": 0.2, "epochs": 20, "learning_rate": 0.01, "blend": None}  # fmt: skip
    config = Config("SymCEREPlus", "small", config_dict=settings)
    dataset = split_data(config, read_dataset(config))[0].dataset
    lively = set(dataset.inter_feat["item_id"].tolist())
    cold = [i for i in range(1, dataset.item_num) if i not in lively]
    assert cold
    names = dataset.id2token("item_id", np.arange(1, dataset.item_num))
    # a text that names other items of the same half, as a review of it would
    texts = [" ".join(WORDS[15 * (int(n[1:]) // 15) :][:15]) for n in names]
    pq.write_table(pa.table({"item_id": names, "text": texts}), folder / "small.items.parquet")
    train, valid, _ = split_data(config, read_dataset(config))
    model = build_model(config, train)
    build_trainer(config, model).fit(train, valid, verbose=False, saved=False)
    model.eval()
    assert model.trained_items.tolist() == sorted(lively)
    assert (model.item_bias[cold] == 0).all()
    scores = all_scores(model)
    users = dataset.id2token("user_id", np.arange(1, dataset.user_num))
    for item in cold:
        half = int(dataset.id2token("item_id", item)[1:]) // 15
        own = np.array([int(user[1:]) % 2 == half for user in users])
        assert scores[own, item].mean() > scores[~own, item].mean() + 0.5


def test_profiles_of_a_silent_side_are_zero(small, monkeypatch):
    silence(monkeypatch)
    config, _, _, (train, *_) = prepare("SymCEREPlus", small)
    encoder = read_options(EncoderOptions, config)
    size = 2
    found = node_profiles(train.dataset, encoder, torch.device("cpu"), size, 64, dense=True)
    users, items = found.nodes.split([train.dataset.user_num, train.dataset.item_num])
    assert users.shape[1] == items.shape[1] == 32 + size
    for rows, every in ((users, 5), (items, 4)):
        assert not rows[0].any()
        assert not rows[::every].any()
        dense, words = (part[rows.any(dim=1)].norm(dim=1) for part in rows.split([32, size], dim=1))
        assert torch.allclose(dense, torch.ones_like(dense), atol=1e-4)
        assert torch.allclose(words, words.round(), atol=1e-4)  # 0 without a word of two items
        assert words.mean() > 0.5
