"""Runs what is missing, each run in a process of its own, and goes on past crashes."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.live_line import working
from recbole_symcere.base.work import Work
from recbole_symcere.compare import worker
from recbole_symcere.compare.plan import Search, Task, digest_of
from recbole_symcere.run.log_lines import short_path

__all__ = ["Done", "Execution", "execute"]

_ATTEMPTS = 2
_END = 4096  # bytes of a log that its last line is looked for in
# what a run would otherwise load by itself, in seconds: torch does with its first optimizer
_HEAVY = (
    *("torch._dynamo", "recbole_symcere.model.symcere", "transformers.generation"),
    *("transformers.models.auto.modeling_auto", "transformers.models.bert.modeling_bert"),
)


@dataclass(frozen=True)
class Done:
    """A run that was wanted.

    Attributes:
        label: of its row.
        dataset: name of the data set.
        seed: of the run.
        folder: of the run.
        trials: of the search whose settings it took, without failed ones; None if the model has
            nothing to tune or no search was wanted.
        attempts: how often it was started now; 0 if it was there already.
        error: why it failed in the end; None if it is finished.
        crashes: why earlier attempts failed.
        tuned: the settings that the search found.
        search: the folder of that search.
        failed_trials: how many of its trials failed.
    """

    label: str
    dataset: str
    seed: int
    folder: Path
    trials: int | None
    attempts: int = 0
    error: str | None = None
    crashes: tuple[str, ...] = ()
    tuned: Mapping[str, Any] = field(default_factory=dict)
    search: Path | None = None
    failed_trials: int = 0

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.label} on {self.dataset}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What the run said."""
        return self.folder / worker.LOG


@dataclass(frozen=True)
class _Found:
    """The settings that a search found, of how many trials that didn't fail, or why it failed."""

    settings: dict[str, Any] = field(default_factory=dict)
    trials: int | None = None
    error: str | None = None
    folder: Path = Path()
    failed_trials: int = 0


