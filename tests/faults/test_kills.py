"""Kills at random instants: what was begun goes on, and ends as if nothing had happened."""

import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from faults.processes import Command, at_once, seconds_of
from faults.world import converted
from run.test_trainer import same
from small_data import small_settings

LONG = 50
"""Kills behind the marker, over all scenarios."""

RUNS = {
    "frozen": {"model": "SymCERE", "masked_views": 2},
    "lora": {"model": "SymCERE", "text_mode": "lora"},
    "blend": {"model": "SymCEREPlus", "lexical_size": 8},
    "phases": {"model": "CollabContext", "first_phase_epochs": 2},
    "stock": {"model": "LightGCN"},
}
SLOW = RUNS.keys() - {"blend"}  # whose end has one step more
_TEXT = {"text_encoder", "max_length", "cache_dir"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return converted(tmp_path_factory.mktemp("kills")).parent


@pytest.fixture(scope="module")
def unbroken(data, tiny_encoder, tmp_path_factory):
    """Scenario -> a run of it that nothing happened to, its command, and its seconds."""
    known = {}

    def of(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            words = command_of(name, data, tiny_encoder)
            seconds = seconds_of([*words, "--run_dir=run"], folder, folder / "log")
            known[name] = folder / "run", words, seconds
        return known[name]

    return of


def command_of(name, data, encoder):
    """Its caches are those of the folder where it runs, so that it encodes too."""
    settings = small_settings(data, encoder, Path("cache"), Path())
    settings |= {"epochs": 4, "stopping_step": 100, "learning_rate": 0.01, **RUNS[name]}
    if name == "stock":
        settings = {key: value for key, value in settings.items() if key not in _TEXT}
    return [f"--{key}={value}" for key, value in settings.items()] + ["--dataset=small"]


def killed_and_resumed(folder, words, seconds, rng, n_kills):
    """Kill a run, and what resumes it, ``n_kills`` times; how often it was alive then."""
    run, log, hits = folder / "run", folder / "log", 0
    for _ in range(n_kills):
        hits += Command(next_of(run, words), folder, log).kill_after(rng.uniform(0, seconds))
    code = Command(next_of(run, words), folder, log).wait()
    assert code == 0, log.read_text()
    return hits


def next_of(run, words):
    """The command that goes on, if the run has begun; else the one that starts it."""
    return [f"--resume={run}"] if (run / "config.yaml").exists() else [*words, f"--run_dir={run}"]


def left_behind(folder):
    """What killed writers left; what goes on removes it."""
    return [path for path in folder.rglob(".*") if len(path.name.split(".")[-1]) == 32]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in RUNS]
)
def test_a_killed_run_ends_as_an_unbroken_one(unbroken, tmp_path, name):
    run, words, seconds = unbroken(name)
    killed_and_resumed(tmp_path, words, seconds, random.Random(name), 1)
    assert same(run, tmp_path / "run")
    assert not left_behind(tmp_path)


@pytest.mark.slow
def test_fifty_kills_lose_nothing(unbroken, tmp_path, record_property):
    rng, hits, rounds = random.Random(0), 0, 0
    while hits < LONG:
        name = list(RUNS)[rounds % len(RUNS)]
        run, words, seconds = unbroken(name)
        folder = tmp_path / str(rounds)
        folder.mkdir()
        hits += killed_and_resumed(folder, words, seconds, rng, 2)
        assert same(run, folder / "run"), (name, rounds)
        assert not left_behind(folder)
        shutil.rmtree(folder)
        rounds += 1
    record_property("Faults", f"{hits} kills in {rounds} runs, 0 lost")


@pytest.mark.parametrize("n_kills", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_a_killed_conversion_leaves_the_old_or_the_new_data_set(tmp_path, n_kills):
    converted(tmp_path)
    target = tmp_path / "data" / "small"
    files = ("--input=reviews.jsonl", "--meta=items.jsonl", "--name=small", "--output_dir=data")
    words = ["convert", "amazon2018", *files, "--overwrite=True"]
    seconds = seconds_of(words, tmp_path, tmp_path / "log")
    whole = pq.read_table(target / "small.reviews.parquet")
    rng = random.Random(n_kills)
    for _ in range(n_kills):
        Command(words, tmp_path, tmp_path / "log").kill_after(rng.uniform(0, seconds))
        look = ["convert", "stats", "--name=small", "--output_dir=data"]  # puts it back
        assert Command(look, tmp_path, tmp_path / "log").wait() == 0
        assert pq.read_table(target / "small.reviews.parquet").equals(whole)
    assert Command(words, tmp_path, tmp_path / "log").wait() == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["small"]


@pytest.mark.slow
def test_runs_that_start_at_once_share_a_cache_and_disturb_nothing(unbroken, tmp_path):
    n, (run, words, _) = 12, unbroken("frozen")
    logs = [tmp_path / f"log{k}" for k in range(n)]
    commands = [[*words, f"--run_dir=run{k}"] for k in range(n)]
    codes = at_once(commands, tmp_path, logs)
    assert codes == [0] * n, "".join(log.read_text() for log in logs)
    assert all(same(run, tmp_path / f"run{k}") for k in range(n))
    assert not left_behind(tmp_path / "cache")


@pytest.mark.parametrize("n", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_of_runs_that_want_one_folder_one_gets_it(unbroken, tmp_path, n):
    run, words, _ = unbroken("stock")
    logs = [tmp_path / f"log{k}" for k in range(n)]
    codes = at_once([[*words, "--run_dir=run"]] * n, tmp_path, logs)
    assert sorted(codes) == [0] + [2] * (n - 1), "".join(log.read_text() for log in logs)
    assert same(run, tmp_path / "run")


@pytest.mark.parametrize("n", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_conversions_that_start_at_once_leave_one_whole_data_set(tmp_path, n):
    converted(tmp_path)
    whole = pq.read_table(tmp_path / "data" / "small" / "small.reviews.parquet")
    files = ("--input=reviews.jsonl", "--meta=items.jsonl", "--name=small", "--output_dir=data")
    words = ["convert", "amazon2018", *files, "--overwrite=True"]
    logs = [tmp_path / f"log{k}" for k in range(n)]
    codes = at_once([words] * n, tmp_path, logs)
    said = "".join(log.read_text() for log in logs)
    assert set(codes) <= {0, 2}, said
    assert 0 in codes, said
    assert pq.read_table(tmp_path / "data" / "small" / "small.reviews.parquet").equals(whole)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["small"]
