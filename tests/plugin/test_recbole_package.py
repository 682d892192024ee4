"""RecBole where it isn't installed, or is of another version."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from recbole_symcere.base.errors import MissingPackageError
from recbole_symcere.cli import main
from recbole_symcere.plugin import recbole_package

ROOT = Path(__file__).parents[2]
PIP = f"{sys.executable} -m pip install --no-deps recbole==1.2.1"


@pytest.fixture
def installed(monkeypatch):
    """Name -> version of what is installed: a dictionary to change."""
    there = {"recbole-symcere": "0.2.0"}
    monkeypatch.setattr(recbole_package, "version_of", there.get)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    return there


@pytest.fixture
def commands(monkeypatch, installed):
    """The commands that were run in the place of pip, which installs what it is asked for."""
    run = []

    def pip(words, **_):
        run.append(" ".join(words))
        installed["recbole"] = "1.2.1"
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", pip)
    return run


def test_it_is_fetched_once_and_said(commands, capsys):
    recbole_package.fetch_recbole()
    recbole_package.fetch_recbole()
    assert commands == [PIP]
    assert capsys.readouterr().err == f"RecBole isn't installed as yet; it is fetched once: {PIP}\n"


def test_another_version_is_not_replaced(commands, installed):
    installed["recbole"] = "1.2.0"
    with pytest.raises(MissingPackageError, match=r"RecBole 1\.2\.0 is installed, but .* 1\.2\.1"):
        recbole_package.fetch_recbole()
    assert commands == []


@pytest.mark.parametrize("why", ["a checkout", "a launcher's process"])
def test_who_must_not_fetch_is_told_the_command(commands, installed, monkeypatch, why):
    if why == "a checkout":
        del installed["recbole-symcere"]
    else:
        monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(MissingPackageError, match="RecBole isn't installed"):
        recbole_package.fetch_recbole()
    assert commands == []


def test_a_pip_that_fails_is_told_in_one_line(installed, monkeypatch, capsys):
    failed = SimpleNamespace(returncode=1, stderr="WARNING: x\nERROR: no network\n", stdout="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert main(["--model=Pop", "--dataset=yelp"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"error: RecBole couldn't be installed: ERROR: no network Install it with: {PIP}"


def test_an_environment_without_pip_asks_uv(commands, monkeypatch):
    monkeypatch.setattr(recbole_package, "_PIP", "no_such_module")
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    recbole_package.fetch_recbole()
    assert commands == [f"/bin/uv pip install --python {sys.executable} --no-deps recbole==1.2.1"]


def test_without_recbole_the_package_is_imported_and_recboles_import_tells_how_to_get_it():
    script = """
import importlib.machinery, importlib.metadata, sys
import recbole_symcere
from recbole_symcere.cli import main

found = importlib.machinery.PathFinder.find_spec
class NoRecBole:
    def find_spec(name, path=None, target=None):
        return None if name == "recbole" else found(name, path, target)
sys.meta_path[:] = [f for f in sys.meta_path if "Finder" not in getattr(f, "__name__", "")]
sys.meta_path.append(NoRecBole)
version = importlib.metadata.version
def none(name):
    if name == "recbole":
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = none
assert main(["--help"]) == main(["convert", "--help"]) == main(["doctor", "--help"]) == 0
try:
    from recbole.quick_start import run_recbole
except ImportError as error:
    print(error, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.stderr == f"RecBole isn't installed. Install it with: {PIP}\n"
