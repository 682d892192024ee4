"""How validation weighs a blend, and what becomes of the weights."""

import contextlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from model.test_contract import prepare
from recbole.utils import get_trainer
from small_data import small_rows, write_rows
from stock_data import write_knowledge

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.chronology import row_times
from recbole_symcere.data.recency import Histories
from recbole_symcere.evaluate.weights import Bagged, HeldOut
from recbole_symcere.plugin import checkpoint
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.blend_trainer import Blending, BlendTrainer, blending
from recbole_symcere.run.prepare import build_model, read_dataset, split_data
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole
from recbole_symcere.run.refit import refit
from recbole_symcere.run.trainer import Resumable, ReviewTrainer


def ran(small, tmp_path, model="SymCEREPlus", **extra):
    chosen = {**small, "run_dir": str(tmp_path / "run"), "learning_rate": 1e-6, **extra}
    result = run_recbole(model, "small", config_dict=chosen)
    return result, json.loads(Path(tmp_path, "run", "metrics.json").read_text())


def weights_of(metrics):
    told = ("before", "seconds", "out_of_bag", "refit")
    return {k: v for k, v in metrics["blend"].items() if k not in told}


@pytest.mark.parametrize("model", ["SymCEREPlus", "Stack", "LightGCN", "CKE"])
def test_what_is_chosen_is_stored_told_and_evaluated(small, small_folder, tmp_path, model):
    # hardly trained, so that what near items say has something to add
    if model == "CKE":  # which reads a knowledge graph, and whose blend reads the reviews
        data = shutil.copytree(small_folder, tmp_path / "data")
        write_knowledge(data)
        small = {**small, "data_path": str(data)}
    start = {"profile_start": "random"} if model == "SymCEREPlus" else {}
    result, metrics = ran(small, tmp_path, model, blend=["words", "knn_5", "ease_10"], **start)
    chosen = weights_of(metrics)
    assert sum(chosen.values()) == pytest.approx(1)
    assert metrics["valid"]["ndcg@10"] > metrics["blend"]["before"] + 0.05
    assert result["best_valid_score"] == metrics["valid"]["ndcg@10"]
    best = metrics["history"][metrics["best_epoch"]]["valid"]["ndcg@10"]
    assert metrics["blend"]["before"] == best
    file = tmp_path / "run" / "checkpoint" / "best.safetensors"
    state = checkpoint.load(file)
    assert state["best_valid_score"] == metrics["valid"]["ndcg@10"]
    assert state["blend_names"] == [*chosen] == ["model", "words", "knn_5", "ease_10"]
    assert state["state_dict"]["blend.weights"].tolist() == pytest.approx([*chosen.values()])
    config, loaded, _, _, valid, test = load_data_and_model(file)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, loaded)
    for loader, name in ((valid, "valid"), (test, "test")):
        again = trainer.evaluate(loader, load_best_model=False)
        assert dict(again) == metrics[name]


@pytest.mark.parametrize("model", ["Stack", "LightGCN"])
def test_weights_of_other_experts_are_refused(small, tmp_path, model):
    ran(small, tmp_path, model, blend=["knn_5", "ease_10"])
    file = tmp_path / "run" / "checkpoint" / "best.safetensors"
    state = checkpoint.load(file)
    checkpoint.save(file, {**state, "blend_names": ["model", "ease_10", "knn_5"]})
    message = (
        "The checkpoint's weights are of a blend of model, ease_10, knn_5, and these settings give "
        r"model, knn_5, ease_10\. Train anew, or load it by the version that wrote it\."
    )
    with pytest.raises(InputError, match=message):
        load_data_and_model(file)


def test_the_words_beside_a_knowledge_graph_are_those_of_each_items_reviews(
    small, small_folder, tmp_path
):
    data = shutil.copytree(small_folder, tmp_path / "data")
    write_knowledge(data)
    near = {}
    for model in ("BPR", "CKE"):
        given = {**small, "data_path": str(data), "blend": ["words"]}
        config = Config(model, "small", config_dict=given)
        loaders = split_data(config, read_dataset(config))
        vectors, dataset = build_model(config, loaders[0]).blend.words, loaders[0].dataset
        order = dataset.token2id("item_id", [f"i{n}" for n in range(30)])  # a graph orders anew
        rows = torch.as_tensor(vectors)[order]
        near[model] = rows @ rows.T
    assert near["CKE"].abs().sum() > 0
    assert torch.allclose(near["CKE"], near["BPR"], atol=1e-4)


