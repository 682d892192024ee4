"""Rules of the house that code can check."""

import ast
import configparser
import functools
import re
from pathlib import Path

import pytest
import yaml

from recbole_symcere.model import registry

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "recbole_symcere"
FILES = sorted(PACKAGE.rglob("*.py"))
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


# The house, from the ground up. A room imports only from floors below its own; rooms of one floor
# don't know each other.
FLOORS = (
    ("base", "version"),
    ("text", "graph", "loss", "evaluate", "page", "convert"),
    ("data",),
    ("model",),
    ("plugin",),
    ("run",),
    ("tune", "explain", "serve"),
    ("compare", "doctor"),
    ("cli", "__init__"),
)

# Where a module is named in a string, to be imported when it is needed: what the rule can't see.
# The registry names trainers, which stand above it.
LATE_BINDINGS = {
    "__init__": {"data", "loss", "model", "plugin", "run", "serve"},
    "model.registry": {"model", "run"},
    "plugin.register": {"evaluate"},
    "compare.execute": {"model"},
    "cli": {"compare", "convert", "doctor", "explain", "run", "serve", "tune"},
    "convert.sources": {"convert"},
}


def module_of(path):
    """text/tokens.py -> text.tokens, text/__init__.py -> text, __init__.py -> __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def room_of(module):
    return module.split(".")[0]


def imports(path):
    """The modules that a file imports anywhere, in functions and under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in full if name.removeprefix("recbole_symcere.") in MODULES}
            found |= modules or {node.module}
    return found


def own_imports(path):
    """The modules of the package that a file imports, without the package's name."""
    found = {name for name in imports(path) if name.split(".")[0] == "recbole_symcere"}
    return {name.removeprefix("recbole_symcere").lstrip(".") or "__init__" for name in found}


@functools.cache
def every_import():
    """What each module of the package imports of the others."""
    return {module: own_imports(file) for module, file in MODULES.items()}


def misplaced(floors):
    """The imports that don't go down."""
    level = {room: number for number, rooms in enumerate(floors) for room in rooms}
    return [
        f"{module} imports {other}"
        for module, others in every_import().items()
        for other in sorted(others)
        if room_of(other) != room_of(module) and level[room_of(other)] >= level[room_of(module)]
    ]


def test_imports_go_down():
    assert misplaced(FLOORS) == []


def test_the_rule_sees_when_two_floors_are_swapped():
    level = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    pairs = {
        (level[room_of(other)], level[room_of(module)])
        for module, others in every_import().items()
        for other in others
    }
    for low, high in sorted((low, high) for low, high in pairs if low != high):
        swapped = list(FLOORS)
        swapped[low], swapped[high] = swapped[high], swapped[low]
        assert misplaced(swapped), (FLOORS[low], FLOORS[high])


def test_every_room_has_its_floor_and_no_module_stands_outside():
    rooms = {room_of(module) for module in MODULES}
    assert rooms <= {room for rooms in FLOORS for room in rooms}
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert loose == {"__init__", "cli", "version"}


def test_no_module_imports_itself_by_way_of_others():
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, f"a circle: {' -> '.join([*open_, module])}"
        if module not in done:
            open_.append(module)
            for other in sorted(every_import()[module] - {module}):
                visit(other)
            done.add(open_.pop())

    for module in MODULES:
        visit(module)


def test_modules_named_in_strings_are_known():
    found = {}
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and re.fullmatch(
                r"recbole_symcere\.\w+(\.[\w{}]+)*\.?", str(node.value)
            ):
                found.setdefault(module, set()).add(node.value.split(".")[1])
    rooms = {room_of(module) for module in MODULES}  # the name of a file format is no module
    found = {module: named & rooms for module, named in found.items() if named & rooms}
    assert found == LATE_BINDINGS


def test_names_of_modules_are_unique():
    names = [file.stem for file in FILES if file.stem != "__init__"]
    assert [name for name in names if names.count(name) > 1] == []


def touches(path, *roots):
    return sorted(
        m for m in imports(path) for root in roots if m == root or m.startswith(root + ".")
    )


def files(*places):
    return [file for place in places for file in FILES if file.is_relative_to(PACKAGE / place)]


def test_convert_knows_neither_torch_nor_recbole():
    for file in files("convert"):
        assert not touches(file, "torch", "recbole", "pandas", "transformers"), file
        assert {room_of(m) for m in own_imports(file)} <= {"convert", "base", "version"}, file


def test_losses_graphs_and_texts_see_no_config_and_no_dataset():
    for file in files("loss", "graph", "text"):
        assert not touches(file, "recbole"), file
        assert "read_options" not in file.read_text(), file


def test_version_quirks_are_known_to_the_plugin_and_rays_to_those_who_start_it_alone():
    users = {m for m, others in every_import().items() if any("plugin.compat" in o for o in others)}
    # ray_cluster.py starts Ray, search.py its trials, trial.py runs in them
    search = {"run.ray_cluster", "tune.search", "tune.trial"}
    plugin = {"plugin.register", "plugin.compat_ray"}
    assert users == {*plugin, *search}
    for module in search:
        assert {o for o in every_import()[module] if "compat" in o} == {"plugin.compat_ray"}


def test_only_options_and_hosts_read_the_configuration():
    # RecBole's config[key] answers None for a misspelt key; models get checked dataclasses
    for file in files("model", "text", "graph", "loss"):
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
    # about 330 lines are enough for any file; a model reads like its paper, settings included
    models = {file for file in files("model") if file.stem in {m.lower() for m in registry.MODELS}}
    limits = {**dict.fromkeys(models, 200), PACKAGE / "loss" / "contrastive.py": 400}  # docstrings
    for file in FILES:
        lines = len(file.read_text().splitlines())
        assert lines <= limits.get(file, 330), f"{file}: {lines} lines"


def test_the_changelog_knows_the_version():
    from recbole_symcere import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert __version__ in (ROOT / "CITATION.cff").read_text()
