"""What can be wrong with the parameters of a search space as a whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.tune.parameter import Parameter

__all__ = ["check_conditions", "check_keys"]

# Settings that change what a score means, or (history_scope, refit_of) buy it with held-out data.
_PROTOCOL = frozenset(
    {
        *("model", "dataset", "data_path", "benchmark_filename", "load_col", "val_interval"),
        *("rm_dup_inter", "user_inter_num_interval", "item_inter_num_interval"),
        *("metrics", "topk", "valid_metric", "valid_metric_bigger", "metric_decimal_place"),
        *("eval_args", "repeatable", "history_scope"),
        *("threshold", "filter_inter_by_user_or_item"),
        *("tie_order", "tie_seed", "split_seed", "allow_repeats", "cold_items", "cold_users"),
        *("text_control", "text_control_seed", "refit_of", "refit_steps", "refit_blend"),
    }
)
# Settings that say where and how a run runs, not what it learns: the search sets them itself, or
# they are the same for every trial.
_MACHINE = frozenset(
    {
        *("run_dir", "runs_dir", "cache_dir", "checkpoint_dir", "eval_step", "eval_batch_size"),
        *("gpu_id", "use_gpu", "device", "worker", "local_rank", "nproc", "world_size", "offset"),
        *("ip", "port", "state", "encoding", "show_progress", "log_wandb", "wandb_project"),
        *("reproducibility", "save_dataset", "save_dataloaders", "dataset_save_path"),
        *("dataloaders_save_path", "config_files"),
    }
)

# Settings of what happens after a run's training; trials end before it.
_AFTERWARDS = frozenset({"blend", "blend_ease_exact"})


def check_conditions(parameters: Sequence[Parameter], source: str) -> None:
    """Refuse an empty space, a name that comes twice, and conditions that can't be met.

    Raises:
        InputError: the message names ``source`` and the key.
    """
    if not parameters:
        raise InputError(
            f"{source} is empty; give at least one setting to tune, such as "
            "learning_rate: {loguniform: [0.0001, 0.01]}."
        )
    names = {parameter.name for parameter in parameters}
    earlier: dict[str, Parameter] = {}
    for parameter in parameters:
        if parameter.name in earlier:
            raise InputError(f"{source}: {parameter.name} comes twice.")
        for key, values in parameter.when.items():
            here = f"{source}: {parameter.name} has the condition {key}: {list(values)!r}, but"
            if key == parameter.name:
                raise InputError(f"{here} a setting can't be its own condition.")
            if key in earlier:
                _check_values(here, earlier[key], values)
            elif key in names:
                raise InputError(f"{here} {key} comes later; write it above {parameter.name}.")
        earlier[parameter.name] = parameter


def _check_values(here: str, other: Parameter, values: Sequence[Any]) -> None:
    if other.continuous:
        raise InputError(f"{here} {other.name} is {other.kind}; it needs listed values.")
    for value in values:
        if not other.allows(value):
            raise InputError(
                f"{here} {other.name} never is {value!r}; it is {other.kind}: {other.words()}."
                f"{did_you_mean(str(value), map(str, other.values))}"
            )


def check_keys(
    parameters: Sequence[Parameter], source: str, known: set[str], given: set[str]
) -> None:
    """Compare the keys with those that the model has and those that the user has fixed.

    Raises:
        InputError: see ``SearchSpace.check``.
    """
    for parameter in parameters:
        for key in (parameter.name, *parameter.when):
            if key not in known:
                raise InputError(
                    f"{source}: the model has no setting {key!r}.{did_you_mean(key, known)}"
                )
        if parameter.name in given:
            raise InputError(
                f"{parameter.name} is tuned in {source} and also given as "
                f"--{parameter.name}; leave out one of them."
            )
        _check_tunable(parameter, source)


def _check_tunable(parameter: Parameter, source: str) -> None:
    if parameter.name == "seed":
        raise InputError(f"{source}: seed can't be tuned; trial n is trained with --seed + n.")
    if parameter.name in _PROTOCOL:
        raise InputError(
            f"{source}: {parameter.name} can't be tuned, because scores of trials "
            f"that differ in it can't be compared; give --{parameter.name} instead."
        )
    if parameter.name in _MACHINE:
        raise InputError(
            f"{source}: {parameter.name} can't be tuned, because it says where or how a run "
            f"runs, not what it learns; give --{parameter.name} instead."
        )
    if parameter.name in _AFTERWARDS:
        raise InputError(
            f"{source}: {parameter.name} can't be tuned, because trials are compared without the "
            f"blend, whose weights are chosen after training; give --{parameter.name} instead."
        )
    for value in parameter.values if parameter.name == "text_encoder" else ():
        if Path(str(value)).is_dir() and not Path(str(value)).is_absolute():
            raise InputError(
                f"{source}: text_encoder {value} is a folder, and trials stand in folders of "
                f"their own; write {Path(str(value)).absolute()}."
            )
