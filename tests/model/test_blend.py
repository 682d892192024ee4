"""What is added to a score against a float64 oracle, and how validation weighs it."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model.test_contract import all_scores, prepare
from recbole.utils import get_trainer
from recbole_symcere.model.symcereplus_blend import Blend

from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.model import symcereplus_blend as blend_module
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.blend_trainer import CANDIDATES, BlendTrainer
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole
from recbole_symcere.run.trainer import Resumable

USERS, ITEMS = 7, 9


def drawn(seed, idle=(0, 3)):
    """Vectors, a similarity's two sides, and the pairs of users and items; some users have none."""
    rng = np.random.default_rng(seed)
    users, items = rng.normal(size=(USERS, 4)), rng.normal(size=(ITEMS, 4))
    sides = [rng.normal(size=(ITEMS, 3)) for _ in range(2)]
    linked = rng.random((USERS, ITEMS)) < 0.4
    linked[:, 0] = False
    linked[list(idle)] = False
    return users, items, sides, linked


def as_tensors(*arrays):
    return [torch.from_numpy(array).float() for array in arrays]


def blended(users, items, linked, sides, weights):
    blend = Blend({name: lambda both=both: as_tensors(*both) for name, both in sides.items()})
    blend.weights.copy_(torch.tensor(weights))
    graph = BipartiteGraph(*map(torch.from_numpy, np.nonzero(linked)), USERS, ITEMS)
    left, right = blend(*as_tensors(users, items), graph)
    return (left @ right.T).numpy()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), weight=st.floats(0.05, 2))
def test_both_scores_are_brought_to_one_scale(seed, weight):
    users, items, (near, far), linked = drawn(seed)
    found = blended(users, items, linked, {"words": (near, far)}, [weight])
    own, added = users @ items.T, linked @ near @ far.T
    for user in range(USERS):
        wanted = own[user]
        if linked[user].any():  # the padding item has no part in the scale
            scale = own[user, 1:].std() / added[user, 1:].std()
            wanted = wanted + weight * scale * added[user]
        assert found[user] == pytest.approx(wanted, abs=2e-4)


def test_two_similarities_add_up_and_weight_0_adds_nothing():
    users, items, sides, linked = drawn(1)
    other = drawn(2)[2]
    own = blended(users, items, linked, {"words": sides, "ease": other}, [0.0, 0.0])
    assert own == pytest.approx(users @ items.T, abs=1e-5)
    one, two, both = (
        blended(users, items, linked, {"words": sides, "ease": other}, weights)
        for weights in ([0.3, 0.0], [0.0, 0.7], [0.3, 0.7])
    )
    assert both - own == pytest.approx(one - own + (two - own), abs=1e-4)


def test_users_are_blended_in_pieces(monkeypatch):
    users, items, sides, linked = drawn(3)
    given = users, items, linked, {"words": sides, "ease": drawn(4)[2]}, [0.3, 0.7]
    whole = blended(*given)
    monkeypatch.setattr(blend_module, "_USERS", 3)
    np.testing.assert_allclose(blended(*given), whole, rtol=1e-5, atol=1e-5)


# --- the choice ----------------------------------------------------------------------------------


def without_seconds(chosen):
    return {key: value for key, value in chosen.items() if key != "seconds"}


def scripted(small, monkeypatch, score, **extra):
    """A trainer with two similarities whose validation gives ``score`` of their weights."""
    config, model, _, loaders = prepare("SymCEREPlus", small, **extra)
    trainer = BlendTrainer(config, model)
    asked = []

    def evaluate(_, load_best_model=True):
        assert not load_best_model
        asked.append(tuple(round(w, 6) for w in model.blend.weights.tolist()))
        return {trainer.valid_metric: score(*asked[-1])}

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    trainer._choose(loaders[1])
    return trainer, asked


@pytest.mark.parametrize("goal", itertools.product(CANDIDATES[::2], CANDIDATES[1::2]), ids=str)
def test_the_best_weights_are_found(small, monkeypatch, goal):
    def score(words, ease):
        return 1 - (words - goal[0]) ** 2 - (ease - goal[1]) ** 2

    trainer, asked = scripted(small, monkeypatch, score)
    assert (trainer.chosen["words"], trainer.chosen["ease"]) == goal
    assert trainer.model.blend.weights.tolist() == pytest.approx(goal)
    assert trainer.best_valid_score == trainer.best_valid_result["ndcg@10"] == score(*goal)
    assert trainer.chosen["before"] == score(0, 0)
    assert len(asked) == len(set(asked))


