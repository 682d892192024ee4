"""CollabContext against a float64 oracle, in both phases, and its switches."""

import numpy as np
import oracles
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from model.parts import check_gradient
from model.test_contract import all_scores, prepare, trained
from recbole.data.interaction import Interaction
from small_data import write_small
from tiny_models import WORDS

from recbole_symcere.base.errors import InputError
from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.run.audit import audit

# It learns no item vectors in phase 1, and the tiny encoder finds all texts alike, so that it needs
# a hop more to see a half of the planted task.
PLANTED = {"n_layers": 3}

USERS, ITEMS = [1, 1, 2, 5, 5, 7], [3, 4, 3, 9, 2, 3]
BATCH = Interaction({"user_id": torch.tensor(USERS), "item_id": torch.tensor(ITEMS)})


def exact(small, phase=1, **extra):
    """A model in float64 without dropout, and its vectors and tables as NumPy arrays."""
    _, model, _, (train, *_) = prepare("CollabContext", small, **extra)
    model.double().eval().enter_phase(phase)
    users, items = (train.dataset.inter_feat[field] for field in ("user_id", "item_id"))
    shape = model.n_users, model.n_items
    model.graph = BipartiteGraph(users, items, *shape, dtype=torch.float64)
    pairs = torch.stack([users, items], 1).tolist()
    return model, oracles.normalised_adjacency(pairs, *shape)


def weights_of(model):
    return {name: p.detach().numpy() for name, p in model.named_parameters()}


def oracle_vectors(model, adjacency, items, n_layers=2, weight=None):
    users = (weight or weights_of(model))["user_embedding.weight"]
    nodes = oracles.lightgcn(adjacency, np.concatenate([users, items]), n_layers)
    return nodes[: model.n_users], nodes[model.n_users :]


def oracle_items(model, phase, weight=None):
    """C in phase 1, f(C) in phase 2."""
    text = model.item_text.numpy()
    if phase == 1:
        return text
    weight = weight or weights_of(model)
    names = [name.removesuffix(".weight") for name in weight if name.endswith(".weight")]
    layers = [
        (weight[f"{name}.weight"], weight[f"{name}.bias"])
        for name in names
        if name.startswith("refine.")
    ]
    return oracles.mlp(text, layers)


def oracle_terms(model, adjacency, phase, extra, weight=None):
    """l_align and gamma l_uniform of the batch."""
    items = oracle_items(model, phase, weight)
    vectors = oracle_vectors(model, adjacency, items, extra.get("n_layers", 2), weight)
    users, items = (oracles.unit(x[1:]) for x in vectors)  # no id 0: padding has no direction
    chosen = users[np.array(USERS) - 1], items[np.array(ITEMS) - 1]
    spread = [
        oracles.uniformity(users[np.unique(USERS) - 1]),
        oracles.uniformity(items[np.unique(ITEMS) - 1]),
    ]
    expected = np.mean(spread) if extra.get("uniformity") == "both" else spread[phase - 1]
    return oracles.alignment(*chosen), extra.get("gamma", 1.0) * expected


@pytest.mark.parametrize("phase", [1, 2])
@pytest.mark.parametrize(
    "extra", [{}, {"gamma": 2.5, "uniformity": "both"}, {"n_layers": 1, "adaptor_hidden": [5]}]
)
def test_the_loss_and_the_gradient_are_the_oracles(small, phase, extra):
    model, adjacency = exact(small, phase, **extra)
    loss = model.calculate_loss(BATCH)
    align, uniform = oracle_terms(model, adjacency, phase, extra)
    assert loss.align.item() == pytest.approx(align, abs=1e-9)
    assert loss.uniform.item() == pytest.approx(uniform, abs=1e-9)
    resting = weights_of(model)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}

    def total(moved):
        return sum(oracle_terms(model, adjacency, phase, extra, {**resting, **moved}))

    check_gradient(
        model,
        lambda: model.calculate_loss(BATCH),
        {name: resting[name] for name in learning},
        total,
    )


@pytest.mark.parametrize("phase", [1, 2])
@pytest.mark.parametrize("score", ["dot", "cosine"])
def test_scores_are_the_oracles(small, phase, score):
    model, adjacency = exact(small, phase, score=score)
    for items, scores in (
        (oracle_items(model, phase), all_scores(model)),
        (oracle_items(model, 1), cold_scores(model)),
    ):
        users, items = oracle_vectors(model, adjacency, items)
        users, items = users[1:], items[1:]
        if score == "cosine":
            users, items = oracles.unit(users), oracles.unit(items)
        np.testing.assert_allclose(scores[:, 1:], users @ items.T, atol=1e-9)


def cold_scores(model):
    users = Interaction({"user_id": torch.arange(1, model.n_users)})
    return model.full_sort_predict_cold(users).view(model.n_users - 1, -1)