def test_a_model_without_a_say_gets_no_weight(small, tmp_path):
    assert weights_of(ran(small, tmp_path, "Stack", blend=["words", "knn_5"])[1])["model"] == 0


def told(metrics):
    return metrics["valid"], metrics["test"], weights_of(metrics)


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_run_stopped_before_the_choice_chooses_the_same(small, tmp_path, monkeypatch):
    _, first = ran(small, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Blending, "_choose", interrupt)
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


def chooser(small, tmp_path, monkeypatch, after, before=0.3, **extra):
    """A trained trainer whose model alone scored ``before``, and with any blend ``after``."""
    config, model, _, loaders = prepare("SymCEREPlus", small, run_dir=str(tmp_path), **extra)
    trainer = BlendTrainer(config, model)
    trainer.best_valid_score, trainer.best_valid_result = before, {"alone": before}
    monkeypatch.setattr(trainer, "evaluate", lambda *_, **__: {trainer.valid_metric: after})
    trainer._choose(loaders[1])
    return trainer


def test_a_blend_that_is_worse_on_all_of_the_validation_is_dropped(small, tmp_path, monkeypatch):
    trainer = chooser(small, tmp_path, monkeypatch, after=0.29)
    assert trainer.model.blend.alone
    assert trainer.chosen["model"] == 1
    assert trainer.best_valid_score == trainer.chosen["before"] == 0.3
    assert trainer.best_valid_result == {"alone": 0.3}
    assert "out_of_bag" not in trainer.chosen  # of weights that aren't used
    better = chooser(small, tmp_path, monkeypatch, after=0.31)
    assert not better.model.blend.alone
    assert better.best_valid_score == 0.31
    assert 0 < better.chosen["out_of_bag"] < 1


def test_nothing_is_told_out_of_bag_where_some_users_stand_for_all(small, tmp_path, monkeypatch):
    monkeypatch.setattr("recbole_symcere.run.blend_trainer._USERS", 8)  # of 24
    trainer = chooser(small, tmp_path, monkeypatch, after=0.31)
    assert "out_of_bag" not in trainer.chosen


def test_a_metric_that_should_be_small(small, tmp_path, monkeypatch):
    given = {"metrics": ["averagepopularity"], "valid_metric": "averagepopularity@10"}
    trainer = chooser(small, tmp_path, monkeypatch, after=0.29, **given)
    assert trainer.valid_metric_bigger is False
    assert trainer.best_valid_score == 0.29
    assert trainer._metric() == ("ndcg", 20)
    assert "out_of_bag" not in trainer.chosen  # it would be of another metric


def test_weights_are_chosen_by_the_metric_that_chooses_the_epoch(small, tmp_path, monkeypatch):
    asked = []
    for metric in ("ndcg@10", "recall@5", "mrr@10", "hit@5", "precision@5", "map@10"):
        name = metric.partition("@")[0]
        trainer = chooser(
            small, tmp_path, monkeypatch, after=0.31,
            metrics=[name], topk=[5, 10], valid_metric=metric,
        )  # fmt: skip
        asked.append("{}@{}".format(*trainer._metric()))
        assert sum(weights_of({"blend": trainer.chosen}).values()) == pytest.approx(1)
    assert asked == ["ndcg@10", "recall@5", "mrr@10", "hit@5", "precision@5", "map@10"]


def test_the_values_are_recboles(small, tmp_path, monkeypatch):
    """What the search maximises is what the trainer's validation says of the same weights."""
    config, model, _, loaders = prepare("SymCEREPlus", small, run_dir=str(tmp_path))
    trainer, seen = BlendTrainer(config, model), []
    trainer.best_valid_score, trainer.best_valid_result = 0.0, {}

    def search(data):
        n = data.n_scores - 1
        weights = [0.25, *[0.75 / n] * n]
        seen.append(data.values(tuple(weights)).mean())
        return Bagged(weights, 0.5)

    monkeypatch.setattr("recbole_symcere.run.blend_trainer.bagged_weights", search)
    trainer._choose(loaders[1])
    assert seen == [pytest.approx(trainer.best_valid_score, abs=1e-6)]
    assert trainer.chosen["out_of_bag"] == 0.5


