"""The command that help and messages name is one that the user has."""

import re
import sys
from pathlib import Path

import pytest

from recbole_symcere.base import program as module
from recbole_symcere.base.program import program

ROOT = Path(__file__).parents[2]


def test_what_was_started_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["../checkout/run_recbole_symcere.py", "convert"])
    assert program() == "python ../checkout/run_recbole_symcere.py"
    monkeypatch.setattr(sys, "argv", ["/venv/bin/recbole-symcere", "convert"])
    assert program() == "recbole-symcere"


def test_in_a_notebook_the_script_is_named_where_it_stands(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/venv/bin/ipykernel_launcher.py"])
    assert program() == f"python {ROOT / 'run_recbole_symcere.py'}"
    monkeypatch.chdir(ROOT)
    assert program() == "python run_recbole_symcere.py"


def test_a_wheel_has_no_script(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["/venv/bin/ipykernel_launcher.py"])
    monkeypatch.setattr(module, "_CHECKOUT", tmp_path)
    assert program() == "recbole-symcere"


def test_no_other_module_names_the_script():
    files = [*(ROOT / "recbole_symcere").rglob("*.py"), *(ROOT / "properties").rglob("*.yaml")]
    named = [f.name for f in files if re.search(r"run_recbole_symcere\.py", f.read_text())]
    assert named == ["program.py"]
    assert "run_recbole_symcere" not in (ROOT / "dataset_atomic/yelp/manifest.json").read_text()


@pytest.mark.parametrize("name", ["recbole-symcere", "run_recbole_symcere.py"])
def test_the_help_names_it(monkeypatch, capsys, name):
    from recbole_symcere.cli import main

    monkeypatch.setattr(sys, "argv", [name, "--help"])
    assert main() == 0
    out = capsys.readouterr().out
    assert f"  {program()} convert SOURCE --input=FILE --name=NAME\n" in out
    assert ("run_recbole" in out) == (name != "recbole-symcere")
    assert max(map(len, out.splitlines())) <= 100
