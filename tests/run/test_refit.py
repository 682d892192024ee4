"""Refit: a run's settings on all interactions, for its best epoch's steps, with its blend."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import small_rows, small_settings, write_rows, write_small
from test_trainer import Killed, killing

from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.blend_trainer import BlendTrainer
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole
from recbole_symcere.run.refit import refit
from recbole_symcere.run.trainer import Resumable

MODELS = {
    "LightGCN": {},
    "SymCERE": {"text_mode": "lora", "lora_layers": 1},
    "SymCEREPlus": {"lexical_size": 8},
    "CollabContext": {"first_phase_epochs": 6, "epochs": 9},
    "Pop": {},
    "EASE": {},
    "MultiVAE": {},
}
SETTINGS = {"epochs": 7, "learning_rate": 0.01, "train_batch_size": 40, "stopping_step": 100}


def metrics_of(run):
    return json.loads((Path(run) / "metrics.json").read_text())


def best_of(run):
    return checkpoint.load(Path(run) / "checkpoint" / "best.safetensors")


def pairs(part):
    fields = (part.uid_field, part.iid_field)
    return list(zip(*(part.inter_feat[field].tolist() for field in fields), strict=True))


def tensors(tree):
    if tree is None or isinstance(tree, torch.Tensor):
        return [] if tree is None else [tree]
    parts = tree.values() if isinstance(tree, dict) else tree
    return [found for part in parts for found in tensors(part)]


def scored(monkeypatch, scores):
    """Let validation prefer the epochs that ``scores`` prefers."""

    def valid_epoch(self, valid_data, show_progress=False):
        result = {"ndcg@10": scores[len(self.history) - 1]}
        self.history[-1]["valid"] = result
        return result["ndcg@10"], result

    monkeypatch.setattr(Resumable, "_valid_epoch", valid_epoch)


def count_steps(monkeypatch):
    """The number of losses that models are asked for, by class."""
    taken = []
    train = Resumable._train_epoch

    def counted(self, loader, *rest, **how):
        loss = self.model.calculate_loss

        def once(batch):
            taken.append(type(self.model).__name__)
            return loss(batch)

        return train(self, loader, *rest, **{**how, "loss_func": once})

    monkeypatch.setattr(Resumable, "_train_epoch", counted)
    return taken


@pytest.fixture(scope="module")
def runs(tmp_path_factory, small_folder, tiny_encoder, cache_folder):
    """A function that gives the folder of a finished run of a model, trained when first asked."""
    folder = tmp_path_factory.mktemp("runs")
    settings = small_settings(small_folder, tiny_encoder, cache_folder, folder) | SETTINGS

    def run(model):
        if not (folder / model).exists():
            with pytest.MonkeyPatch.context() as patch:
                # epoch 5 is the best; where phase 2 begins after it, epoch 7
                scored(patch, [0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.2, 0.4, 0.1])
                given = {**settings, **MODELS[model], "run_dir": str(folder / model)}
                run_recbole(model, "small", config_dict=given)
        return folder / model

    return run


@pytest.fixture(scope="module")
def refits(tmp_path_factory, runs):
    """A function that gives the folder of a model's refit and the losses that it took."""
    folder, taken = tmp_path_factory.mktemp("refits"), {}

    def made(model):
        if model not in taken:
            with pytest.MonkeyPatch.context() as patch:
                run = runs(model)
                taken[model] = count_steps(patch)
                refit(run, folder / model)
        return folder / model, taken[model]

    return made


