"""The Config of our own functions: RecBole's, with every mistake reported.

It also never reads ``sys.argv``, which belongs to the process that calls us.
"""

import ast
import importlib.util
import re
from collections.abc import Iterable, Mapping
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole
import yaml
from recbole.config.configurator import Config as RecBoleConfig
from recbole.utils import InputType, get_model

from recbole_symcere.base.errors import InputError, UnknownKeyError, did_you_mean
from recbole_symcere.base.files import bundled_data_path, properties_path
from recbole_symcere.base.options import hints_of, read_options
from recbole_symcere.base.program import program
from recbole_symcere.model.registry import MODELS, adopted, is_ours
from recbole_symcere.plugin.config_patches import known_keys, option_groups
from recbole_symcere.plugin.run_options import RUN_GROUPS

__all__ = ["Config", "StoredConfig", "model_names"]


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
        self._refuse_unknown_keys()
        ours = option_groups(self.model_class) if is_ours(self.model) else ()
        for group in (*RUN_GROUPS, *ours):
            read_options(group, self)
        self._refuse_uncomputed_metric()
        self._refuse_unreadable_intervals()
        self._refuse_unusable_model()
        self._refuse_pickles()
        self._refuse_missing_data()

    def _load_cmd_line(self) -> dict[str, Any]:
        return {}

    def _load_config_files(self, file_list: Iterable[str] | None) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for name in file_list or ():
            settings.update(_read_yaml(name, self.yaml_loader))
        return settings

    def _get_model_and_dataset(
        self, model: str | type | None, dataset: str | None
    ) -> tuple[str, type, str]:
        for key, value in (("model", model), ("dataset", dataset)):
            if value is None and self.external_config_dict.get(key) is None:
                raise InputError(f"No {key} is given. Name one with --{key}=NAME.")
        _check_dataset_name(dataset or self.external_config_dict["dataset"])
        wanted = model if model is not None else self.external_config_dict["model"]
        if not isinstance(wanted, type):
            model = adopted(wanted) or _checked_model_name(wanted)
        return super()._get_model_and_dataset(model, dataset)  # type: ignore[no-any-return]

    def _refuse_unknown_keys(self) -> None:
        if not self.model_class.__module__.startswith(("recbole.", "recbole_symcere.")):
            return  # a model of the user's own may read keys that we can't know
        known = known_keys(self)
        unknown = [key for key in self.external_config_dict if key not in known]
        if not unknown:
            return
        elsewhere = _keys_of_all_models()
        for key in unknown:
            if key not in elsewhere:
                hint = did_you_mean(key, known) or did_you_mean(key, elsewhere)
                raise UnknownKeyError(key, f"{hint} --model={self.model} --help shows its keys.")
            getLogger(__name__).warning(f"{self.model} doesn't read the key {key!r}.")

    def _refuse_uncomputed_metric(self) -> None:
        computed = [f"{metric}@{k}" for metric in self["metrics"] for k in self["topk"]]
        computed += self["metrics"]  # metrics of single values, such as AUC, have no k
        if not self["metrics"] or not self["topk"]:
            raise InputError("metrics and topk must name at least one value each.")
        if self["valid_metric"].lower() not in {name.lower() for name in computed}:
            raise InputError(
                f"valid_metric is {self['valid_metric']!r}, but only {', '.join(computed)} are "
                "computed. Change valid_metric, metrics or topk."
            )

    def _refuse_unreadable_intervals(self) -> None:
        """RecBole leaves out an interval that it can't read, and filters nothing."""
        intervals = {f"val_interval {k!r}": v for k, v in (self["val_interval"] or {}).items()}
        for key in ("user_inter_num_interval", "item_inter_num_interval"):
            intervals[key] = self[key]
        for key, value in intervals.items():
            if value is None or isinstance(value, list):  # a list names values of a token field
                continue
            if not all(_INTERVAL.fullmatch(part.strip()) for part in str(value).split(";")):
                raise InputError(
                    f"{key} is {value!r}; expected an interval such as [5,inf) or (0,10];[20,30)."
                )

    def _refuse_unusable_model(self) -> None:
        sampled = (self["train_neg_sample_args"] or {}).get("distribution", "none") != "none"
        if self["MODEL_INPUT_TYPE"] == InputType.PAIRWISE and not sampled:
            raise InputError(
                f"{self['model']} compares items with sampled negatives, so train_neg_sample_args "
                "can't be none. Leave it out."
            )
        if self["log_wandb"] and importlib.util.find_spec("wandb") is None:
            raise InputError("log_wandb needs the package wandb: pip install wandb.")

    def _refuse_pickles(self) -> None:
        pickles = ("save_dataset", "save_dataloaders", "dataset_save_path", "dataloaders_save_path")
        for key in pickles:
            if self[key]:
                raise InputError(
                    f"{key} makes RecBole write and read pickles, which can run any code. "
                    "Leave it out: reviews and their vectors are kept in cache_dir anyway."
                )

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


def _keys_of_all_models() -> set[str]:
    """The keys of every model, so that models can share a file of settings."""
    folders = [properties_path() / "model", Path(recbole.__file__).parent / "properties" / "model"]
    files = [file for folder in folders for file in folder.glob("*.yaml")]
    read = {
        key
        for file in files
        for key in re.findall(r"(?m)^(\w+):", file.read_text(encoding="utf-8"))
    }
    return read.union(*(hints_of(*option_groups(get_model(name))) for name in MODELS))


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


_INTERVAL = re.compile(r"[\[(]\s*[-+.\deinf]+\s*,\s*[-+.\deinf]+\s*[\])]")


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
        names = model_names()
        if name in names:
            raise InputError(f"The model {name} can't be loaded: {error}.") from None
        raise InputError(
            f"There is no model named {name!r}.{did_you_mean(str(name), names)} "
            f"Ours: {', '.join(MODELS)}; every model of RecBole runs too, and a subclass of ours "
            "is known by its name after recbole_symcere.adopt(MyModel)."
        ) from None
    return str(name)


def model_names() -> set[str]:
    """The names of RecBole's models and ours, by RecBole's rule that a module holds its name."""
    root = Path(recbole.__file__).parent / "model"
    names = set(MODELS)
    for path in root.glob("*_recommender/*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names |= {
            node.name
            for node in tree.body
            if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem
        }
    return names
