"""Rules of the house that code can check."""

import ast
import configparser
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "recbole_symcere"
FILES = sorted(PACKAGE.rglob("*.py"))
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def imports(path):
    """The modules that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def touches(path, *roots):
    return sorted(
        m for m in imports(path) for root in roots if m == root or m.startswith(root + ".")
    )


def files(*places):
    return [file for place in places for file in FILES if file.is_relative_to(PACKAGE / place)]


def test_convert_knows_neither_torch_nor_recbole():
    for file in files("convert"):
        assert not touches(file, "torch", "recbole", "pandas", "transformers"), file
        own = touches(file, "recbole_symcere")
        allowed = r"recbole_symcere\.(convert(\..*)?|errors|files|version)"
        assert all(re.fullmatch(allowed, module) for module in own), (file, own)


def test_losses_and_encoders_see_no_config_and_no_dataset():
    for file in files("loss.py", "neighbour_loss.py", "encoder"):
        ours = ("config", "settings", "options", "data.dataset", "data.dataloader", "data.reviews")
        assert not touches(file, "recbole", *(f"recbole_symcere.{m}" for m in ours)), file


def test_compat_is_used_by_init_register_and_workers_only():
    outside = [f for f in FILES if not f.is_relative_to(PACKAGE / "compat")]
    users = {f.name for f in outside if touches(f, "recbole_symcere.compat")}
    for file in outside:
        text = ast.parse(file.read_text())
        for node in ast.walk(text):
            if isinstance(node, ast.ImportFrom) and node.module == "recbole_symcere":
                users |= {file.name} if "compat" in {a.name for a in node.names} else set()
    # cluster.py and search.py start the workers, trial.py runs in them
    workers = {"cluster.py", "search.py", "trial.py"}
    assert users == {"__init__.py", "register.py", *workers}


def test_only_options_and_hosts_read_the_configuration():
    # RecBole's config[key] answers None for a misspelt key; models get checked dataclasses
    for file in files("model", "encoder", "loss.py", "neighbour_loss.py"):
        assert not re.search(r"config\[|config\.get", file.read_text()), file


def test_nothing_is_evaluated_or_unpickled():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                owner = getattr(getattr(node.func, "value", None), "id", "")
                assert getattr(node.func, "id", "") not in {"exec", "eval"}, (file, node.lineno)
                assert (owner, name) not in {
                    ("torch", "load"), ("torch", "save"), ("pickle", "load"), ("pickle", "loads"),
                }, (file, node.lineno)  # fmt: skip


def test_every_package_and_data_file_is_in_the_wheel():
    listed = set(SETUP["options"]["packages"].split())
    found = {".".join(file.parent.relative_to(ROOT).parts) for file in PACKAGE.rglob("__init__.py")}
    assert found | {"recbole_symcere.properties", "recbole_symcere.dataset_atomic"} == listed


def test_every_requirement_is_pinned_in_constraints():
    pins = {
        re.split(r"[=\[]", line)[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    extras = SETUP["options.extras_require"]
    lines = "\n".join([SETUP["options"]["install_requires"], extras["dev"], extras["tune"]])
    needed = {re.split(r"[<>=;\[ ]", line)[0].lower() for line in lines.split("\n") if line}
    needed = {name for name in needed if name and not name.startswith("#")}
    assert needed - {"recbole"} <= pins


@pytest.mark.parametrize(
    "file", sorted((ROOT / "properties").rglob("*.yaml")), ids=lambda f: f.name
)
def test_every_yaml_loads(file):
    settings = yaml.safe_load(file.read_text())
    assert isinstance(settings, dict)
    assert settings


def test_no_file_has_grown_too_long():
    # the design's "about 300", and 150 for a model; two thirds of loss.py are docstrings
    limits = {**dict.fromkeys(files("model"), 150), PACKAGE / "loss.py": 400}
    limits[PACKAGE / "model" / "base.py"] = 200  # no model
    for file in FILES:
        lines = len(file.read_text().splitlines())
        assert lines <= limits.get(file, 330), f"{file}: {lines} lines"


def test_the_changelog_knows_the_version():
    from recbole_symcere import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert __version__ in (ROOT / "CITATION.cff").read_text()
