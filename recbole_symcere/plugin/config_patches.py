"""What changes in RecBole's own Config class; imports nothing of RecBole.

Three things change for every model, because every run of RecBole profits and none of its documented
behaviour is lost: strings are parsed instead of evaluated as Python code, the bundled and converted
data sets are found, and a CUDA_VISIBLE_DEVICES that is set is respected. Our models find their
settings from ``properties/``.
"""

import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from recbole_symcere.base.files import bundled_data_path, properties_path
from recbole_symcere.base.options import defaults_of, hints_of, parse_as, parse_value
from recbole_symcere.base.storage import put_back
from recbole_symcere.model.registry import adopt, adopted, lineage, trainer_of
from recbole_symcere.plugin.import_hooks import offer_model
from recbole_symcere.plugin.run_options import RUN_GROUPS
from recbole_symcere.text.text_options import TextOptions

__all__ = ["as_parsed", "extend_recbole_config", "known_keys", "option_groups"]

# Keys that RecBole or we read although no yaml lists them.
_UNLISTED_KEYS = frozenset(
    {
        *("model", "dataset", "config_files", "run_dir", "loss_type", "device", "encoding"),
        *("local_rank", "nproc", "world_size", "offset", "ip", "port"),
    }
)
# What a string stands for where its type is known before the model is; names and paths stay what
# they are even where they look like a number.
_HINTS = hints_of(*RUN_GROUPS, TextOptions) | dict.fromkeys(("model", "dataset", "run_dir"), str)


def _convert_config_dict(self: Any, settings: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """`Config._convert_config_dict` without ``eval``."""
    return as_parsed(settings)


def as_parsed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose strings stand for what they mean; a new dictionary, the caller's stays."""
    return {k: _parsed(k, v) if isinstance(v, str) else v for k, v in settings.items()}


def _parsed(key: str, text: str) -> Any:
    return parse_as(text, _HINTS[key]) if key in _HINTS else parse_value(text)


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
    """Merge our defaults and ``properties/`` after RecBole's yaml files, sample.yaml among them.

    Arguments of the process that mean nothing to RecBole are left out.
    """

    @wraps(load)
    def loaded(self: Any, model: str, model_class: type, dataset: str) -> None:
        load(self, model, model_class, dataset)
        ours = adopt(model_class)
        if adopted(model):
            offer_model(model, lambda: model_class)  # stock functions look it up by its name
        if self.common_protocol or ours:
            groups = option_groups(model_class) if ours else ()
            self.internal_config_dict.update(defaults_of(*RUN_GROUPS, *groups))
            names = lineage(model_class) or [model]
            files = ["overall", *(f"model/{name}" for name in names), f"dataset/{dataset}"]
            for path in (properties_path() / f"{name}.yaml" for name in files):
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


def option_groups(model_class: Any) -> tuple[type, ...]:
    """What one of our models and its trainer read."""
    trainer = trainer_of(model_class.__name__)
    return (*model_class.option_groups, *getattr(trainer, "option_groups", ()))


def known_keys(config: Any) -> set[str]:
    """The keys that mean something to a Config whose yaml files are loaded."""
    listed = {key for keys in config.parameters.values() for key in keys} - {"config_file"}
    return {*config.internal_config_dict, *listed, *_UNLISTED_KEYS}  # nothing reads that one


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
        for place in places:
            put_back(place)
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
