"""What a search leaves behind and says at its end: tables and plots of its trials."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from recbole_symcere.base import terminal
from recbole_symcere.run.log_lines import short_path
from recbole_symcere.tune import plots
from recbole_symcere.tune.space import SearchSpace
from recbole_symcere.tune.trial_table import Mode, TrialRecord, as_rows, write_csv, write_markdown

__all__ = ["say_outcome", "say_places", "write_outcome"]


def write_outcome(
    out: Path, trials: Sequence[TrialRecord], metric: str, mode: Mode, space: SearchSpace
) -> None:
    """Write the tables and the plots to the search's folder."""
    write_csv(out / "trials.csv", trials, metric, mode)
    write_markdown(out / "trials.md", trials, metric, mode)
    drawn = [_without_seed(trial) for trial in trials]
    plots.best_so_far(drawn, out / "best_so_far.png", metric, mode)
    plots.parallel_coordinates(drawn, out / "parallel_coordinates.png", metric, mode, space)
    plots.importance(drawn, out / "importance.png", metric, space)


def _without_seed(trial: TrialRecord) -> TrialRecord:
    config = {key: value for key, value in trial.config.items() if key != "seed"}
    return dataclasses.replace(trial, config=config)


def say_outcome(
    trials: Sequence[TrialRecord], winner: TrialRecord, metric: str, mode: Mode
) -> None:
    """Print the trials, best first, and which is the best."""
    head, *rows = as_rows(trials, metric, mode)
    terminal.out(
        f"\n{terminal.table(head, rows, {(0, 2): 'best'})}"
        f"best: trial {winner.number}, valid {metric} {winner.score:.6f}; epochs are counted from 0"
    )


def say_places(out: Path, trials: Sequence[TrialRecord]) -> None:
    """Print where everything is, and that trials failed."""
    failed = sum(trial.status == "failed" for trial in trials)
    lines = [
        f"the search's tables and plots are in {short_path(out)}: trials.md, trials.csv",
        f"use its settings with --config_files={short_path(out / 'best.yaml')}",
    ]
    if failed:
        lines.append(f"{failed} of {len(trials)} trials failed; trials.md says why")
    terminal.out("\n".join(lines))
