"""Settings that can't be had, refused before any data are read.

The same for every model under our protocol, and for our models under RecBole's own Config.
"""

import functools
import importlib.util
import math
import re
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole
from recbole.utils import EvaluatorType, InputType, ModelType, get_model

from recbole_symcere.base import processes
from recbole_symcere.base.errors import InputError, UnknownKeyError, did_you_mean
from recbole_symcere.base.files import properties_path
from recbole_symcere.base.options import hints_of, read_options
from recbole_symcere.model.registry import MODELS, is_ours
from recbole_symcere.plugin.config_patches import known_keys, option_groups
from recbole_symcere.plugin.run_options import FILTERS, RUN_GROUPS
from recbole_symcere.plugin.stock_models import draws_nothing

__all__ = ["check_settings", "refuse_unheeded"]

_INTERVAL = re.compile(r"[\[(]\s*[-+.\deinf]+\s*,\s*[-+.\deinf]+\s*[\])]")
_PICKLES = ("save_dataset", "save_dataloaders", "dataset_save_path", "dataloaders_save_path")
_OF_OUR_RUNS = ("cold_items", "cold_users", "blend")
"""What is done by our own functions alone, and not by RecBole's `run_recbole`."""


def check_settings(config: Any) -> None:
    """Stop at the first setting of a Config that is wrong or would have no effect.

    Raises:
        InputError: naming the key, its value, and what to do.
    """
    _refuse_unknown_keys(config)
    _refuse_no_numbers(config)
    groups = option_groups(config.model_class) if is_ours(config.model) else ()
    for group in (*RUN_GROUPS, *groups):
        read_options(group, config)
    for refuse in (
        _refuse_uncomputed_metric, _refuse_unreadable_intervals, _refuse_unusable_model,
        _refuse_pickles, _refuse_labels, _refuse_devices, _refuse_half_a_refit, _refuse_blend,
        _refuse_filters_of_parts, refuse_unheeded,
    ):  # fmt: skip
        refuse(config)


def refuse_unheeded(config: Any) -> None:
    """Stop where RecBole's own functions, given a Config of RecBole's own, would do nothing.

    Raises:
        InputError: naming the key, its value, and what to do.
    """
    if config.common_protocol:
        return
    own = getattr(config.model_class, "blends", False)  # its trainer weighs its blend anywhere
    for key in _OF_OUR_RUNS:
        asked = config[key] or config.cmd_config_dict.get(key)  # of a stock model's script
        if asked and not (key == "blend" and own):
            raise InputError(
                f"{key} is {asked}, but RecBole's own functions do nothing about it for "
                f"{config['model']}. Leave it out, or run the model by "
                "recbole_symcere.run_recbole or by the command."
            )


def _refuse_unknown_keys(config: Any) -> None:
    if not config.model_class.__module__.startswith(("recbole.", "recbole_symcere.")):
        return  # a model of the user's own may read keys that we can't know
    known = known_keys(config)
    given = {**config.file_config_dict, **config.variable_config_dict}
    unknown = [key for key in given if key not in known]
    if not unknown:
        return
    elsewhere = _keys_of_all_models()
    for key in unknown:
        if key not in elsewhere:
            hint = did_you_mean(key, known) or did_you_mean(key, elsewhere)
            raise UnknownKeyError(key, f"{hint} --model={config.model} --help shows its keys.")
        getLogger(__name__).warning(f"{config.model} doesn't read the key {key!r}.")


@functools.cache
def _keys_of_all_models() -> frozenset[str]:
    """The keys of every model, so that models can share a file of settings."""
    folders = [properties_path() / "model", Path(recbole.__file__).parent / "properties" / "model"]
    files = [file for folder in folders for file in folder.glob("*.yaml")]
    read = frozenset(
        key
        for file in files
        for key in re.findall(r"(?m)^(\w+):", file.read_text(encoding="utf-8"))
    )
    return read.union(*(hints_of(*option_groups(get_model(name))) for name in MODELS))


def _refuse_no_numbers(config: Any) -> None:
    """Infinity, as 1e400 is read, and NaN."""
    for key, value in config.external_config_dict.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise InputError(f"{key} is {value!r}, but it must be a finite number.")


def _refuse_uncomputed_metric(config: Any) -> None:
    computed = [f"{metric}@{k}" for metric in config["metrics"] for k in config["topk"]]
    computed += config["metrics"]  # metrics of single values, such as AUC, have no k
    if not config["metrics"] or not config["topk"]:
        raise InputError("metrics and topk must name at least one value each.")
    if config["valid_metric"].lower() not in {name.lower() for name in computed}:
        raise InputError(
            f"valid_metric is {config['valid_metric']!r}, but only {', '.join(computed)} are "
            "computed. Change valid_metric, metrics or topk."
        )


