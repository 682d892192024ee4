"""Ray Tune search: selects on validation, ends bad trials early, survives a kill.

The search's folder holds everything that it needs to go on: search.json, the space, and trials.json
with every trial that has ended. Nothing of Ray's own pickled state is read back.
"""

import contextlib
import dataclasses
import json
import logging
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.fast_yaml import written_yaml
from recbole_symcere.base.files import write_bytes
from recbole_symcere.base.live_line import showing, step
from recbole_symcere.base.storage import storage_cause
from recbole_symcere.plugin.compat_ray import ray_api
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.config_patches import known_keys
from recbole_symcere.run import quick_start
from recbole_symcere.run.data_fingerprint import data_fingerprint
from recbole_symcere.run.log_lines import short_path
from recbole_symcere.run.ray_cluster import connected
from recbole_symcere.run.run_directory import (
    LAST_CHECKPOINT,
    RunDirectory,
    fixed_settings,
    portable_settings,
    versions,
)
from recbole_symcere.run.settings_before import completed
from recbole_symcere.tune.beginning import config_of, new_folder, space_of
from recbole_symcere.tune.cluster import trial_resources
from recbole_symcere.tune.outcome import say_outcome, say_places, write_outcome
from recbole_symcere.tune.search_options import SearchOptions
from recbole_symcere.tune.space import SearchSpace
from recbole_symcere.tune.trial_table import Mode, TrialRecord, best

