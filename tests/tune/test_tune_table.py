import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.tune.trial_table import (
    TrialRecord,
    best,
    live_table,
    write_csv,
    write_markdown,
)

TRIALS = [
    TrialRecord(
        *(0, "stopped", {"rate": 0.001, "loss": "a|b"}, 0.02, 1, 2, 3.25, (0.02, 0.01)),
        steps=(40, 80),
    ),
    TrialRecord(1, "finished", {"rate": 1 / 3, "loss": "c", "tau": 0.5}, 0.05, 7, 10, 9.0, (0.05,)),
    TrialRecord(
        2,
        "failed",
        {"rate": 0.1, "loss": None, "sizes": [64, True]},
        0.9,
        1,
        1,
        1.0,
        (0.9,),
        "\x1b[31mRuntimeError: no | memory\x1b[0m\n  File x, line 1\n",
    ),
    TrialRecord(3, "running", {"rate": 0.2, "loss": "c"}, None, None, 0, 0.5),
    TrialRecord(4, "finished", {"rate": 0.3, "loss": "c"}, 0.05, 2, 10, 8.0, (0.05,)),
    TrialRecord(5, "finished", {"rate": 9.0, "loss": "c"}, math.nan, 1, 10, 8.0, (math.nan,)),
]


def test_the_best_is_the_first_of_the_best_and_never_a_failed_one():
    assert best(TRIALS, "max").number == 1
    assert best(TRIALS[::-1], "max").number == 1
    assert best(TRIALS, "min").number == 0
    assert best(TRIALS[2:4], "max") is None
    assert best([], "min") is None
    with pytest.raises(ValueError, match="mode is 'most'"):
        best(TRIALS, "most")


@given(st.lists(st.none() | st.floats(allow_nan=True), max_size=8), st.sampled_from(["max", "min"]))
def test_the_best_has_the_extreme_finite_score(scores, mode):
    trials = [TrialRecord(i, "finished", {}, score) for i, score in enumerate(scores)]
    finite = [x for x in scores if x is not None and math.isfinite(x)]
    found = best(trials, mode)
    assert (found.score if found else None) == (
        (max if mode == "max" else min)(finite, default=None)
    )


def test_the_csv_holds_everything_in_full_best_first():
    write_csv("trials.csv", TRIALS, "NDCG@10", "max")
    with Path("trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["1", "4", "0", "2", "3", "5"]
    assert list(rows[0]) == [
        *("number", "status", "valid/NDCG@10", "best_epoch", "epochs", "steps", "seconds"),
        *("config/rate", "config/loss", "config/tau", "config/sizes", "error", "valid_by_epoch"),
    ]
    assert float(rows[0]["config/rate"]) == 1 / 3
    assert (rows[0]["config/tau"], rows[1]["config/tau"]) == ("0.5", "")
    failed = rows[3]
    assert (failed["config/loss"], failed["config/sizes"]) == ("null", "[64, true]")
    assert failed["error"] == TRIALS[2].error
    assert json.loads(rows[2]["valid_by_epoch"]) == [0.02, 0.01]
    assert (rows[2]["steps"], rows[4]["steps"]) == ("80", "0")
    assert (rows[4]["status"], rows[4]["valid/NDCG@10"], rows[4]["best_epoch"]) == (
        "running",
        "",
        "",
    )


def test_numpy_numbers_are_written_as_numbers():
    config = {"k": np.int64(3), "x": np.float32(0.5), "l": [np.int64(1)]}
    write_csv("trials.csv", [TrialRecord(0, "finished", config, 1.0)], "N", "max")
    with Path("trials.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert [row[f"config/{k}"] for k in "kxl"] == ["3", "0.5", "[1]"]


def test_lower_can_be_better():
    write_csv("trials.csv", TRIALS, "RMSE", "min")
    assert [line.split(",")[0] for line in Path("trials.csv").read_text().splitlines()[1:4]] == [
        *("0", "1", "4"),
    ]
    write_markdown("trials.md", TRIALS, "RMSE", "min")
    assert "Best: trial 0, RMSE 0.02 on the validation split (lower is better)" in (
        Path("trials.md").read_text()
    )


def test_the_markdown_marks_the_best_and_explains_failures():
    write_markdown("trials.md", TRIALS, "NDCG@10", "max")
    lines = Path("trials.md").read_text().splitlines()
    assert "6 trials: 1 running, 3 finished, 1 stopped, 1 failed." in lines
    table = [line for line in lines if line.startswith("|")]
    assert table[0].startswith("| trial | status | valid NDCG@10 | best epoch | epochs | seconds |")
    assert (
        table[2] == "| **1 (best)** | finished | **0.05** | 7 | 10 | 9.0 | 0.3333 | c | 0.5 | - |"
    )
    assert table[4] == "| 0 | stopped | 0.02 | 1 | 2 | 3.2 | 0.001 | a\\|b | - | - |"
    bars = [line.replace("\\|", "").count("|") for line in table]
    assert bars == [11] * 8
    assert lines[-1] == "- trial 2: RuntimeError: no \\| memory"


def test_tables_without_a_score_or_a_trial_say_so():
    write_markdown("trials.md", [TrialRecord(0, "failed", {})], "N", "max")
    text = Path("trials.md").read_text()
    assert "No trial has a validation value." in text
    assert "- trial 0: no reason is known" in text
    write_markdown("trials.md", [], "N", "max")
    assert Path("trials.md").read_text().startswith("# Trials\n\nno trials.")
    write_csv("trials.csv", [], "N", "max")
    assert len(Path("trials.csv").read_text().splitlines()) == 1


def test_the_live_table_shows_running_trials_first_and_only_what_differs():
    trials = [
        TrialRecord(
            t.number, t.status, {**t.config, "same": 1}, t.score, epochs=t.epochs, error=t.error
        )
        for t in TRIALS
    ]
    assert live_table(trials, "NDCG@10", "max", width=70, height=20).splitlines() == [
        "6 trials: 1 running, 3 finished, 1 stopped, 1 failed; best NDCG@10 ...",
        "trial  status    epochs  valid NDCG@10  settings",
        "3      running   0       -              rate=0.2 loss=c",
        "1      finished  10      0.05 *         rate=0.3333 loss=c tau=0.5",
        "4      finished  10      0.05           rate=0.3 loss=c",
        "0      stopped   2       0.02           rate=0.001 loss=a|b",
        "2      failed    1       0.9            RuntimeError: no | memory",
        "5      finished  10      nan            rate=9 loss=c",
    ]
    assert live_table([], "N", "max", width=70, height=5) == "no trials"


def test_the_live_table_takes_the_terminals_size(monkeypatch):
    monkeypatch.setenv("COLUMNS", "31")
    monkeypatch.setenv("LINES", "5")
    lines = live_table(TRIALS, "NDCG@10", "max").splitlines()
    assert (len(lines), max(map(len, lines))) == (5, 31)
    assert lines[-1] == "... and 4 more"


@given(st.integers(1, 120), st.integers(1, 12))
def test_the_live_table_always_fits(width, height):
    lines = live_table(TRIALS * 3, "NDCG@10", "max", width, height).split("\n")
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
