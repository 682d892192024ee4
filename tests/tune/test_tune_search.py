"""Searches from end to end, on the small data set with a tiny encoder."""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from small_data import small_rows, small_settings, write_rows

import recbole_symcere  # noqa: F401 # Ray 2.6.3 can't be imported before it

pytest.importorskip("ray.tune")

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import take_options
from recbole_symcere.cli import main
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, read_dataset, split_data
from recbole_symcere.run.quick_start import run_recbole
from recbole_symcere.run.ray_cluster import connected
from recbole_symcere.tune.cluster import trial_resources
from recbole_symcere.tune.monitor import Monitor, read_records, write_records
from recbole_symcere.tune.schedulers import make_scheduler, remember
from recbole_symcere.tune.search import SearchResult, _drawn_with_the_seed, resume, search
from recbole_symcere.tune.search_options import SearchOptions
from recbole_symcere.tune.searchers import ListSearcher, OptunaSearcher, make_searcher
from recbole_symcere.tune.space import SearchSpace
from recbole_symcere.tune.trial import prepare_job
from recbole_symcere.tune.trial_table import TrialRecord

ROOT = Path(__file__).parents[2]
SPACE = "learning_rate: {loguniform: [0.001, 0.05]}\nn_layers: {int: [1, 2]}\n"


@pytest.fixture(scope="module")
def ray_here():
    with connected(None):
        yield


def search_parts(folder, encoder, cache, order=None):
    """Four trials, one after another, on data that are split; ``order`` mixes the test items."""
    by_part = {"train": [], "valid": [], "test": []}
    for n, row in enumerate(small_rows()):
        by_part[{6: "valid", 7: "test"}.get(n % 8, "train")].append(row)
    if order is not None:
        test = by_part["test"]
        by_part["test"] = [
            (user, test[k][1], *rest) for (user, _, *rest), k in zip(test, order, strict=True)
        ]
    for part, rows in by_part.items():
        write_rows(folder / "data", "small", rows, part)
    (folder / "space.yaml").write_text(SPACE)
    settings = small_settings(folder / "data", encoder, cache, folder) | {"epochs": 4}
    settings |= {"benchmark_filename": [*by_part], "allow_repeats": True}
    given = {"num_samples": 4, "grace_steps": 1, "max_concurrent": 1, "out": str(folder / "out")}
    given |= {"params_file": str(folder / "space.yaml")}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = search("SymCERE", "small", settings, options=take_options(SearchOptions, given))
    return SimpleNamespace(result=result, out=folder / "out", said=said.getvalue())


@pytest.fixture(scope="module")
def searched(ray_here, tiny_encoder, cache_folder, tmp_path_factory):
    """A search, its folder, and what it said."""
    return search_parts(tmp_path_factory.mktemp("search"), tiny_encoder, cache_folder)