class Execution:
    """Does tasks below a folder.

    Args:
        out: where runs and searches are kept, by what they depend on.
        seeds: a run each.
        jobs: runs at a time.
    """

    def __init__(self, out: Path, seeds: Sequence[int], jobs: int) -> None:
        self.out, self.seeds, self.jobs = out, seeds, jobs
        self._alive: set[Any] = set()  # processes
        self._running: dict[Path, str] = {}  # folder -> name
        self._shown = Work("")
        self._stopped = False
        self._processes = multiprocessing.get_context("forkserver")
        # starting a process reads the status of others; who reads it second is told 255
        self._reaping = threading.Lock()
        _start_server()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self._threads = max(1, (cores or 1) // jobs) if jobs > 1 else None

    def do(self, tasks: Sequence[Task]) -> list[Done]:
        """Search where that is wanted, then run every seed of every task.

        A search has the machine for itself. The runs wait in one queue: no job is idle before the
        last of them, as one would be beside the odd seed of a task.
        """
        found = [self._settled(task) for task in tasks]
        wanted = [
            (task, seed, of) for task, of in zip(tasks, found, strict=True) for seed in self.seeds
        ]
        pool = ThreadPoolExecutor(self.jobs)
        with working("comparing", len(wanted), "runs", beside=self._last_words) as shown:
            self._shown = shown
            try:
                return list(pool.map(lambda run: self._run(*run), wanted))
            except BaseException:
                self._stop()
                raise
            finally:
                pool.shutdown(cancel_futures=True)

    def _last_words(self) -> list[str]:
        """What each process that runs has said last."""
        return [f"  {name}: {_last_line(folder)}" for folder, name in [*self._running.items()]]

    def _stop(self) -> None:
        """End what runs: a signal to this process alone would leave its threads waiting for it."""
        self._stopped = True
        for process in [*self._alive]:
            process.terminate()

    def _settled(self, task: Task) -> _Found:
        """The settings of a task's runs beside its own, and where they come from."""
        if task.search:
            return self._tuned(task, task.search)
        return _Found(*task.found) if task.found else _Found()

    def _tuned(self, task: Task, search: Search) -> _Found:
        """What the search found, from an earlier comparison if that is all that is needed."""
        options = asdict(search.options)
        told = {**search.fixed, "search": options, "space": search.space}
        key = digest_of(told, task.fingerprint)
        folder = self.out / "tune" / task.dataset / f"{task.row.model}-{key}"
        found = folder / "tuned.json"
        if not found.is_file():
            bound = f"{options['num_samples']} trials of at most {task.settings['epochs']} epochs"
            name = f"{task.dataset}  {task.row.label}"
            terminal.tell(f"{name}: {bound}")
            with working(f"search of {name}", beside=self._last_words):
                error, _, _ = self._attempts(
                    worker.search, (search.fixed, str(folder), options), folder, name
                )
            if error is not None:
                terminal.tell(f"{name}: FAILED: its search: {error}")
                return _Found(error=error, folder=folder)
        tuned: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        failed = tuned.get("failed", 0)  # searches of before don't tell
        if failed:
            terminal.tell(f"{task.dataset}  {task.row.label}: {failed} trials of its search FAILED")
        return _Found(tuned["settings"], tuned["trials"], folder=folder, failed_trials=failed)

    def _run(self, task: Task, seed: int, found: _Found) -> Done:
        done = Done(task.row.label, task.dataset, seed, found.folder, found.trials)
        if found.error is not None:
            self._shown.advance()
            return replace(done, attempts=1, error=f"its search: {found.error}")
        settings = {**task.settings, **found.settings, "seed": seed}
        key = digest_of(settings, task.fingerprint)
        folder = self.out / "runs" / task.dataset / f"{task.row.slug}-seed{seed}-{key}"
        done = replace(done, folder=folder, tuned=found.settings)
        done = replace(done, search=found.folder / "search", failed_trials=found.failed_trials)
        name = f"{task.dataset}  {task.row.label}, seed {seed}"
        if (folder / "metrics.json").is_file():
            terminal.tell(f"{name}: there already")
            self._shown.advance()
            return done
        started = time.perf_counter()
        arguments = (settings, str(folder), self._threads)
        error, attempts, crashes = self._attempts(worker.train, arguments, folder, name)
        seconds = time.perf_counter() - started
        said = f"FAILED: {error}; its log: {short_path(done.log)}" if error else ""
        said = said or f"{seconds:.1f} s" + " at the second attempt" * bool(crashes)
        terminal.tell(f"{name}: {said}")
        self._shown.advance()
        return replace(done, attempts=attempts, error=error, crashes=tuple(crashes))

    def _attempts(
        self, target: Callable[..., None], arguments: tuple[Any, ...], folder: Path, name: str = ""
    ) -> tuple[str | None, int, list[str]]:
        """Try, and after a crash try once more; why it failed or None, attempts, crashes."""
        crashes: list[str] = []
        for attempt in range(1, _ATTEMPTS + 1):
            if self._stopped:
                raise KeyboardInterrupt
            process = self._processes.Process(target=target, args=arguments)
            self._running[folder] = name
            self._shown.note = ", ".join(self._running.values())
            with self._reaping:
                process.start()
            self._alive.add(process)
            try:
                connection.wait([process.sentinel])
            except BaseException:
                process.terminate()
                process.join()
                raise
            finally:
                self._alive.discard(process)
                self._running.pop(folder, None)
                self._shown.note = ", ".join(self._running.values())
            with self._reaping:
                process.join()
            status = process.exitcode or 0
            if status == 0:
                return None, attempt, crashes
            if self._stopped or status == 130:
                raise KeyboardInterrupt
            crashes.append(_reason(status, folder))
            if status == worker.INPUT_ERROR:
                return crashes[-1], attempt, crashes
            if status > 0:  # the same weights would fail again; a killed run goes on
                shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        return crashes[-1], _ATTEMPTS, crashes


def _start_server() -> None:
    """Start the fork server with the heavy modules loaded.

    Before Python 3.13 it looks for them on the path of the environment alone, not on ours.
    """
    forkserver.set_forkserver_preload([worker.__name__, *_HEAVY])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def execute(tasks: Sequence[Task], out: Path, seeds: Sequence[int], jobs: int) -> list[Done]:
    """Do all tasks: first their searches, one after another, then their runs.

    Args:
        tasks: rows on data sets.
        out: the folder of the comparison.
        seeds: a run each.
        jobs: runs at a time.

    Returns:
        A run per task and seed, in the order of the tasks and then of the seeds.
    """
    return Execution(out, seeds, jobs).do(tasks)


def _reason(status: int, folder: Path) -> str:
    """The last line that the process said, or the signal that ended it."""
    if status < 0:
        return f"ended by signal {signal.Signals(-status).name}"
    said = _last_line(folder)
    if not said:
        file = folder / worker.LOG
        return f"ended with status {status} and could say nothing in {file}: is the disk full?"
    return said.removeprefix("error: ")


def _last_line(folder: Path) -> str:
    """What a process has said last, or nothing."""
    try:
        with (folder / worker.LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
