"""From runs to the lines of a table: means, deviations, marks, improvements and tests."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.compare.differences import UserValues, read_values, tests_of
from recbole_symcere.compare.execute import Done
from recbole_symcere.compare.plan import MORE_IS_BETTER
from recbole_symcere.compare.rows import Row
from recbole_symcere.evaluate.significance import Comparison
from recbole_symcere.run.run_directory import RunDirectory

__all__ = [
    "Block",
    "Cell",
    "Line",
    "baselines_of",
    "best_of",
    "make_block",
    "metrics_of",
    "values_of",
    "with_every_seed",
]


@dataclass(frozen=True)
class Cell:
    """A metric over the seeds.

    Attributes:
        mean: over the seeds.
        deviation: sample standard deviation; None for a single seed.
        mark: "best", "second" or "".
    """

    mean: float
    deviation: float | None
    mark: str = ""


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        row: what it is.
        cells: metric -> cell, of what every finished run has; empty if no run is finished.
        seeds: finished runs.
        failed: runs that failed.
        valid: mean of the main metric on validation; None if nothing was validated.
        improvement: of the main metric over the best baseline, in percent.
        comparison: user by user and seed by seed with the best baseline.
        p_value: of that, corrected by Holm over the lines of the block.
        trials: of the search; None without one.
        seconds: mean wall time of a run: preparing, training and evaluating.
        memory_mb: the largest peak of resident memory.
    """

    row: Row
    cells: Mapping[str, Cell] = field(default_factory=dict)
    seeds: int = 0
    failed: int = 0
    valid: float | None = None
    improvement: float | None = None
    comparison: Comparison | None = None
    p_value: float | None = None
    trials: int | None = None
    seconds: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True)
class Block:
    """The lines of one data set.

    Attributes:
        dataset: its name.
        notice: what its manifest wants to be seen.
        facts: counts of users, items and interactions.
        metric: the main one, by which the best baseline is chosen and tests are made.
        lines: one per row.
        reference: the label of the best baseline, chosen on validation.
        better_on_test: the label of a baseline that turned out to be better than that on test.
        problems: what crashed.
        values: label -> the main metric of the row's users; empty without tests.
    """

    dataset: str
    notice: str | None
    facts: Mapping[str, int]
    metric: str
    lines: Sequence[Line]
    reference: str | None
    better_on_test: str | None
    problems: Sequence[str]
    values: Mapping[str, UserValues]


def values_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a run's metrics.json by a flat name, such as "ndcg@10/rare items"."""
    beyond = metrics.get("beyond", {})
    values = {**metrics["test"], **beyond.get("popularity", {})}
    for group, words in (
        ("by_item_popularity", "{} items"),
        ("by_user_activity", "users with {} interactions"),
        ("by_training_interactions", "users with k = {}"),
    ):
        for name, found in beyond.get(group, {}).items():
            values |= {f"{m}/{words.format(name)}": v for m, v in found.items() if "@" in m}
    cold = beyond.get("cold_items", {})
    return values | {f"{m}/cold items": v for m, v in cold.items() if "@" in m}


def make_block(
    dataset: str,
    rows: Sequence[Row],
    runs: Sequence[Done],
    metric: str,
    notice: str | None = None,
    test: bool = True,
) -> Block:
    """The lines of one data set.

    Args:
        dataset: its name.
        rows: in the order of the table.
        runs: those of the data set.
        metric: the main metric, in lower case.
        notice: of the data set's manifest.
        test: whether to test differences.
    """
    of_row = {row.label: [run for run in runs if run.label == row.label] for row in rows}
    finished = {
        label: [metrics_of(run.folder) for run in found if run.error is None]
        for label, found in of_row.items()
    }
    lines = [_line(row, of_row[row.label], finished[row.label], metric) for row in rows]
    lines = _marked(lines)
    baselines = baselines_of(lines, metric)
    reference = best_of(baselines, metric)
    lines = [_improved(line, reference, metric) for line in lines]
    values: dict[str, UserValues] = {}
    if test and any(line.seeds > 1 for line in lines):
        values = {label: read_values(found, metric) for label, found in of_row.items()}
    if values and reference is not None and reference.seeds > 1:
        lines = _tested(lines, values, reference.row.label)
    facts: dict[str, int] = {}
    for metrics in (metrics for found in finished.values() for metrics in found):
        facts = metrics["data"]
    problems = [
        f"{run.label}, seed {run.seed}: "
        + (f"failed: {run.error}" if run.error else f"crashed once, then ran: {run.crashes[0]}")
        for run in runs
        if run.error or run.crashes
    ]
    label = reference.row.label if reference else None
    better = _better_on_test(baselines, reference, metric)
    return Block(dataset, notice, facts, metric, lines, label, better, problems, values)


