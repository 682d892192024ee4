"""Runs of two processes: the same result as of one, whoever is killed, wherever they go on."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from small_data import small_settings, write_small
from tiny_models import tiny_bert

from recbole_symcere import cli
from recbole_symcere.base.errors import InputError
from recbole_symcere.run import launch, quick_start

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def fast_start():
    """A fork server that has loaded torch once starts a process in a moment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["recbole_symcere.run.quick_start", "recbole_symcere.run.launch"]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "_START", "forkserver")
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Settings of a run whose evaluation has several batches, and an encoder without dropout."""
    folder = tmp_path_factory.mktemp("several")
    write_small(folder / "data")
    encoder = tiny_bert(folder / "bert")
    config = json.loads((encoder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (encoder / "config.json").write_text(json.dumps(config))
    settings = small_settings(folder / "data", encoder, folder / "cache", folder)
    return {**settings, "dataset": "small", "eval_batch_size": 200, "lora_dropout": 0.0}


def words(model, settings, **more):
    return [f"--model={model}", *(f"--{k}={v}" for k, v in {**settings, **more}.items())]


def metrics_of(folder):
    return json.loads(Path(folder, "metrics.json").read_text())


def assert_same(found, expected):
    """Losses, validations and tests of two metrics.json are equal up to rounding."""
    assert len(found["history"]) == len(expected["history"])
    for one, other in zip(found["history"], expected["history"], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["valid"] == pytest.approx(other["valid"], abs=1e-6)
    assert found["test"] == pytest.approx(expected["test"], abs=1e-6)
    assert found["beyond"] == expected["beyond"]
    assert found["best_epoch"] == expected["best_epoch"]


MODELS = {
    "SymCERE, frozen": ("SymCERE", {"text_mode": "frozen"}),
    "SymCERE, LoRA": ("SymCERE", {"text_mode": "lora"}),
    "SymCEREPlus": ("SymCEREPlus", {}),
    "LightGCN": ("LightGCN", {}),
    "Pop": ("Pop", {}),
}


SLOW = {"SymCERE, LoRA", "SymCEREPlus", "LightGCN", "Pop"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in MODELS]
)
def test_two_processes_give_the_result_of_one(name, world, tmp_path, capfd):
    model, more = MODELS[name]
    for nproc in (1, 2):
        run = words(model, world, **more, nproc=nproc, run_dir=tmp_path / str(nproc))
        assert cli.main(run) == 0, capfd.readouterr().err
    one, two = metrics_of(tmp_path / "1"), metrics_of(tmp_path / "2")
    assert (one["world_size"], two["world_size"]) == (1, 2)
    assert_same(two, one)
    said = (tmp_path / "2" / "run.log").read_text()
    assert len(re.findall(r"quick_start: epoch +0 ", said)) == 1  # by the first process alone
    files = [[p for p in (tmp_path / n).rglob("*") if p.is_file()] for n in "12"]
    curves = [[p for p in written if "tensorboard" in p.parts] for written in files]
    assert len(curves[0]) == len(curves[1])
    others = [
        {p.name for p in written} - {p.name for p in drawn}
        for written, drawn in zip(files, curves, strict=True)
    ]
    assert others[0] == others[1] - {"process1.log"}
    settings = yaml.safe_load((tmp_path / "2" / "config.yaml").read_text())
    assert not settings.keys() & {"nproc", "world_size", "ip", "port", "local_rank"}


def kill_one(monkeypatch, after_epochs, local, how):
    """Let one of the processes of the next run be killed when some epochs are over."""
    started = []
    start = launch._Crew.start

    def remembered(self, *told):
        start(self, *told)
        started.append(self)

    monkeypatch.setattr(launch._Crew, "start", remembered)

    def watch(log):
        while not (log.is_file() and f"epoch   {after_epochs}" in log.read_text()):
            time.sleep(0.02)
        os.kill(started[0]._members[local].pid, how)

    return watch


@pytest.mark.parametrize("local", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_process_ends_the_others_and_the_run_goes_on(
    local, world, tmp_path, monkeypatch, capfd
):
    folder, unbroken = tmp_path / "run", tmp_path / "unbroken"
    run = words("SymCERE", world, text_mode="frozen", stopping_step=1000, run_dir=folder)
    watch = kill_one(monkeypatch, 1, local, signal.SIGKILL)
    thread = threading.Thread(target=watch, args=(folder / "run.log",))
    thread.start()
    began = time.perf_counter()
    run = [word for word in run if not word.startswith("--epochs")]
    assert cli.main([*run, "--epochs=3000", "--nproc=2"]) == 1
    assert time.perf_counter() - began < 60
    thread.join()
    err = capfd.readouterr().err
    assert re.search(
        rf"error: process {local} of 2 \(0 to 1\) was ended by SIGKILL, as happens where memory is "
        r"short, so that the others were ended too\. --resume=\S*run goes on after the last "
        r"finished epoch\n",
        err,
    )
    assert "Traceback" not in err
    assert not multiprocessing.active_children()
    monkeypatch.undo()
    last = quick_start.newest_state(quick_start.RunDirectory(folder))["epoch"]
    epochs = last + 3
    nproc = 2 - local  # with the same number of processes, or another
    assert cli.main([f"--resume={folder}", f"--epochs={epochs}", f"--nproc={nproc}"]) == 0
    settings = {**world, "text_mode": "frozen", "stopping_step": 1000, "epochs": epochs}
    assert cli.main(words("SymCERE", settings, run_dir=unbroken)) == 0
    assert_same(metrics_of(folder), metrics_of(unbroken))


MISTAKES = {
    "--nproc=2 --world_size=1": "world_size is 1, but nproc 2 and group_offset 0 make at least 2 "
    "processes. Give the number of all of them on all machines.",
    "--nproc=0": "nproc is 0, but it must be at least 1.",
    "--group_offset=1 --world_size=1": "world_size is 1, but nproc 1 and group_offset 1 make at "
    "least 2 processes. Give the number of all of them on all machines.",
    "--nproc=2 --learning_rat=1": "Unknown key 'learning_rat'. Did you mean 'learning_rate'?",
    "--nproc=2 --port=PORT": "port PORT is taken on this machine. Give another one: --port=NUMBER.",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(mistake, world, tmp_path, capfd):
    import socket

    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        more = mistake.replace("PORT", port).split()
        assert cli.main([*words("LightGCN", world, run_dir=tmp_path / "run"), *more]) == 2
    err = capfd.readouterr().err
    assert MISTAKES[mistake].replace("PORT", port) in err
    assert err.count("error:") == 1
    assert "Traceback" not in err


def test_processes_are_no_setting_of_a_run(world):
    settings = {k: v for k, v in world.items() if k != "dataset"}
    with pytest.raises(InputError, match="nproc is 2 among the settings of a run, but processes"):
        quick_start.run_recbole("LightGCN", "small", config_dict={**settings, "nproc": 2})


def test_a_run_that_diverges_says_so(world, tmp_path, capfd):
    run = words("LightGCN", world, learning_rate=1e30, run_dir=tmp_path / "run", nproc=2)
    assert cli.main(run) == 1
    assert re.search(r"error: .*(isn't|aren't|more than 1,000 times)", capfd.readouterr().err)


@pytest.mark.parametrize("module", ["utils", "utils.logger", "trainer.trainer", "data.utils"])
def test_a_folder_that_another_process_makes_meanwhile_is_taken(tmp_path, monkeypatch, module):
    ensure_dir = import_module(f"recbole.{module}").ensure_dir
    made = tmp_path / "a" / "checkpoint"

    def absent(path):
        made.mkdir(parents=True, exist_ok=True)
        return False

    monkeypatch.setattr(os.path, "exists", absent)
    ensure_dir(str(made))
    assert made.is_dir()


# --- as a user starts them ------------------------------------------------------------------------

STOCK = """
import json, sys
import recbole_symcere
from recbole.quick_start import run