@pytest.mark.parametrize("extra", [{}, {"repeatable": True}, {"cold_users": 0.2}], ids=str)
def test_where_items_are_sampled_both_are_judged_on_the_same(small, tmp_path, monkeypatch, extra):
    given = {"eval_args": {"mode": {"valid": "uni5", "test": "uni5"}}, **extra}
    config = Config("SymCEREPlus", "small", config_dict={**small, **given})
    loaders = split_data(config, read_dataset(config))
    trainer = BlendTrainer(config, build_model(config, loaders[0]))
    trainer._train_data = loaders[0]
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 # RecBole samples from it
    drawn, evaluate = [], trainer.evaluate

    def watched(*args, **kwargs):
        drawn.append(np.random.get_state()[1].tolist())  # noqa: NPY002 # likewise
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(trainer, "evaluate", watched)
    trainer._choose(loaders[1])
    assert drawn == [before] * 3  # alone, the refit's weights, the run's
    assert "out_of_bag" not in trainer.chosen  # it would be of all items
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002 # likewise
    assert sum(weights_of({"blend": trainer.chosen}).values()) == pytest.approx(1)


def recent_by_hand(train, valid, near, hidden):
    """Scores [n_users, n_items] of each user's items, the last of which count most."""
    feat = train.dataset.inter_feat
    users, items = feat["user_id"].tolist(), feat["item_id"].tolist()
    times = row_times(train.dataset).tolist()
    found = {}
    for user in valid.uid_list.tolist():
        mine = sorted((t, i) for u, i, t in zip(users, items, times, strict=True) if u == user)
        mine = mine[: len(mine) - (len(valid.uid2positive_item[user]) if hidden else 0)]
        found[user] = sum(0.1**age * near[i] for age, (_, i) in enumerate(reversed(mine)))
    return np.stack([*found.values()])


SPLIT = {"split": {"RS": [0.5, 0.25, 0.25]}}
RECENT = ["knn_5", "recent_knn_5", "recent_svd_3"]


@pytest.fixture
def uneven(small, tmp_path):
    """Every second user has eight interactions, the others twelve."""
    rows, seen = small_rows(per_user=12), Counter()
    kept = []
    for row in rows:
        seen[row[0]] += 1
        if seen[row[0]] <= 8 or int(row[0][1:]) % 2:
            kept.append(row)
    write_rows(tmp_path / "data", "small", kept)
    return {**small, "data_path": str(tmp_path / "data")}


def started(settings, order="TO", **extra):
    """A trainer of Stack that knows its training split, and the loaders."""
    given = {"eval_args": {"order": order, **SPLIT}, **extra}
    config, model, _, loaders = prepare("Stack", settings, **given)
    trainer = BlendTrainer(config, model)
    trainer._train_data = loaders[0]
    return trainer, loaders


def scored(trainer, valid):
    return np.concatenate([part[0] for part in trainer._scored(valid)], axis=1)


def test_recent_interactions_are_weighed_as_far_from_validation_as_from_test(uneven):
    trainer, (train, valid, _) = started(uneven, blend=RECENT)
    blend = trainer.model.blend
    knn, svd = blend.expert("knn_5"), blend.expert("svd_3")
    near = {"knn": knn.near.toarray(), "svd": np.asarray(svd.near @ svd.far.T)}
    scores = scored(trainer, valid)
    assert {len(valid.uid2positive_item[user]) for user in valid.uid_list.tolist()} == {2, 3}
    places = [("knn", True), ("svd", True), ("knn", False), ("svd", False)]
    for place, (name, hidden) in enumerate(places, start=2):
        wanted = recent_by_hand(train, valid, near[name], hidden)
        assert np.allclose(scores[place], wanted, atol=1e-5), (name, hidden)
    assert not np.allclose(scores[2], scores[4], atol=0.1)
    flat = blend.known_of(valid.uid_list.numpy()).flat
    assert np.allclose(scores[1], flat @ near["knn"], atol=1e-5)


def test_what_is_taken_of_late_is_that_of_the_time_as_far_from_validation(uneven):
    trainer, (train, valid, _) = started(uneven, blend=["trend"])
    found = scored(trainer, valid)
    feat, times = train.dataset.inter_feat, row_times(train.dataset)
    one = trainer.model.blend.expert("trend")
    for row, user in enumerate(valid.uid_list.tolist()):
        mine = np.sort(times[feat["user_id"].numpy() == user])
        for place, left_out in ((1, len(valid.uid2positive_item[user])), (2, 0)):
            until = np.array([mine[len(mine) - 1 - left_out]])
            known = Histories(np.zeros((1, trainer.model.n_items)), until)
            assert np.array_equal(found[place, row], one.scores(one.rows(known, True))[0])
    assert not np.array_equal(found[1], found[2])


