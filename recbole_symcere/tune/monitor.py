"""Watches the trials of a search: keeps their records on disk, shows them on the terminal."""

import dataclasses
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import write_bytes
from recbole_symcere.base.terminal import tell
from recbole_symcere.base.work import Work
from recbole_symcere.run.log_lines import short_path
from recbole_symcere.run.metrics_file import checksum
from recbole_symcere.tune.trial import full_config
from recbole_symcere.tune.trial_table import Mode, TrialRecord, end_line, live_table, reason

__all__ = ["Monitor", "read_records", "write_records"]

_SECONDS = 1.0  # between two tables
_BESIDE = 6  # lines of the terminal that aren't the table's


def read_records(path: Path) -> list[TrialRecord]:
    """The trials that had ended when the file was written, in that order.

    Raises:
        InputError: if the file can't be read.
    """
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        for number, row in enumerate(rows):
            if row.pop("checksum") != checksum(row):
                raise ValueError(f"entry {number} isn't what its checksum says")
        listed = ("scores", "steps")
        return [TrialRecord(**{**row, **{k: tuple(row[k]) for k in listed}}) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} can't be read ({error}); start a new search.") from None


def write_records(path: Path, records: list[TrialRecord]) -> None:
    """trials.json: what `read_records` reads."""
    told = [dataclasses.asdict(record) for record in records]
    rows = json.loads(json.dumps(told, default=_plain))
    sealed = [{**row, "checksum": checksum(row)} for row in rows]
    write_bytes(path, json.dumps(sealed, indent=1).encode())


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


class Monitor(Callback):  # type: ignore[misc] # Ray has no types
    """Ray's callback of a search.

    Args:
        path: trials.json, rewritten whenever a trial ends.
        ended: the records of trials that ended before.
        searcher: knows the trials' numbers and configurations.
        metric: name of the validation metric.
        mode: max or min.
        wanted: how many trials there shall be.

    Attributes:
        work: the search as a terminal shows it.
        ended: records in the order in which trials ended.
        prepare_seconds: how long each trial took before its first epoch.
        nodes: Ray's ids of the nodes on which trials ran.
    """

    def __init__(
        self,
        path: Path,
        ended: list[TrialRecord],
        searcher: Any,
        metric: str,
        mode: Mode,
        wanted: int,
    ) -> None:
        self.work = Work("search", wanted, "trials", beside=lambda: self._table)
        self.work.skip(len(ended))
        self.ended = list(ended)
        self.prepare_seconds: list[float] = []
        self.nodes: set[str] = set()
        self._path, self._searcher = path, searcher
        self._metric, self._mode = metric, mode
        self._running: dict[int, TrialRecord] = {}
        self._started: dict[int, float] = {}
        self._results: dict[int, Mapping[str, Any]] = {}
        self._trials: dict[int, Any] = {}
        self._failed: dict[int, Any] = {}
        self._shown_at = 0.0
        self._table: list[str] = []

    @property
    def records(self) -> list[TrialRecord]:
        """All trials so far."""
        return [*self.ended, *map(self._as_it_stands, self._running.values())]

    def _as_it_stands(self, record: TrialRecord) -> TrialRecord:
        paused = self._trials[record.number].status == "PAUSED"
        return dataclasses.replace(record, status="paused") if paused else record

    def on_trial_start(self, trial: Any, **_: Any) -> None:
        """Note a trial, or that it is tried again."""
        number = self._searcher.number_of(trial)
        self._started.setdefault(number, time.perf_counter())
        if number not in self._running:
            config = self._searcher.configs[number]
            self._running[number] = TrialRecord(number, "running", config)
        self._trials[number] = trial
        self._show()

    def on_trial_result(self, trial: Any, result: Any, **_: Any) -> None:
        """Note the validation after an epoch."""
        number = self._searcher.number_of(trial)
        if "valid_score" not in result:
            return
        if number not in self._results:
            self.prepare_seconds.append(result["prepare_seconds"])
        self.nodes.add(result["node"])
        self._results[number] = result
        before = self._running[number]
        score = result["valid_score"]
        better = before.score is None or (
            score > before.score if self._mode == "max" else score < before.score
        )
        if better:  # with pbt settings change on the way, and the best value may be another trial's
            config = full_config(trial.config, self._searcher.configs)
            before = dataclasses.replace(
                before, config=config, score=score, best_epoch=result["epoch"] - 1
            )
        self._running[number] = dataclasses.replace(
            before,
            epochs=result["epoch"],
            seconds=time.perf_counter() - self._started[number],
            # a trial that is tried again may go over an epoch twice
            scores=(*before.scores[: result["evaluations"] - 1], result["valid_score"]),
            steps=(*before.steps[: result["evaluations"] - 1], result["steps"]),
        )
        self._show()

    def on_trial_complete(self, trial: Any, **_: Any) -> None:
        """Note whether the trial came to its own end or was stopped."""
        number = self._searcher.number_of(trial)
        finished = self._results.get(number, {}).get("finished", False)
        self._end(number, "finished" if finished else "stopped", None)

    def on_trial_error(self, trial: Any, **_: Any) -> None:
        """Note that the trial failed for good."""
        number = self._searcher.number_of(trial)
        self._failed[number] = trial
        self._end(number, "failed", None)

    def on_step_end(self, **_: Any) -> None:
        """Fill in why trials failed: Ray may write that down after `on_trial_error`."""
        if self._failed:
            self.read_errors()

    def read_errors(self) -> None:
        """Keep what Ray wrote of trials that failed, and say it."""
        for n, record in enumerate(self.ended):
            trial = self._failed.get(record.number)
            file = Path(trial.error_file) if trial and trial.error_file else None
            if file and file.is_file():
                text = file.read_text(errors="replace")
                said = [line.strip() for line in text.split("\n") if line.strip()]
                log = self._path.parent / "failed" / f"trial-{record.number}.txt"
                write_bytes(log, text.encode())
                self.ended[n] = failed = dataclasses.replace(record, error=said[-1])
                del self._failed[record.number]
                write_records(self._path, self.ended)
                tell(f"trial {record.number} FAILED: {reason(failed)}; its log: {short_path(log)}")

    def _end(self, number: int, status: Any, error: str | None) -> None:
        if any(record.number == number for record in self.ended):
            return
        # a worker that dies at once has a trial that never started
        never_ran = TrialRecord(number, "running", self._searcher.configs[number])
        record = self._running.pop(number, never_ran)
        self.ended.append(dataclasses.replace(record, status=status, error=error))
        write_records(self._path, self.ended)
        self.work.advance()
        if status != "failed":
            tell(end_line(self.ended[-1], self._metric))
        self._show(at_once=True)

    def _show(self, at_once: bool = False) -> None:
        if time.perf_counter() - self._shown_at < _SECONDS and not at_once:
            return
        self._shown_at = time.perf_counter()
        height = max(shutil.get_terminal_size().lines - _BESIDE, 2)
        head, *self._table = live_table(
            self.records, self._metric, self._mode, height=height
        ).split("\n")
        self.work.note = head