def test_a_cold_item_has_the_vector_of_its_text(small, tmp_path):
    texts = {f"i{n}": f"{WORDS[n]} bafa" for n in range(90)}
    settings = with_items(small, tmp_path, texts, n_items=90)
    model, adjacency = exact(settings, phase=2)
    cold = [i for i in range(1, model.n_items) if not adjacency[model.n_users + i].any()]
    assert len(cold) > 1  # some items have no training interaction
    users, _ = oracle_vectors(model, adjacency, oracle_items(model, 1))
    expected = torch.from_numpy(users[1:]) @ model.item_text[cold].T / 3
    assert torch.allclose(cold_scores(model)[:, cold], expected)
    assert not torch.allclose(all_scores(model)[:, cold], expected)


@pytest.mark.parametrize("item_update", ["adaptor", "table"])
def test_only_the_phases_weights_learn(small, item_update):
    _, model, _, (train, *_) = prepare("CollabContext", small, item_update=item_update)
    for phase, prefix in ((1, "user_embedding."), (2, "refine.")):
        model.enter_phase(phase)
        sum(model.calculate_loss(next(iter(train)))).backward()
        moved = {name for name, p in model.named_parameters() if p.grad is not None}
        assert moved == {name for name, _ in model.named_parameters() if name.startswith(prefix)}
        (group,) = model.parameter_groups()
        assert len(group["params"]) == len(moved)
        model.zero_grad()


def test_the_table_starts_as_the_texts(small):
    _, model, *_ = prepare("CollabContext", small, item_update="table")
    scores = all_scores(model.eval())
    model.enter_phase(2)
    assert torch.equal(all_scores(model), scores)


def test_texts_stand_in_the_checkpoint_of_no_phase(small):
    model, _ = trained("CollabContext", small)
    names = set(model.state_dict())
    assert names == {"phase", *(name for name, _ in model.named_parameters())}
    assert int(model.state_dict()["phase"]) == int(model.phase)


@pytest.mark.parametrize(
    "options",
    [
        {"user_tutoring": False},
        {"item_update": "table"},
        {"uniformity": "both"},
        {"gamma": 0.0},
        {"score": "cosine"},
        {"adaptor_hidden": []},
        {"n_layers": 0},
        {"switch": "fixed", "first_phase_epochs": 1},
        {"switch": "plateau", "plateau_window": 1},
    ],
    ids=str,
)
def test_every_switch_trains(small, options):
    model, _ = trained("CollabContext", small, **options)
    assert torch.isfinite(all_scores(model)).all()


def test_without_user_tutoring_there_is_no_adaptor(small):
    _, model, *_ = prepare("CollabContext", small, user_tutoring=False)
    assert {name for name, _ in model.named_parameters()} == {"user_embedding.weight"}


def test_no_random_item_is_aligned_with_a_user(small):
    _, _, _, (train, *_) = prepare("CollabContext", small)
    history = train.dataset.history().toarray()
    for batch in train:
        assert "label" not in batch.columns
        assert "review_input_ids" not in batch.columns  # nobody reads them
        assert history[batch["user_id"].numpy(), batch["item_id"].numpy()].all()
    with pytest.raises(InputError, match=r"train_neg_sample_args is .* CollabContext would take"):
        prepare("CollabContext", small, train_neg_sample_args={"distribution": "uniform"})


def with_items(small, tmp_path, texts, **shape):
    folder = write_small(tmp_path / "d", **shape)
    table = pa.table({"item_id": list(texts), "text": list(texts.values())})
    pq.write_table(table, folder / "small.items.parquet")
    return {**small, "data_path": str(tmp_path / "d")}


def test_item_texts_of_the_data_set_come_first(small, tmp_path):
    _, by_reviews, *_ = prepare("CollabContext", small)
    settings = with_items(small, tmp_path, {"i3": "bafa bako", "i4": "deka", "unseen": "bafa"})
    _, model, dataset, _ = prepare("CollabContext", settings)
    assert by_reviews.protocol["item_texts"] == "training reviews"
    assert model.protocol["item_texts"] == "items.parquet"
    ids = [dataset.token2id("item_id", token) for token in ("i3", "i4")]
    norms = model.item_text.norm(dim=1)
    assert torch.allclose(norms[ids], torch.ones(2))
    assert norms.sum() == pytest.approx(2)  # zeros for padding and items that it doesn't name
    assert model.protocol["items_without_text"] == model.n_items - 3


@pytest.mark.parametrize("own_texts", [False, True])
def test_nothing_leaks(small, tmp_path, own_texts):
    if own_texts:
        small = with_items(small, tmp_path, {f"i{n}": f"bafa {n}" for n in range(30)})
    result = audit("CollabContext", "small", {**small, "epochs": 2})
    assert result.clean
    assert result.held_out_in_history == 0
