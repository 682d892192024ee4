"""Which rows and runs a comparison is made of, before anything is trained."""

import json
import shutil
from pathlib import Path

import pytest

from recbole_symcere.cli import main
from recbole_symcere.compare.compare_options import checked_options
from recbole_symcere.compare.plan import checked_tasks, plan_rows
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset, split_dataset


def tasks_of(small, given, settings=()):
    options = checked_options({"datasets": "small", "seeds": "0,1", "out": "out", **given})
    wanted = {key: small[key] for key in ("data_path", "cache_dir", "epochs")} | dict(settings)
    tasks = checked_tasks(options, plan_rows(options), wanted, [])
    return {task.row.label: task for task in tasks}


# --- random splits -------------------------------------------------------------------------------


@pytest.fixture
def untimed(small, small_folder, tmp_path):
    """Settings for "small" as it is where nothing is known of the order of its interactions."""
    folder = shutil.copytree(small_folder, tmp_path / "untimed")
    notice = "small has no times"
    (folder / "small" / "manifest.json").write_text(
        json.dumps({"order": "unknown", "notice": notice})
    )
    return {**small, "data_path": str(folder)}


def split_of(settings):
    """The pairs of each part of complete settings."""
    rest = dict(settings)
    config = Config(rest.pop("model"), rest.pop("dataset"), config_dict=rest)
    parts = split_dataset(config, read_dataset(config))
    return [
        set(
            zip(
                *(part.inter_feat[f].tolist() for f in (part.uid_field, part.iid_field)),
                strict=True,
            )
        )
        for part in parts
    ]


@pytest.mark.parametrize("given", [{}, {"split_seed": 5}])
def test_a_search_and_all_seeds_share_one_random_split(untimed, given):
    pytest.importorskip("ray")
    asked = {"models": "BPR,EASE", "tune": "2", "untrained": "False"}
    tasks = tasks_of(untimed, asked, given)
    searched = split_of(tasks["BPR"].search.fixed)
    assert [len(part) for part in searched] == [144, 24, 24]
    for task in tasks.values():
        assert task.settings["split_seed"] == given.get("split_seed", 0)
        for seed in (0, 1, 7):
            assert split_of({**task.settings, "seed": seed}) == searched
    other = {**tasks["BPR"].settings, "split_seed": 1}
    assert split_of(other) != searched


def test_a_split_by_time_needs_no_seed(small):
    assert tasks_of(small, {"models": "EASE,Pop"})["EASE"].settings["split_seed"] is None


def test_the_tables_of_a_random_split_say_that_seeds_share_it(untimed):
    words = [f"--{key}={untimed[key]}" for key in ("data_path", "cache_dir", "epochs")]
    words += ["--models=EASE,Pop", "--datasets=small", "--seeds=0,1", "--out=out"]
    assert main(["compare", *words, "--untrained=False"]) == 0
    table = Path("out/table.md").read_text()
    said = "All seeds here, and their search, share the split of split"
    assert f"Note: small has no times. {said}" in table
    told = [json.loads(file.read_text()) for file in Path("out").glob("runs/*/*/metrics.json")]
    assert {metrics["protocol"]["split_seed"] for metrics in told} == {0}
    by_seed = {}
    for metrics in told:  # neither trains, so that the same split is the same figure
        by_seed.setdefault(metrics["model"], set()).add(json.dumps(metrics["test"]))
    assert [len(found) for found in by_seed.values()] == [1, 1]
