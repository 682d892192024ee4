"""Two phases in one fit: when they change, what is kept, and going on after a kill."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from model.test_contract import all_scores, prepare
from recbole.utils import get_trainer
from small_data import small_settings
from test_trainer import Killed, killed_after, same

from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole
from recbole_symcere.run.trainer import Resumable
from recbole_symcere.run.two_phase_trainer import TwoPhaseTrainer


def scripted(monkeypatch, scores):
    """Let validation give these scores, epoch by epoch."""

    def valid_epoch(self, valid_data, show_progress=False):
        result = {"ndcg@10": scores[len(self.history) - 1]}
        self.history[-1]["valid"] = result
        return result["ndcg@10"], result

    monkeypatch.setattr(Resumable, "_valid_epoch", valid_epoch)


def fitted(small, monkeypatch, scores, saved=True, **extra):
    """A trainer after `fit` with scripted scores, and the weights after each epoch."""
    scripted(monkeypatch, scores)
    settings = {**small, "epochs": len(scores), "learning_rate": 0.01, **extra}
    config, model, _, (train, valid, _) = prepare("CollabContext", settings)
    trainer = TwoPhaseTrainer(config, model)
    weights = []
    trainer.on_epoch = lambda *_: weights.append(
        {name: value.clone() for name, value in model.state_dict().items()}
    )
    best = trainer.fit(train, valid, verbose=False, saved=saved)
    return trainer, weights, best


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


LIKED = [0.1, 0.3, 0.2, 0.25, 0.05, 0.4, 0.35, 0.3]
"""With stopping_step 1 phase 1 ends after epoch 3, its best is epoch 1; that of phase 2 epoch 5."""
WORSE = [0.1, 0.3, 0.2, 0.25, 0.05, 0.2, 0.1, 0.15]


def test_phase_2_begins_with_the_best_weights_of_phase_1_and_a_fresh_optimizer(small, monkeypatch):
    begun = []
    begin = TwoPhaseTrainer.begin_phase

    def watched(self, phase):
        weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        begin(self, phase)
        begun.append((weights, dict(self.optimizer.state), self.optimizer.param_groups))

    monkeypatch.setattr(TwoPhaseTrainer, "begin_phase", watched)
    trainer, weights, _ = fitted(small, monkeypatch, LIKED, stopping_step=1)
    assert len(begun) == 2
    weights_2, state, groups = begun[1]
    assert equal(weights_2, weights[1])
    assert not equal(weights_2, weights[3])
    assert state == {}
    names = {id(p): name for name, p in trainer.model.named_parameters()}
    learning = {names[id(p)] for group in groups for p in group["params"]}
    assert learning == {name for name in names.values() if name.startswith("refine.")}
    users = [epoch["user_embedding.weight"] for epoch in weights[4:]]
    assert all(torch.equal(x, weights[1]["user_embedding.weight"]) for x in users)


def test_a_better_phase_2_is_kept(small, monkeypatch):
    trainer, weights, best = fitted(small, monkeypatch, LIKED, stopping_step=1)
    assert best == (0.4, {"ndcg@10": 0.4})
    assert trainer.best_epoch == 5
    assert equal(trainer.model.state_dict(), weights[5])
    stored = checkpoint.load(trainer.saved_model_file)
    assert equal(stored["state_dict"], weights[5])
    assert trainer.facts() == {
        "phases": [
            {"phase": 1, "name": "item tutoring", "epochs": 4, "best_epoch": 1,
             "best_valid_score": 0.3, "ended_by": "early_stop"},
            {"phase": 2, "name": "user tutoring", "epochs": 4, "best_epoch": 5,
             "best_valid_score": 0.4, "ended_by": "early_stop"},
        ],
        "kept_phase": 2,
    }  # fmt: skip
    assert [epoch["phase"] for epoch in trainer.history] == [1] * 4 + [2] * 4


@pytest.mark.parametrize("saved", [True, False])
def test_a_phase_2_that_is_no_better_is_dropped(small, monkeypatch, saved):
    trainer, weights, best = fitted(small, monkeypatch, WORSE, saved, stopping_step=1)
    assert best == (0.3, {"ndcg@10": 0.3})
    assert trainer.best_epoch == 1
    assert trainer.facts()["kept_phase"] == 1
    model = trainer.model.eval()
    assert int(model.phase) == 1  # f is passed by
    assert torch.equal(model.user_embedding.weight, weights[1]["user_embedding.weight"])
    assert Path(trainer.saved_model_file).exists() == saved
    stored = checkpoint.load(trainer.saved_model_file)["state_dict"] if saved else weights[1]
    scores = all_scores(model)
    model.load_state_dict(stored)
    assert torch.equal(all_scores(model), scores)


def test_the_best_so_far_is_of_both_phases(small, monkeypatch):
    seen = []
    after = Resumable._after_valid

    def watched(self, epoch, score):
        after(self, epoch, score)
        seen.append(self.best_so_far)

    monkeypatch.setattr(Resumable, "_after_valid", watched)
    fitted(small, monkeypatch, LIKED, stopping_step=1)
    assert seen == [(0.1, 0), *[(0.3, 1)] * 4, *[(0.4, 5)] * 3]


@pytest.mark.parametrize(
    ("extra", "scores", "lengths", "endings"),
    [
        ({}, [0.1] * 9, [5, 4], ["epochs", "epochs"]),
        ({"first_phase_epochs": 2}, [0.1] * 9, [2, 7], ["epochs", "epochs"]),
        ({"first_phase_epochs": 20}, [0.1] * 9, [9], ["epochs"]),
        ({"stopping_step": 1}, [0.3, 0.2, 0.1, *[0.1] * 6], [3, 4], ["early_stop", "epochs"]),
        (
            {"stopping_step": 1, "switch": "fixed", "first_phase_epochs": 6},
            [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1],
            [6, 3],
            ["fixed", "early_stop"],
        ),
        (
            {"switch": "plateau", "plateau_window": 2, "plateau_tolerance": 0.1},
            [0.1, 0.2, 0.3, 0.31, 0.32, 0.5, 0.6, 0.7, 0.8],
            [5, 4],
            ["plateau", "epochs"],
        ),
        (
            {"switch": "plateau", "plateau_window": 2, "plateau_tolerance": 0.0},
            [0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
            [3, 4],
            ["plateau", "epochs"],
        ),
        ({"user_tutoring": False}, [0.1] * 9, [9], ["epochs"]),
        ({"epochs": 1}, [0.1], [1], ["epochs"]),
    ],
    ids=str,
)
def test_when_the_phases_change(small, monkeypatch, extra, scores, lengths, endings):
    trainer, _, _ = fitted(small, monkeypatch, scores, **extra)
    assert [phase["epochs"] for phase in trainer.phases] == lengths
    assert [phase["ended_by"] for phase in trainer.phases] == endings
    assert [epoch["epoch"] for epoch in trainer.history] == list(range(sum(lengths)))


@pytest.mark.parametrize(
    ("extra", "steps", "validated"),
    [
        ({"eval_step": 4}, 3, [2, 5]),  # phase 1 has 4 of 7 epochs
        ({"eval_step": 9}, 3, [2, 5]),
        ({"eval_step": 9, "first_phase_epochs": 2}, 2, [1, 3, 5]),
        ({"eval_step": 9, "first_phase_epochs": 6}, 1, [*range(7)]),
        ({"eval_step": 9, "first_phase_epochs": 7}, 7, [6]),  # there is no phase 2
        ({"eval_step": 9, "user_tutoring": False}, 7, [6]),
        ({"eval_step": 3}, 3, [2, 5]),
    ],
    ids=str,
)
def test_each_phase_is_validated(small, monkeypatch, caplog, extra, steps, validated):
    trainer, *_ = fitted(small, monkeypatch, [0.1] * 7, **extra)
    assert [epoch["epoch"] for epoch in trainer.history if "valid" in epoch] == validated
    assert {trainer.history[n]["phase"] for n in validated} == {p["phase"] for p in trainer.phases}
    told = (
        f"eval_step={extra['eval_step']}, but a phase has {steps} of the 7 epochs, and each phase "
        f"needs a validation of its own: eval_step={steps} is taken."
    )
    assert (told in caplog.text) == (steps < min(extra["eval_step"], 7))


def test_a_metric_of_which_less_is_better(small, monkeypatch):
    monkeypatch.setattr(
        TwoPhaseTrainer, "valid_metric_bigger", property(lambda _: False, lambda *_: None), False
    )
    trainer, _, best = fitted(small, monkeypatch, [3, 2, 4, 4, 9, 1, 3, 3], stopping_step=1)
    assert best[0] == 1
    assert trainer.phases[0]["best_epoch"] == 1
    trainer, _, best = fitted(small, monkeypatch, [3, 2, 4, 4, 9, 3, 4, 4], stopping_step=1)
    assert best[0] == 2
    assert trainer.kept_phase == 1


def test_without_validation_the_last_weights_are_kept(small):
    config, model, _, (train, *_) = prepare("CollabContext", {**small, "epochs": 3})
    trainer = TwoPhaseTrainer(config, model)
    trainer.fit(train, verbose=False)
    assert [phase["epochs"] for phase in trainer.phases] == [2, 1]
    assert [phase["best_valid_score"] for phase in trainer.phases] == [None, None]
    assert (trainer.best_epoch, trainer.kept_phase) == (2, 2)


def test_the_result_tells_of_the_phases(small):
    run_recbole("CollabContext", "small", config_dict={**small, "run_dir": "run", "epochs": 4})
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert [epoch["phase"] for epoch in metrics["history"]] == [1, 1, 2, 2]
    assert [phase["name"] for phase in metrics["phases"]] == ["item tutoring", "user tutoring"]
    assert metrics["kept_phase"] in {1, 2}
    log = Path("run/run.log").read_text()
    assert "phase 1, item tutoring, is over after 2 epochs (epochs); best epoch" in log
    assert "epoch   2  phase 2  loss" in log
    _, model, *_ = load_data_and_model("run")
    assert metrics["parameters"] == sum(p.numel() for p in model.parameters())
    assert int(model.phase) == metrics["kept_phase"]


def test_recbole_finds_the_trainer():
    from recbole.utils import ModelType

    assert get_trainer(ModelType.GENERAL, "CollabContext") is TwoPhaseTrainer


# --- after a kill --------------------------------------------------------------------------------

SWITCHES = [
    {"switch": "fixed"},
    {"switch": "early_stop", "stopping_step": 0},
    {"switch": "plateau", "plateau_window": 1, "plateau_tolerance": 0.5},
    {"switch": "fixed", "eval_step": 2, "item_update": "table"},
    {"switch": "fixed", "eval_step": 0},
    {"switch": "fixed", "eval_step": 5, "clip_grad_norm": {"max_norm": 0.01}},
]


def broken(settings, monkeypatch, when):
    """A run that dies as `when` says; what it left is in the folder "broken"."""
    with monkeypatch.context() as patch:
        when(patch)
        with pytest.raises(Killed):
            run_recbole("CollabContext", "small", config_dict={**settings, "run_dir": "broken"})
    torch.rand(3)  # another process has another random state


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, small_folder, tiny_encoder, cache_folder):
    """The settings of a run of four epochs, and the folder of one that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    settings = small_settings(small_folder, tiny_encoder, cache_folder, folder)
    settings |= {"epochs": 4, "learning_rate": 0.01}
    run_recbole("CollabContext", "small", config_dict={**settings, "run_dir": str(folder / "run")})
    return settings, folder / "run"


