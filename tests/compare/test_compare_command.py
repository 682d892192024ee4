"""The command compare, from end to end on the small data set."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from recbole.config.configurator import Config as RecBoleConfig
from safetensors.torch import load_file, save_file
from small_data import small_rows, write_rows

from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.compare import worker
from recbole_symcere.compare.compare_options import checked_options
from recbole_symcere.compare.execute import Done, Execution
from recbole_symcere.compare.plan import checked_tasks, digest_of
from recbole_symcere.compare.rows import plan_rows
from recbole_symcere.compare.write import runs_as_csv
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.quick_start import run_recbole

ROOT = Path(__file__).parents[2]


def words(settings):
    return [f"--{key}={value}" for key, value in settings.items()]


OURS = ("data_path", "cache_dir", "text_encoder", "max_length", "embedding_size", "epochs")


def settings_of(small, without=()):
    return {key: small[key] for key in OURS if key not in without}


def compare(small, *given, without=()):
    named = {word[2:].split("=")[0] for word in given}
    settings = settings_of(small, {*named, *without})
    if "untrained" not in named:
        settings["untrained"] = False
    return main(["compare", *given, *words(settings)])


BASE = ("--models=SymCERE,BPR", "--datasets=small", "--seeds=0,1", "--out=out")


def runs_of(out="out"):
    return {path.parent: path for path in Path(out).glob("runs/*/*/metrics.json")}


def stamps(out="out"):
    return {path: path.stat().st_mtime_ns for path in runs_of(out).values()}


def test_two_models_and_two_seeds(small, capsys):
    assert compare(small, *BASE) == 0
    assert len(runs_of()) == 4
    for name in ("table.md", "table.html", "table.csv"):
        assert Path("out", name).stat().st_size > 500
    table = Path("out/table.md").read_text()
    assert r"| BPR \(best baseline\) |" in table
    runs = pd.read_csv("out/runs.csv")
    for _, run in runs.iterrows():
        file = next(Path("out/runs/small").glob(f"{run['row']}-seed{run['seed']}-*/metrics.json"))
        found = json.loads(file.read_text())
        assert run["test/ndcg@10"] == found["test"]["ndcg@10"]
        assert run["valid/ndcg@10"] == found["valid"]["ndcg@10"]
    assert sorted(zip(runs["row"], runs["seed"], strict=True)) == [
        *(("BPR", 0), ("BPR", 1), ("SymCERE", 0), ("SymCERE", 1))
    ]
    shown = capsys.readouterr().out  # as a terminal shows it
    assert not {"\\", "|", "\x1b"} & set(shown)
    values = [cell.strip(" *_") for cell in table.splitlines()[-1].split("|")[1:-1]]
    assert re.search(r"\n" + r"[ *+]+".join(map(re.escape, values)) + r"[ *+]*\n", shown)
    assert "* is the best value of a column, + the second best\n" in shown
    # each run is what the training command makes of the same settings
    folder, file = next((f, m) for f, m in runs_of().items() if "SymCERE-seed1" in f.name)
    here = [f"--{k}={small[k]}" for k in ("data_path", "cache_dir", "text_encoder", "epochs")]
    here += ["--max_length=16", "--embedding_size=16", "--seed=1", "--run_dir=alone"]
    assert main(["--model=SymCERE", "--dataset=small", *here]) == 0
    alone = json.loads(Path("alone/metrics.json").read_text())
    assert json.loads(file.read_text())["test"] == alone["test"]
    assert pq.read_table(folder / "per_user.parquet").equals(
        pq.read_table("alone/per_user.parquet")
    )
    # given again nothing is trained
    capsys.readouterr()
    before = stamps()
    assert compare(small, *BASE) == 0
    assert stamps() == before
    assert capsys.readouterr().out.count("there already") == 4
    assert main(["compare", "--json", *BASE, "--untrained=False", *words(settings_of(small))]) == 0
    told = capsys.readouterr()
    assert told.err.count("there already") == 4
    told = json.loads(told.out)
    assert {Path(run["run_dir"]) for run in told["runs"]} == {f.absolute() for f in runs_of()}
    assert all(Path(file).is_file() for file in told["files"])
    first = told["tables"][0]
    assert first["title"] == "small"
    assert dict(zip(first["columns"], first["rows"][1], strict=True))["model"].startswith("BPR")
    # what is missing is trained, and nothing else
    gone = next(iter(runs_of()))
    content = json.loads((gone / "metrics.json").read_text())["test"]
    shutil.rmtree(gone)
    assert compare(small, *BASE) == 0
    assert json.loads((gone / "metrics.json").read_text())["test"] == content
    assert {p: t for p, t in stamps().items() if p.parent != gone} == {
        p: t for p, t in before.items() if p.parent != gone
    }
    # other settings are other runs
    few = ("--models=BPR", "--datasets=small", "--seeds=0", "--out=out")
    assert compare(small, *few, "--learning_rate=0.01") == 0
    assert len(runs_of()) == 5


def test_other_data_are_other_runs(small, small_folder, tmp_path):
    own = {**small, "data_path": str(shutil.copytree(small_folder, tmp_path / "own"))}
    given = ("--models=EASE,ItemKNN", "--datasets=small", "--seeds=0,1", "--out=out")
    assert compare(own, *given) == 0
    file = tmp_path / "own" / "small" / "small.inter"
    file.write_text(file.read_text().replace("\t5.0\t", "\t4.0\t", 1))
    assert compare(own, *given) == 0
    assert len(runs_of()) == 8


def test_other_code_another_encoder_and_another_device_are_other_runs(small, tmp_path, monkeypatch):
    options = checked_options(
        {"models": "SymCERE,BPR", "datasets": "small", "seeds": "0,1", "out": "o"}
    )

    def keys():
        settings = {key: small[key] for key in OURS if key not in {"embedding_size", "epochs"}}
        tasks = checked_tasks(options, plan_rows(options, settings, []), settings, [])
        return [digest_of(task.settings, task.fingerprint) for task in tasks]

    before = keys()
    assert keys() == before
    with monkeypatch.context() as patch:
        patch.setattr("recbole_symcere.compare.plan.code_fingerprint", lambda: "other")
        assert not set(keys()) & set(before)
    with monkeypatch.context() as patch:
        patch.setattr(Config, "__getitem__", lambda self, key: _on_a_gpu(self, key))
        assert not set(keys()) & set(before)
    encoder = shutil.copytree(small["text_encoder"], tmp_path / "encoder")
    small["text_encoder"] = str(encoder)
    moved = keys()
    weights = load_file(encoder / "model.safetensors")
    save_file({name: rows + 1 for name, rows in weights.items()}, encoder / "model.safetensors")
    assert keys()[0] != moved[0]  # of SymCERE
    assert keys()[1] == moved[1]  # BPR reads no text


def _on_a_gpu(config, key):
    return torch.device("cuda") if key == "device" else RecBoleConfig.__getitem__(config, key)


def test_a_search_whose_trials_all_failed_begins_anew(tmp_path):
    pytest.importorskip("ray")
    from recbole_symcere.tune.monitor import write_records
    from recbole_symcere.tune.trial_table import TrialRecord

    for status, left in (("finished", True), ("failed", False)):
        records = [TrialRecord(0, "failed", {}, error="no"), TrialRecord(1, status, {}, 0.5)]
        write_records(tmp_path / "trials.json", records)
        worker.forget_if_all_failed(tmp_path)
        assert tmp_path.exists() == left


def test_a_crashing_run_is_tried_twice_and_the_rest_goes_on(small, capsys):
    given = ("--models=BPR,EASE", "--datasets=small", "--seeds=0,1", "--out=out")
    assert compare(small, *given, "--learning_rate=1e30") == 1
    out = capsys.readouterr().out
    assert out.count("FAILED: 720 of 744 scores of a batch") == 2
    for seed in (0, 1):
        told = re.search(
            rf"\n  BPR on small, seed {seed}: 720 of 744 .*\n    its log: (\S+)\n", out
        )
        assert "720 of 744 scores of a batch" in Path(told[1]).read_text()
    table = Path("out/table.md").read_text()
    assert "BPR, seed 1: failed: 720 of 744 scores" in table
    assert r"| BPR \(0 of 2 seeds\) | - |" in table
    assert "EASE" in table
    assert len(runs_of()) == 2


def test_nothing_but_failures_is_an_error(small, capsys):
    given = ("--models=BPR", "--datasets=small", "--seeds=0,1", "--out=out")
    assert compare(small, *given, "--learning_rate=1e30") == 2
    assert "Every run failed. The first: 720 of 744 scores of a batch" in capsys.readouterr().err


def killed_at_first(folder, how):
    """A job that a signal ends when it is tried for the first time."""
    count = Path(folder, "count")
    n = int(count.read_text()) if count.exists() else 0
    count.write_text(str(n + 1))
    if n == 0 or how == "always":
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("how", "ends"), [("once", None), ("always", "ended by signal SIGKILL")])
def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path, how, ends):
    (tmp_path / "checkpoint").mkdir()
    execution = Execution(tmp_path, [0], 1)
    error, attempts, crashes = execution._attempts(killed_at_first, (str(tmp_path), how), tmp_path)
    assert (error, attempts) == (ends, 2)
    assert crashes[0] == "ended by signal SIGKILL"
    assert (tmp_path / "checkpoint").exists()


def test_the_last_run_of_a_task_and_the_first_of_the_next_overlap(tmp_path, monkeypatch):
    tasks = [SimpleNamespace(search=None, found=None, name=name) for name in "ab"]
    both = threading.Barrier(2, timeout=20)

    def run(_, task, seed, found):
        both.wait()  # raises if the other task's run waits for this one to end
        return task.name, seed, found.trials

    monkeypatch.setattr(Execution, "_run", run)
    assert Execution(tmp_path, [7], 2).do(tasks) == [("a", 7, None), ("b", 7, None)]


def test_runs_beside_each_other_keep_their_exit_status(tmp_path):
    """Starting a process reaps others; a run that ends at that instant was once told 255."""
    execution = Execution(tmp_path, [0], 4)
    with ThreadPoolExecutor(4) as pool:
        did = list(
            pool.map(lambda _: execution._attempts(time.sleep, (0,), tmp_path / "run"), range(150))
        )
    assert did == [(None, 1, [])] * 150


def test_a_text_control_is_a_row(small):
    given = ("--models=BPR,SymCERE", "--datasets=small", "--seeds=0,1", "--out=out")
    assert compare(small, *given, "--text_control=shuffled,constant", "--jobs=2") == 0
    table = Path("out/table.md").read_text()
    assert "| SymCERE, shuffled text |" in table
    assert "| SymCERE, constant text |" in table
    assert "BPR, shuffled" not in table
    found = {
        folder.name.split("-seed")[0]: json.loads(file.read_text())
        for folder, file in runs_of().items()
    }
    assert found["SymCERE-shuffled-text"]["protocol"]["text_control"] == "shuffled"
    assert "text_control" not in found["SymCERE"]["protocol"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--models=BPR,SymCER"], "no model named 'SymCER'. Did you mean 'SymCERE'?"),
        (["--datasets=small,smal"], "no data set 'smal'"),
        (["--seeds=0"], "seeds is 0, a single one, but a significance test needs two or more"),
        (["--seeds=0,0"], "seeds names 0 twice"),
        (["--seeds=0,x"], "seeds is [0, 'x'], but it must be a list of int"),
        (["--seeds=0,-1"], "seeds is [0, -1], but it must be at least 0"),
        (["--models=BPR,GRU4Rec"], "GRU4Rec ranks the next item for each held-out interaction"),
        (["--models=BPR,BPR"], "models names BPR twice"),
        (["--text_control=noise"], "text_control has 'noise', but it must be one of none"),
        (["--models=BPR,EASE", "--text_control=random"], "none of BPR, EASE reads text"),
        (["--datasets=bare", "--models=BPR,SymCERE"], "but SymCERE learns from reviews"),
        (["--datasets=mute", "--models=BPR,DGCLR"], "All training reviews of mute are empty, but"),
        (["--datasets=one"], "one has only 1 user after the filters, but models learn by comp"),
        (["--learnig_rate=1"], "Unknown key 'learnig_rate'. Did you mean 'learning_rate'?"),
        (["--proposed=SGL"], "proposed names 'SGL', which is not among the models"),
        (["--untuned=SGL", "--tune=2"], "untuned names 'SGL', which is not among the models"),
        (["--untuned=BPR"], "but nothing is tuned"),
        (["--against=BPR"], "against compares rows over several data sets, with intervals: name"),
        (
            ["--against=BPR/SGL", "--datasets=small,one"],
            "against names 'SGL', which is not among the rows: SymCERE, BPR.",
        ),
        (["--preset=table4"], "preset is 'table4'"),
        (["--seed=3"], "compare has no --seed"),
        (
            [
                "--valid_metric=AUC",
                "--metrics=[AUC]",
                "--eval_args={split: {LS: test_only}, order: TO, group_by: user, mode: uni1}",
            ],
            "valid_metric is AUC, which has no value per user, so no test is possible",
        ),
        (["--valid_metric=Gini@5", "--metrics=[NDCG,Gini]"], "valid_metric is Gini@5, but compare"),
        (["--backbone=NGFC"], "backbone is 'NGFC', but it must be one of LightGCN, NGCF"),
        (["--models=BPR,CollabContext", "--switch=never"], "switch is 'never', but it must be"),
        (["--text_encoder=nowhere/at/all"], "text_encoder=nowhere/at/all: there is no such folder"),
        (
            ["--eval_args={split: {RS: [8, 1, 1]}, order: XX, group_by: user, mode: full}"],
            "eval_args's order is 'XX', but it must be one of TO, RO",
        ),
        (["--run_dir=here"], "compare has no --run_dir; its runs lie below the folder of --out"),
        (["--config_files=shuffled.yaml"], "text_control is 'shuffled' in a file of settings"),
        (["--tune=2", "--models=BPR,DMF"], "no search space for DMF"),
        (["--tune=2", "--learning_rate=0.1"], "also given as --learning_rate"),
        (["--out="], "--out is empty. Write --out=VALUE, or leave it out."),
        (["--models="], "--models is empty. Write --models=VALUE, or leave it out."),
        (["--models=,"], "models is ',', which names nothing. Write --models=A,B"),
        (["--models=[]", "--seeds=[]"], "No models are given. Name them with --models=A,B, or"),
        (["--datasets=[]"], "No datasets are given"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_mistakes_are_found_before_anything_is_trained(small, tmp_path, capsys, given, message):
    if "--tune=2" in given:
        pytest.importorskip("ray")
    folder = shutil.copytree(small["data_path"], tmp_path / "data")
    write_rows(folder, "bare", small_rows())
    (folder / "bare" / "bare.reviews.parquet").unlink()
    write_rows(folder, "mute", [(*row[:4], " ") for row in small_rows()])
    write_rows(folder, "one", small_rows(n_users=1, per_user=14))
    base = {word.split("=")[0]: word for word in (*BASE, "--topk=[5]", "--valid_metric=NDCG@5")}
    base |= {word.split("=")[0]: word for word in given}
    Path("shuffled.yaml").write_text("text_control: shuffled\n")
    without = {"embedding_size"} if "--tune=2" in given else set()  # the search tunes it
    assert compare(small | {"data_path": str(folder)}, *base.values(), without=without) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out/runs/**/*"))


def test_one_seed_without_tests(small):
    given = ("--models=EASE,Pop", "--datasets=small", "--seeds=3", "--out=out")
    assert compare(small, *given, "--significance=False") == 0
    assert "p (Holm)" not in Path("out/table.md").read_text()


def test_each_model_has_its_own_bound_on_epochs_unless_one_is_given(small):
    pytest.importorskip("ray")
    given = {"models": "LightGCN,CollabContext", "datasets": "small", "seeds": "0,1", "out": "out"}
    options = checked_options({**given, "tune": "12", "untrained": "False"})
    settings = {key: small[key] for key in OURS if key not in {"embedding_size", "epochs"}}
    for more, epochs in (({}, [300, 400]), ({"epochs": 7}, [7, 7])):
        tasks = checked_tasks(options, plan_rows(options, settings, []), settings | more, [])
        assert [task.settings["epochs"] for task in tasks] == epochs
        assert [task.search.fixed["epochs"] for task in tasks] == epochs
        assert [task.search.options.num_samples for task in tasks] == [12, 12]


def test_an_untuned_row_stands_beside_the_tuned_one(small):
    pytest.importorskip("ray")
    given = {"models": "EASE,BPR", "datasets": "small", "seeds": "0,1", "out": "out", "tune": "2"}
    options = checked_options({**given, "untuned": "EASE", "untrained": "False"})
    settings = {key: small[key] for key in ("data_path", "cache_dir", "epochs")}
    rows = plan_rows(options, settings, [])
    tasks = {task.row.label: task for task in checked_tasks(options, rows, settings, [])}
    assert list(tasks) == ["EASE", "BPR", "EASE, as given"]
    assert tasks["EASE"].search is not None
    assert tasks["EASE, as given"].search is None
    assert tasks["EASE, as given"].settings == tasks["EASE"].settings


def labels_of(small, **given):
    base = {"datasets": "small", "seeds": "0,1", "out": "out"}
    options = checked_options({**base, **given})
    settings = {key: small[key] for key in ("data_path", "cache_dir", "epochs")}
    return {
        task.row.label: task
        for task in checked_tasks(options, plan_rows(options, settings, []), settings, [])
    }


def test_a_table_is_made_anew_with_the_settings_that_it_tells(small, capsys):
    found = {"dataset": "small", "row": "EASE", "trials": 4, "tuned": '{"reg_weight": 7.0}'}
    pd.DataFrame([found]).to_csv("found.csv", index=False)
    given = ("--models=EASE,Pop", "--datasets=small", "--seeds=0,1", "--out=out")
    without = {"embedding_size"}
    assert compare(small, *given, "--tuned_by=found.csv", without=without) == 0
    text = Path("out/table.md").read_text().replace("\\", "")
    assert "Settings are those that the searches of found.csv found; rows without keep" in text
    runs = pd.read_csv("out/runs.csv").set_index("row")
    assert runs.loc["EASE", "tuned"].tolist() == [found["tuned"]] * 2
    assert runs.loc["EASE", "trials"].tolist() == [4, 4]
    assert runs.loc["Pop", "tuned"].isna().all()
    folder = next(f for f in runs_of() if f.name.startswith("EASE"))
    assert "reg_weight: 7.0" in (folder / "config.yaml").read_text()
    # the table tells its settings: another one is made of them, but not of what it writes itself
    again = [word.replace("--out=out", "--out=again") for word in given]
    assert compare(small, *again, "--tuned_by=out/runs.csv", without=without) == 0
    numbers = [pd.read_csv(f"{out}/runs.csv").filter(regex="^test/") for out in ("out", "again")]
    assert numbers[0].equals(numbers[1])
    capsys.readouterr()
    assert compare(small, *given, "--tuned_by=out/runs.csv", without=without) == 2
    assert "out/runs.csv, which this comparison writes" in capsys.readouterr().err


def test_what_needs_no_training_stands_in_every_table(small, tmp_path):
    tasks = labels_of(small, models="EASE,BPR")
    assert list(tasks) == ["EASE", "BPR", "WordKNN", "SequentialRules", "Stack"]
    assert not tasks["Stack"].row.proposed
    assert list(labels_of(small, models="Stack,BPR")) == [
        "Stack",
        "BPR",
        "WordKNN",
        "SequentialRules",
    ]
    bare = tmp_path / "bare" / "small"
    bare.mkdir(parents=True)
    shutil.copy(Path(small["data_path"], "small", "small.inter"), bare)
    without = {**small, "data_path": str(bare.parent)}
    assert list(labels_of(without, models="EASE,BPR")) == [
        "EASE",
        "BPR",
        "SequentialRules",
        "Stack",
    ]


def test_a_table_of_runs_has_a_column_for_each_weight(small, tmp_path):
    settings = {**small, "blend": ["knn_5", "recent_knn_5"], "run_dir": str(tmp_path / "run")}
    run_recbole("Stack", "small", config_dict=settings)
    assert "refit" in json.loads((tmp_path / "run/metrics.json").read_text())["blend"]
    lines = runs_as_csv([Done("Stack", "small", 0, tmp_path / "run", 0)]).splitlines()
    told = [name for name in lines[0].split(",") if name.startswith("blend/")]
    weights = ["model", "knn_5", "recent_knn_5"]
    assert told == [f"blend/{name}" for name in (*weights, "before", "seconds", "out_of_bag")]


def test_a_blended_row_stands_beside_the_one_without(small):
    tasks = labels_of(small, models="EASE,BPR", blended="BPR", untrained="False")
    assert list(tasks) == ["EASE", "BPR", "BPR, blended"]
    assert tasks["BPR, blended"].settings["blend"] == ["all"]
    assert tasks["BPR"].settings["blend"] is None
    with pytest.raises(InputError, match="blended names 'Pop', which is not among the models"):
        labels_of(small, models="EASE,BPR", blended="Pop")


def test_help(capsys):
    assert main(["compare", "--help"]) == 0
    assert "--text_control" in capsys.readouterr().out


def start(small, *given):
    settings = words({key: small[key] for key in OURS if key != "epochs"})
    script = [sys.executable, str(ROOT / "run_recbole_symcere.py"), "compare"]
    return subprocess.Popen([*script, *given, *settings], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_compare_that_was_killed_goes_on(small):
    given = (*BASE, "--epochs=400", "--stopping_step=400")
    process = start(small, *given)
    deadline = time.monotonic() + 200
    while len(runs_of()) < 1 or not list(Path("out").glob("runs/*/*seed1*/checkpoint/last.*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    before = stamps()
    begun = next(Path("out").glob("runs/*/SymCERE-seed1*"))
    assert not (begun / "metrics.json").exists()
    time.sleep(1)  # what it had started ends with it
    again = start(small, *given)
    out, _ = again.communicate(timeout=400)
    assert again.returncode == 0
    assert "SymCERE, seed 0: there already" in out
    assert "going on after epoch" in (begun / "run.log").read_text()
    assert {path: stamps()[path] for path in before} == before
    assert len(runs_of()) == 4


@pytest.mark.slow
def test_every_model_gets_the_same_budget(small):
    pytest.importorskip("ray.tune")
    given = ("--models=SymCERE,BPR,Pop", "--datasets=small", "--seeds=0,1", "--out=out", "--tune=3")
    assert compare(small, *given, "--epochs=3", without={"embedding_size"}) == 0
    table = Path("out/table.md").read_text()
    head = next(line for line in table.split("\n") if line.startswith("| model | NDCG"))
    place = [title.strip() for title in head.split("|")].index("trials")
    trials = {
        line.split("|")[1].strip(): line.split("|")[place].strip()
        for line in table.split("\n")
        if line.startswith("| ") and line.count("|") == head.count("|")
    }
    assert trials["SymCERE"] == "3"
    assert trials["Pop"] == "-"
    tuned = [json.loads(f.read_text()) for f in Path("out").glob("tune/small/*/tuned.json")]
    assert {found["trials"] for found in tuned} == {3}
    assert not list(Path("out").glob("tune/small/*/search/best"))  # no test split was read
    runs = pd.read_csv("out/runs.csv").set_index("row")
    assert json.loads(runs.loc["BPR", "tuned"].iloc[0]).keys() >= {"learning_rate"}
    assert runs.loc["Pop", "tuned"].isna().all()
    configs = [json.loads(f.read_text()) for f in Path("out").glob("runs/small/BPR*/metrics.json")]
    assert {metrics["seed"] for metrics in configs} == {0, 1}
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("tune/*/*/tuned.json")}
    assert compare(small, *given, "--epochs=3", without={"embedding_size"}) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
