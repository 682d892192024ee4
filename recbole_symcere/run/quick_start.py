"""RecBole's quick start with its signatures: train, test once, leave everything in a folder."""

import contextlib
import logging
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recbole_symcere.base import processes
from recbole_symcere.base.errors import InputError, StorageError
from recbole_symcere.base.live_line import step
from recbole_symcere.base.storage import remove_leftovers
from recbole_symcere.evaluate.final import evaluate_final
from recbole_symcere.evaluate.floor import below_popularity
from recbole_symcere.model.registry import text_use
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.config_patches import as_parsed
from recbole_symcere.run.agreement import MAY_CHANGE, check_best, check_settings
from recbole_symcere.run.catalogue import CATALOGUE, catalogue_of, write_catalogue
from recbole_symcere.run.data_fingerprint import data_fingerprint
from recbole_symcere.run.log_lines import EpochLines, data_line, doubts_on, result_table, short_path
from recbole_symcere.run.metrics_file import plain_numbers
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.run.places import PLACES, located
from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data
from recbole_symcere.run.protocol import protocol_of, refit_facts, tie_line, validated
from recbole_symcere.run.recbole_errors import in_one_line
from recbole_symcere.run.run_directory import (
    BEST_CHECKPOINT,
    LAST_CHECKPOINT,
    PER_USER,
    RunDirectory,
    portable_settings,
    versions,
)
from recbole_symcere.run.run_log import run_log
from recbole_symcere.run.stored_run import (
    check_encoder,
    load_data_and_model,
    newest_state,
    text_mode_of,
)
from recbole_symcere.text.source import NoEncoderError

__all__ = ["load_data_and_model", "objective_function", "resume", "run_recbole"]

_log = logging.getLogger(__name__)