@pytest.mark.parametrize("step", [1, 3], ids=["every epoch", "every third"])
@pytest.mark.parametrize("extra", SWITCHES, ids=str)
def test_a_run_killed_again_and_again_ends_as_an_unbroken_one(small, monkeypatch, extra, step):
    settings = {**small, "epochs": 6, "learning_rate": 0.01, **extra}
    run_recbole("CollabContext", "small", config_dict={**settings, "run_dir": "unbroken"})
    n_epochs = json.loads(Path("unbroken/metrics.json").read_text())["epochs_run"]
    assert n_epochs > 3
    run = killed_after(monkeypatch, range(0, n_epochs, step), "CollabContext", settings)
    assert same(Path("unbroken"), run)


@pytest.mark.parametrize("scores", [LIKED, WORSE], ids=["liked", "worse"])
def test_without_its_last_checkpoint_a_run_goes_on_from_its_best(small, monkeypatch, scores):
    scripted(monkeypatch, scores)
    settings = {**small, "epochs": len(scores), "learning_rate": 0.01, "stopping_step": 1}
    run_recbole("CollabContext", "small", config_dict={**settings, "run_dir": "unbroken"})

    def damage(run):
        (run / "checkpoint" / "last.safetensors").write_bytes(b"damaged")

    run = killed_after(monkeypatch, range(len(scores)), "CollabContext", settings, damage)
    assert same(Path("unbroken"), run)