def test_of_equals_the_smallest_weight_is_taken(small, monkeypatch):
    trainer, _ = scripted(small, monkeypatch, lambda *_: 0.25)
    assert without_seconds(trainer.chosen) == {"words": 0.0, "ease": 0.0, "before": 0.25}


def test_a_metric_that_should_be_small(small, monkeypatch):
    trainer, _ = scripted(
        small, monkeypatch, lambda words, ease: abs(words - 0.2) + ease,
        metrics=["averagepopularity"], valid_metric="averagepopularity@10",
    )  # fmt: skip
    assert trainer.valid_metric_bigger is False
    assert without_seconds(trainer.chosen) == {"words": 0.2, "ease": 0.0, "before": 0.2}
    assert trainer.best_valid_score == 0


def ran(small, tmp_path, **extra):
    chosen = {**small, "run_dir": str(tmp_path / "run"), "learning_rate": 1e-6, **extra}
    result = run_recbole("SymCEREPlus", "small", config_dict=chosen)
    return result, json.loads(Path(tmp_path, "run", "metrics.json").read_text())


def test_what_is_chosen_is_stored_told_and_evaluated(small, tmp_path):
    # hardly trained, so that the words, which tell the halves apart, have something to add
    result, metrics = ran(small, tmp_path)
    chosen = metrics["blend"]
    assert metrics["valid"]["ndcg@10"] > chosen["before"] + 0.05
    assert result["best_valid_score"] == metrics["valid"]["ndcg@10"]
    assert chosen["before"] == metrics["history"][metrics["best_epoch"]]["valid"]["ndcg@10"]
    file = tmp_path / "run" / "checkpoint" / "best.safetensors"
    state = checkpoint.load(file)
    assert state["best_valid_score"] == metrics["valid"]["ndcg@10"]
    weights = state["state_dict"]["blend.weights"].tolist()
    assert weights == pytest.approx([chosen["words"], chosen["ease"]])
    config, model, _, _, valid, test = load_data_and_model(file)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    for loader, name in ((valid, "valid"), (test, "test")):
        again = trainer.evaluate(loader, load_best_model=False)
        assert dict(again) == metrics[name]


def told(metrics):
    return metrics["valid"], metrics["test"], without_seconds(metrics["blend"])


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_run_stopped_before_the_choice_chooses_the_same(small, tmp_path, monkeypatch):
    _, first = ran(small, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(BlendTrainer, "_choose", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ran(small, tmp_path)
    for _ in range(2):
        resume(tmp_path / "run")
        assert told(json.loads((tmp_path / "run" / "metrics.json").read_text())) == told(first)


def test_the_best_epochs_weights_are_blended(small, tmp_path, monkeypatch):
    weights = []

    def valid_epoch(self, *_, **__):
        weights.append(self.model.item_bias.detach().clone())
        result = {"ndcg@10": [0.5, 0.1][len(weights) - 1]}
        self.history[-1]["valid"] = result
        return result["ndcg@10"], result

    monkeypatch.setattr(Resumable, "_valid_epoch", valid_epoch)
    ran(small, tmp_path, learning_rate=0.01, epochs=2)
    state = checkpoint.load(tmp_path / "run" / "checkpoint" / "best.safetensors")
    assert torch.equal(state["state_dict"]["item_bias"], weights[0])
    assert not torch.equal(weights[0], weights[1])


def test_a_trial_of_a_search_chooses_nothing(small, tmp_path):
    config, model, _, loaders = prepare("SymCEREPlus", small, run_dir=str(tmp_path))
    trainer = BlendTrainer(config, model)
    trainer.in_search = True
    trainer.fit(*loaders[:2], verbose=False)
    assert trainer.facts() == {"blend": {}}
    assert model.blend.weights.tolist() == [0, 0]


def test_sampled_items_are_the_same_for_all_weights(small, monkeypatch):
    config, model, _, loaders = prepare("SymCEREPlus", small)
    trainer = BlendTrainer(config, model)

    def evaluate(*_, **__):  # RecBole draws the items to rank from NumPy's state
        return {trainer.valid_metric: np.random.random()}  # noqa: NPY002

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    trainer._choose(loaders[1])
    chosen = without_seconds(trainer.chosen)
    assert chosen == {"words": 0, "ease": 0, "before": trainer.best_valid_score}


def test_without_a_blend_the_scores_are_the_models_own(small, tmp_path):
    _, metrics = ran(small, tmp_path, blend=None)
    assert metrics["blend"] == {}
    state = prepare("SymCEREPlus", small, blend=None)[1].state_dict()
    assert not any("blend" in key for key in state)


def test_words_are_counted_beyond_what_the_encoder_reads(small):
    def names(length):
        options = {"max_length": 4, "lexical_max_length": length}
        return prepare("SymCEREPlus", small, **options)[1].blend.names

    # the first word of a review is that of its item, which no other item has
    assert (names(1), names(64)) == (["ease"], ["words", "ease"])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["words", "ease"]),
        ({"blend": "words"}, ["words"]),
        ({"profile_text": "dense"}, ["ease"]),
        ({"profile_text": "lexical"}, ["words", "ease"]),
    ],
    ids=str,
)
def test_what_takes_part(small, options, names):
    assert prepare("SymCEREPlus", small, **options)[1].blend.names == names