@pytest.mark.parametrize(("blend", "order"), [(RECENT, "RO"), (["knn_5"], "TO")])
def test_nothing_is_hidden_where_nothing_is_recent(uneven, blend, order):
    trainer, (_, valid, _) = started(uneven, order, blend=blend)
    found = trainer.model.blend
    own = found.scores(found.names[1:], found.known_of(valid.uid_list.numpy()))
    assert np.array_equal(scored(trainer, valid)[1:], np.stack(own))
    trainer._choose(valid)
    assert "refit" not in trainer.chosen


def searched(monkeypatch, *found):
    """Let searches find these, one after the other."""
    each, asked = iter(found), []

    def search(data):
        asked.append(data)
        return next(each)

    monkeypatch.setattr("recbole_symcere.run.blend_trainer.bagged_weights", search)
    return asked


def judging(trainer, monkeypatch, scores):
    """Let validation say of weights what ``scores`` has for that of knn_5."""

    def evaluate(*_, **__):
        of_knn = round(float(trainer.model.blend.weights[1]), 3)
        return {trainer.valid_metric: scores[of_knn]}

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    trainer.best_valid_score, trainer.best_valid_result = 0.3, {"alone": 0.3}


MAIN, AT_ONCE = Bagged([0.5, 0.3, 0.2], 0.25), Bagged([0.1, 0.6, 0.3], 0.75)


@pytest.mark.parametrize("main", [0.31, 0.29])
@pytest.mark.parametrize("at_once", [0.32, 0.28])
def test_a_refits_weights_are_found_and_judged_by_themselves(uneven, monkeypatch, main, at_once):
    trainer, (_, valid, _) = started(uneven, blend=RECENT)
    asked = searched(monkeypatch, MAIN, AT_ONCE)
    judging(trainer, monkeypatch, {0.5: main, 0.1: at_once})
    trainer._choose(valid)
    chosen, alone = trainer.chosen, {"model": 1.0, **dict.fromkeys(RECENT, 0.0)}
    first = {"model": 0.0, **dict(zip(RECENT, MAIN.weights, strict=True))}
    second = {"model": 0.0, **dict(zip(RECENT, AT_ONCE.weights, strict=True))}
    assert weights_of({"blend": chosen}) == (first if main > 0.3 else alone)
    assert chosen["refit"] == (second if at_once > 0.3 else alone)
    assert chosen.get("out_of_bag") == (0.25 if main > 0.3 else None)
    wanted = [*weights_of({"blend": chosen}).values()]
    assert trainer.model.blend.weights.tolist() == pytest.approx(wanted)
    assert trainer.best_valid_score == max(main, 0.3)
    every = HeldOut.gathered(trainer._scored(valid), None, 10)
    for data, places in zip(asked, ([1, 2, 3], [1, 4, 5]), strict=True):
        assert np.array_equal(data._scores, every.part(places)._scores)


def test_a_refit_has_weights_of_its_own(uneven, tmp_path):
    _, metrics = ran(uneven, tmp_path, "Stack", blend=RECENT, eval_args=SPLIT)
    own = metrics["blend"]["refit"]
    assert sum(own.values()) == pytest.approx(1)
    assert own != pytest.approx(weights_of(metrics))
    refit(tmp_path / "run")
    kept = json.loads(Path(tmp_path, "run-refit", "metrics.json").read_text())["blend"]
    assert kept == own


def test_weights_chosen_by_another_decay_are_refused(small, tmp_path):
    for blend, message in ((["recent_knn_5"], "recent_knn_5 counted recent"), (["knn_5"], None)):
        name = "".join(blend)
        ran(small, tmp_path / name, "Stack", blend=blend)
        file = tmp_path / name / "run" / "checkpoint" / "best.safetensors"
        state = checkpoint.load(file)
        del state["blend_decay"]  # as a run of the version before
        checkpoint.save(file, state)
        with pytest.raises(InputError, match=message) if message else contextlib.nullcontext():
            load_data_and_model(file)


