"""The command doctor: what is sound, and troubles that are planted one by one."""

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_symcere.base import packages
from recbole_symcere.cli import main
from recbole_symcere.doctor import (
    examine,
    machine,
    packages_there,
    probe,
    self_test,
)
from recbole_symcere.doctor import report as told
from recbole_symcere.doctor.doctor_options import DoctorOptions
from recbole_symcere.doctor.findings import Facts, found, note, trouble
from recbole_symcere.text.source import resolve_folder


def states(findings):
    return {finding["about"]: finding["state"] for finding in findings}


@pytest.fixture(scope="module")
def sound(tiny_encoder):
    """What the process that loads torch tells where nothing is wrong; it takes seconds."""
    return examine._under_torch(DoctorOptions(text_encoder=str(tiny_encoder)))


def test_a_sound_installation(sound):
    assert states(sound) == dict.fromkeys(
        ("devices", "BLAS", "RecBole", "encoder", "self-test"), "ok"
    )
    said = {finding["about"]: finding["said"] for finding in sound}
    assert "thread" in said["devices"]
    assert said["BLAS"].startswith("NumPy ")
    assert "changes in force" in said["RecBole"]
    assert "trained, stored, loaded and asked for lists" in said["self-test"]


def test_the_command_tells_everything_and_what_to_paste(sound, monkeypatch, capsys):
    monkeypatch.setattr(examine, "_under_torch", lambda _: sound)
    monkeypatch.setattr(examine, "look_at_packages", lambda: [found("packages", "all of them")])
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "Everything that is needed is there." in out
    assert "TROUBLE" not in out
    assert out.count("```") == 2
    pasted = out.split("```")[1]
    assert "recbole 1.2.1" in pasted
    assert "Python 3." in pasted
    monkeypatch.setattr(examine, "_under_torch", lambda _: [trouble("encoder", "x", "get it")])
    assert main(["doctor", "--self_test=False"]) == 1
    assert "TROUBLE encoder" in capsys.readouterr().out
    assert main(["doctor", "--selftest=False"]) == 2
    assert "Did you mean 'self_test'" in capsys.readouterr().err


# --- packages -----------------------------------------------------------------------------------

REQUIRED = [
    "numpy",
    "polars>=2",
    'recbole==1.2.1; python_version < "3"',
    "setuptools<81",
    'faiss-cpu; extra == "export"',
    'ray[tune]; extra == "tune"',
    'mypy; extra == "dev"',
]


@pytest.fixture
def installed(monkeypatch):
    """What is installed: a dictionary to change."""
    there = {"numpy": "2.4", "polars": "2.1", "setuptools": "80", "faiss-cpu": "1", "ray": "2.6.3"}

    def version(name):
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(importlib.metadata, "requires", lambda _: REQUIRED)
    monkeypatch.setattr(importlib.metadata, "version", version)
    return there


def test_packages_that_are_there(installed):
    assert [finding["state"] for finding in packages_there.look_at_packages()] == ["ok"]
    assert packages.version_of("numpy") == "2.4"
    assert packages_there.versions()["torch"] is None


def test_a_missing_package_is_told_with_its_command(installed):
    del installed["numpy"]
    assert packages_there.look_at_packages() == [
        trouble("packages", "numpy isn't installed", f'{sys.executable} -m pip install "numpy"')
    ]


def test_an_old_package_is_trouble_and_one_that_is_too_new_a_note(installed):
    installed |= {"polars": "1.9", "setuptools": "84"}
    old, new = packages_there.look_at_packages()
    assert old["said"] == "polars 1.9 is installed, but polars>=2 is asked for"
    assert (old["state"], new["state"]) == ("trouble", "note")
    assert new["remedy"].endswith('pip install "setuptools<81"')


def test_an_extra_that_is_missing_names_itself(installed):
    del installed["ray"]
    _, extra = packages_there.look_at_packages()
    assert extra["state"] == "note"
    assert extra["said"] == "ray is missing"
    assert extra["remedy"].endswith('pip install "recbole-symcere[tune]"')