def test_above_its_limit_ease_is_approximate_and_says_so(small, caplog):
    exact = prepare("SymCEREPlus", small, blend_ease_exact=30)[1]
    assert "approximate" not in caplog.text
    rough = prepare("SymCEREPlus", small, blend_ease_exact=29)[1]
    told = [r for r in caplog.records if "EASE" in r.message]
    assert [r.levelname for r in told] == ["WARNING"]
    assert told[0].message == (
        "EASE in the blend is approximate: 30 items are more than blend_ease_exact, 29. Exactly it "
        "would take 0.0 GB: --blend_ease_exact=30."
    )
    assert rough.blend.names == exact.blend.names == ["words", "ease"]
    # 31 items have fewer eigenvectors than the approximation takes
    wanted, found = (
        near @ far.T for near, far in (model.blend.sides("ease") for model in (exact, rough))
    )
    assert torch.allclose(wanted, found, atol=1e-4)


def test_weights_of_a_run_of_before_without_ease_are_loaded(small, monkeypatch):
    monkeypatch.setattr(blend_module, "_EASE_ITEMS", 10)
    for options, kept, expected in (
        ({}, [0.4], [0.4, 0.0]),
        ({}, [0.4, 0.2], [0.4, 0.2]),
        ({"blend": "ease"}, None, [0.0]),
    ):
        model = prepare("SymCEREPlus", small, **options)[1]
        state = model.state_dict()
        del state["blend.weights"]
        if kept:
            state["blend.weights"] = torch.tensor(kept)
        model.load_state_dict(state)
        assert model.blend.weights.tolist() == pytest.approx(expected)


def test_weights_that_do_not_fit_are_refused_below_that_number_of_items(small):
    model = prepare("SymCEREPlus", small)[1]
    state = {**model.state_dict(), "blend.weights": torch.tensor([0.4])}
    with pytest.raises(RuntimeError, match=r"blend\.weights"):
        model.load_state_dict(state)


def test_the_names_of_the_weights_are_stored(small, tmp_path):
    ran(small, tmp_path, blend="ease", blend_ease_exact=5)
    state = checkpoint.load(tmp_path / "run" / "checkpoint" / "best.safetensors")
    assert state["blend_names"] == ["ease"]
    assert len(state["state_dict"]["blend.weights"]) == 1


def test_words_add_what_other_reviews_say_of_the_items(small):
    model = prepare("SymCEREPlus", small)[1].eval()
    own = all_scores(model)
    model.blend.weights.copy_(torch.tensor([0.5, 0.0]))
    model.forget()
    words, linked = model.blend.sides("words")[0].double(), model.graph
    history = np.zeros((model.n_users, model.n_items))
    history[linked.edge_user, linked.column[: linked.n_edges] - model.n_users] = 1
    added = (torch.from_numpy(history) @ words @ words.T)[1:]
    scale = own[:, 1:].std(dim=1, correction=0) / added[:, 1:].std(dim=1, correction=0)
    wanted = own + 0.5 * scale[:, None] * added
    assert torch.allclose(all_scores(model).double(), wanted, atol=1e-4)
