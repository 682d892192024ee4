"""A model whose loss, weights or scores are no numbers is never stored, evaluated or reported."""

import contextlib
import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.model.general_recommender import EASE, LightGCN

from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.model.symcere import SymCERE
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.divergence import DivergedError, check_loss, check_weights
from recbole_symcere.run.prepare import build_trainer
from recbole_symcere.run.quick_start import load_data_and_model, run_recbole

BAD = [math.nan, math.inf, -math.inf]


def settings_of(model, small, **more):
    text = {"text_encoder", "max_length", "cache_dir"}
    kept = {k: v for k, v in small.items() if model.startswith("SymCERE") or k not in text}
    return {**kept, "run_dir": "run", **more}


def after(model_class, n, monkeypatch, poison):
    """Let ``poison(model, loss)`` give the loss of the n-th batch."""
    calculate, calls = model_class.calculate_loss, []

    def poisoned(self, interaction):
        loss = calculate(self, interaction)
        calls.append(1)
        return poison(self, loss) if len(calls) == n else loss

    monkeypatch.setattr(model_class, "calculate_loss", poisoned)


def batches_per_epoch(model_class, small, monkeypatch):
    calls, calculate = [], model_class.calculate_loss
    with monkeypatch.context() as patch:
        patch.setattr(
            model_class, "calculate_loss", lambda s, x: calls.append(1) or calculate(s, x)
        )
        settings = settings_of(model_class.__name__, small, epochs=1, run_dir="counted")
        run_recbole(model_class.__name__, "small", config_dict=settings)
    return len(calls)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_term_and_the_batch(small, monkeypatch, bad):
    after(SymCERE, 5, monkeypatch, lambda _, loss: loss._replace(intra=loss.intra * bad))
    message = rf"in epoch 1, batch 1: intra = {bad:g}\."
    with pytest.raises(DivergedError, match=message):
        run_recbole("SymCERE", "small", config_dict=settings_of("SymCERE", small))
    state = checkpoint.load("run/checkpoint/last.safetensors")
    assert state["epoch"] == 0
    assert all(torch.isfinite(tensor).all() for tensor in state["state_dict"].values())


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("model_class", [SymCERE, LightGCN])
def test_a_weight_that_is_not_finite_is_never_stored(small, monkeypatch, model_class, bad):
    last = 2 * batches_per_epoch(model_class, small, monkeypatch)  # the last batch of epoch 1
    name = "embedding" if model_class is SymCERE else "user_embedding"

    def poison(model, loss):  # the loss of this batch is still finite, and no batch follows
        getattr(model, name).weight.data[2, 1] = bad
        return loss

    after(model_class, last, monkeypatch, poison)
    size = r"[\d,]+ of [\d,]+"
    message = rf"After epoch 1 {size} weights of {name}\.weight aren't finite"
    with pytest.raises(DivergedError, match=message):
        run_recbole(
            model_class.__name__, "small", config_dict=settings_of(model_class.__name__, small)
        )
    for file in ("last", "best"):
        state = checkpoint.load(f"run/checkpoint/{file}.safetensors")
        assert state["epoch"] == 0
        assert all(t.isfinite().all() for t in state["state_dict"].values())
    assert not Path("run/metrics.json").exists()


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("mode", ["full", "uni5"])
@pytest.mark.parametrize("epoch", [0, 1])
def test_scores_that_are_not_finite_are_never_evaluated(small, monkeypatch, bad, mode, epoch):
    name = "full_sort_predict" if mode == "full" else "predict"
    score, calls = getattr(LightGCN, name), []
    trained = []
    after_epoch = LightGCN.calculate_loss

    def counted(self, interaction):
        trained.append(1)
        return after_epoch(self, interaction)

    def poisoned(self, interaction):
        scores = score(self, interaction)
        calls.append(len(trained))
        if len(set(calls)) == epoch + 1:
            scores[3] = bad
        return scores

    monkeypatch.setattr(LightGCN, "calculate_loss", counted)
    monkeypatch.setattr(LightGCN, name, poisoned)
    settings = settings_of("LightGCN", small, eval_args={"mode": mode})
    with pytest.raises(
        DivergedError, match=rf"1 of \d+ scores of a batch aren't finite after epoch {epoch}"
    ):
        run_recbole("LightGCN", "small", config_dict=settings)
    assert Path("run/checkpoint/best.safetensors").exists() == (epoch == 1)
    assert not Path("run/metrics.json").exists()


