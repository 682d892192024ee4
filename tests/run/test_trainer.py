"""Training: named terms, stopping at a loss that isn't finite, and going on after a kill."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from model.test_contract import prepare

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run import quick_start
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole
from recbole_symcere.run.trainer import Resumable, ReviewTrainer, resumable

ROOT = Path(__file__).parents[2]


class Killed(BaseException):
    """Stands for a signal that ends the process between two epochs."""


def same(first: Path, second: Path) -> bool:
    """Whether two runs have equal weights, metrics, history and per-user values."""
    a, b = (checkpoint.load(run / "checkpoint" / "best.safetensors") for run in (first, second))
    weights = all(torch.equal(a["state_dict"][k], b["state_dict"][k]) for k in a["state_dict"])
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (first, second)]
    for one in metrics:
        one["history"] = [
            {k: v for k, v in epoch.items() if "seconds" not in k} for epoch in one["history"]
        ]
    keys = ("valid", "test", "best_epoch", "epochs_run", "history", "data_fingerprint")
    keys += ("phases", "kept_phase") if "phases" in metrics[0] else ()
    per_user = [pq.read_table(run / "per_user.parquet") for run in (first, second)]
    return (
        weights
        and all(metrics[0][key] == metrics[1][key] for key in keys)
        and per_user[0].equals(per_user[1])
    )


@contextlib.contextmanager
def killing(monkeypatch, after):
    """What trains inside is killed when it has finished epoch ``after``."""
    finish = Resumable._finish_epoch

    def killed(self, best):
        finish(self, best)
        if len(self.history) == after + 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Resumable, "_finish_epoch", killed)
        with pytest.raises(Killed):
            yield


def killed_after(monkeypatch, epochs, model, settings, damage=lambda run: None):
    """The finished run "broken", killed after each of some epochs, damaged and gone on with."""
    run = Path("broken")
    begin = partial(run_recbole, model, "small", config_dict=settings | {"run_dir": run})
    for epoch in epochs:
        with killing(monkeypatch, epoch):
            resume(run) if run.exists() else begin()
        assert not (run / "metrics.json").exists()
        torch.rand(3), np.random.rand(3)  # noqa: NPY002 # another process has other random states
        damage(run)
    resume(run)
    return run


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        ("SymCERE", {}),
        ("SymCERE", {"masked_views": 2, "edge_dropout_per": "step", "eval_step": 2}),
        ("SymCERE", {"text_mode": "lora", "epochs": 4}),
        pytest.param(
            "SymCERE",
            {"text_mode": "lora", "lora_layers": 1, "masked_views": 2, "epochs": 4},
            marks=pytest.mark.slow,
        ),
        ("LightGCN", {}),
    ],
    ids=str,
)
def test_a_killed_run_ends_as_an_unbroken_one(small, monkeypatch, model, extra):
    settings = {**small, "epochs": 6, "learning_rate": 0.01, **extra}
    run_recbole(model, "small", config_dict={**settings, "run_dir": "unbroken"})
    assert same(Path("unbroken"), killed_after(monkeypatch, [0, 2], model, settings))


def test_a_run_killed_before_its_first_epoch_starts_over(small, monkeypatch):
    run_recbole("SymCERE", "small", config_dict={**small, "run_dir": "unbroken"})
    with monkeypatch.context() as patch:
        patch.setattr(Resumable, "fit", lambda *_, **__: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            run_recbole("SymCERE", "small", config_dict={**small, "run_dir": "broken"})
    resume("broken")
    assert same(Path("unbroken"), Path("broken"))


def test_a_run_stopped_early_or_finished_is_not_trained_on(small):
    settings = {**small, "epochs": 30, "stopping_step": 0, "learning_rate": 0.05}
    run_recbole("SymCERE", "small", config_dict={**settings, "run_dir": "run"})
    before = json.loads(Path("run/metrics.json").read_text())
    assert before["epochs_run"] < 30
    best = Path("run/checkpoint/best.safetensors").read_bytes()
    Path("run/metrics.json").unlink()  # killed between training and the summary
    resume("run")
    after = json.loads(Path("run/metrics.json").read_text())
    assert after["test"] == before["test"]
    assert after["epochs_run"] == before["epochs_run"]
    assert Path("run/checkpoint/best.safetensors").read_bytes() == best


def test_more_epochs_may_be_asked_for_on_resuming(small):
    settings = {**small, "learning_rate": 0.01, "stopping_step": 100}
    run_recbole("SymCERE", "small", config_dict={**settings, "epochs": 5, "run_dir": "long"})
    run_recbole("SymCERE", "small", config_dict={**settings, "epochs": 2, "run_dir": "short"})
    resume("short", {"epochs": 5})
    assert same(Path("long"), Path("short"))
    with pytest.raises(InputError, match="alpha can't change when a run is resumed"):
        resume("short", {"alpha": 0.1})


def test_a_run_with_lora_goes_on_where_auto_means_frozen(small):
    settings = {**small, "text_mode": "lora", "learning_rate": 0.01, "stopping_step": 100}
    run_recbole("SymCERE", "small", config_dict={**settings, "epochs": 3, "run_dir": "long"})
    run_recbole("SymCERE", "small", config_dict={**settings, "epochs": 2, "run_dir": "short"})
    file = Path("short/config.yaml")  # as if it had been started as auto on a GPU
    file.write_text(file.read_text().replace("text_mode: lora", "text_mode: auto"))
    resume("short", {"epochs": 3})
    assert same(Path("long"), Path("short"))


def test_a_run_whose_data_changed_does_not_go_on(small, tmp_path):
    from small_data import write_small

    folder = write_small(tmp_path / "d")
    settings = {**small, "data_path": str(tmp_path / "d"), "run_dir": "run"}
    run_recbole("SymCERE", "small", config_dict=settings)
    with (folder / "small.inter").open("a") as file:
        file.write("")
    resume("run")
    write_small(tmp_path / "d", seed=1)
    with pytest.raises(InputError, match="has changed since this run began"):
        resume("run")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", "--resume=nowhere: there is no such folder"),
        (".", "holds no run: it has no config.yaml"),
    ],
)
def test_resuming_nothing(folder, message):
    with pytest.raises(InputError, match=message):
        resume(folder)


def test_terms_are_logged_by_name(small):
    run_recbole("SymCERE", "small", config_dict={**small, "run_dir": "run"})
    log = Path("run/run.log").read_text()
    assert re.search(r"epoch 1 training .* cross: [\d.]+, intra: [\d.]+, bpr: [\d.]+", log)
    history = json.loads(Path("run/metrics.json").read_text())["history"]
    assert [list(epoch["loss"]) for epoch in history] == [["cross", "intra", "bpr"]] * 2
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator("run/tensorboard").Reload()
    assert {f"Loss/Train/{name}" for name in ("cross", "intra", "bpr")} <= set(
        events.Tags()["scalars"]
    )


def test_without_validation_every_epoch_is_stored(small):
    config, model, _, (train, *_) = prepare("SymCERE", {**small, "run_dir": "run"})
    trainer = ReviewTrainer(config, model)
    trainer.fit(train, verbose=False)
    assert checkpoint.load("run/checkpoint/last.safetensors")["epoch"] == 1
    assert trainer.best_epoch == 1


def test_any_trainer_can_be_made_resumable():
    from recbole.trainer.trainer import TraditionalTrainer

    made = resumable(TraditionalTrainer)
    assert issubclass(made, Resumable)
    assert issubclass(made, TraditionalTrainer)
    assert resumable(made) is made
    assert resumable(ReviewTrainer) is ReviewTrainer


def test_a_checkpoint_of_another_model_is_refused(small):
    run_recbole("LightGCN", "small", config_dict={**small, "run_dir": "run"})
    config, model, *_ = prepare("SymCERE", small)
    with pytest.raises(InputError, match="of model LightGCN, but this run is of SymCERE"):
        ReviewTrainer(config, model).resume_checkpoint("run/checkpoint/best.safetensors")


def test_load_data_and_model_gives_the_tested_model(small):
    result = run_recbole("SymCERE", "small", config_dict=small)
    config, model, _, train, valid, test = load_data_and_model(result["run_dir"])
    trainer = ReviewTrainer(config, model)
    trainer.eval_collector.data_collect(train)
    assert trainer.evaluate(test, load_best_model=False) == result["test_result"]
    assert trainer.evaluate(valid, load_best_model=False) == result["best_valid_result"]


def test_no_held_out_number_before_training_is_over(small, monkeypatch):
    # selection sees validation only; the test split is evaluated once, at the end
    evaluated = []
    evaluate = ReviewTrainer.evaluate

    def counted(self, data, *args, **kwargs):
        evaluated.append(data.dataset.split)
        return evaluate(self, data, *args, **kwargs)

    monkeypatch.setattr(ReviewTrainer, "evaluate", counted)
    run_recbole("SymCERE", "small", config_dict=small)
    assert evaluated == ["valid", "valid", "test", "valid"]  # the last is of popularity
    assert quick_start.Config("SymCERE", "small", config_dict=small)["valid_metric"] == "NDCG@10"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", np.linspace(0.2, 4, 6).round(2))
def test_a_real_kill_at_any_moment(small, seconds):
    settings = {**small, "epochs": 40, "stopping_step": 100}
    run_recbole("SymCERE", "small", config_dict={**settings, "run_dir": "unbroken"})
    words = [f"--{key}={value}" for key, value in settings.items()]
    command = [sys.executable, str(ROOT / "run_recbole_symcere.py"), "--model=SymCERE"]
    process = subprocess.Popen(
        [*command, "--dataset=small", "--run_dir=broken", *words],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "."},
        stdout=subprocess.DEVNULL,
    )
    while not Path("broken/checkpoint").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resume("broken")
    assert same(Path("unbroken"), Path("broken"))


@pytest.mark.parametrize("model", ["SymCERE", "LightGCN"])
def test_wandb_gets_one_number_per_loss_term(small, monkeypatch, model):
    logged = []
    fake = ModuleType("wandb")
    fake.__spec__ = ModuleSpec("wandb", None)
    fake.run = SimpleNamespace(summary={})
    fake.define_metric, fake.log = (
        lambda *_, **__: None,
        lambda metrics, **_: logged.append(metrics),
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    reads_text = ("text_encoder", "max_length", "cache_dir")
    settings = {k: small[k] for k in small if model == "SymCERE" or k not in reads_text}
    run_recbole(model, "small", config_dict={**settings, "log_wandb": True, "epochs": 1})
    train = next(metrics for metrics in logged if "train_step" in metrics)
    terms = {key for key in train if key.startswith("train/train_loss")}
    wanted = {f"train/train_loss/{term}" for term in ("cross", "intra", "bpr")}
    assert terms == (wanted if model == "SymCERE" else {"train/train_loss"})
    assert all(isinstance(train[key], float) for key in terms)
