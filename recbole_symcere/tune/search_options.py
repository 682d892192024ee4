"""The options of a search, beside the settings of its runs."""

from dataclasses import dataclass
from typing import Literal

from recbole_symcere.base.options import option

__all__ = ["SearchOptions"]


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How to search."""

    params_file: str | None = option(
        None, "the search space, YAML or RecBole's .hyper; properties/tune/MODEL.yaml if not given"
    )
    search: Literal["random", "grid", "optuna"] = option(
        "random", "how settings are drawn; optuna is its tree-structured Parzen estimator"
    )
    scheduler: Literal["asha", "hyperband", "pbt", "median", "none"] = option(
        "asha", "which trials are ended early"
    )
    num_samples: int = option(
        12, "number of trials, the first with the model's own settings; a grid has its own trials",
        minimum=1,
    )  # fmt: skip
    grace_steps: int | None = option(
        None,
        "gradient steps that every trial gets (asha, median) or between two changes (pbt), counted "
        "to the next validation; if not given 1,000 or those of a 20th of epochs, whichever are "
        "more (with pbt those of a 20th)",
        minimum=1,
    )
    reduction_factor: float = option(
        3.0, "asha and hyperband: one of so many trials goes on at each step", above=1
    )
    cpus_per_trial: float = option(1.0, "CPU cores of a trial", above=0)
    gpus_per_trial: float | None = option(
        None, "GPUs of a trial, such as 0.5 for two on one; one if there is any, if not given",
        minimum=0,
    )  # fmt: skip
    nproc: int | None = option(
        None, "processes of a trial, each with a GPU of its own; as many as it has GPUs, if not "
        "given", minimum=1,
    )  # fmt: skip
    max_concurrent: int | None = option(
        None, "most trials at a time; what cores, GPUs and memory allow, if not given", minimum=1
    )
    max_failures: int = option(
        1, "how often a trial that fails is tried again, from its last epoch", minimum=0
    )
    refit: bool = option(True, "whether the best settings are trained once more and tested")
    ray_address: str | None = option(
        None, "an existing Ray cluster: auto or host:port; one is started here if not given"
    )
    out: str | None = option(
        None, "the search's folder, on a cluster one that every node sees; a new one below "
        "runs_dir if not given",
    )  # fmt: skip
