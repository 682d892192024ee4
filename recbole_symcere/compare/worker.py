"""What happens in a process of its own: one run, or one search.

A fork server loads this module once, so a run starts in a twentieth of a second instead of five
seconds, and yet has its own memory, whose peak it measures, and its own crash.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable
from multiprocessing import connection
from pathlib import Path
from typing import Any

import torch

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import write_bytes
from recbole_symcere.base.storage import storage_cause, writing
from recbole_symcere.run import quick_start
from recbole_symcere.run.run_directory import LAST_CHECKPOINT
from recbole_symcere.tune.search_options import SearchOptions

__all__ = ["INPUT_ERROR", "LOG", "forget_if_all_failed", "search", "train"]

INPUT_ERROR = 2
"""Exit status of a run whose settings or data are at fault: trying again would not help."""


LOG = "output.txt"
"""In the folder of a run or a search: what its process said."""


def train(settings: dict[str, Any], folder: str, threads: int | None) -> None:
    """Train and test; go on where a run of this folder was stopped.

    Args:
        settings: complete, with model, data set and seed.
        folder: of the run.
        threads: CPU threads; None for torch's own choice.
    """

    def run() -> None:
        if threads:
            torch.set_num_threads(threads)
        if Path(folder, LAST_CHECKPOINT).is_file():
            quick_start.resume(folder)
        else:
            quick_start.run_recbole(config_dict={**settings, "run_dir": folder})

    _alone(run, Path(folder))


def search(settings: dict[str, Any], folder: str, options: dict[str, Any]) -> None:
    """Search on validation, or go on with a search; tuned.json tells what was found."""

    def run() -> None:
        from recbole_symcere.tune import search as tune

        out = Path(folder, "search")
        forget_if_all_failed(out)
        if (out / "search.json").is_file():
            found = tune.resume(out)
        else:
            rest = {k: v for k, v in settings.items() if k not in {"model", "dataset"}}
            chosen = dataclasses.replace(SearchOptions(**options), out=str(out))
            found = tune.search(settings["model"], settings["dataset"], rest, options=chosen)
        tuned = {
            "settings": {k: v for k, v in found.best.config.items() if k != "seed"},
            "trials": sum(trial.status != "failed" for trial in found.trials),
            "failed": sum(trial.status == "failed" for trial in found.trials),
        }
        write_bytes(Path(folder, "tuned.json"), json.dumps(tuned, indent=1).encode())

    _alone(run, Path(folder))


def forget_if_all_failed(search: Path) -> None:
    """Remove a search without a trial that worked: resumed it would have no budget left."""
    from recbole_symcere.tune.monitor import read_records

    ended = read_records(search / "trials.json")
    if ended and all(trial.status == "failed" for trial in ended):
        shutil.rmtree(search)


def _alone(run: Callable[[], None], folder: Path) -> None:
    """Run with everything that is said in `LOG`, and not longer than the parent lives."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            said = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream in (1, 2):
            os.dup2(said, stream)
        run()
    except InputError as error:
        _end(f"error: {error}", INPUT_ERROR)
    except ArithmeticError as error:  # a loss that is no longer finite
        _end(f"error: {error}", 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        cause = storage_cause(error)
        if cause is None:
            raise
        _end(f"error: {cause}", INPUT_ERROR)


def _end(said: str, status: int) -> None:
    with contextlib.suppress(OSError):  # a full disk
        sys.stderr.write(f"{said}\n")
        sys.stderr.flush()
    sys.exit(status)


def _follow_parent() -> None:
    """End this process when its parent is killed: the next compare wants the run's folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        with contextlib.suppress(OSError):
            connection.wait([parent.sentinel])
        os._exit(1)