@pytest.mark.parametrize("method", ["_end_phase", "begin_phase", "_keep_the_better"])
def test_a_run_killed_between_the_phases(unbroken, monkeypatch, method):
    settings, whole = unbroken
    work = getattr(TwoPhaseTrainer, method)

    def killed(self, *args):
        work(self, *args)
        if self.history:
            raise Killed

    broken(settings, monkeypatch, lambda p: p.setattr(TwoPhaseTrainer, method, killed))
    resume("broken")
    assert same(whole, Path("broken"))


def test_a_run_killed_between_its_two_checkpoints(unbroken, monkeypatch):
    # best.safetensors is then of an epoch that last.safetensors doesn't know
    settings, whole = unbroken

    def killed(self, best):
        if len(self.history) == 3:
            raise Killed
        finish(self, best)

    finish = Resumable._finish_epoch
    broken(settings, monkeypatch, lambda p: p.setattr(Resumable, "_finish_epoch", killed))
    resume("broken")
    assert same(whole, Path("broken"))


def test_a_finished_run_is_not_trained_on(unbroken):
    shutil.copytree(unbroken[1], "run")
    before = json.loads(Path("run/metrics.json").read_text())
    Path("run/metrics.json").unlink()
    resume("run")
    after = json.loads(Path("run/metrics.json").read_text())
    for key in ("test", "valid", "phases", "kept_phase", "best_epoch", "epochs_run"):
        assert after[key] == before[key]