def run_recbole(
    model: str | type | None = None,
    dataset: str | None = None,
    config_file_list: list[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    saved: bool = True,
    queue: Any = None,
) -> dict[str, Any]:
    """Train a model of ours or RecBole's, choose the epoch on validation and test it once.

    Args:
        model: name or class.
        dataset: name of a folder under ``data_path``.
        config_file_list: yaml files.
        config_dict: settings; they win over the files.
        saved: whether to store checkpoints. Without, the last weights are tested, not the best.
        queue: gets the result too, as in RecBole.

    Returns:
        RecBole's keys best_valid_score, valid_score_bigger, best_valid_result and test_result, and
        run_dir, the folder that holds config.yaml, metrics.json, per_user.parquet, run.log and
        checkpoint/.

    Raises:
        InputError: for a mistake in the settings or the data.
        DivergedError: if training diverges.
    """
    config = Config(model, dataset, config_file_list, config_dict)
    folder = RunDirectory.new(config)
    with folder.locked():
        folder.write_config(config)
        result = _run(config, folder, saved)
    if queue is not None:
        queue.put(result)
    return result


def resume(run_dir: str | Path, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Go on with a run that was stopped, after its last finished epoch.

    On a CPU it ends with the weights and metrics of a run that was never stopped. Data, cache and
    text encoder that moved together with the run's folder are found.

    Args:
        run_dir: the run's folder.
        changes: new values of ``epochs``, ``stopping_step`` or ``show_progress``, and new places:
            ``data_path``, ``cache_dir``, ``text_encoder``.

    Returns:
        What `run_recbole` returns.

    Raises:
        InputError: if the folder holds no run or what it holds is damaged or doesn't fit, its data
            have changed, or another setting is given.
    """
    refuse_missing_run(run_dir, "resume")
    folder, changes = RunDirectory(Path(run_dir)), as_parsed(changes or {})
    stored = folder.read_config()
    _check_changes(changes, stored)
    with folder.locked():
        state = newest_state(folder)
        known = folder.check_fingerprint(state["data_fingerprint"] if state else None)
        settings = {**stored, **{key: changes[key] for key in MAY_CHANGE & changes.keys()}}
        settings = located(settings, folder.path, changes, known)
        has_changed = settings != stored
        model, name = settings.pop("model"), settings.pop("dataset")
        if state is not None and text_use(model) == "batch":
            settings["text_mode"] = text_mode_of(state)
        config = Config(model, name, config_dict=settings)
        if state is not None:
            whole = portable_settings(config)
            check_settings(folder, state, "the checkpoint that it would go on from", whole)
        if has_changed:
            folder.write_config(config)
        try:
            return _run(config, folder, saved=True, resumed=True, state=state)
        except NoEncoderError as error:
            raise NoEncoderError(f"{error} If it was moved, name it: --text_encoder=DIR.") from None


def _check_changes(changes: dict[str, Any], stored: dict[str, Any]) -> None:
    """Stop at a setting that would make a resumed run another one."""
    for key in changes:
        if key not in {*MAY_CHANGE, *PLACES}:
            raise InputError(
                f"{key} can't change when a run is resumed; only "
                f"{', '.join([*sorted(MAY_CHANGE), *PLACES])} can. Start a new run for anything "
                "else."
            )
    if "epochs" in changes and stored.get("refit_of") is not None:
        raise InputError(
            f"epochs can't change in a refit, which takes the steps of the run "
            f"{stored['refit_of']}. Leave it out."
        )


def _run(
    config: Any,
    folder: RunDirectory,
    saved: bool,
    resumed: bool = False,
    state: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Prepare, train, evaluate, write; a resumed run goes on from ``state``, if there is one."""
    cache = Path(config["cache_dir"])
    if processes.is_first():
        remove_leftovers(cache, cache / "tokens", cache / "vectors")
    with _telling_how_to_go_on(folder):
        return _whole_run(config, folder, saved, resumed, state)


@contextlib.contextmanager
def _telling_how_to_go_on(folder: RunDirectory) -> Iterator[None]:
    """Let what stops a run say by which command it goes on, if it has a finished epoch."""
    try:
        yield
    except (KeyboardInterrupt, StorageError, RuntimeError) as stop:
        if isinstance(stop, RuntimeError) and processes.place() is None:
            raise
        if any((folder.path / file).is_file() for file in (LAST_CHECKPOINT, BEST_CHECKPOINT)):
            path = short_path(folder.path)
            stop.add_note(f"--resume={path} goes on after the last finished epoch")
        raise


def _whole_run(
    config: Any,
    folder: RunDirectory,
    saved: bool,
    resumed: bool,
    state: dict[str, Any] | None,
) -> dict[str, Any]:
    config["run_dir"] = str(folder.path)
    config["checkpoint_dir"] = str(folder.path / "checkpoint")
    with run_log(folder.path, config["state"] or "INFO"):
        started = time.perf_counter()
        logging.getLogger().info(config)
        fingerprint = _checked_fingerprint(config, folder, resumed)
        train_data, valid_data, test_data, model, trainer = _prepare(config)
        # where the bar is enough the lines go to run.log alone
        say = (logging.getLogger() if config["show_progress"] else _log).info
        trainer.on_epoch = EpochLines(config, say)
        if state is not None:
            check_encoder(model, state)
            trainer.go_on_from(state, train_data)
            check_best(folder, trainer)
            _log.info(f"going on after epoch {trainer.start_epoch - 1}")
        prepared = time.perf_counter() - started
        step("training")
        with in_one_line(config, "trained"):
            best_score, best_result = trainer.fit(train_data, valid_data, saved=saved)
        started = time.perf_counter()
        step("testing")
        with in_one_line(config, "tested"):
            final = evaluate_final(trainer, train_data, test_data, load_best=saved)
            tested = validated(trainer, saved)
            below = below_popularity(trainer, tested["valid"], train_data, valid_data)
        trainer.tensorboard.flush()  # one of several processes ends without good-byes
        epochs = trainer.history
        seconds = {
            "prepare": prepared,
            "train": trainer.further_seconds
            + sum(e["seconds"] + e.get("valid_seconds", 0.0) for e in epochs),
            "evaluate": time.perf_counter() - started,
        }
        metrics = {
            "model": config["model"],
            "dataset": config["dataset"],
            "seed": config["seed"],
            **tested,
            "test": plain_numbers(final.test),
            "beyond": final.beyond,
            "epochs_run": len(epochs),
            "seconds": seconds,
            "peak_memory_mb": _peak_memory_mb(),
            "device": str(config["device"]),
            "world_size": processes.count(),
            "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "data": _counts(train_data, valid_data, test_data),
            "protocol": protocol_of(config, model, (train_data, valid_data, test_data), saved),
            "versions": versions(),
            "notice": "\n".join([*doubts_on(config), *below]) or None,
            "data_fingerprint": fingerprint,
            **refit_facts(config),
            **trainer.facts(),
            "history": epochs,
        }
        step(f"writing {short_path(folder.path)}")
        if final.columns:
            written = folder.write_per_user(final.users, final.n_test, final.columns)
            metrics[PER_USER] = written
        known = catalogue_of(train_data.dataset, (train_data, valid_data, test_data))
        metrics[CATALOGUE] = write_catalogue(folder.path, known)
        folder.write_metrics(metrics)
        for sentence in below:
            _log.warning(sentence)
        rated = config["RATING_FIELD"] in train_data.dataset.inter_feat.columns
        _log.info(result_table(metrics, folder.path, rated), extra={"is_result": True})
    return {
        "best_valid_score": best_score,
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": best_result,
        "test_result": final.test,
        "run_dir": str(folder.path),
    }


def _checked_fingerprint(config: Any, folder: RunDirectory, resumed: bool) -> str:
    """The data's fingerprint; on resuming it must be the one the run began with."""
    step(f"reading {config['dataset']}")
    began_with = folder.read_fingerprint() if resumed else None
    found = data_fingerprint(config, began_with)
    if began_with not in {None, found}:
        raise InputError(
            f"The data set {config['dataset']} in {config['data_path']} has changed since this run "
            "began, so it can't go on. Start a new run, or name the run's own data: "
            "--data_path=DIR."
        )
    folder.write_fingerprint(found)
    config["data_fingerprint"] = found
    return found


def _prepare(config: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Data loaders, model and trainer."""
    dataset = read_dataset(config)
    _log.info(data_line(config, dataset))
    for doubt in doubts_on(config):
        _log.warning(doubt)
    step("splitting")
    train_data, valid_data, test_data = split_data(config, dataset)
    said = tie_line(config, train_data.dataset)
    if said:
        _log.info(said)
    step(f"building {config['model']}")
    model = build_model(config, train_data)
    logging.getLogger().info(model)
    return train_data, valid_data, test_data, model, build_trainer(config, model)


def _counts(train_data: Any, valid_data: Any, test_data: Any) -> dict[str, int]:
    parts = {"train": train_data, "valid": valid_data, "test": test_data}
    counts = {name: len(loader.dataset.inter_feat) for name, loader in parts.items()}
    return {
        "users": train_data.dataset.user_num - 1,  # RecBole counts the padding id
        "items": train_data.dataset.item_num - 1,
        **counts,
    }


def _peak_memory_mb() -> float:
    """Peak resident memory of this process, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB here
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def objective_function(
    config_dict: dict[str, Any] | None = None,
    config_file_list: list[str] | None = None,
    saved: bool = True,
) -> dict[str, Any]:
    """RecBole's objective of HyperTuning: one run, quiet, with RecBole's result.

    Differs from RecBole: nothing is reported to Ray, and strings are never run as code.
    """
    config = Config(config_dict=config_dict, config_file_list=config_file_list)
    train_data, valid_data, test_data, _, trainer = _prepare(config)
    best_score, best_result = trainer.fit(train_data, valid_data, verbose=False, saved=saved)
    return {
        "model": config["model"],
        "best_valid_score": best_score,
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": best_result,
        "test_result": trainer.evaluate(test_data, load_best_model=saved),
    }