@pytest.fixture
def options(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(SPACE)

    def made(**changes):
        given = {"num_samples": 4, "out": str(tmp_path / "out"), "params_file": str(file)}
        return take_options(SearchOptions, given | changes)

    return made


def test_a_search_from_end_to_end(small, searched):
    result, out = searched.result, searched.out
    scores = {trial.number: trial.score for trial in result.trials}
    assert sorted(scores) == [0, 1, 2, 3]
    assert result.best.score == max(scores.values())
    # every trial has its own seed, and the best one trained again is the same model
    assert {trial.config["seed"] for trial in result.trials} == {2020, 2021, 2022, 2023}
    assert result.refit["best_valid_score"] == pytest.approx(result.best.score, abs=1e-12)
    assert {trial.status for trial in result.trials} <= {"finished", "stopped"}
    config = Config("SymCERE", "small", config_dict=small)
    per_epoch = len(split_data(config, read_dataset(config))[0])
    assert per_epoch > 1
    for trial in result.trials:
        assert len(trial.scores) == trial.epochs
        assert max(trial.scores) == trial.score
        assert trial.scores[trial.best_epoch] == trial.score
        assert trial.steps == tuple(per_epoch * n for n in range(1, trial.epochs + 1))
    # the model's own settings come first, inside the space or not
    first = next(trial for trial in result.trials if trial.number == 0)
    assert first.config == {"learning_rate": 0.001, "n_layers": 3, "seed": 2020}
    # no trial has seen the test split: only the refit has test values
    assert "test" not in (out / "trials.json").read_text()
    assert json.loads((out / "best" / "metrics.json").read_text())["test"]
    for name in ("trials.csv", "trials.md", "best_so_far.png", "parallel_coordinates.png"):
        assert (out / name).stat().st_size > 100
    assert not (out / "ray").exists()
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert best["learning_rate"] == result.best.config["learning_rate"]
    again = run_recbole(config_file_list=[str(out / "best.yaml")])
    assert again["test_result"] == result.refit["test_result"]
    assert "prepared once in" in searched.said
    assert "a trial starts in" in searched.said
    given = {"out": str(out), "params_file": str(out.parent / "space.yaml")}
    with pytest.raises(InputError, match="holds a search already"):
        search("SymCERE", "small", small, options=take_options(SearchOptions, given))


def test_the_table_of_trials_is_complete(searched):
    table = pd.read_csv(searched.out / "trials.csv")
    ranked = sorted(searched.result.trials, key=lambda trial: -trial.score)
    assert list(table["number"]) == [trial.number for trial in ranked]
    assert table["config/learning_rate"].between(0.001, 0.05).all()


@pytest.mark.slow
def test_a_killed_search_goes_on(searched, tmp_path):
    whole, out = searched.result, shutil.copytree(searched.out, tmp_path / "out")
    # as it was when the second trial had just ended
    kept = json.loads((out / "trials.json").read_text())[:2]
    (out / "trials.json").write_text(json.dumps(kept))
    for name in ("best", "best.yaml", "trials.csv"):
        shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink()
    resumed = resume(out)
    without_time = [
        [(t.number, t.status, t.config, t.scores) for t in r.trials] for r in (whole, resumed)
    ]
    assert without_time[0] == without_time[1]
    assert [t.seconds for t in resumed.trials[:2]] == [row["seconds"] for row in kept]
    assert resumed.refit["test_result"] == whole.refit["test_result"]


def test_selection_never_sees_the_test_split(searched, tiny_encoder, cache_folder, tmp_path):
    noise = np.random.default_rng(1).permutation(24)
    results = searched.result, search_parts(tmp_path, tiny_encoder, cache_folder, noise).result
    one, other = ([(t.config, t.status, t.scores) for t in r.trials] for r in results)
    assert one == other
    assert results[0].best.number == results[1].best.number
    assert results[0].refit["test_result"] != results[1].refit["test_result"]


def test_a_trial_that_fails_does_not_end_the_search(small, options, ray_here, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text("learning_rate: [0.01, 1.0e+38]\n")
    made = options(
        search="grid", scheduler="none", params_file=str(space), max_failures=0, refit=False,
        max_concurrent=1,  # one process does both
    )  # fmt: skip
    result = search("SymCERE", "small", small, options=made)
    status = {trial.number: trial.status for trial in result.trials}
    assert status == {0: "finished", 1: "failed"}
    failed = next(trial for trial in result.trials if trial.status == "failed")
    assert "DivergedError: The loss isn't finite in epoch 0" in failed.error
    assert "The loss isn't finite in epoch 0" in (tmp_path / "out" / "trials.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["hyperband", "pbt", "median", "none", "optuna"])
def test_every_scheduler_and_optuna(small, options, ray_here, how):
    choice = {"search": "optuna"} if how == "optuna" else {"scheduler": how}
    if how == "optuna":
        pytest.importorskip("optuna")
    settings = {**small, "epochs": 4, "stopping_step": 10}
    result = search("SymCERE", "small", settings, options=options(grace_steps=1, **choice))
    assert len(result.trials) == 4
    assert all(trial.score is not None for trial in result.trials)
    lowest, highest = 0.001, 0.05
    assert all(lowest <= trial.config["learning_rate"] <= highest for trial in result.trials)
    if how == "none":
        assert {trial.status for trial in result.trials} == {"finished"}


@pytest.mark.parametrize("name", ["best", "trials.json"])
def test_what_another_search_left_is_not_taken_for_the_new_one(small, options, tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=f"holds another search's {name}"):
        search("SymCERE", "small", small, options=options())


@pytest.mark.slow
def test_the_space_may_lie_in_the_folder_of_the_search(small, ray_here, tmp_path):
    (tmp_path / "space.yaml").write_text("learning_rate: [0.01]")
    given = {"num_samples": 2, "out": str(tmp_path), "params_file": str(tmp_path / "space.yaml")}
    result = search(
        "BPR", "small", {**small, "epochs": 1}, options=take_options(SearchOptions, given)
    )
    rates = {trial.number: trial.config["learning_rate"] for trial in result.trials}
    assert rates == {0: 0.001, 1: 0.01}  # the model's own, then the space's


@pytest.mark.slow
def test_hyperband_compares_more_trials_than_run_at_a_time(small, options, ray_here):
    made = options(scheduler="hyperband", num_samples=8)
    settings = {**small, "epochs": 9, "stopping_step": 10}
    trials = search("SymCERE", "small", settings, options=made).trials
    # a bracket of 3 that runs for 9 epochs, then the other 5, of which 2 go on after 3 epochs
    # (to the 6th where Ray is 2.6.3)
    epochs = sorted(trial.epochs for trial in trials)
    assert epochs[:3] == [3, 3, 3]
    assert epochs[3:] in ([9] * 5, [6] * 2 + [9] * 3)


def test_with_pbt_the_best_value_goes_with_the_settings_that_reached_it(tmp_path):
    trial = SimpleNamespace(trial_id="a", config={"learning_rate": 0.1}, status="RUNNING")
    searcher = ListSearcher("best_valid_score", "max", {0: trial.config})
    searcher.suggest("a")
    monitor = Monitor(tmp_path / "trials.json", [], searcher, "NDCG@10", "max", 1)
    monitor.on_trial_start(trial)
    for epoch, (rate, score, inherited) in enumerate(((0.1, 0.3, 0.3), (0.2, 0.2, 0.9)), start=1):
        trial.config = {"learning_rate": rate}
        result = {"epoch": epoch, "valid_score": score, "best_valid_score": inherited}
        more = {"best_epoch": 0, "evaluations": epoch, "steps": 7 * epoch}
        more |= {"prepare_seconds": 0.0, "node": "n"}
        monitor.on_trial_result(trial, result | more)
    record = monitor.records[0]
    assert (record.config, record.score, record.best_epoch) == ({"learning_rate": 0.1}, 0.3, 0)
    assert record.steps == (7, 14)
    trial.status = "PAUSED"
    assert monitor.records[0].status == "paused"


def test_a_failed_trial_is_told_with_its_reason_and_log(tmp_path, capsys):
    config = {"learning_rate": 0.1}
    trials = [SimpleNamespace(trial_id=t, config=config, status="RUNNING") for t in "ab"]
    searcher = ListSearcher("best_valid_score", "max", {0: config, 1: config})
    monitor = Monitor(tmp_path / "trials.json", [], searcher, "NDCG@10", "max", 2)
    for trial in trials:
        searcher.suggest(trial.trial_id)
        monitor.on_trial_start(trial)
    failed, finished = trials
    failed.error_file = None
    monitor.on_trial_error(failed)
    monitor.on_step_end(iteration=1)
    assert capsys.readouterr().out == ""
    failed.error_file = tmp_path / "error.txt"  # Ray writes it afterwards
    failed.error_file.write_text("Failure # 1\nray.exceptions: \x1b[36mtask\nno memory\n")
    monitor.on_step_end(iteration=2)
    monitor.on_step_end(iteration=3)
    assert capsys.readouterr().out == "trial 0 FAILED: no memory; its log: failed/trial-0.txt\n"
    assert Path("failed/trial-0.txt").read_text() == failed.error_file.read_text()
    assert read_records(tmp_path / "trials.json")[0].error == "no memory"
    result = {"epoch": 3, "valid_score": 0.25, "evaluations": 1, "steps": 7, "finished": True}
    monitor.on_trial_result(finished, result | {"prepare_seconds": 0.0, "node": "n"})
    monitor.on_trial_complete(finished)
    said = "trial 1 finished after 3 epochs, valid NDCG@10 0.25: learning_rate=0.1\n"
    assert capsys.readouterr().out == said
    assert (monitor.work.done, monitor.work.total) == (2, 2)


@pytest.mark.parametrize(("status", "expected"), [("finished", 0), ("failed", 1)])
def test_a_failed_trial_is_in_the_exit_status_and_the_document(
    tmp_path, capsys, monkeypatch, status, expected
):
    from recbole_symcere.tune import search as tune

    trials = (TrialRecord(0, "finished", {}, 0.5), TrialRecord(1, status, {}, error="no"))
    found = SearchResult(tmp_path, trials, trials[0], None)
    monkeypatch.setattr(tune, "resume", lambda *_: found)
    assert main(["tune", "--resume=x", "--json"]) == expected
    told = json.loads(capsys.readouterr().out)
    assert (told["best"]["number"], told["failed"], told["refit"]) == (0, expected, None)
    assert [trial["status"] for trial in told["trials"]] == ["finished", status]


def test_optuna_goes_on_with_what_was_learnt_and_draws_anew(tmp_path):
    space = SearchSpace.of({"learning_rate": {"uniform": [0.0, 1.0]}})

    def searcher(left, ended):
        first = {"learning_rate": 0.125}
        return OptunaSearcher("s", "max", space, tmp_path / "log", 5, 7, first, left, None, ended)

    first = searcher([0, 1, 2], [])
    drawn = [first.suggest(name)["learning_rate"] for name in "abc"]
    assert drawn[0] == 0.125 != drawn[1]
    first.on_trial_complete("b", {"s": 0.5})
    # killed: trial 0 had ended, but the study wasn't told; 2 hadn't
    ended = [TrialRecord(n, "finished", {}, score=s) for n, s in ((1, 0.5), (0, 0.25))]
    later = searcher([2], ended)
    states = [(trial.state.name, trial.value) for trial in later._study.trials]
    assert states == [("COMPLETE", 0.25), ("COMPLETE", 0.5), ("FAIL", None)]
    assert later.suggest("d")["learning_rate"] not in drawn


@pytest.mark.parametrize(
    ("eval_args", "one_seed"),
    [
        ({"order": "TO", "mode": {"valid": "full", "test": "full"}}, False),
        ({"order": "TO", "mode": "labeled"}, False),
        ({"order": "RO", "mode": "full"}, True),
        ({"order": "TO", "mode": {"valid": "uni100", "test": "full"}}, True),
        ({"order": "TO", "mode": "pop100"}, True),
    ],
)
def test_one_seed_where_the_split_or_the_ranked_items_are_drawn_with_it(eval_args, one_seed):
    assert _drawn_with_the_seed(eval_args) is one_seed


SEARCHED = {"a": {"uniform": [0.0, 1.0]}, "b": [1, 2, 3], "c": {"logint": [5, 400]}}
OWN = {"a": 0.5, "b": 7, "c": 100, "seed": 3}


def given_configs(model, search="random", tmp_path=None, **changes):
    """The configurations of a search, in order."""
    options = SearchOptions(search=search, num_samples=5)
    settings = {**OWN, "model": model, **changes}
    space = SearchSpace.of(SEARCHED)
    journal = tmp_path and tmp_path / f"{model}.log"
    searcher, n = make_searcher(options, space, "max", settings, False, [], journal)
    assert n == 5
    return [searcher.suggest(str(k)) for k in range(n)]


@pytest.mark.parametrize("search", ["random", "optuna"])
def test_trial_0_has_the_models_own_settings_and_models_draw_apart(search, tmp_path):
    if search == "optuna":
        pytest.importorskip("optuna")
    ours, others = (given_configs(model, search, tmp_path) for model in ("BPR", "SGL"))
    assert ours[0] == others[0] == {"a": 0.5, "b": 7, "c": 100, "seed": 3}
    assert [config["seed"] for config in ours] == [3, 4, 5, 6, 7]
    for key in SEARCHED:
        assert [c[key] for c in ours[1:]] != [c[key] for c in others[1:]]
    (tmp_path / "BPR.log").unlink(missing_ok=True)
    assert given_configs("BPR", search, tmp_path) == ours
    (tmp_path / "BPR.log").unlink(missing_ok=True)
    again = given_configs("BPR", search, tmp_path, seed=4)
    assert [config["a"] for config in again[1:]] != [config["a"] for config in ours[1:]]


def test_optuna_is_told_of_trial_0_where_the_space_holds_it(tmp_path):
    pytest.importorskip("optuna")
    space = SearchSpace.of({"a": {"uniform": [0.0, 1.0]}, "sizes": [[64], [64, 64]]})
    for n, own in enumerate([{"a": 0.5, "sizes": [64, 64]}, {"a": 2.0, "sizes": [64]}]):
        searcher = OptunaSearcher("s", "max", space, tmp_path / str(n), 5, 7, own, [0, 1], None)
        assert searcher.suggest("a") == {**own, "seed": 7}
        searcher.on_trial_complete("a", {"s": 0.9})
        assert searcher.suggest("b")["a"] != own["a"]
        known = [(t.value, t.params.get("a")) for t in searcher._study.trials if t.value]
        assert known == ([(0.9, 0.5)] if n == 0 else [])


@pytest.mark.parametrize("name", ["asha", "median"])
def test_grace_is_counted_in_gradient_steps(name):
    space = SearchSpace.of({"learning_rate": {"loguniform": [0.1, 1]}})
    chosen = take_options(SearchOptions, {"scheduler": name, "grace_steps": 100})
    scheduler = make_scheduler(chosen, space, 300, 20, "max")
    for n in range(4):  # good trials with small batches: 20 steps to an epoch
        feed(scheduler, PastTrial(f"good-{n}"), [0.5] * 300, 20)
    for steps in (20, 4):  # with large batches an epoch has few steps
        said = feed(scheduler, PastTrial(f"bad-{steps}"), [0.1] * 300, steps)
        assert said[-1] == "STOP"
        assert len(said) == 100 // steps


@pytest.mark.parametrize(
    ("given", "steps_per_epoch", "grace"),
    [
        ({}, 5, 1000),  # a 20th of 300 epochs are 75 steps
        ({}, 2000, 30_000),
        ({"grace_steps": 7}, 2000, 7),
    ],
)
def test_the_grace_of_a_search(given, steps_per_epoch, grace):
    space = SearchSpace.of({"learning_rate": {"loguniform": [0.1, 1]}})
    made = make_scheduler(SearchOptions(**given), space, 300, steps_per_epoch, "max")
    (bracket,) = made._brackets
    assert bracket._rungs[-1][0] == grace
    pbt = SearchOptions(scheduler="pbt", **given)
    interval = make_scheduler(pbt, space, 300, steps_per_epoch, "max", 2)._perturbation_interval
    assert interval == (2 if given else 15)  # epochs, at least eval_step


class PastTrial:
    def __init__(self, trial_id):
        self.trial_id = trial_id


def feed(scheduler, trial, scores, per_epoch=1):
    """What the scheduler says after each evaluation of a trial, as far as it lets it go."""
    controller = SimpleNamespace(get_live_trials=list)
    scheduler.on_trial_add(controller, trial)
    said, result = [], {}
    for n, _ in enumerate(scores, start=1):
        result = {"steps": n * per_epoch, "best_valid_score": max(scores[:n])}
        said.append(scheduler.on_trial_result(controller, trial, result))
        if said[-1] != "CONTINUE":
            break
    scheduler.on_trial_complete(controller, trial, result)
    return said


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_new_scheduler_is_told_of_the_trials_before(name):
    rng = np.random.default_rng(3)
    scores = [tuple(float(x) for x in rng.random(9)) for _ in range(8)]
    space = SearchSpace.of({"learning_rate": {"loguniform": [0.1, 1]}})
    chosen = take_options(SearchOptions, {"scheduler": name, "grace_steps": 1})
    whole = make_scheduler(chosen, space, 9, 1, "max")
    said = [feed(whole, PastTrial(str(n)), s) for n, s in enumerate(scores)]
    assert any(answers[-1] == "STOP" and len(answers) < 9 for answers in said)
    seen = [s[: len(answers)] for s, answers in zip(scores, said, strict=True)]
    records = [
        TrialRecord(n, "stopped", {}, scores=s, steps=tuple(range(1, len(s) + 1)))
        for n, s in enumerate(seen[:5])
    ]
    later = make_scheduler(chosen, space, 9, 1, "max")
    remember(later, records)
    again = [feed(later, PastTrial(str(n)), s) for n, s in enumerate(scores[5:], start=5)]
    assert again == said[5:]
    fresh = make_scheduler(chosen, space, 9, 1, "max")
    forgot = [feed(fresh, PastTrial(str(n)), s) for n, s in enumerate(scores[5:], start=5)]
    assert forgot != said[5:]  # otherwise this shows nothing


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--scheduler=ash"], "scheduler is 'ash', but it must be one of asha"),
        (["--search=bayes"], "search is 'bayes'"),
        (["--num_samples=0"], "num_samples is 0, but it must be at least 1"),
        (["--params_file=empty.yaml"], "empty"),
        (["--params_file=foreign.yaml"], "no setting 'learnin_rate'. Did you mean 'learning_rate'"),
        (["--params_file=fine.yaml", "--learning_rate=0.1"], "also given as --learning_rate"),
        (["--params_file=fine.yaml", "--eval_step=0"], "a search needs validation"),
        (
            ["--params_file=fine.yaml", "--eval_args={split: {RS: [0.9, 0, 0.1]}}"],
            "The validation part is empty, but a search chooses by it",
        ),
        (
            ["--params_file=fine.yaml", "--eval_args={split: {LS: test_only}}"],
            "The validation part is empty, but a search chooses by it",
        ),
        (["--params_file=machine.yaml"], "eval_step can't be tuned, because it says where or how"),
        (["--params_file=folder.yaml"], "text_encoder encoder is a folder"),
        (["--params_file=fine.yaml", "--ray_address=auto"], "connected to a Ray already"),
        (["--params_file=fine.yaml", "--out=/proc/x"], "can't be written"),
        (["--params_file=fine.yaml", "--search=grid"], "a grid needs values that can be listed"),
        (["--params_file=fine.yaml", "--scheduler=pbt", "--search=optuna"], "search=random"),
        (["--params_file=fine.yaml", "--scheduler=pbt", "--max_concurrent=1"], "leave it out"),
        (["--params_file=fine.yaml", "--gpus_per_trial=64"], "trials would wait forever"),
        (["--resume=nowhere"], "holds no search"),
        (["--resume=nowhere", "--epochs=3"], "give nothing else"),
    ],
    ids=str,
)
def test_a_mistake_gets_one_line(given, message, small, ray_here, capsys):
    Path("empty.yaml").write_text("")
    Path("foreign.yaml").write_text("learnin_rate: [1, 2]")
    Path("fine.yaml").write_text(SPACE)
    Path("machine.yaml").write_text("eval_step: [1, 2]")
    Path("encoder").mkdir()
    Path("folder.yaml").write_text("text_encoder: [encoder]")
    if "--resume=nowhere" not in given:
        given = [*given, "--model=SymCERE", "--dataset=small"]
        tuned = "text_encoder" if "--params_file=folder.yaml" in given else None
        given += [f"--{key}={value}" for key, value in small.items() if key != tuned]
        given += [] if any("--out" in word for word in given) else ["--out=o"]
    assert main(["tune", *given]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert not Path("o", "search.json").exists()  # the folder can be used for the next try


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere.invalid:6379", "host"])
def test_an_unreachable_cluster_is_found_out_in_seconds(address, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    started = time.perf_counter()
    words = "There is no Ray cluster at|expected auto or host:port"
    with pytest.raises(InputError, match=words), connected(address):
        pass
    assert time.perf_counter() - started < 30  # a minute if Ray itself tried


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_goes_on(small, options, tmp_path):
    import psutil

    settings = {**small, "epochs": 60, "stopping_step": 99, "model": "SymCERE", "dataset": "small"}
    settings |= {"params_file": options().params_file, "num_samples": 2, "scheduler": "none"}
    process = subprocess.Popen(command(out=tmp_path / "out", **settings))
    killed = None
    while not killed:
        assert process.poll() is None
        checkpoints = list((tmp_path / "out" / "ray").glob("*/checkpoint*"))
        for child in psutil.Process(process.pid).children(recursive=True) if checkpoints else ():
            if "train" in child.name() or "train" in " ".join(child.cmdline()):
                child.kill()
                killed = child
                break
        time.sleep(0.05)
    assert process.wait() == 0
    trials = json.loads((tmp_path / "out" / "trials.json").read_text())
    assert [t["status"] for t in trials] == ["finished"] * 2
    assert [len(t["scores"]) for t in trials] == [60, 60]


def machine_of(monkeypatch, there):
    import ray

    nodes = there if isinstance(there, list) else [there]
    found = [{"Alive": True, "Resources": node} for node in nodes]
    monkeypatch.setattr(ray, "nodes", lambda: [*found, {"Alive": False, "Resources": {}}])


@pytest.mark.parametrize(
    ("there", "given", "resources", "concurrent"),
    [
        ({"CPU": 8.0}, {}, {"cpu": 1.0, "gpu": 0.0}, 8),
        ({"CPU": 8.0, "GPU": 1.0}, {}, {"cpu": 1.0, "gpu": 1.0}, 1),
        ({"CPU": 8.0, "GPU": 2.0}, {"gpus_per_trial": 0.5}, {"cpu": 1.0, "gpu": 0.5}, 4),
        ({"CPU": 8.0, "GPU": 2.0}, {"gpus_per_trial": 0}, {"cpu": 1.0, "gpu": 0.0}, 8),
        ({"CPU": 8.0}, {"cpus_per_trial": 3}, {"cpu": 3.0, "gpu": 0.0}, 2),
        ({"CPU": 8.0, "memory": 4e9}, {}, {"cpu": 1.0, "gpu": 0.0}, 2),
        ({"CPU": 8.0}, {"max_concurrent": 3}, {"cpu": 1.0, "gpu": 0.0}, 3),
        ([{"CPU": 3.0}, {"CPU": 3.0}], {"cpus_per_trial": 2}, {"cpu": 2.0, "gpu": 0.0}, 2),
        ([{"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0}], {}, {"cpu": 1.0, "gpu": 1.0}, 1),
    ],
)
def test_trials_at_a_time_by_what_is_there(monkeypatch, there, given, resources, concurrent):
    machine_of(monkeypatch, there)
    assert trial_resources(take_options(SearchOptions, given)) == (resources, concurrent)


@pytest.mark.parametrize(
    ("nodes", "given"),
    [
        ([{"CPU": 2.0}, {"CPU": 2.0}], {"cpus_per_trial": 3}),
        ([{"CPU": 2.0, "GPU": 1.0}, {"CPU": 2.0, "GPU": 1.0}], {"gpus_per_trial": 2}),
        ([{"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0}], {"cpus_per_trial": 3}),
    ],
)
def test_a_trial_that_fits_on_no_single_node_is_refused(monkeypatch, nodes, given):
    machine_of(monkeypatch, nodes)
    with pytest.raises(InputError, match="would wait forever"):
        trial_resources(take_options(SearchOptions, given))


def test_the_gpu_that_ray_gave_is_kept(small, monkeypatch):
    config = Config("SymCERE", "small", config_dict=small)
    job = prepare_job(config, {**small, "model": "SymCERE", "dataset": "small"}, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert job.config({"seed": 7})["gpu_id"] == "3"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_trials_share_tokens_and_vectors(small, monkeypatch):
    from recbole_symcere.text import tokens
    from recbole_symcere.text import vectors as cache

    config = Config("SymCERE", "small", config_dict=small)
    job = prepare_job(config, {**small, "model": "SymCERE", "dataset": "small"}, 1)
    monkeypatch.setattr(tokens, "tokenise", None)  # calling it would fail
    monkeypatch.setattr(cache, "encode_plan", None)
    tuned = {"learning_rate": 0.5, "train_batch_size": 32, "seed": 9}
    own = job.config(tuned)
    train_data, valid_data, _ = job.loaders(own, tuned)
    build_model(own, train_data)
    assert train_data.dataset.tokenised is job.parts[0].tokenised
    assert train_data.dataset.config is own
    assert len(next(iter(train_data))) == 32
    fresh = split_data(own, read_dataset(own))
    for mine, other in zip((train_data, valid_data), fresh, strict=False):
        assert (mine.dataset.inter_feat["item_id"] == other.dataset.inter_feat["item_id"]).all()


def test_a_tuned_setting_of_the_data_set_is_obeyed(small):
    settings = {"data_path": small["data_path"], "repeatable": True, "train_neg_sample_args": None}
    settings |= {"model": "SASRec", "dataset": "small"}
    job = prepare_job(Config(config_dict=settings), settings, 1)
    tuned = {"MAX_ITEM_LIST_LENGTH": 3}
    train_data, _, _ = job.loaders(job.config(tuned), tuned)
    assert train_data.dataset.inter_feat["item_id_list"].shape[1] == 3


def test_a_local_ray_listens_to_this_machine_alone(ray_here):
    import psutil

    processes = [
        p for p in psutil.process_iter(["name"]) if p.info["name"] in {"gcs_server", "raylet"}
    ]
    ours = [p for p in processes if psutil.Process() in p.parents()]
    assert ours

    def connections(process):  # Ray 2.6.3 brings an older psutil
        name = "net_connections" if hasattr(process, "net_connections") else "connections"
        return getattr(process, name)("tcp")

    places = {
        connection.laddr.ip
        for process in ours
        for connection in connections(process)
        if connection.status == "LISTEN"
    }
    assert places <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_model_without_a_space_needs_a_file(small, capsys):
    given = ["--model=DMF", "--dataset=small", f"--data_path={small['data_path']}"]
    assert main(["tune", *given]) == 2
    assert "There is no search space for DMF" in capsys.readouterr().err


def command(*given, **settings):
    words = [sys.executable, str(ROOT / "run_recbole_symcere.py"), "tune", *given]
    return [*words, *(f"--{key}={value}" for key, value in settings.items())]


@pytest.mark.slow
def test_a_search_killed_for_real_goes_on(small, options, tmp_path):
    settings = {**small, "epochs": 40, "stopping_step": 50, "max_concurrent": 1}
    settings |= {"params_file": options().params_file, "num_samples": 5}
    settings |= {"model": "SymCERE", "dataset": "small"}
    subprocess.run(command(out=tmp_path / "whole", **settings), check=True)
    process = subprocess.Popen(command(out=tmp_path / "killed", **settings), start_new_session=True)
    trials = tmp_path / "killed" / "trials.json"
    while not trials.is_file() or len(json.loads(trials.read_text())) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = json.loads(trials.read_text())
    assert 2 <= len(kept) < 5
    subprocess.run(command(resume=tmp_path / "killed"), check=True)
    whole, killed = (json.loads((tmp_path / n / "trials.json").read_text()) for n in (
        "whole", "killed"))  # fmt: skip
    assert killed[: len(kept)] == kept
    facts = ("number", "status", "config", "scores")
    assert [[t[f] for f in facts] for t in whole] == [[t[f] for f in facts] for t in killed]
    best = [yaml.safe_load((tmp_path / n / "best.yaml").read_text()) for n in ("whole", "killed")]
    assert best[0] == best[1]


@pytest.mark.slow
def test_two_nodes_share_a_search(small, options, tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text(32 * "a1")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
    start += ["--disable-usage-stats"]
    head = ["--head", f"--port={port}", "--include-dashboard=false", "--node-ip-address=127.0.0.1"]
    nodes = []
    try:
        for more in (head, [f"--address=127.0.0.1:{port}"]):
            # Ray 2.60 protects a cluster by a token where this user has one; a node must be told so
            env = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
            node = subprocess.Popen(
                [*start, *more], stdout=subprocess.DEVNULL, start_new_session=True, env=env
            )
            nodes.append(node)
            time.sleep(20)
            assert node.poll() is None
        settings = {**small, "epochs": 150, "stopping_step": 150, "model": "SymCERE"}
        settings |= {"dataset": "small", "params_file": options().params_file, "num_samples": 4}
        settings |= {"scheduler": "none", "ray_address": f"127.0.0.1:{port}"}
        done = subprocess.run(
            command(out=tmp_path / "out", **settings), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "4 trials, 2 at a time" in done.stdout
        assert "on 2 nodes" in done.stdout
    finally:
        for node in reversed(nodes):  # and not `ray stop`, which ends every Ray of the machine
            os.killpg(node.pid, signal.SIGTERM)
            node.wait(60)


def test_options_have_types():
    made = take_options(
        SearchOptions, {"num_samples": "3", "gpus_per_trial": "0.5", "scheduler": "none"}
    )
    assert made == SearchOptions(
        search="random", scheduler="none", params_file=None, out=None, ray_address=None,
        num_samples=3, grace_steps=None, reduction_factor=3.0, cpus_per_trial=1.0,
        gpus_per_trial=0.5, max_concurrent=None, max_failures=1, refit=True,
    )  # fmt: skip


def test_a_changed_score_is_damage(tmp_path):
    file = tmp_path / "trials.json"
    records = [
        TrialRecord(n, "finished", {"seed": n}, 0.1 * n, 0, 1, 1.0, (0.1 * n,), None, (9,))
        for n in (1, 2)
    ]
    write_records(file, records)
    assert read_records(file) == records
    rows = json.loads(file.read_text())
    rows[1]["score"] = 0.9
    file.write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"entry 1 isn.t what its checksum says"):
        read_records(file)
