"""Train a finished run's settings on everything: the way from an experiment to its use.

The model is trained on the interactions of all three splits, for as many optimizer steps as the
run's best epoch had taken. An epoch has more batches now, so that there are fewer of them, and the
last one is cut. Of two phases each takes its own steps; a phase that was not kept is left out. Of
models that learn by counting (Pop, ItemKNN, EASE) nothing is cut: their one pass sees everything.
Weights of a blend are those that the run chose for it. Nothing is left to choose or test on.
"""

import gc
import math
from pathlib import Path
from typing import Any

from recbole.utils import ModelType

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step
from recbole_symcere.base.options import read_options
from recbole_symcere.model.base import GraphRecommender
from recbole_symcere.model.blend_options import BlendOptions
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.agreement import check_results
from recbole_symcere.run.blend_trainer import TOLD_BESIDE
from recbole_symcere.run.log_lines import short_path
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.run.quick_start import run_recbole
from recbole_symcere.run.run_directory import BEST_CHECKPOINT, RunDirectory, portable_settings
from recbole_symcere.run.stored_run import load_data, refuse_other_blend

__all__ = ["refit"]


def refit(
    run_dir: str | Path,
    to: str | Path | None = None,
    places: dict[str, str | None] | None = None,
) -> dict[str, Any]:
    """Train a run's settings on everything.

    Args:
        run_dir: the run's folder.
        to: folder of the new run; by default beside it, with "-refit" after its name.
        places: where the run's things are now, see `load_data_and_model`.

    Returns:
        What `run_recbole` returns; there is no result in it.

    Raises:
        InputError: if there is no such run, it has not finished, or it holds nothing out.
    """
    folder, metrics = _finished(run_dir)
    step("loading the run")
    state = checkpoint.load(folder.path / BEST_CHECKPOINT)
    check_results(folder, state)
    if metrics["best_epoch"] not in {None, state["epoch"]}:
        raise InputError(
            f"{folder.path} was trained on after it had been tested. Let it finish: "
            f"--resume={run_dir}."
        )
    new = Path(to) if to is not None else folder.path.with_name(f"{folder.path.name}-refit")
    if (new / "config.yaml").exists():
        raise InputError(
            f"{new} holds a run already. Go on with it by --resume={new}, or name another folder "
            "by --run_dir=DIR."
        )
    settings = _settings(folder, metrics, state, places or {})
    gc.collect()  # the first reading of the data
    model, dataset = settings.pop("model"), settings.pop("dataset")
    settings["run_dir"] = str(new)
    return run_recbole(model, dataset, config_dict=settings)


def _finished(run_dir: str | Path) -> tuple[RunDirectory, dict[str, Any]]:
    """The folder of a run that can be trained on everything, and its metrics.json."""
    refuse_missing_run(run_dir)
    folder = RunDirectory(Path(run_dir))
    folder.read_config()
    metrics = folder.read_metrics()
    if metrics is None:
        raise InputError(
            f"--run={run_dir}: the run hasn't finished, it has no metrics.json, so its best epoch "
            f"isn't known. Let it go on: --resume={run_dir}."
        )
    if not (folder.path / BEST_CHECKPOINT).is_file():
        raise InputError(
            f"--run={run_dir}: the run has no {BEST_CHECKPOINT}. Train it again: "
            f"--config_files={folder.path / 'config.yaml'}."
        )
    if not metrics["data"]["valid"] and not metrics["data"]["test"]:
        raise InputError(
            f"--run={run_dir}: the run was trained on everything already; nothing is left to add."
        )
    return folder, metrics


def _settings(
    folder: RunDirectory,
    metrics: dict[str, Any],
    state: dict[str, Any],
    places: dict[str, str | None],
) -> dict[str, Any]:
    """The settings of the run, as they are trained on everything."""
    config, _, loaders = load_data(folder.path / BEST_CHECKPOINT, state, places)
    epochs = _epochs(metrics)
    settings = portable_settings(config)
    settings |= {"refit_of": short_path(folder.path), "cold_items": 0, "cold_users": 0}
    if state.get("blend_names") is not None:
        refuse_other_blend(state, ["model", *read_options(BlendOptions, config).experts], False)
    told = metrics.get("blend", {})
    told = told.get("refit", told)
    blend = {name: weight for name, weight in told.items() if name not in TOLD_BESIDE}
    if blend:
        settings["refit_blend"] = blend
    if config["MODEL_TYPE"] == ModelType.TRADITIONAL:
        return settings
    # more interactions make more batches, so that the steps are done after at most as many epochs
    size = metrics.get("batches_per_propagation", 1)
    steps = math.ceil(len(loaders[0]) / size)
    settings |= {"epochs": sum(epochs), "refit_steps": [n * steps for n in epochs]}
    if issubclass(config.model_class, GraphRecommender):
        settings["batches_per_propagation"] = size  # more data would have more to a step
    if "phases" in metrics:
        settings["first_phase_epochs"] = epochs[0]
    return settings


def _epochs(metrics: dict[str, Any]) -> list[int]:
    """How many epochs it took to the weights that were tested, phase by phase."""
    if "phases" not in metrics:
        best = metrics["best_epoch"]
        return [metrics["epochs_run"] if best is None else best + 1]
    epochs, begun = [], 0
    for phase in metrics["phases"][: metrics["kept_phase"]]:
        best = phase["best_epoch"]
        epochs.append(phase["epochs"] if best is None else best + 1 - begun)
        begun += phase["epochs"]
    return epochs
