"""The Config of our own functions: RecBole's, with every mistake reported.

It also never reads ``sys.argv``, which belongs to the process that calls us.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from recbole.config.configurator import Config as RecBoleConfig
from recbole.utils import get_model

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.base.files import bundled_data_path
from recbole_symcere.base.program import program
from recbole_symcere.model.registry import MODELS, adopted
from recbole_symcere.plugin.nested_settings import NESTED, merged
from recbole_symcere.plugin.refusals import check_settings
from recbole_symcere.plugin.stock_models import is_recboles, model_kinds
from recbole_symcere.plugin.stock_needs import refuse_unable, refuse_unranked

__all__ = ["Config", "StoredConfig"]


class Config(RecBoleConfig):  # type: ignore[misc] # RecBole has no types
    """RecBole's Config for our functions.

    The settings of ``properties/overall.yaml`` hold for every model, so that all are compared under
    one protocol.

    Args:
        model: name or class; if None, the key ``model`` of the dictionary or the files.
        dataset: name; if None, the key ``dataset``.
        config_file_list: yaml files; later ones win.
        config_dict: settings that win over the files.

    Raises:
        InputError: for an unknown model, data set or key (with the closest known one), and for a
            file that can't be read.
    """

    common_protocol = True

    def __init__(
        self,
        model: str | type | None = None,
        dataset: str | None = None,
        config_file_list: list[str] | None = None,
        config_dict: Mapping[str, Any] | None = None,
    ) -> None:
        settings = dict(config_dict or {})
        for key, value in (("model", model), ("dataset", dataset)):
            if value is not None:
                settings.pop(key, None)
        try:
            super().__init__(
                model=model,
                dataset=dataset,
                config_file_list=config_file_list,
                config_dict=settings,
            )
        except (TypeError, ValueError, LookupError, RuntimeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"RecBole refuses these settings: {error}. Look at metrics, topk, eval_args and "
                "train_neg_sample_args."
            ) from error
        check_settings(self)
        self._refuse_missing_data()
        if is_recboles(self.model_class):
            refuse_unable(self)

    def _load_cmd_line(self) -> dict[str, Any]:
        return {}

    def _load_config_files(self, file_list: Iterable[str] | None) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for name in file_list or ():
            later = _read_yaml(name, self.yaml_loader)
            both = {
                k: merged([settings[k], later[k]]) for k in NESTED if k in settings.keys() & later
            }
            settings |= later | both
        return settings

    def _get_model_and_dataset(
        self, model: str | type | None, dataset: str | None
    ) -> tuple[str, type, str]:
        for key, value in (("model", model), ("dataset", dataset)):
            if value is None and self.external_config_dict.get(key) is None:
                raise InputError(f"No {key} is given. Name one with --{key}=NAME.")
        _check_dataset_name(dataset or self.external_config_dict["dataset"])
        wanted = model if model is not None else self.external_config_dict["model"]
        refuse_unranked(wanted.__name__ if isinstance(wanted, type) else str(wanted))
        if not isinstance(wanted, type):
            model = adopted(wanted) or _checked_model_name(wanted)
        return super()._get_model_and_dataset(model, dataset)  # type: ignore[no-any-return]

    def _refuse_missing_data(self) -> None:
        folder, name = Path(self["data_path"]), self["dataset"]
        if folder.is_dir():
            return
        usual = "./dataset_atomic, in ./dataset and among the bundled ones"
        if "data_path" not in self.external_config_dict:
            places, where = [folder.parent, Path("dataset"), bundled_data_path()], usual
        elif not folder.parent.is_dir():
            raise InputError(
                f"data_path is {self.external_config_dict['data_path']!r}, but there is no such "
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


class StoredConfig(RecBoleConfig):  # type: ignore[misc] # RecBole has no types
    """RecBole's own Config made again from what a checkpoint of a stock run holds."""

    def _load_cmd_line(self) -> dict[str, Any]:
        return {}


def _read_yaml(name: str, loader: Any) -> dict[str, Any]:
    """One configuration file as a dictionary."""
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Configuration file {name} can't be read: {error}.") from None
    try:
        settings = yaml.load(text, Loader=loader)  # RecBole's FullLoader runs no code
    except yaml.YAMLError as error:
        raise InputError(f"Configuration file {name} isn't valid YAML: {error}") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise InputError(f"Configuration file {name} must hold `key: value` lines.")
    return settings


def _check_dataset_name(name: Any) -> None:
    text = str(name)
    if not text or text in {".", ".."} or {"/", "\\", "\0"} & set(text):
        raise InputError(
            f"dataset is {name!r}, but it must be the name of a folder; say where that lies with "
            "--data_path=DIR."
        )


def _checked_model_name(name: Any) -> str:
    """Stop unless RecBole finds a model of this name, ours included."""
    try:
        get_model(str(name))
    except (ValueError, AttributeError, ImportError) as error:
        names = {*MODELS, *model_kinds()}
        if name in names:
            raise InputError(f"The model {name} can't be loaded: {error}.") from None
        raise InputError(
            f"There is no model named {name!r}.{did_you_mean(str(name), names)} "
            f"Ours: {', '.join(MODELS)}; RecBole's have the names that it gives them, and a "
            "subclass of ours is known by its name after recbole_symcere.adopt(MyModel)."
        ) from None
    return str(name)