def test_a_folder_that_is_not_installed_says_so(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    (finding,) = packages_there.look_at_packages()
    assert "isn't installed, so what it needs isn't known" in finding["said"]


# --- the machine --------------------------------------------------------------------------------


def test_cores_are_those_of_the_container(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert machine.cores() == 4
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert machine.cores() == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.look_at_memory()["said"].startswith("4 cores of 8, ")


def test_memory_is_that_of_the_container(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text(f"{3 * 10**9}\n")
    (tmp_path / "memory.current").write_text(f"{2 * 10**9}\n")
    finding = machine.look_at_memory()
    assert "3.0 GB memory, 1.0 GB free" in finding["said"]
    assert finding["state"] == "trouble"


def test_more_threads_than_cores_are_noted(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    assert machine.look_at_threads()["state"] == "note"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    finding = machine.look_at_threads()
    assert (finding["state"], "OMP_NUM_THREADS=2" in finding["said"]) == ("ok", True)


def test_folders_that_can_and_cannot_be_written(tmp_path, monkeypatch):
    assert machine.look_at_place("runs", tmp_path / "new" / "runs")["state"] == "ok"
    assert [*tmp_path.iterdir()] == []
    finding = machine.look_at_place("runs", Path("/proc/runs"))
    assert finding["state"] == "trouble"
    assert "/proc/runs can't be written" in finding["said"]
    assert "or name another" in finding["remedy"]
    monkeypatch.setattr(machine, "_LITTLE_DISK", 1e18)
    assert machine.look_at_place("runs", tmp_path)["remedy"].startswith("free some space")


# --- what is told by the process that loads torch -----------------------------------------------


def test_a_package_that_kills_the_process_is_told(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = examine._under_torch(DoctorOptions())[-1]
    assert (finding["about"], finding["state"]) == ("devices", "trouble")
    assert finding["said"] == "the process was ended by SIGILL"


def test_a_package_that_cannot_be_imported_is_told(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError('libfoo.so: no such file')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings = examine._under_torch(DoctorOptions(self_test=False))
    assert findings[0] == trouble("devices", "ImportError: libfoo.so: no such file")
    assert "self-test" not in states(findings)


def test_an_encoder_that_is_not_here_is_not_fetched(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)  # nothing may reach for the network
    (finding,) = probe.look_at_encoder("somebody/encoder")
    assert finding["state"] == "trouble"
    assert "hf download somebody/encoder" in finding["remedy"]
    assert resolve_folder("all-MiniLM-L6-v2", download=False).is_dir()


def test_changes_that_are_not_in_force_are_named(monkeypatch):
    from recbole.config import Config

    assert [finding["state"] for finding in probe.look_at_recbole()] == ["ok"]
    monkeypatch.setattr(Config, "_convert_config_dict", eval)
    (finding,) = probe.look_at_recbole()
    assert finding["said"].endswith("not in force: settings without eval")


def test_a_step_that_fails_does_not_keep_the_next_from_being_told(tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("first line\nCUDA error: unknown")

    for name in ("look_at_blas", "look_at_recbole"):
        monkeypatch.setattr(probe, name, lambda: [found("x", "y")])
    monkeypatch.setattr(probe, "look_at_devices", broken)
    probe.main(str(tmp_path), "all-MiniLM-L6-v2", "False")
    findings = json.loads((tmp_path / probe.TOLD).read_text())["findings"]
    assert findings[0] == trouble("devices", "RuntimeError: CUDA error: unknown")
    assert states(findings)["encoder"] == "ok"


# --- the self-test ------------------------------------------------------------------------------


@pytest.fixture
def planted():
    """Reviews, perfect lists and the metric that they have."""
    reviews = self_test.planted_reviews()
    lists = {}
    for user in {review.user for review in reviews}:
        last = [review.item for review in reviews if review.user == user][-1]
        own = [item for item in range(self_test._ITEMS) if item % 2 == user % 2 and item != last]
        rest = [item for item in range(self_test._ITEMS) if item % 2 != user % 2]
        lists[user] = [last, *own, *rest]
    return reviews, lists, {"test": {"ndcg@10": 1.0}}


def test_the_planted_lists_pass(planted):
    self_test.check(*planted)


def test_lists_of_the_other_half_fail(planted):
    reviews, lists, metrics = planted
    flipped = {user: ranked[::-1] for user, ranked in lists.items()}
    with pytest.raises(self_test.SelfTestError, match="0% of what is recommended"):
        self_test.check(reviews, flipped, metrics)


def test_a_metric_that_the_lists_do_not_have_fails(planted):
    reviews, lists, _ = planted
    with pytest.raises(self_test.SelfTestError, match=r"0\.9990, but its lists have 1\.0000"):
        self_test.check(reviews, lists, {"test": {"ndcg@10": 0.999}})
    user = 0
    known = [review.item for review in reviews if review.user == user][:-1]
    own = [item for item in lists[user] if item % 2 == user % 2 and item not in known]
    lists[user] = [own[1], own[0], *own[2:], *known]  # found at rank 2: 1 / log2(3)
    expected = 1 - (1 - 1 / 1.584962500721156) / len(lists)
    self_test.check(reviews, lists, {"test": {"ndcg@10": expected}})


# --- what is pasted -----------------------------------------------------------------------------


def test_no_name_of_a_user_or_machine_is_pasted(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(socket, "gethostname", lambda: "engine7")
    said = "/home/ada/runs on engine7; /scratch/ada/x, /home/adaline, canada"
    assert told.without_names(said) == "~/runs on HOST; /scratch/USER/x, /home/adaline, canada"
    facts = Facts(versions={"torch": "2.13.0"}, findings=[trouble("runs", said, "/home/ada/.venv")])
    pasted = told.report(facts).split("```")[1]
    assert "ada/" not in pasted
    assert "engine7" not in pasted
    assert "~/.venv" in pasted


def test_notes_are_no_trouble():
    facts = Facts(versions={}, findings=[note("extra tune", "ray is missing", "pip install x")])
    said = told.report(facts)
    assert "Everything that is needed is there." in said
    assert "  extra tune: pip install x" in said


def test_the_doctor_itself_loads_nothing_heavy():
    script = (
        "import sys, recbole_symcere.doctor.examine, recbole_symcere.doctor.report\n"
        "print(sorted({'torch', 'recbole', 'numpy', 'pandas', 'polars'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    assert done.stdout.strip() == "[]"