def test_scores_of_a_model_without_training_are_checked_too(small, monkeypatch, capsys):
    score = EASE.full_sort_predict
    monkeypatch.setattr(EASE, "full_sort_predict", lambda s, x: score(s, x) * math.inf)
    pairs = [f"--{key}={value}" for key, value in settings_of("EASE", small).items()]
    assert main(["--model=EASE", "--dataset=small", *pairs]) == 1
    assert "scores of a batch aren't finite after epoch 0" in capsys.readouterr().err


def test_a_learning_rate_that_is_far_too_high_ends_the_run(small, capsys):
    pairs = [f"--{key}={value}" for key, value in settings_of("LightGCN", small).items()]
    command = ["--model=LightGCN", "--dataset=small", *pairs, "--learning_rate=1e10"]
    assert main(command) == 1
    assert re.search(r"more than 1,000 times the 0\.\d+ that it began", capsys.readouterr().err)
    assert not Path("run/metrics.json").exists()


def test_the_first_loss_outlives_a_kill(small):
    result = run_recbole("LightGCN", "small", config_dict=settings_of("LightGCN", small, epochs=1))
    file = result["run_dir"] + "/checkpoint/last.safetensors"
    first = checkpoint.load(file)["first_losses"]
    assert first["loss"] == pytest.approx(math.log(2), abs=0.1)
    config, model, _, _, _, _ = load_data_and_model(file)
    trainer = build_trainer(config, model)
    trainer.resume_checkpoint(file)
    assert trainer._first_losses == first


@given(
    st.floats(-10, 10),
    st.floats(-1e9, 1e9, allow_nan=False),
)
def test_a_loss_may_rise_a_thousandfold(start, loss):
    too_high = loss > 1e3 * max(abs(start), 0.1)
    stops = pytest.raises(DivergedError, match="in epoch 3, batch 4")
    with stops if too_high else contextlib.nullcontext():
        check_loss(loss, {"loss": torch.tensor(loss)}, start, 3, 4)


@given(st.lists(st.floats(width=32), min_size=1, max_size=6))
def test_weights_are_refused_exactly_if_one_is_not_finite(values):
    model = torch.nn.Linear(len(values), 1, bias=False)
    model.weight.data[0] = torch.tensor(values)
    bad = sum(not math.isfinite(value) for value in values)
    message = f"After epoch 7 {bad} of {len(values)} weights of weight"
    with pytest.raises(DivergedError, match=message) if bad else contextlib.nullcontext():
        check_weights(model, 7)


@pytest.mark.parametrize("key", ["learning_rate", "temperature", "weight_decay", "reg_weight"])
@pytest.mark.parametrize("value", ["1e400", "-1e400"])
def test_infinity_is_no_setting(small, key, value, capsys):
    model = "LightGCN" if key == "reg_weight" else "SymCERE"
    pairs = {**settings_of(model, small), key: value}
    command = [f"--{key}={value}" for key, value in pairs.items()]
    assert main([f"--model={model}", "--dataset=small", *command]) == 2
    assert f"{key} is {float(value)}, but it must be a finite number" in capsys.readouterr().err


def test_nan_in_a_dictionary_of_settings_is_no_setting(small):
    with pytest.raises(InputError, match="alpha is nan, but it must be a finite number"):
        run_recbole("SymCERE", "small", config_dict=settings_of("SymCERE", small, alpha=math.nan))