@pytest.mark.parametrize("model", MODELS)
def test_all_interactions_are_trained_on_for_the_steps_of_the_best_epoch(runs, refits, model):
    run = runs(model)
    _, _, dataset, *parts = load_data_and_model(run)
    made, taken = refits(model)
    _, _, whole, train, *held_out = load_data_and_model(made)
    assert [len(part.dataset.inter_feat) for part in held_out] == [0, 0]
    everything = [pair for part in parts for pair in pairs(part.dataset)]
    assert pairs(train.dataset) == everything
    assert len(set(everything)) == len(everything) == 192
    for field in (dataset.uid_field, dataset.iid_field):
        assert list(whole.field2id_token[field]) == list(dataset.field2id_token[field])

    old, new = metrics_of(run), metrics_of(made)
    assert new["data"] | {"train": 0} == old["data"] | {"train": 0, "valid": 0, "test": 0}
    assert new["data_fingerprint"] == old["data_fingerprint"]
    assert (new["valid"], new["test"], new["beyond"]) == ({}, {}, {})
    assert new["refit_of"] == str(run)
    assert new["protocol"]["trained_on"] == "train, valid and test"
    for part in ("selected_on", "tested_on"):
        assert new["protocol"][part].startswith("nothing")
    assert not (made / "per_user.parquet").exists()

    batches = len(train)
    if model in {"Pop", "EASE"}:
        assert len(taken) == batches
        assert new["refit_steps"]["phases"] is None
        return
    steps = [(epochs * len(parts[0])) for epochs in {"CollabContext": [6, 2]}.get(model, [6])]
    assert new["refit_steps"]["phases"] == steps
    assert len(taken) == sum(steps)
    assert new["epochs_run"] == sum(math.ceil(n / batches) for n in steps)
    if model != "MultiVAE":  # its batches are of users
        assert sum(steps) < new["epochs_run"] * batches  # an epoch was cut


def test_the_graph_and_the_texts_are_of_all_interactions(refits):
    _, model, _, train, *_ = load_data_and_model(refits("SymCERE")[0])
    everything = sorted(pairs(train.dataset))
    assert len(everything) == 192
    users = model.graph.edge_user.tolist()
    items = (model.graph.column[: len(users)] - model.n_users).tolist()
    assert sorted(zip(users, items, strict=True)) == everything
    assert sorted(zip(*map(np.ndarray.tolist, train.history.nonzero()), strict=True)) == everything
    rows = train.dataset.inter_feat["inter_row"].tolist()
    texts = [row[-1] for row in small_rows()]
    assert train.dataset.training_reviews().to_pylist() == [texts[row] for row in rows]


