"""The options of a search, beside the settings of its runs."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from recbole_symcere.options import option, read_options
from recbole_symcere.settings import parse_value

__all__ = ["SearchOptions", "take_options"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How to search.

    Attributes:
        search: random or grid, or optuna for Optuna's tree-structured Parzen estimator.
        scheduler: which trials to end early; see `recbole_symcere.tune.schedulers`.
        num_samples: number of trials; a grid has its own.
        grace_period: epochs that every trial gets (asha, median) or between two changes (pbt); None
            for a twentieth of ``epochs``, at most a third of ``stopping_step``.
        reduction_factor: asha and hyperband keep one of so many trials at each step.
        cpus_per_trial: CPU cores of a trial.
        gpus_per_trial: GPUs of a trial, such as 0.5 for two trials on one; None for one GPU if
            there is any, else none.
        max_concurrent: most trials at a time; None for what cores, GPUs and memory allow.
        max_failures: how often a trial that fails is tried again, from its last epoch.
        ray_address: an existing cluster, such as auto or host:6379; None starts one here.
        params_file: the search space; None for the one of the model in ``properties/tune``.
        refit: whether the best configuration is trained once more and tested.
        out: the folder of the search; None for a new one below ``runs_dir``. On a cluster every
            node must see it.
    """

    search: Literal["random", "grid", "optuna"]
    scheduler: Literal["asha", "hyperband", "pbt", "median", "none"]
    params_file: str | None
    out: str | None
    ray_address: str | None
    refit: bool
    num_samples: int = option(minimum=1)
    grace_period: int | None = option(minimum=1)
    reduction_factor: float = option(above=1)
    cpus_per_trial: float = option(above=0)
    gpus_per_trial: float | None = option(minimum=0)
    max_concurrent: int | None = option(minimum=1)
    max_failures: int = option(minimum=0)


_DEFAULTS: Mapping[str, Any] = {
    "search": "random",
    "scheduler": "asha",
    "params_file": None,
    "out": None,
    "ray_address": None,
    "num_samples": 12,
    "grace_period": None,
    "reduction_factor": 3.0,
    "cpus_per_trial": 1.0,
    "gpus_per_trial": None,
    "max_concurrent": None,
    "max_failures": 1,
    "refit": True,
}
_TEXT = {"params_file", "out", "ray_address"}


def take_options(pairs: dict[str, Any]) -> SearchOptions:
    """Take the search's options out of ``pairs``; what is left are settings of the runs.

    Raises:
        InputError: for a wrong type or value; the message names the option.
    """
    values = dict(_DEFAULTS)
    for name in _DEFAULTS.keys() & pairs.keys():
        value = pairs.pop(name)
        parsed = isinstance(value, str) and (name not in _TEXT or value.lower() == "none")
        values[name] = parse_value(value) if parsed else value
    values["scheduler"] = values["scheduler"] or "none"  # the word none stands for nothing
    return read_options(SearchOptions, values)
