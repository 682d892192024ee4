"""Names and keys of a run looked at before torch is loaded, which takes seconds.

Nothing is refused here that the whole check of a Config would let pass: keys are looked for among
those of all models, and a model's own ones only make the hint better.
"""

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import UnknownKeyError, did_you_mean
from recbole_symcere.base.files import properties_path
from recbole_symcere.base.options import hints_of
from recbole_symcere.model.registry import MODELS, TRAINERS, adopted
from recbole_symcere.plugin.names import (
    check_dataset_name,
    data_folder,
    no_such_model,
    read_settings,
    refuse_missing_data,
    refuse_missing_names,
)
from recbole_symcere.plugin.recbole_package import fetch_recbole
from recbole_symcere.plugin.run_options import RUN_GROUPS, UNLISTED_KEYS
from recbole_symcere.plugin.stock_models import model_kinds, recboles_file
from recbole_symcere.plugin.stock_needs import refuse_unranked

__all__ = ["look_first"]

_PACKAGE = Path(__file__).parents[1]
_MISSPELT = 0.8  # likeness to a name of ours above which none of RecBole's comes


def look_first(
    models: Iterable[str | None],
    datasets: Iterable[str | None],
    files: Iterable[str],
    given: Mapping[str, Any],
) -> None:
    """Stop at a model, a data set or a key that there isn't.

    RecBole is fetched, if it is missing, once the names that need no look at it are right.

    Args:
        models: names; None where none was given.
        datasets: names, too.
        files: of settings.
        given: settings, which win over the files.

    Raises:
        InputError: with the closest name that there is.
    """
    settings: dict[str, Any] = {}
    for file in files:
        settings |= read_settings(file)
    settings |= given
    usual = read_settings(str(properties_path() / "overall.yaml"))["data_path"]
    models, datasets = [*models], [*datasets]
    for model in models:
        for dataset in datasets:
            named = model or settings.get("model"), dataset or settings.get("dataset")
            _look_at(*named, settings, usual)
    fetch_recbole()
    keys, stated = _keys_of_files(), _keys_in_code(_PACKAGE.glob("*/*.py"))
    for model in models:
        name = str(model or settings["model"])
        if not (adopted(name) or name in {*MODELS, *model_kinds()}):
            raise no_such_model(name)
        if not adopted(name):  # a model of the user's own may read keys that we can't know
            _refuse_unknown(settings, name, keys, stated)


def _look_at(model: Any, dataset: Any, settings: Mapping[str, Any], usual: str) -> None:
    refuse_missing_names(model, dataset)
    check_dataset_name(dataset)
    refuse_unranked(str(model))
    if not (adopted(str(model)) or str(model) in MODELS) and _misspelt(str(model)):
        raise no_such_model(model)
    named = settings.get("data_path")
    if dataset != "ml-100k":  # RecBole's own
        place = Path(str(named or usual), str(dataset)).absolute()
        folder = data_folder(place, str(dataset), named is not None)
        refuse_missing_data(folder, str(dataset), named)


def _misspelt(model: str) -> bool:
    """Whether a name is so near one of our models that it is none of RecBole's."""
    ours = [name.lower() for name in MODELS]
    return bool(difflib.get_close_matches(model.lower(), ours, n=1, cutoff=_MISSPELT))


def _refuse_unknown(
    settings: Mapping[str, Any], model: str, everywhere: set[str], stated: set[str]
) -> None:
    unknown = settings.keys() - everywhere - stated
    for key in (key for key in settings if key in unknown):
        own = {*hints_of(*RUN_GROUPS), *_keys_of_model(model)}
        hint = did_you_mean(key, own) or did_you_mean(key, everywhere)
        raise UnknownKeyError(key, f"{hint} --model={model} --help shows its keys.")


def _keys_of_files() -> set[str]:
    """The keys of all yaml files of RecBole's and ours, and of RecBole's lists of arguments."""
    root = recboles_file("")
    keys = {*UNLISTED_KEYS, "MODEL_TYPE"}  # that one RecBole notes among its settings
    for file in (*root.rglob("*.yaml"), *properties_path().rglob("*.yaml")):
        keys |= _top_keys(file)
    for node in ast.walk(_parsed(root.parent / "utils" / "argument_list.py")):
        if isinstance(node, ast.List):
            keys |= set(ast.literal_eval(node))
    return keys


def _top_keys(file: Path) -> set[str]:
    """The keys of a yaml file, read by lines: the parser would take a second for all of them."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {line.partition(":")[0].strip() for line in lines if ":" in line and line[0].isalnum()}


def _keys_of_model(model: str) -> set[str]:
    """The settings of a model: from RecBole's files, and of one of ours from the code."""
    keys = _top_keys(recboles_file("overall.yaml"))
    if model in MODELS:
        return keys | _keys_in_code(_made_of(model))
    file = recboles_file(f"model/{model}.yaml")
    return keys | (_top_keys(file) if file.is_file() else set())


def _made_of(model: str) -> set[Path]:
    """The files that state options of one of our models: its own, what they import, its trainer."""
    found: set[Path] = set()
    waiting = [_file_of(MODELS[model])]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file() or file.parent.name not in {"model", "text"}:
            continue
        found.add(file)
        imports = [n for n in _parsed(file).body if isinstance(n, ast.ImportFrom) and n.module]
        waiting += [_file_of(str(node.module)) for node in imports]
    trainer = TRAINERS.get(model, "").rpartition(".")[0]
    return found | ({_file_of(trainer)} if trainer else set())


def _file_of(module: str) -> Path:
    return _PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _keys_in_code(files: Iterable[Path]) -> set[str]:
    """The options that files state, each ``name: type = option(...)`` in a dataclass."""
    return {name for file in files for name in _stated(file)}


def _stated(file: Path) -> Iterator[str]:
    if " option(" not in file.read_text(encoding="utf-8"):
        return
    for kind in _parsed(file).body:
        for node in kind.body if isinstance(kind, ast.ClassDef) else ():
            called = getattr(node, "value", None)
            states = isinstance(called, ast.Call) and getattr(called.func, "id", "") == "option"
            if states and isinstance(node, ast.AnnAssign):
                yield node.target.id  # type: ignore[union-attr]
