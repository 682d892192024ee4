"""Names that a user gives: models, data sets, files of settings; imports nothing of RecBole."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.base.files import bundled_data_path
from recbole_symcere.base.program import program
from recbole_symcere.base.storage import put_back
from recbole_symcere.model.registry import MODELS
from recbole_symcere.plugin.stock_models import model_kinds

__all__ = [
    "check_dataset_name",
    "data_folder",
    "no_such_model",
    "read_settings",
    "refuse_missing_data",
    "refuse_missing_names",
]


def refuse_missing_names(model: Any, dataset: Any) -> None:
    """Stop where no model or no data set is named.

    Raises:
        InputError: saying how to.
    """
    for key, value in (("model", model), ("dataset", dataset)):
        if value is None:
            raise InputError(f"No {key} is given. Name one with --{key}=NAME.")


def check_dataset_name(name: Any) -> None:
    """Stop at a name of a data set that can't be one of a folder.

    Raises:
        InputError: naming it.
    """
    text = str(name)
    if not text or text in {".", ".."} or {"/", "\\", "\0"} & set(text):
        raise InputError(
            f"dataset is {name!r}, but it must be the name of a folder; say where that lies with "
            "--data_path=DIR."
        )


def no_such_model(name: Any) -> InputError:
    """The error for a name that no model has."""
    return InputError(
        f"There is no model named {name!r}.{did_you_mean(str(name), {*MODELS, *model_kinds()})} "
        f"Ours: {', '.join(MODELS)}; RecBole's have the names that it gives them, and a "
        "subclass of ours is known by its name after recbole_symcere.adopt(MyModel)."
    )


def data_folder(wanted: Path, name: str, named: bool) -> Path:
    """Where a data set lies.

    Args:
        wanted: where the settings want it.
        name: its name.
        named: whether the user has said where; otherwise converted and bundled ones are looked for.

    Returns:
        The first of the folders that is there, or ``wanted``.
    """
    places = [wanted]
    if not named:
        places += [Path("dataset_atomic", name).absolute(), Path("dataset", name).absolute()]
        places += [bundled_data_path() / name]
    for place in places:
        put_back(place)
    return next((place for place in places if place.is_dir()), wanted)


def refuse_missing_data(folder: Path, name: str, data_path: str | None) -> None:
    """Stop where the folder of a data set isn't there.

    Args:
        folder: where it must be.
        name: the data set's.
        data_path: where the user has said that data sets lie, if so.

    Raises:
        InputError: with the data sets that there are.
    """
    if folder.is_dir():
        return
    usual = "./dataset_atomic, in ./dataset and among the bundled ones"
    if data_path is None:
        places, where = [Path("dataset_atomic"), Path("dataset"), bundled_data_path()], usual
    elif not folder.parent.is_dir():
        raise InputError(
            f"data_path is {data_path!r}, but there is no such "
            f"folder. Name the one that holds {name}, or leave it out to look in {usual}."
        )
    else:
        places, where = [folder.parent], f"{folder.parent}, which data_path names"
    found = _folders(places)
    raise InputError(
        f"There is no data set {name!r} in {where}.{did_you_mean(name, found)} There "
        f"{'are' if len(found) > 1 else 'is'} {', '.join(found) or 'none'}. Convert your own "
        f"with: {program()} convert SOURCE --input=FILE --name={name}"
    )


def _folders(places: Iterable[Path]) -> list[str]:
    """The names of the folders that stand in some folders, hidden ones left out."""
    inside = [path for place in places if place.is_dir() for path in place.iterdir()]
    return sorted({path.name for path in inside if path.is_dir() and path.name[0] != "."})


def read_settings(name: str, loader: Any = yaml.FullLoader) -> dict[str, Any]:
    """One file of settings as a dictionary.

    Args:
        name: of the file.
        loader: a YAML loader that runs no code.

    Raises:
        InputError: for a file that can't be read or isn't YAML.
    """
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Configuration file {name} can't be read: {error}.") from None
    try:
        settings: Mapping[str, Any] | None = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise InputError(f"Configuration file {name} isn't valid YAML: {error}") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise InputError(f"Configuration file {name} must hold `key: value` lines.")
    return settings