__all__ = ["SearchResult", "resume", "search"]

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        out: its folder.
        trials: a record per trial, in the order in which they ended.
        best: the trial with the best validation value.
        refit: what `run_recbole` returned for the best configuration: validation and test; None
            if the options leave it out.
    """

    out: Path
    trials: tuple[TrialRecord, ...]
    best: TrialRecord
    refit: dict[str, Any] | None


def search(
    model: str | None,
    dataset: str | None,
    settings: Mapping[str, Any] | None = None,
    files: Sequence[str] = (),
    options: SearchOptions | None = None,
) -> SearchResult:
    """Search the settings of a model, then train the best ones once more and test them once.

    Args:
        model: name of a model, ours or RecBole's.
        dataset: name of the data set.
        settings: fixed settings, as of `run_recbole`.
        files: yaml files of fixed settings.
        options: how to search; by default 12 random trials under ASHA.

    Raises:
        InputError: for a mistake in settings, space, resources or address, before any training.
        KeyboardInterrupt: if it was stopped; `resume` goes on.
    """
    options = options or SearchOptions()
    config = Config(model, dataset, [*files], settings)
    space = space_of(config, settings or {}, options)
    out = new_folder(config, options)
    fixed = fixed_settings(config)
    kept_space = out / f"space{Path(space.source).suffix}"
    write_bytes(kept_space, Path(space.source).read_bytes())  # which may be that file itself
    manifest = {
        "settings": fixed,
        "space": kept_space.name,
        "options": dataclasses.asdict(options) | {"out": None, "params_file": None},
        "data_fingerprint": data_fingerprint(config),
        "versions": versions(),
    }
    write_bytes(out / "search.json", json.dumps(manifest, indent=1).encode())
    try:
        return _search(out, fixed, space, options, [])
    except InputError:
        if not (out / "trials.json").is_file():
            (out / "search.json").unlink()  # nothing to go on with: the folder is free again
        raise


def resume(out: str | Path, ray_address: str | None = None) -> SearchResult:
    """Go on with a search that was stopped: trials that had ended are kept, others start anew.

    Args:
        out: the search's folder.
        ray_address: the cluster, if it has another address now.

    Raises:
        InputError: if the folder holds no search, or its data have changed.
    """
    out = Path(out).absolute()
    file = out / "search.json"
    if not file.is_file():
        raise InputError(f"{out} holds no search: it has no search.json.")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        options = SearchOptions(**manifest["options"])
        fixed, space_file = completed(manifest["settings"]), out / manifest["space"]
        fingerprint = manifest["data_fingerprint"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file} can't be read ({error}); start a new search.") from None
    if data_fingerprint(config_of(fixed), fingerprint) != fingerprint:
        raise InputError(
            f"The data set {fixed['dataset']} has changed since the search in {out} began, so its "
            "trials can't be compared with new ones. Start a new search."
        )
    from recbole_symcere.tune.monitor import read_records

    if ray_address:
        options = dataclasses.replace(options, ray_address=ray_address)
    ended = read_records(out / "trials.json")
    return _search(out, fixed, SearchSpace.load(space_file), options, ended)


def _search(
    out: Path,
    fixed: dict[str, Any],
    space: SearchSpace,
    options: SearchOptions,
    ended: list[TrialRecord],
) -> SearchResult:
    with RunDirectory(out).locked(), _telling_how_to_go_on(out):
        config = config_of(fixed)
        mode: Mode = "max" if config["valid_metric_bigger"] else "min"
        space = space.bind({key: config[key] for key in known_keys(config)})
        trials = _run_trials(out, fixed, config, space, options, ended, mode)
        metric = config["valid_metric"]
        step("drawing the search")
        write_outcome(out, trials, metric, mode, space)
        winner = best(trials, mode)
        if winner is None:
            raise InputError(f"No trial has a validation value; {out / 'trials.md'} says why.")
        say_outcome(trials, winner, metric, mode)
        step("training the best settings once more")
        refit = _refit(out, fixed, winner, options.refit)
    say_places(out, trials)
    return SearchResult(out, tuple(trials), winner, refit)


@contextlib.contextmanager
def _telling_how_to_go_on(out: Path) -> Iterator[None]:
    # in the place of what the refit's own run says
    notes = [f"tune --resume={short_path(out)} goes on with the search"]
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.__notes__ = notes
        raise
    except Exception as error:
        cause = storage_cause(error)  # Ray puts an error of its own in the place of any
        if cause is None:
            raise
        cause.__notes__ = notes
        raise cause from error


def _run_trials(
    out: Path,
    fixed: dict[str, Any],
    config: Config,
    space: SearchSpace,
    options: SearchOptions,
    ended: list[TrialRecord],
    mode: Mode,
) -> list[TrialRecord]:
    """Run what is left of the search; returns the records in the order of their end."""
    step("starting Ray")
    with connected(options.ray_address):
        from ray import tune

        from recbole_symcere.tune import schedulers, searchers
        from recbole_symcere.tune.monitor import Monitor
        from recbole_symcere.tune.trial import prepare_job, run_trial

        one_seed = _drawn_with_the_seed(config["eval_args"])
        searcher, n_trials = searchers.make_searcher(
            options, space, mode, config, one_seed, ended, out / "optuna.log"
        )
        left = n_trials - len(ended)
        if left <= 0:
            return ended
        resources, concurrent = trial_resources(options)
        started = time.perf_counter()
        step("preparing what all trials share")
        job = prepare_job(config, fixed, max(1, int(resources["cpu"])))
        job.nproc = options.nproc or max(1, int(resources["gpu"]))
        prepared = time.perf_counter() - started
        scheduler = schedulers.make_scheduler(
            options, space, config["epochs"], job.steps_per_epoch, mode, config["eval_step"]
        )
        terminal.tell(space.describe())
        terminal.tell(
            f"{left} trials, {min(concurrent, left)} at a time, each with {resources['cpu']:g} CPU "
            f"and {resources['gpu']:g} GPU; data, tokens and text vectors prepared once in "
            f"{prepared:.1f} s"
        )
        schedulers.remember(scheduler, ended)
        records = out / "trials.json"
        monitor = Monitor(records, ended, searcher, config["valid_metric"], mode, n_trials)
        api = ray_api()
        population = isinstance(searcher, searchers.Population)
        if population:
            job.configs = searcher.configs
        # these compare trials that are all alive: those that don't fit are paused, not held back
        together = options.scheduler in {"hyperband", "pbt"}
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, job=job), resources),
            param_space=searcher.param_space() if population else {},
            tune_config=tune.TuneConfig(
                search_alg=None if population else searcher,
                num_samples=1 if population else left,
                scheduler=scheduler,
                max_concurrent_trials=None if together else concurrent,
                reuse_actors=True,  # a new process takes seconds to load torch
            ),
            run_config=api.RunConfig(
                name="ray",
                storage_path=str(out),
                verbose=0,
                callbacks=[monitor],
                failure_config=api.FailureConfig(max_failures=options.max_failures),
                # pbt needs those that other trials take over
                checkpoint_config=api.CheckpointConfig(num_to_keep=4 if population else 1),
            ),
        )
        with showing(monitor.work):
            tuner.fit()
        monitor.read_errors()
    if monitor.prepare_seconds:
        median = statistics.median(monitor.prepare_seconds)
        nodes = len(monitor.nodes)
        where = f" on {nodes} nodes" if nodes > 1 else ""
        terminal.tell(
            f"a trial starts in {median:.1f} s (median){where}, without tokenising or encoding"
        )
    if len(monitor.ended) < n_trials:
        terminal.tell(f"stopped after {len(monitor.ended)} of {n_trials} trials")
        raise KeyboardInterrupt
    shutil.rmtree(out / "ray", ignore_errors=True)  # the trials' checkpoints have served
    return monitor.ended


def _refit(
    out: Path, fixed: dict[str, Any], winner: TrialRecord, wanted: bool
) -> dict[str, Any] | None:
    """Train the best configuration once and test it once; best.yaml repeats that."""
    settings = {**fixed, **winner.config}
    write_bytes(out / "best.yaml", written_yaml(portable_settings(config_of(settings))).encode())
    if not wanted:
        return None
    folder = out / "best"
    metrics = RunDirectory(folder).read_metrics() if folder.is_dir() else None
    if metrics is not None:  # the search was over: test is read once
        config = config_of(settings)
        return {
            "best_valid_score": metrics["valid"][str(config["valid_metric"]).lower()],
            "valid_score_bigger": config["valid_metric_bigger"],
            "best_valid_result": metrics["valid"],
            "test_result": metrics["test"],
            "run_dir": str(folder),
        }
    if (folder / LAST_CHECKPOINT).is_file():
        return quick_start.resume(folder)
    return quick_start.run_recbole(
        config_file_list=[str(out / "best.yaml")], config_dict={"run_dir": str(folder)}
    )


def _drawn_with_the_seed(eval_args: Mapping[str, Any]) -> bool:
    """Whether the split or the ranked items are random: two draws' values can't be compared."""
    mode = eval_args.get("mode") or "full"
    modes = mode.values() if isinstance(mode, dict) else [mode]
    return eval_args.get("order") == "RO" or any(m not in {"full", "labeled"} for m in modes)