def test_a_phase_that_was_not_kept_is_left_out(small, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        scored(patch, [0.1, 0.3, 0.2, 0.1])
        settings = {**small, **SETTINGS, "epochs": 4, "first_phase_epochs": 3, "run_dir": "run"}
        run_recbole("CollabContext", "small", config_dict=settings)
    assert metrics_of("run")["kept_phase"] == 1
    taken = count_steps(monkeypatch)
    refit("run")
    parts = load_data_and_model("run")[3]
    assert len(taken) == 2 * len(parts)
    new = metrics_of("run-refit")
    assert [phase["phase"] for phase in new["phases"]] == [1]
    assert new["kept_phase"] == 1


@pytest.mark.parametrize("model", ["Pop", "ItemKNN"])
def test_a_model_that_counts_keeps_its_blend(small, model):
    run_recbole(model, "small", config_dict={**small, "blend": ["ease_5"], "run_dir": "run"})
    chosen = metrics_of("run")["blend"]
    assert chosen["ease_5"] > 0
    refit("run")
    kept = metrics_of("run-refit")["blend"]
    assert kept == {name: chosen[name] for name in ("model", "ease_5")}
    assert best_of("run-refit")["state_dict"]["blend.weights"].tolist() == pytest.approx(
        [*kept.values()]
    )


@pytest.mark.parametrize("known", [True, False], ids=["words", "no words"])
def test_the_weights_of_a_blend_are_kept_and_not_chosen(
    small, tmp_path, monkeypatch, caplog, known
):
    weights = {"model": 0.1, "words": 0.1, "ease_5": 0.8}

    def chosen(self, valid_data):
        self.model.blend.weigh(weights)
        self.chosen = weights | {"before": 0.0, "seconds": 0.0}

    settings = {**small, **SETTINGS, "lexical_size": 8, "run_dir": "run"}
    settings["blend"] = ["words", "ease_5"]
    if known:  # more items, so that a word is of some of them and not of all
        write_small(tmp_path / "data", n_users=30, n_items=80)
        settings["data_path"] = str(tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(BlendTrainer, "_choose", chosen)
        run_recbole("SymCEREPlus", "small", config_dict=settings)
    monkeypatch.setattr(BlendTrainer, "_choose", None)
    refit("run")
    old, new = best_of("run")["state_dict"], best_of("run-refit")["state_dict"]
    kept = [0, 1, 2] if known else [0, 2]
    assert new["blend.weights"].tolist() == old["blend.weights"][kept].tolist()
    assert old["blend.weights"].tolist() == torch.tensor([*weights.values()]).tolist()
    expected = {name: weight for name, weight in weights.items() if known or name != "words"}
    assert metrics_of("run-refit")["blend"] == expected
    assert ("words takes no part in the blend" in caplog.text) != known
    _, model, *_ = load_data_and_model("run-refit")
    stored, blended = tensors(best_of("run-refit")["vectors"]), tensors(model.stored_vectors())
    assert len(stored) == len(blended) > 0
    assert all(torch.equal(a, b) for a, b in zip(stored, blended, strict=True))


@pytest.mark.parametrize(
    "model",
    [
        *(pytest.param(model, marks=pytest.mark.slow) for model in ("LightGCN", "SymCERE")),
        *("SymCEREPlus", "CollabContext"),
    ],
)
@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_killed_refit_goes_on_and_ends_as_an_unbroken_one(
    runs, refits, tmp_path, monkeypatch, model, after
):
    run, (unbroken, _) = runs(model), refits(model)
    with killing(monkeypatch, after - 1):
        refit(run, tmp_path / "broken")
    resume(tmp_path / "broken")
    whole, broken = best_of(unbroken), best_of(tmp_path / "broken")
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, broken["state_dict"][name]), name
    kept = ("epochs_run", "best_epoch", "refit_of", "refit_steps", "blend", "phases", "protocol")
    one, other = metrics_of(unbroken), metrics_of(tmp_path / "broken")
    assert {key: one.get(key) for key in kept} == {key: other.get(key) for key in kept}


def test_the_settings_repeat_a_refit(refits, tmp_path):
    made, _ = refits("LightGCN")
    file = str(made / "config.yaml")
    assert main([f"--config_files={file}", f"--run_dir={tmp_path / 'again'}"]) == 0
    first, second = best_of(made), best_of(tmp_path / "again")
    assert all(torch.equal(w, second["state_dict"][k]) for k, w in first["state_dict"].items())


def test_what_was_held_out_for_a_cold_start_is_trained_on_too(small):
    settings = {**small, **SETTINGS, "cold_items": 0.1, "cold_users": 0.5, "run_dir": "run"}
    run_recbole("LightGCN", "small", config_dict=settings)
    assert metrics_of("run")["data"]["train"] < 100
    refit("run")
    new = metrics_of("run-refit")
    assert new["data"]["train"] == 192
    assert new["protocol"]["cold_items"] == new["protocol"]["cold_users"] == 0


@pytest.mark.parametrize(
    "extra",
    [
        {"eval_args": {"mode": "uni5"}},
        {"eval_args": {"order": "RO", "split": {"LS": "valid_and_test"}}},
        {"eval_args": {"split": {"RS": [0.8, 0.0, 0.2]}}},
        {"eval_step": 0},
        {"train_neg_sample_args": {"dynamic": True, "candidate_num": 2}},
    ],
    ids=str,
)
def test_any_split_and_sampling(small, extra):
    run_recbole("BPR", "small", config_dict={**small, **SETTINGS, **extra, "run_dir": "run"})
    refit("run")
    assert metrics_of("run-refit")["data"]["train"] == 192


def test_a_data_set_that_is_split_already(small, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        (f"u{u}", f"i{i}", 4.0, 1_500_000_000 + i, "good")
        for u in range(12)
        for i in rng.permutation(20)[:9]
    ]
    parts = {name: rows[n::3] for n, name in enumerate(("train", "valid", "test"))}
    for name, own in parts.items():
        write_rows(tmp_path / "data", "parts", own, name)
    settings = {**small, **SETTINGS, "data_path": str(tmp_path / "data"), "run_dir": "run"}
    settings |= {"benchmark_filename": ["train", "valid", "test"]}
    run_recbole("SymCERE", "parts", config_dict=settings)
    refit("run")
    assert metrics_of("run-refit")["data"]["train"] == len(rows)


def test_it_says_that_nothing_is_left_and_pages_of_it_can_be_made(runs, tmp_path, capsys):
    new = tmp_path / "new"
    assert main(["refit", f"--run={runs('SymCEREPlus')}", f"--run_dir={new}"]) == 0
    log = (new / "run.log").read_text()
    assert f"best epoch: nothing is left to test it on\neverything is in {'new'}" in log
    assert main(["report", f"--run={new}"]) == 0
    page = (new / "report.html").read_text()
    assert "nothing is left to test it on" in page
    assert "was tested, of" not in page
    for command in (["geometry"], ["recommendation", "--user=u1", "--item=i20"]):
        assert main(["explain", command[0], f"--run={new}", *command[1:]]) == 0
    anchor = ["explain", "anchor", f"--run={new}", "--n=20", "--n_control=10"]
    assert main(anchor) == 0
    capsys.readouterr()
    assert main([*anchor, "--retrain_seeds=1"]) == 2
    assert "holds nothing out to test on" in capsys.readouterr().err


# --- what can't be trained on everything ---------------------------------------------------------


def refused(capsys, *words):
    """The one line that a command ends with."""
    assert main(["refit", *map(str, words)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_mistakes_are_told_in_one_line(runs, tmp_path, capsys):
    run = shutil.copytree(runs("LightGCN"), tmp_path / "run")
    assert "--run=runs/none: there is no such folder" in refused(capsys, "--run=runs/none")
    assert "holds no run: it has no config.yaml" in refused(capsys, f"--run={tmp_path}")
    assert "--run=... is missing: the run's folder" in refused(capsys)
    assert "epochs" in refused(capsys, f"--run={run}", "--epochs=3")
    assert "holds a run already" in refused(capsys, f"--run={run}", f"--run_dir={run}")

    main(["refit", f"--run={run}"])
    capsys.readouterr()
    said = refused(capsys, f"--run={run}")
    assert "run-refit holds a run already. Go on with it by --resume=" in said
    assert "trained on everything already" in refused(capsys, f"--run={run}-refit")
    with pytest.raises(InputError, match=r"epochs can't change in a refit, .* of the run run\."):
        resume(f"{run}-refit", {"epochs": 9})

    (run / "metrics.json").rename(tmp_path / "kept.json")
    assert "the run hasn't finished" in refused(capsys, f"--run={run}", "--run_dir=other")
    (tmp_path / "kept.json").rename(run / "metrics.json")
    (run / "checkpoint" / "best.safetensors").write_bytes(b"nothing")
    assert "can't be read as a checkpoint" in refused(capsys, f"--run={run}", "--run_dir=other")
    (run / "checkpoint" / "best.safetensors").unlink()
    said = refused(capsys, f"--run={run}", "--run_dir=other")
    assert "has no checkpoint/best.safetensors" in said
    assert not Path("other").exists()


def test_data_that_have_changed_are_refused(small, tmp_path, small_folder, capsys):
    shutil.copytree(small_folder, tmp_path / "data")
    settings = {**small, "data_path": str(tmp_path / "data"), "run_dir": "run"}
    run_recbole("LightGCN", "small", config_dict=settings)
    file = tmp_path / "data" / "small" / "small.inter"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    assert "has changed since" in refused(capsys, "--run=run")


def test_a_run_that_is_being_trained_on_is_refused(small, monkeypatch, capsys):
    settings = {**small, **SETTINGS, "epochs": 2, "run_dir": "run"}
    with monkeypatch.context() as patch:
        scored(patch, [0.1, 0.2, 0.3])
        run_recbole("LightGCN", "small", config_dict=settings)
        finish = Resumable._after_valid

        def killed(self, *args):
            finish(self, *args)
            raise Killed

        patch.setattr(Resumable, "_after_valid", killed)
        with pytest.raises(Killed):
            resume("run", {"epochs": 5})
    assert "was trained on after it had been tested" in refused(capsys, "--run=run")


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [("LightGCN", "refit_steps", [3]), ("SymCEREPlus", "refit_blend", {"ease_5": 0.2})],
)
def test_half_a_refit_is_refused(small, model, key, value):
    with pytest.raises(InputError, match=f"{key} is set by the command refit"):
        run_recbole(model, "small", config_dict={**small, key: value})


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ({"word": 0.1}, "blend names 'word'"),
        ({"words": "much"}, "but words needs a number"),
        ({"ease_5": True}, "but ease_5 needs a number"),
    ],
)
def test_a_blend_of_other_parts_is_refused(small, blend, message):
    settings = {**small, "refit_of": "run", "refit_blend": blend, "lexical_size": 8}
    with pytest.raises(InputError, match=message):
        run_recbole("SymCEREPlus", "small", config_dict=settings)


def test_its_help_names_every_option(capsys):
    main(["refit", "--help"])
    told = capsys.readouterr().out
    for name in ("run", "run_dir", "data_path", "cache_dir", "text_encoder"):
        assert f"  --{name} " in told
