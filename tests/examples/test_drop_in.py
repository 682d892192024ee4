"""The example of an existing project, run against an installed wheel outside of the checkout."""

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "drop_in"
SOURCES = ("recbole_symcere", "properties", "dataset_atomic/yelp")
MADE = shutil.ignore_patterns("dataset", "reviews.csv", "saved", "log*", "__pycache__")
# several starts of the example in one process: its imports take most of the time
RUNS = """
import runpy, subprocess, sys
def run(words):
    sys.argv = list(words)
    runpy.run_path(words[0], run_name="__main__")
run(("make_data.py",))
try:
    run({runs[0]!r})
except Exception as error:
    print(error)
else:
    raise SystemExit("it has run without reviews")
subprocess.run({attach!r}, check=True)
for words in {runs!r}:
    run(words)
import recbole_symcere
print("from", recbole_symcere.__file__)
"""
FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def changes(name):
    """The lines that one file of the project loses and gets."""
    before, after = ((EXAMPLE / part / name).read_text().splitlines() for part in (
        "before", "after"
    ))  # fmt: skip
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    return [line for line in lines if not line.startswith("@@")]


def test_one_import_and_one_name_are_all_that_changes():
    assert changes("run.py") == ["+import recbole_symcere"]
    assert changes("shop.yaml") == ["-model: LightGCN", "+model: SymCEREPlus"]
    told = (EXAMPLE / "README.md").read_text()
    for line in [*changes("run.py"), *changes("shop.yaml")]:
        assert line.translate({ord("+"): "> ", ord("-"): "< "}) in told


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where a wheel of this checkout is installed; what it needs is there already."""
    folder = tmp_path_factory.mktemp("wheel")
    source, site = folder / "source", folder / "site"
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dataset_atomic/README.md", "dataset_atomic/__init__.py", *FILES):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--no-compile"]
    subprocess.run([*pip, *offline, "--target", site, source], check=True)
    return site


def test_the_example_runs_with_an_installed_wheel(installed, tmp_path, tiny_encoder):
    project = shutil.copytree(EXAMPLE, tmp_path / "project", ignore=MADE)
    env = {**os.environ, "PYTHONPATH": str(installed)}

    def ran(*words):
        words = [sys.executable, *map(str, words)]
        done = subprocess.run(words, cwd=project, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout + done.stderr

    settings = ("after/run.py", f"--text_encoder={tiny_encoder}", "--epochs=2", "--lexical_size=8")
    stock = ("after/run.py", "--model=LightGCN", "--epochs=2")
    command = re.findall("    recbole-symcere (.*)", (EXAMPLE / "README.md").read_text())
    attach = [sys.executable, str(installed / "bin" / "recbole-symcere"), *command[0].split()]
    told = ran("-c", RUNS.format(runs=[settings, stock], attach=attach))
    said = "with: recbole-symcere convert attach --input=FILE --name=shop --output_dir="
    assert said in told  # while there were no reviews
    assert "1,200 interactions, 1,200 matched by time" in told
    assert Path(re.search("^from (.*)", told, re.M)[1]).is_relative_to(installed)
    assert "is split by our protocol, but" not in told  # so that the two lines below compare
    assert re.search(r"distinct training reviews.*, by ", told)
    assert re.search(r"^SymCEREPlus on test: ndcg@10 0\.\d{4}, recall@10 0\.\d{4}$", told, re.M)
    assert re.search(r"^LightGCN on test: ndcg@10 0\.\d{4}", told, re.M)
