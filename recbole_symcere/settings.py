"""What changes in RecBole's own Config class; imports nothing of RecBole.

Three things change for every model, because every run of RecBole profits and none of its documented
behaviour is lost: strings are parsed instead of evaluated as Python code, the bundled and converted
data sets are found, and a CUDA_VISIBLE_DEVICES that is set is respected. Our models find their
settings from ``properties/``.
"""

import ast
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import yaml

from recbole_symcere.folders import bundled_data_path, properties_path
from recbole_symcere.register import MODELS

__all__ = ["extend_recbole_config", "known_keys", "parse_value"]

# Keys that RecBole or we read although no yaml lists them.
_UNLISTED_KEYS = frozenset(
    {
        *("model", "dataset", "config_files", "run_dir", "loss_type", "device", "encoding"),
        *("local_rank", "nproc", "world_size", "offset", "ip", "port"),
    }
)
# Names and paths, which stay what they are even where they look like a number.
_TEXT_KEYS = frozenset(
    {
        *("model", "dataset", "data_path", "run_dir", "runs_dir", "cache_dir", "checkpoint_dir"),
        "text_encoder",
    }
)
_WORDS = {"true": True, "false": False, "none": None, "null": None, "~": None}


def parse_value(text: str) -> Any:
    """The value that a string from a command line or a dictionary stands for.

    Python literals (numbers, lists, dictionaries, quoted strings), YAML lists and dictionaries with
    bare words, and the words true, false, null and none in any case. Everything else stays a
    string. RecBole would run the string as Python code instead.

    >>> parse_value("1e-3"), parse_value("[10,20]"), parse_value("[NDCG, Hit]"), parse_value("1-2")
    (0.001, [10, 20], ['NDCG', 'Hit'], '1-2')
    """
    stripped = text.strip()
    if stripped.lower() in _WORDS:
        return _WORDS[stripped.lower()]
    try:
        value = ast.literal_eval(stripped)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        value = _parse_yaml_collection(stripped, text)
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, bool | int | float | str | list | dict | None) else text


def _parse_yaml_collection(stripped: str, text: str) -> Any:
    if stripped[:1] not in {"[", "{"}:
        return text
    try:
        return yaml.safe_load(stripped)
    except yaml.YAMLError:
        return text


def _convert_config_dict(self: Any, settings: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """`Config._convert_config_dict` without ``eval``; a new dictionary, the caller's stays."""
    return {
        k: parse_value(v) if isinstance(v, str) and k not in _TEXT_KEYS else v
        for k, v in settings.items()
    }


def extend_recbole_config(config_class: Any) -> None:
    """Change RecBole's Config class as this module's text says.

    Our subclass sets ``common_protocol``: there the settings of ``properties/`` hold for every
    model, not only for ours.
    """
    config_class.common_protocol = False
    config_class._convert_config_dict = _convert_config_dict
    config_class._load_internal_config_dict = _with_our_settings(
        config_class._load_internal_config_dict
    )
    config_class._set_default_parameters = _with_found_data(config_class._set_default_parameters)
    config_class._init_device = _with_visible_devices(config_class._init_device)


def _with_our_settings(load: Callable[..., None]) -> Callable[..., None]:
    """Merge ``properties/`` after RecBole's own yaml files, whose sample.yaml comes last there.

    Arguments of the process that mean nothing to RecBole are left out.
    """

    @wraps(load)
    def loaded(self: Any, model: str, model_class: type, dataset: str) -> None:
        load(self, model, model_class, dataset)
        if self.common_protocol or model in MODELS:
            for name in ("overall.yaml", f"model/{model}.yaml", f"dataset/{dataset}.yaml"):
                path = properties_path() / name
                if path.is_file():
                    self._update_internal_config_dict(path)
            # of a data set's yaml this part is for the converter
            self.internal_config_dict.pop("convert", None)
        if model_class.__module__.startswith(("recbole.", "recbole_symcere.")):
            # RecBole reads the arguments of whatever process it is in: a test runner, a worker
            known = {*self.file_config_dict, *self.variable_config_dict, *known_keys(self)}
            for key in self.cmd_config_dict.keys() - known:
                del self.external_config_dict[key]

    return loaded


def known_keys(config: Any) -> set[str]:
    """The keys that mean something to a Config whose yaml files are loaded."""
    listed = (key for keys in config.parameters.values() for key in keys)
    return {*config.internal_config_dict, *listed, *_UNLISTED_KEYS}


def _with_found_data(set_parameters: Callable[[Any], None]) -> Callable[..., None]:
    """Make data_path absolute; look for the data set where converted and bundled ones lie."""

    @wraps(set_parameters)
    def found(self: Any) -> None:
        set_parameters(self)
        name = self.final_config_dict["dataset"]
        if name == "ml-100k":  # RecBole's bundled copy
            return
        wanted = Path(self.final_config_dict["data_path"]).absolute()
        places = [wanted]
        if "data_path" not in self.external_config_dict:
            places += [Path("dataset_atomic", name).absolute(), Path("dataset", name).absolute()]
            places += [bundled_data_path() / name]
        self.final_config_dict["data_path"] = str(
            next((place for place in places if place.is_dir()), wanted)
        )

    return found


def _with_visible_devices(init_device: Callable[[Any], None]) -> Callable[..., None]:
    """Keep CUDA_VISIBLE_DEVICES as it is set unless gpu_id was given (#1955, #1794)."""

    @wraps(init_device)
    def initialised(self: Any) -> None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None and "gpu_id" not in self.external_config_dict:
            self.final_config_dict["gpu_id"] = visible
        init_device(self)

    return initialised