def _refuse_unreadable_intervals(config: Any) -> None:
    """RecBole leaves out an interval that it can't read, and filters nothing."""
    intervals = {f"val_interval {k!r}": v for k, v in (config["val_interval"] or {}).items()}
    for key in ("user_inter_num_interval", "item_inter_num_interval"):
        intervals[key] = config[key]
    for key, value in intervals.items():
        if value is None or isinstance(value, list):  # a list names values of a token field
            continue
        if not all(_INTERVAL.fullmatch(part.strip()) for part in str(value).split(";")):
            raise InputError(
                f"{key} is {value!r}; expected an interval such as [5,inf) or (0,10];[20,30)."
            )


def _refuse_filters_of_parts(config: Any) -> None:
    """RecBole reads the parts of `benchmark_filename` as they are, and filters nothing.

    A run's own config.yaml tells the defaults too, so that these pass.
    """
    for key in FILTERS if config["benchmark_filename"] else ():
        value = config.external_config_dict.get(key)
        if value and value != config.internal_config_dict.get(key):
            raise InputError(
                f"{key} is {value!r}, but the parts of benchmark_filename are read as they are, "
                "and nothing is filtered. Leave it out, or filter the files before."
            )


def _refuse_blend(config: Any) -> None:
    kinds = {ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.KNOWLEDGE}
    if config["blend"] and config["MODEL_TYPE"] not in kinds:
        kind = config["MODEL_TYPE"].name.lower()
        raise InputError(
            f"blend is {config['blend']}, but {config['model']} is a {kind} model, and what is "
            "blended are scores of items for a user alone. Leave it out."
        )


def _refuse_unusable_model(config: Any) -> None:
    sampled = (config["train_neg_sample_args"] or {}).get("distribution", "none") != "none"
    compares = config["MODEL_INPUT_TYPE"] == InputType.PAIRWISE
    if compares and not sampled and not draws_nothing(config.model):
        raise InputError(
            f"{config['model']} compares items with sampled negatives, so train_neg_sample_args "
            "can't be none. Leave it out."
        )
    if config["log_wandb"] and importlib.util.find_spec("wandb") is None:
        raise InputError("log_wandb needs the package wandb: pip install wandb.")


def _refuse_pickles(config: Any) -> None:
    for key in _PICKLES:
        if config[key] and config.common_protocol:
            raise InputError(
                f"{key} makes RecBole write and read pickles, which can run any code. "
                "Leave it out: reviews and their vectors are kept in cache_dir anyway."
            )


def _refuse_half_a_refit(config: Any) -> None:
    for key in ("refit_steps", "refit_blend", "refit_of"):
        if config[key] is not None and (config["refit_of"] is None or not config.common_protocol):
            raise InputError(
                f"{key} is set by the command refit, together with refit_of, and has no effect "
                "here. Leave it out, or use: refit --run=RUN_DIR."
            )


def _refuse_labels(config: Any) -> None:
    """Labels are read by models of single rows, and by value metrics on the file's own rows."""
    modes = set(config["eval_args"]["mode"].values())
    columns = (config["load_col"] or {}).get("inter") or ()
    labelled = bool(config["threshold"]) or config["LABEL_FIELD"] in columns
    if "labeled" in modes and not labelled:
        raise InputError(
            "eval_args's mode is labeled, but the data have no labels: name the column by load_col "
            "and LABEL_FIELD, or make labels by --threshold={rating: 4}. To rank items take full."
        )
    if "labeled" in modes and config["eval_type"] == EvaluatorType.RANKING:
        raise InputError(
            "eval_args's mode is labeled, which ranks nothing, but metrics is "
            f"{config['metrics']}. Take AUC or LogLoss, or mode full."
        )
    ranks = config["MODEL_TYPE"] in {ModelType.GENERAL, ModelType.TRADITIONAL}
    if config["threshold"] and ranks and "labeled" not in modes:
        field, least = next(iter(dict(config["threshold"]).items()))
        raise InputError(
            f"threshold makes labels that {config['model']} doesn't read, so that it would have no "
            f"effect. --val_interval={{{field}: '[{least},inf)'}} keeps those interactions alone."
        )


def _refuse_devices(config: Any) -> None:
    import torch

    given = config.external_config_dict
    if "device" in given:
        raise InputError(
            f"device is {given['device']!r}, but RecBole chooses it by use_gpu and gpu_id. Give "
            "--use_gpu=False for the CPU, or --gpu_id=0 for the first accelerator."
        )
    for key in ("nproc", "world_size"):
        if given.get(key, 1) not in (1, -1) and processes.place() is None:
            raise InputError(
                f"{key} is {given[key]!r} among the settings of a run, but processes are started "
                "by the command: --nproc=2, or by run(..., nproc=2)."
            )
    if "gpu_id" in given and config["use_gpu"] and str(given["gpu_id"]).strip():
        ids = [part.strip() for part in str(given["gpu_id"]).strip("[]()").split(",")]
        if not all(part.isdigit() for part in ids if part) or not torch.cuda.is_available():
            raise InputError(
                f"gpu_id is {given['gpu_id']!r}, but there is no such device here. Leave it out, "
                "or give --use_gpu=False."
            )
