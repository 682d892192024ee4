"""What changes in RecBole's own Config class; imports nothing of RecBole.

Three things change for every model, because every run of RecBole profits and none of its documented
behaviour is lost: strings are parsed instead of evaluated as Python code, the bundled and converted
data sets are found, and a CUDA_VISIBLE_DEVICES that is set is respected. Our models find their
settings from ``properties/``.
"""

import os
from collections.abc import Callable, Mapping
from functools import wraps
from logging import getLogger
from pathlib import Path
from typing import Any

import yaml

from recbole_symcere.base.fast_yaml import by_libyaml
from recbole_symcere.base.files import properties_path
from recbole_symcere.base.options import defaults_of, hints_of, parse_as, parse_value
from recbole_symcere.model.registry import adopt, adopted, is_ours, lineage, trainer_of
from recbole_symcere.plugin.data_settings import fit_to_data
from recbole_symcere.plugin.import_hooks import offer_model
from recbole_symcere.plugin.names import data_folder
from recbole_symcere.plugin.nested_settings import NESTED, check_nested, merged
from recbole_symcere.plugin.process_patches import set_device
from recbole_symcere.plugin.run_options import RUN_GROUPS, UNLISTED_KEYS
from recbole_symcere.plugin.stock_models import is_recboles, settings_of_kind
from recbole_symcere.plugin.stock_settings import check_settings_of
from recbole_symcere.text.text_options import TextOptions

__all__ = ["as_parsed", "extend_recbole_config", "known_keys", "option_groups"]

# What decides which pairs are held out.
_SPLIT = (
    *("eval_args", "rm_dup_inter", "val_interval", "repeatable"),
    *("user_inter_num_interval", "item_inter_num_interval"),
)
# What a string stands for where its type is known before the model is; names and paths stay what
# they are even where they look like a number.
_HINTS = hints_of(*RUN_GROUPS, TextOptions) | dict.fromkeys(("model", "dataset", "run_dir"), str)


