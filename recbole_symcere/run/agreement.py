"""Whether settings, checkpoints and results in one run's folder belong together."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin import checkpoint
from recbole_symcere.plugin.config_patches import as_parsed
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.run.places import PLACES
from recbole_symcere.run.run_directory import BEST_CHECKPOINT, RunDirectory
from recbole_symcere.run.settings_before import completed

__all__ = ["MAY_CHANGE", "check_best", "check_results", "check_settings", "run_folder"]

_log = logging.getLogger(__name__)

MAY_CHANGE = frozenset({"epochs", "stopping_step", "show_progress"})
"""What a resumed run may be told anew; anything else would make it another run."""

_NONE: Mapping[str, Any] = MappingProxyType({})
# They decide where something lies or how much is said, not what comes out.
_BESIDE = MAY_CHANGE | {*PLACES, "runs_dir", "state"}


def check_settings(
    folder: RunDirectory, state: Mapping[str, Any], name: str, others: Mapping[str, Any] = _NONE
) -> None:
    """Stop if config.yaml tells other settings than those that a checkpoint was trained with.

    What one of both lacks isn't compared: another version may know settings that this one doesn't.

    Args:
        folder: the run's.
        state: what the checkpoint holds.
        name: what the message calls it.
        others: what is in force for settings that config.yaml lacks.

    Raises:
        InputError: with every setting that differs and both of its values.
    """
    there = as_parsed({**others, **folder.read_config()})
    stored = as_parsed(completed(state.get("settings") or state["config"]))
    keys = there.keys() & stored.keys()
    if "settings" not in state:  # an earlier version stored what was given alone, as it was given
        keys = {key for key in keys if _plain(there[key]) and _plain(stored[key])}
    if "auto" in {there.get("text_mode"), stored.get("text_mode")}:
        keys -= {"text_mode"}  # the weights tell what it was
    differ = [
        f"{key} is {_shown(there[key])} in config.yaml, {_shown(stored[key])} in the checkpoint"
        for key in sorted(keys - _BESIDE)
        if _shown(there[key]) != _shown(stored[key])
    ]
    if differ:
        raise InputError(
            f"{folder.path / 'config.yaml'} doesn't fit {name}: {'; '.join(differ)}. If "
            "config.yaml was edited, put the checkpoint's values back, or start a new run with "
            f"it: --config_files={folder.path / 'config.yaml'} --run_dir=NEW. If the checkpoint "
            "is of another run, put this run's own there."
        )


def _plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)


def _shown(value: Any) -> str:
    """A value in one way, whether it comes from YAML or from JSON."""
    number = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if number else value, sort_keys=True, default=str)


def check_best(folder: RunDirectory, trainer: Any) -> None:
    """Stop a resumed run whose best checkpoint isn't the one that its last checkpoint tells of.

    A best checkpoint that is damaged is written anew if the trainer has its weights.

    Raises:
        InputError: if it is lost, or of another epoch or run.
    """
    best_epoch = trainer.best_so_far[1]
    if best_epoch is None:
        return
    last_epoch, file = trainer.history[-1]["epoch"], folder.path / BEST_CHECKPOINT
    again = f"Start a new run: --config_files={folder.path / 'config.yaml'}."
    try:
        state = checkpoint.load(file)
    except checkpoint.DamagedError as error:
        if last_epoch != best_epoch:
            raise InputError(
                f"{error} Its weights, of epoch {best_epoch}, are nowhere else, so the run can't "
                f"be tested. {again}"
            ) from None
        if file.exists():
            _log.warning(f"{error} It is written anew: the last epoch is the best one.")
        trainer.store_best()
        return
    check_settings(folder, state, file.name)
    # a kill between the two files leaves one of them an epoch behind
    if last_epoch == best_epoch == state["epoch"] + 1:
        trainer.store_best()
    elif state["epoch"] not in {best_epoch, last_epoch + 1}:
        raise InputError(
            f"{file} is of epoch {state['epoch']}, but the best epoch of this run is {best_epoch}. "
            f"Put the run's own file there. {again}"
        )


def check_results(folder: RunDirectory, state: Mapping[str, Any]) -> None:
    """Stop if the best checkpoint isn't that of config.yaml and metrics.json.

    Raises:
        InputError: if it is of other settings, or another epoch was tested.
    """
    check_settings(folder, state, BEST_CHECKPOINT.name)
    metrics = folder.read_metrics()
    if metrics is None:
        return
    tested, stored = metrics["best_epoch"], state["epoch"]
    values = {k: float(v) for k, v in (state.get("best_valid_result") or {}).items()}
    if stored >= metrics["epochs_run"]:
        return  # it has been trained on since
    if tested not in {None, stored} or (values and values != metrics["valid"]):
        raise InputError(
            f"{folder.path / BEST_CHECKPOINT} isn't the one that metrics.json tells of: it is of "
            f"epoch {stored} with {values}, but epoch {tested} with {metrics['valid']} was tested. "
            "Put the run's own file there, or train it again."
        )


def run_folder(path: str) -> RunDirectory:
    """The folder of a run that has a checkpoint.

    Raises:
        InputError: if there is none.
    """
    refuse_missing_run(path)
    folder = RunDirectory(Path(path))
    folder.read_config()
    if not (folder.path / BEST_CHECKPOINT).is_file():
        raise InputError(
            f"--run={path}: the run has no checkpoint/best.safetensors. Let it finish its first "
            f"epoch: --resume={path}."
        )
    return folder