def baselines_of(lines: Sequence[Line], metric: str) -> list[Line]:
    """The lines that others may be compared with: neither proposed nor controls.

    Without any such line those that are no control. A line that lacks seeds which another one has
    is no yardstick.
    """
    there = [line for line in lines if metric in line.cells and not line.row.control]
    return with_every_seed([line for line in there if not line.row.proposed] or there)


def with_every_seed(lines: Sequence[Line]) -> list[Line]:
    """The lines with the most seeds: a mean over fewer doesn't stand beside one over all."""
    most = max((line.seeds for line in lines), default=0)
    return [line for line in lines if line.seeds == most]


def best_of(lines: Sequence[Line], metric: str) -> Line | None:
    """The best line on validation: the best on test would have been chosen for its luck there.

    If one of them wasn't validated, the best on test.
    """
    lines = [line for line in lines if metric in line.cells]
    if any(line.valid is None for line in lines):
        return max(lines, key=lambda line: line.cells[metric].mean, default=None)
    return max(lines, key=lambda line: line.valid or 0.0, default=None)


def metrics_of(folder: Path) -> dict[str, Any]:
    """What metrics.json of a finished run holds.

    Raises:
        InputError: if it is damaged.
    """
    metrics = RunDirectory(folder).read_metrics()
    if metrics is None:
        raise InputError(f"{folder} has lost its metrics.json; give the same command again.")
    return metrics


def _line(
    row: Row, runs: Sequence[Done], finished: Sequence[Mapping[str, Any]], metric: str
) -> Line:
    failed = sum(run.error is not None for run in runs)
    if not finished:
        return Line(row, failed=failed)
    values = [values_of(metrics) for metrics in finished]
    cells = {
        name: Cell(
            statistics.fmean(found),
            statistics.stdev(found) if len(found) > 1 else None,
        )
        for name in values[0]
        # a mean over some of the seeds would stand beside those over all of them
        if len(found := [of_seed[name] for of_seed in values if name in of_seed]) == len(values)
    }
    valid = [float(v) for metrics in finished if (v := metrics["valid"].get(metric)) is not None]
    return Line(
        row,
        cells,
        len(finished),
        failed,
        valid=statistics.fmean(valid) if len(valid) == len(finished) else None,
        trials=next((run.trials for run in runs), None),
        seconds=statistics.fmean(sum(metrics["seconds"].values()) for metrics in finished),
        memory_mb=max(metrics["peak_memory_mb"] for metrics in finished),
    )


def _marked(lines: Sequence[Line]) -> list[Line]:
    """Mark the best and second best mean of each metric of accuracy; equal ones share a mark.

    A line that lacks seeds which another one has is not marked.
    """
    whole = with_every_seed(lines)
    names = dict.fromkeys(name for line in whole for name in line.cells)
    marks: dict[str, dict[float, str]] = {}
    for name in names:
        if name.startswith(MORE_IS_BETTER) and len(whole) > 1:
            means = sorted({line.cells[name].mean for line in whole if name in line.cells})
            marks[name] = dict(zip(means[::-1], ("best", "second"), strict=False))
    return [
        replace(
            line,
            cells={
                name: Cell(cell.mean, cell.deviation, marks.get(name, {}).get(cell.mean, ""))
                for name, cell in line.cells.items()
            },
        )
        if line in whole
        else line
        for line in lines
    ]


def _better_on_test(baselines: Sequence[Line], reference: Line | None, metric: str) -> str | None:
    best = max(baselines, key=lambda line: line.cells[metric].mean, default=None)
    if best is None or reference is None:
        return None
    better = best.cells[metric].mean > reference.cells[metric].mean
    return best.row.label if better else None


def _improved(line: Line, reference: Line | None, metric: str) -> Line:
    if reference is None or line is reference or metric not in line.cells:
        return line
    base = reference.cells[metric].mean
    change = 100 * (line.cells[metric].mean / base - 1) if base else None
    return replace(line, improvement=change)


def _tested(lines: Sequence[Line], values: Mapping[str, UserValues], reference: str) -> list[Line]:
    found = tests_of(values, reference)
    return [
        replace(line, comparison=tested.comparison, p_value=tested.p_holm)
        if (tested := found.get(line.row.label))
        else line
        for line in lines
    ]
