"""The trials of a search as records, tables in files, and a table for the terminal."""

import csv
import dataclasses
import io
import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

from recbole_symcere.base.files import write_bytes
from recbole_symcere.page.markdown_text import cell

__all__ = [
    "Mode",
    "Status",
    "TrialRecord",
    "as_rows",
    "best",
    "end_line",
    "live_table",
    "reason",
    "write_csv",
    "write_markdown",
]

Status = Literal["running", "paused", "finished", "stopped", "failed"]
Mode = Literal["max", "min"]


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """One trial of a search.

    Attributes:
        number: its place in the search.
        status: "stopped" is a trial that the scheduler ended early, "paused" one that waits for
            others (hyperband, pbt).
        config: the tuned settings; one whose condition doesn't hold is absent.
        score: the best validation value so far; None before the first.
        best_epoch: the epoch of that value.
        epochs: how many have run.
        seconds: how long it ran.
        scores: the validation value of each evaluation, in order.
        steps: the gradient steps until each of them.
        error: why it failed.
    """

    number: int
    status: Status
    config: dict[str, Any]
    score: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    scores: tuple[float, ...] = ()
    error: str | None = None
    steps: tuple[int, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether it may be the best: it has a finite score and hasn't failed."""
        return self.status != "failed" and self.score is not None and math.isfinite(self.score)


def best(trials: Iterable[TrialRecord], mode: Mode) -> TrialRecord | None:
    """The trial with the best score; of equal ones the first. Failed trials don't count."""
    ranked = [trial for trial in _sorted(trials, mode) if trial.scored]
    return ranked[0] if ranked else None


def _sorted(trials: Iterable[TrialRecord], mode: Mode) -> list[TrialRecord]:
    """Best first, then the trials that can't be the best, each in order of their numbers."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode is {mode!r}, but it must be max or min.")
    sign = -1 if mode == "max" else 1

    def rank(trial: TrialRecord) -> tuple[bool, float, int]:
        value = sign * trial.score if trial.scored and trial.score is not None else 0.0
        return (not trial.scored, value, trial.number)

    return sorted(trials, key=rank)


def _keys(trials: Iterable[TrialRecord]) -> list[str]:
    """The tuned settings, in the order of their first appearance."""
    return list(dict.fromkeys(key for trial in trials for key in trial.config))


def _counts(trials: Sequence[TrialRecord]) -> str:
    counted = Counter(trial.status for trial in trials)
    shown = [f"{counted[status]} {status}" for status in get_args(Status) if counted[status]]
    word = "trial" if len(trials) == 1 else "trials"
    return f"{len(trials)} {word}: {', '.join(shown)}" if trials else "no trials"


def write_csv(
    path: str | os.PathLike[str], trials: Sequence[TrialRecord], metric: str, mode: Mode
) -> None:
    """Write one line per trial, best first, with full precision.

    Columns: number, status, valid/<metric>, best_epoch, epochs, steps (gradient steps until the
    last validation), seconds, config/<setting> for each tuned setting (empty where it is absent;
    what isn't text is written as JSON), error, and valid_by_epoch as a JSON list.
    """
    keys = _keys(trials)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["number", "status", f"valid/{metric}", "best_epoch", "epochs", "steps", "seconds"]
        + [f"config/{key}" for key in keys]
        + ["error", "valid_by_epoch"]
    )
    for trial in _sorted(trials, mode):
        writer.writerow(
            [trial.number, trial.status, trial.score, trial.best_epoch, trial.epochs]
            + [max(trial.steps, default=0), trial.seconds]
            + [_cell(trial.config[key]) if key in trial.config else "" for key in keys]
            + [trial.error or "", json.dumps(trial.scores)]
        )
    write_bytes(path, text.getvalue().encode())


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """A NumPy number, as HyperOpt suggests them, as Python's."""
    return value.item() if hasattr(value, "item") else str(value)


def write_markdown(
    path: str | os.PathLike[str], trials: Sequence[TrialRecord], metric: str, mode: Mode
) -> None:
    """Write a readable table of the trials, best first, and why trials failed."""
    top = best(trials, mode)
    lines = ["# Trials", "", f"{_counts(trials)}.", ""]
    if top is None:
        lines += ["No trial has a validation value.", ""]
    else:
        wish = "higher" if mode == "max" else "lower"
        lines += [
            f"Best: trial {top.number}, {metric} {top.score:.6g} on the validation split "
            f"({wish} is better). A stopped trial shows its best value before the stop. Epochs are "
            "counted from 0.",
            "",
        ]
    if trials:
        titles, *rows = as_rows(trials, metric, mode)
        lines += [_row(titles), "|" + " --- |" * len(titles)]
        lines += [_row(row, bold=top is not None and n == 0) for n, row in enumerate(rows)]
    failed = [trial for trial in trials if trial.status == "failed"]
    if failed:
        lines += ["", "## Failed trials", ""]
        lines += [f"- trial {trial.number}: {cell(reason(trial))}" for trial in failed]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def as_rows(trials: Sequence[TrialRecord], metric: str, mode: Mode) -> list[list[str]]:
    """Titles, and then a row for each trial, best first; a best epoch is counted from 0."""
    keys = _keys(trials)
    rows = [["trial", "status", f"valid {metric}", "best epoch", "epochs", "seconds", *keys]]
    for trial in _sorted(trials, mode):
        cells = [str(trial.number), trial.status, _score(trial), _or_dash(trial.best_epoch)]
        cells += [str(trial.epochs), f"{trial.seconds:.1f}"]
        cells += [_short(trial.config[k]) if k in trial.config else "-" for k in keys]
        rows.append(cells)
    return rows


def end_line(trial: TrialRecord, metric: str) -> str:
    """What is said of a trial that has ended."""
    settings = " ".join(f"{key}={_short(value)}" for key, value in trial.config.items())
    score = "" if trial.score is None else f", valid {metric} {_score(trial)}"
    return f"trial {trial.number} {trial.status} after {trial.epochs} epochs{score}: {settings}"


def _row(cells: Sequence[str], bold: bool = False) -> str:
    shown = [cell(text) for text in cells]
    if bold:
        shown = [f"**{shown[0]} (best)**", *shown[1:2], f"**{shown[2]}**", *shown[3:]]
    return "| " + " | ".join(shown) + " |"


def reason(trial: TrialRecord) -> str:
    """Why a trial failed: the error's first line, without the colours that Ray gives it."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", trial.error or "").strip().splitlines()
    return lines[0].strip() if lines else "no reason is known"


def _score(trial: TrialRecord) -> str:
    return "-" if trial.score is None else f"{trial.score:.6g}"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _short(value: Any) -> str:
    """A setting's value with few digits."""
    return f"{value:.4g}" if isinstance(value, float) else _cell(value)


def live_table(
    trials: Sequence[TrialRecord],
    metric: str,
    mode: Mode,
    width: int | None = None,
    height: int | None = None,
) -> str:
    """A table for the terminal while a search runs.

    Running trials come first, then the best ones, as far as there is room; a star marks the best.
    Settings that are the same in all trials are left out.

    Args:
        trials: all trials so far.
        metric: the name of the validation metric.
        mode: whether more of it is better.
        width: characters per line; None asks the terminal.
        height: lines; None asks the terminal.

    Returns:
        Lines of plain text, none longer than ``width`` and no more than ``height`` of them.
    """
    terminal = shutil.get_terminal_size()
    width, height = width or terminal.columns, height or terminal.lines
    top = best(trials, mode)
    head = _counts(trials)
    if top is not None:
        head += f"; best {metric} {top.score:.6g} (trial {top.number})"
    order = _sorted(trials, mode)
    order = sorted(order, key=lambda trial: trial.status not in {"running", "paused"})
    room = max(height - 3, 1)  # the head, the titles, the rest
    shown, left = order[:room], len(order) - room
    changed = [key for key in _keys(trials) if len({_cell_of(t, key) for t in trials}) > 1]
    rows = [["trial", "status", "epochs", f"valid {metric}", "settings"]]
    for trial in shown:
        settings = [f"{k}={_short(trial.config[k])}" for k in changed if k in trial.config]
        text = reason(trial) if trial.status == "failed" else " ".join(settings)
        star = " *" if trial is top else ""
        rows.append(
            [str(trial.number), trial.status, str(trial.epochs), _score(trial) + star, text]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [head]
    if trials:
        lines += [
            "  ".join(c.ljust(w) for c, w in zip(row, [*widths, 0], strict=True)) for row in rows
        ]
    if left > 0:
        lines.append(f"... and {left} more")
    return "\n".join(_cut(" ".join(line.splitlines()).rstrip(), width) for line in lines[:height])


def _cell_of(trial: TrialRecord, key: str) -> str:
    return json.dumps([trial.config[key]], default=_plain) if key in trial.config else ""


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(width - 3, 0)] + "..."[:width]