@pytest.mark.parametrize(
    ("key", "was", "message"),
    [
        ("blend_decay", 0.3, "in which recent_knn_5 counted recent interactions otherwise"),
        ("blend_names", ["model", "knn_5", "words", "svd_3"], "of a blend of model, knn_5, svd_3, "
         "and these settings give model, knn_5, recent_knn_5"),
    ],
)  # fmt: skip
def test_a_run_whose_weights_are_of_other_experts_is_not_refitted(
    small, tmp_path, key, was, message
):
    ran(small, tmp_path, "Stack", blend=["knn_5", "words", "recent_knn_5"])
    file = tmp_path / "run" / "checkpoint" / "best.safetensors"
    checkpoint.save(file, {**checkpoint.load(file), key: was})
    with pytest.raises(InputError, match=message):
        refit(tmp_path / "run")


def test_users_of_a_refit_ask_at_the_end_of_the_data(small, tmp_path):
    ran(small, tmp_path, "Stack", blend=["trend", "next"])
    refit(tmp_path / "run")
    known = [
        load_data_and_model(tmp_path / name / "checkpoint" / "best.safetensors")[1].blend.known
        for name in ("run", "run-refit")
    ]
    assert np.isfinite(known[0].until[1:]).all()
    assert np.isinf(known[1].until).all()
    assert known[1].later.nnz > known[0].later.nnz


def test_a_trial_of_a_search_chooses_nothing(small, tmp_path):
    config, model, _, loaders = prepare("SymCEREPlus", small, run_dir=str(tmp_path))
    trainer = BlendTrainer(config, model)
    trainer.in_search = True
    trainer.fit(*loaders[:2], verbose=False)
    assert trainer.facts() == {"blend": {}}
    assert model.blend.alone


def test_without_a_blend_the_scores_are_the_models_own(small, tmp_path):
    _, metrics = ran(small, tmp_path, blend=None)
    assert metrics["blend"] == {}
    state = prepare("SymCEREPlus", small, blend=None)[1].state_dict()
    assert not any("blend" in key for key in state)


@pytest.mark.parametrize("model", ["SymCEREPlus", "EASE"])
def test_without_a_validation_a_line_says_that_the_model_counts_alone(
    small, tmp_path, caplog, model
):
    # two interactions a user leave one to train on and one to test on
    write_rows(tmp_path / "data", "small", small_rows(per_user=2))
    given = {"data_path": str(tmp_path / "data"), "blend": ["knn_5"]}
    _, metrics = ran(small, tmp_path, model, **given)
    assert not metrics["valid"]
    assert not metrics["blend"]
    said = (
        f"Nothing was validated, so the weights of the blend can't be chosen: {model} counts alone."
    )
    assert [record.levelname for record in caplog.records if record.message == said] == ["WARNING"]
    assert said in (tmp_path / "run" / "run.log").read_text()


def test_any_trainer_can_choose():
    assert blending(BlendTrainer) is BlendTrainer
    made = blending(ReviewTrainer)
    assert made.__mro__[1:3] == (Blending, ReviewTrainer)


def test_without_a_stored_model_the_last_weights_are_blended(small, tmp_path):
    given = {**small, "blend": ["words", "knn_5"], "learning_rate": 1e-6}
    found = {}
    for model, saved in (("Stack", True), ("Stack", False), ("LightGCN", False)):
        run = tmp_path / f"{model}{saved}"
        run_recbole(model, "small", config_dict={**given, "run_dir": str(run)}, saved=saved)
        found[model, saved] = json.loads((run / "metrics.json").read_text())
    assert told(found["Stack", False]) == told(found["Stack", True])
    lightgcn = found["LightGCN", False]
    last = lightgcn["history"][-1]
    assert lightgcn["blend"]["before"] == last["valid"]["ndcg@10"]
    assert lightgcn["valid"]["ndcg@10"] > last["valid"]["ndcg@10"] + 0.05
    assert lightgcn["best_epoch"] == last["epoch"]


def test_without_a_stored_model_the_last_epoch_is_what_is_told(small, tmp_path, monkeypatch):
    scores = iter([0.5, 0.4, 0.3])

    def valid_epoch(self, *_, **__):
        result = {"ndcg@10": next(scores)}
        self.history[-1]["valid"] = result
        return result["ndcg@10"], result

    monkeypatch.setattr(Resumable, "_valid_epoch", valid_epoch)
    given = {**small, "epochs": 3, "run_dir": str(tmp_path / "run")}
    run_recbole("BPR", "small", config_dict=given, saved=False)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["best_epoch"], metrics["valid"]) == (2, {"ndcg@10": 0.3})
    assert metrics["protocol"]["selected_on"] == "nothing: the last epoch"