if __name__ == "__main__":
    model, nproc, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    sys.argv = sys.argv[:1]
    found = run(model, "small", config_dict=settings, nproc=nproc, port=sys.argv and "PORT")
    print("FOUND", json.dumps({k: float(v) for k, v in found["test_result"].items()}))
"""


def stock(model, nproc, world, folder):
    port = launch._free_port("localhost")
    script = folder / "stock.py"
    script.write_text(STOCK.replace("PORT", str(port)))
    inter = {"inter": ["user_id", "item_id", "rating", "timestamp"]}
    settings = {k: v for k, v in world.items() if k not in {"dataset", "lora_dropout"}}
    settings |= {"load_col": inter, "metrics": ["NDCG", "Hit"], "valid_metric": "NDCG@10"}
    done = subprocess.run(
        [sys.executable, script, model, str(nproc), json.dumps(settings)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(re.search("FOUND (.*)", done.stdout)[1])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["SymCERE", "Pop", "LightGCN"])
def test_stock_run_has_several_processes_on_cpus(model, world, tmp_path):
    one, two = (stock(model, n, world, tmp_path) for n in (1, 2))
    if model == "LightGCN":  # RecBole's way: each process learns from a part of the data
        assert one.keys() == two.keys()
        assert all(0 <= value <= 1 for value in two.values())
    else:
        assert two == pytest.approx(one, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_all_processes(how, status, world, tmp_path):
    folder = tmp_path / "run"
    run = words("SymCERE", {**world, "epochs": 3000, "stopping_step": 3000}, run_dir=folder)
    with (tmp_path / "said").open("w") as said:
        command = [sys.executable, ROOT / "run_recbole_symcere.py", *run, "--nproc=2"]
        # a shell lets what it starts in the background ignore SIGINT
        main = subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            cwd=tmp_path,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        while "epoch   1" not in (tmp_path / "said").read_text():
            assert main.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.1)
        main.send_signal(how)
        assert main.wait(30) == status
    text = (tmp_path / "said").read_text()
    assert re.search(r"interrupted; --resume=\S*run goes on after the last finished epoch", text)
    assert "Traceback" not in text


@pytest.mark.slow
def test_two_machines_make_one_run(world, tmp_path):
    """Two commands, each with one process, as on two machines."""
    port, folder = launch._free_port("localhost"), tmp_path / "run"
    run = words("SymCERE", world, world_size=2, ip="localhost", port=port, run_dir=folder)
    commands = [
        [sys.executable, ROOT / "run_recbole_symcere.py", *run, f"--group_offset={n}"]
        for n in (0, 1)
    ]
    both = [subprocess.Popen(command, cwd=tmp_path) for command in commands]
    assert [one.wait(200) for one in both] == [0, 0]
    assert cli.main(words("SymCERE", world, run_dir=tmp_path / "one")) == 0
    assert_same(metrics_of(folder), metrics_of(tmp_path / "one"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_trial_of_a_search_may_have_several_processes(world, tmp_path):
    pytest.importorskip("ray")
    space = tmp_path / "space.yaml"
    space.write_text("learning_rate: {choice: [0.01]}\n")
    scores = []
    for nproc in (1, 2):
        out = tmp_path / f"search{nproc}"
        more = {"params_file": space, "num_samples": 1, "refit": False, "out": out}
        run = words("SymCERE", world, **more, nproc=nproc, scheduler="none", search="grid")
        assert cli.main(["tune", *run]) == 0
        trials = json.loads((out / "trials.json").read_text())
        assert [trial["status"] for trial in trials] == ["finished"]
        scores.append(trials[0]["scores"])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