def _convert_config_dict(self: Any, settings: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """`Config._convert_config_dict` without ``eval``."""
    return as_parsed(settings)


def _update_internal_config_dict(self: Any, file: str | Path) -> Mapping[str, Any] | None:
    """`Config._update_internal_config_dict`, by libyaml: every run reads a dozen such files."""
    text = Path(file).read_text(encoding="utf-8")
    settings: Mapping[str, Any] | None = yaml.load(text, Loader=by_libyaml(self.yaml_loader))
    if settings is not None:
        self.internal_config_dict.update(settings)
    return settings


def as_parsed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose strings stand for what they mean; a new dictionary, the caller's stays."""
    return {k: _parsed(k, v) if isinstance(v, str) else v for k, v in settings.items()}


def _parsed(key: str, text: str) -> Any:
    return parse_as(text, _HINTS[key]) if key in _HINTS else parse_value(text)


def extend_recbole_config(config_class: Any, check: Callable[[Any], None]) -> None:
    """Change RecBole's Config class as this module's text says.

    A Config of RecBole's own that is of a model of ours or RecBole's is checked by ``check``.

    Our subclass sets ``common_protocol``: there the settings of ``properties/`` hold for every
    model, not only for ours.
    """
    config_class.common_protocol = False
    config_class._convert_config_dict = _convert_config_dict
    config_class._update_internal_config_dict = _update_internal_config_dict
    config_class._load_internal_config_dict = _with_our_settings(
        config_class._load_internal_config_dict
    )
    config_class._get_final_config_dict = _with_merged_dictionaries(
        config_class._get_final_config_dict
    )
    config_class._set_default_parameters = _with_found_data(config_class._set_default_parameters)
    config_class._init_device = _with_visible_devices(config_class._init_device)
    config_class.__init__ = _with_checks(config_class.__init__, check)


def _with_our_settings(load: Callable[..., None]) -> Callable[..., None]:
    """Merge our defaults and ``properties/`` after RecBole's yaml files, sample.yaml among them.

    Arguments of the process that mean nothing to RecBole are left out.
    """

    @wraps(load)
    def loaded(self: Any, model: str, model_class: type, dataset: str) -> None:
        load(self, model, model_class, dataset)
        self.recboles_split = {key: self.internal_config_dict.get(key) for key in _SPLIT}
        ours = adopt(model_class)
        if adopted(model):
            offer_model(model, lambda: model_class)  # stock functions look it up by its name
        if is_recboles(model_class):
            check_settings_of(
                model, self.external_config_dict, self.internal_config_dict, {*_HINTS}
            )
        if self.common_protocol or ours:
            groups = option_groups(model_class) if ours else ()
            self.internal_config_dict.update(defaults_of(*RUN_GROUPS, *groups))
            _merge_properties(self, model, model_class, dataset)
        if model_class.__module__.startswith(("recbole.", "recbole_symcere.")):
            # RecBole reads the arguments of whatever process it is in: a test runner, a worker
            known = {*self.file_config_dict, *self.variable_config_dict, *known_keys(self)}
            for key in self.cmd_config_dict.keys() - known:
                del self.external_config_dict[key]

    return loaded


def _merge_properties(config: Any, model: str, model_class: type, dataset: str) -> None:
    """Our yaml files, and what a kind of models that aren't ours is told."""
    family = lineage(model_class)
    names = family or [model]
    for name in ("overall", *(f"model/{name}" for name in names), f"dataset/{dataset}"):
        path = properties_path() / f"{name}.yaml"
        if path.is_file():
            config._update_internal_config_dict(path)
        if name == "overall" and not family:
            so_far = config.internal_config_dict
            so_far.update(settings_of_kind(model_class, so_far, config.external_config_dict))
    # of a data set's yaml this part is for the converter
    config.internal_config_dict.pop("convert", None)


def _with_merged_dictionaries(get_final: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Merge nested settings key by key: files into what holds, a dictionary into the files."""

    @wraps(get_final)
    def final(self: Any) -> Any:
        settings = get_final(self)
        layers = (
            self.internal_config_dict, self.file_config_dict, self.variable_config_dict,
            self.cmd_config_dict,
        )  # fmt: skip
        for key in NESTED:
            given = [layer[key] for layer in layers if key in layer]
            if given:
                settings[key] = merged(given)
        check_nested(settings)
        return settings

    return final


def option_groups(model_class: Any) -> tuple[type, ...]:
    """What one of our models and its trainer read."""
    trainer = trainer_of(model_class.__name__)
    return (*model_class.option_groups, *getattr(trainer, "option_groups", ()))


def known_keys(config: Any) -> set[str]:
    """The keys that mean something to a Config whose yaml files are loaded."""
    listed = {key for keys in config.parameters.values() for key in keys} - {"config_file"}
    return {*config.internal_config_dict, *listed, *UNLISTED_KEYS}  # nothing reads that one


def _with_checks(init: Callable[..., None], check: Callable[[Any], None]) -> Callable[..., None]:
    """Check RecBole's own Config of a model of ours or RecBole's; others may read any key."""

    @wraps(init)
    def initialised(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if self.common_protocol:
            return
        if is_ours(self.model) or is_recboles(self.model_class):
            check(self)
        if is_ours(self.model):
            _warn_of_two_splits(self)

    return initialised


def _warn_of_two_splits(config: Any) -> None:
    """Say where RecBole's own models, given the same settings, would be tested on other pairs."""
    given = (config.file_config_dict, config.variable_config_dict, config.cmd_config_dict)
    differ = []
    for key, theirs in config.recboles_split.items():
        layers = [layer[key] for layer in given if key in layer]
        holds = config.internal_config_dict.get(key)
        if merged([theirs, *layers]) != merged([holds, *layers]):
            differ.append(key)
    if differ:
        getLogger(__name__).warning(
            f"{config.model} is split by our protocol, but RecBole's own models are split by "
            f"{', '.join(differ)} as RecBole has it, so that they don't share a test set. Give "
            f"{'these' if len(differ) > 1 else 'it'} in your settings, or run all models by "
            "recbole_symcere.run_recbole."
        )


def _with_found_data(set_parameters: Callable[[Any], None]) -> Callable[..., None]:
    """Look for the data set where converted and bundled ones lie, and fit the settings to it."""

    @wraps(set_parameters)
    def found(self: Any) -> None:
        set_parameters(self)
        name = self.final_config_dict["dataset"]
        if name == "ml-100k":  # RecBole's bundled copy
            return
        wanted = Path(self.final_config_dict["data_path"]).absolute()
        named = "data_path" in self.external_config_dict
        self.final_config_dict["data_path"] = str(data_folder(wanted, name, named))
        fit_to_data(self)

    return found


def _with_visible_devices(init_device: Callable[[Any], None]) -> Callable[..., None]:
    """Keep CUDA_VISIBLE_DEVICES as it is set unless gpu_id was given (#1955, #1794).

    Each of several processes has a device of its own; RecBole knows them on GPUs alone.
    """

    @wraps(init_device)
    def initialised(self: Any) -> None:
        if set_device(self):
            return
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None and "gpu_id" not in self.external_config_dict:
            self.final_config_dict["gpu_id"] = visible
        init_device(self)

    return initialised
