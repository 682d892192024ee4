"""What a finished run tells: its figures, and the commands that can be given next."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from recbole_symcere import cli
from recbole_symcere.base import program
from recbole_symcere.cli import main
from recbole_symcere.run.log_lines import manifest_notice, result_table
from recbole_symcere.run.quick_start import run_recbole

METRICS = {
    "valid": {"ndcg@10": 0.25},
    "test": {"ndcg@10": 0.125},
    "best_epoch": 3,
    "epochs_run": 5,
    "seconds": {"prepare": 1.0, "train": 2.0, "evaluate": 0.5},
    "peak_memory_mb": 1234.0,
}


def commands(said):
    """The words of each command that a table ends with."""
    lines = said.split("what can be done next:\n")[1].splitlines()
    return [re.split("  +", line.strip())[0] for line in lines if line.startswith("  ")]


@pytest.mark.parametrize(
    ("model", "explain"),
    [
        ("SymCERE", "anchor"),
        ("SymCEREPlus", "anchor"),
        ("CollabContext", "geometry"),
        ("AlphaRec", "geometry"),
        ("LightGCN", None),
        ("SimGCL", None),
        ("Pop", None),
    ],
)
def test_the_next_commands_are_those_that_the_model_has(tmp_path, monkeypatch, model, explain):
    monkeypatch.setattr(sys, "argv", ["recbole-symcere"])
    (tmp_path / "runs" / "one" / "checkpoint").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "checkpoint" / "best.safetensors").touch()
    said = result_table({**METRICS, "model": model}, tmp_path / "runs" / "one")
    expected = [
        "recbole-symcere report --run=runs/one",
        *([f"recbole-symcere explain {explain} --run=runs/one"] if explain else []),
        "recbole-symcere recommend --run=runs/one --k=10",
    ]
    assert commands(said) == expected


def test_the_next_list_is_no_longer_than_there_are_items(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "best.safetensors").touch()
    for n, k in ((7, 7), (11, 10)):
        said = result_table({**METRICS, "model": "Pop", "data": {"items": n}}, tmp_path)
        assert commands(said)[-1].endswith(f" --k={k}")


def test_without_a_checkpoint_only_the_report_can_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["somewhere/run_recbole_symcere.py"])
    said = result_table({**METRICS, "model": "SymCERE"}, tmp_path / "a folder")
    run = "python somewhere/run_recbole_symcere.py report --run='a folder'"
    assert commands(said) == [run]


def test_where_nothing_was_measured_no_column_is_named(tmp_path):
    said = result_table(
        {**METRICS, "model": "Pop", "valid": {}, "test": {}, "refit_of": "runs/x"}, tmp_path
    )
    assert said.startswith("\nvalid   nothing was measured\ntest    nothing was measured\n")
    assert "for the steps of runs/x's best epoch: nothing is left to test it on" in said


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        ("LightGCN", {}),
        ("SymCERE", {}),
        ("SymCERE", {"text_level": "item"}),
        ("SymCERE", {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}),
        ("AlphaRec", {}),
    ],
    ids=str,
)
def test_the_commands_that_a_run_tells_can_be_given(small, capsys, monkeypatch, model, extra):
    monkeypatch.setattr(sys, "argv", ["recbole-symcere"])
    run_recbole(model, "small", config_dict={**small, **extra, "run_dir": "my runs/one"})
    told = commands(Path("my runs/one/run.log").read_text())
    assert len(told) == 2 + (model != "LightGCN")
    capsys.readouterr()
    for command in told:
        start, *words = shlex.split(command)
        assert start == program.program()
        if words[0] in cli._COMMANDS:
            more = ["--n=20", "--n_control=10"] if words[1] == "anchor" else []
            assert main([*words, *more]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("notice", "said"),
    [
        ("hello \x1b[31mred\x1b]0;title\x07\nworld", "hello [31mred]0;title world"),
        ("\x1b", None),
        (None, None),
    ],
)
def test_a_notice_gives_a_terminal_no_orders(tmp_path, notice, said):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"notice": notice}))
    assert manifest_notice(manifest) == said
