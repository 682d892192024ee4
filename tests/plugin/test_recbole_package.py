"""RecBole where it isn't installed, or is of another version."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from recbole_symcere.base.errors import MissingPackageError
from recbole_symcere.cli import main
from recbole_symcere.plugin import first_look, recbole_package
from recbole_symcere.plugin.stock_models import model_kinds

ROOT = Path(__file__).parents[2]
PIP = f"{sys.executable} -m pip install --no-deps recbole==1.2.1"


@pytest.fixture
def installed(monkeypatch):
    """Name -> version of what is installed: a dictionary to change."""
    there = {"recbole-symcere": "0.2.0"}
    monkeypatch.setattr(recbole_package, "version_of", there.get)
    for name in recbole_package._LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
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


def test_where_it_is_there_no_installer_is_looked_for(installed, monkeypatch):
    monkeypatch.setattr(recbole_package, "_installer", lambda: pytest.fail("looked for"))
    installed["recbole"] = "1.2.1"
    recbole_package.fetch_recbole()


def test_a_look_for_pip_leaves_the_process_as_it_is(installed, monkeypatch):
    """setuptools answers `importlib.util.find_spec("pip")` by taking distutils out of it."""
    stands = ModuleType("distutils")
    monkeypatch.setitem(sys.modules, "distutils", stands)
    recbole_package._installer()
    assert sys.modules["distutils"] is stands


def test_another_version_is_not_replaced(commands, installed):
    installed["recbole"] = "1.2.0"
    with pytest.raises(MissingPackageError, match=r"RecBole 1\.2\.0 is installed, but .* 1\.2\.1"):
        recbole_package.fetch_recbole()
    assert commands == []


LAUNCHERS = ["WORLD_SIZE", "SLURM_PROCID", "PMI_RANK", "OMPI_COMM_WORLD_RANK"]


@pytest.mark.parametrize("why", ["a checkout", *LAUNCHERS])
def test_who_must_not_fetch_is_told_the_command(commands, installed, monkeypatch, why):
    if why == "a checkout":
        del installed["recbole-symcere"]
    else:
        monkeypatch.setenv(why, "2")
    with pytest.raises(MissingPackageError, match="RecBole isn't installed"):
        recbole_package.fetch_recbole()
    assert commands == []


NO_NETWORK = "WARNING: x\nERROR: first\nERROR: no network\n"
REASONS = {
    NO_NETWORK: "ERROR: no network.",
    f"{NO_NETWORK}\n[notice] To update, run: pip install --upgrade pip\n": "ERROR: no network.",
    "error: it ends with a stop.\n[notice] A new release\n": "error: it ends with a stop.",
    "": "no reason given.",
}


@pytest.mark.parametrize("said", REASONS)
def test_a_pip_that_fails_is_told_in_one_line(said, installed, monkeypatch, capsys):
    failed = SimpleNamespace(returncode=1, stderr=said, stdout="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert main(["--model=Pop", "--dataset=yelp"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    reason = REASONS[said]
    assert told == f"error: RecBole couldn't be installed: {reason} Install it with: {PIP}"


def test_of_two_first_commands_one_fetches(installed, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run, most, at_work = [], [], []

    def slow_pip(words, **_):
        run.append(words)
        at_work.append(words)
        most.append(len(at_work))
        time.sleep(0.2)
        at_work.pop()
        installed["recbole"] = "1.2.1"
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", slow_pip)
    commands = [threading.Thread(target=recbole_package.fetch_recbole) for _ in range(3)]
    for command in commands:
        command.start()
    for command in commands:
        command.join()
    assert (len(run), most) == (1, [1])
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model=SymCRE", "--dataset=yelp"], "no model named 'SymCRE'. Did you mean 'SymCERE'"),
        (["--model=Pop", "--dataset=yelpp"], "no data set 'yelpp'"),
        (["tune", "--model=SymCRE", "--dataset=yelp"], "no model named 'SymCRE'"),
        (
            ["compare", "--models=Pop", "--datasets=yelpp", "--seeds=0", "--out=x"],
            "no data set 'yelpp'",
        ),
        (["--resume=nowhere"], "nowhere"),
    ],
)
def test_a_misspelt_name_is_told_before_anything_is_fetched(commands, capsys, words, message):
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert commands == []


def test_recboles_own_models_are_taken_for_no_misspelt_ones_of_ours():
    assert not [name for name in model_kinds() if first_look._misspelt(name)]


def test_an_environment_without_pip_asks_uv(commands, monkeypatch):
    monkeypatch.setattr(recbole_package, "_PIP", "no_such_module")
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    recbole_package.fetch_recbole()
    assert commands == [f"/bin/uv pip install --python {sys.executable} --no-deps recbole==1.2.1"]


def test_an_environment_without_pip_and_uv_is_told_how_to_get_pip(commands, monkeypatch):
    monkeypatch.setattr(recbole_package, "_PIP", "no_such_module")
    monkeypatch.setattr("shutil.which", lambda _: None)
    python = f"{sys.executable} -m"
    with pytest.raises(MissingPackageError) as told:
        recbole_package.fetch_recbole()
    install = "no_such_module install --no-deps recbole==1.2.1"
    assert str(told.value).endswith(f"Install it with: {python} ensurepip && {python} {install}")
    assert commands == []


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
