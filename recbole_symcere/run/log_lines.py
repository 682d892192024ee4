"""The lines that a person sees while a model trains and when it is done."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recbole_symcere.base.program import program
from recbole_symcere.base.text_table import plain
from recbole_symcere.model.registry import text_use
from recbole_symcere.plugin.stock_models import notes_on
from recbole_symcere.run.run_directory import BEST_CHECKPOINT

__all__ = [
    "EpochLines",
    "data_line",
    "doubts_on",
    "epoch_line",
    "manifest_notice",
    "metric_title",
    "result_table",
    "short_path",
]


def data_line(config: Any, dataset: Any) -> str:
    """Which model meets which data."""
    users, items = dataset.user_num - 1, dataset.item_num - 1
    return (
        f"{config['model']} on {config['dataset']}: {users:,} users, {items:,} items, "
        f"{dataset.inter_num:,} interactions; seed {config['seed']}, device {config['device']}"
    )


def doubts_on(config: Any) -> list[str]:
    """What makes a run's result doubtful: what the data's manifest says, and notes on the model."""
    notice = manifest_notice(Path(config["data_path"]) / "manifest.json")
    return [*([notice] if notice else []), *notes_on(config)]


def manifest_notice(manifest: Path) -> str | None:
    """The one line that a data set wants to be seen on every run, such as "this is synthetic"."""
    if not manifest.is_file():
        return None
    try:
        notice = json.loads(manifest.read_text(encoding="utf-8")).get("notice")
    except (json.JSONDecodeError, AttributeError, UnicodeDecodeError):
        return f"{manifest} can't be read."
    return plain(str(notice)) or None if notice else None


class EpochLines:
    """Says a line for each epoch, and before the first what its numbers and its star mean.

    Args:
        config: of the run.
        say: takes a line.
    """

    def __init__(self, config: Any, say: Callable[[str], None]) -> None:
        self._config, self._say, self._begun = config, say, False

    def __call__(self, record: dict[str, Any], best: bool) -> None:
        """Say the line of an epoch of the history, which may be the best so far."""
        if not self._begun and self._config["epochs"] > 1:
            self._say("epochs are counted from 0; * is the best one on validation so far")
        self._begun = True
        self._say(epoch_line(record, best, self._config))


def epoch_line(record: dict[str, Any], best: bool, config: Any) -> str:
    """One line per epoch: loss terms, the validation metric, the time."""
    terms = record["loss"]
    loss = f"loss {sum(terms.values()):.4f}"
    if len(terms) > 1:
        loss += " (" + ", ".join(f"{name} {value:.4f}" for name, value in terms.items()) + ")"
    phase = f"phase {record['phase']}  " if "phase" in record else ""
    line = f"epoch {record['epoch']:>3}  {phase}{loss}"
    if "valid" in record:
        metric = config["valid_metric"]
        line += f"  valid {metric} {record['valid'][metric.lower()]:.4f}{' *' if best else '  '}"
    return f"{line}  {record['seconds'] + record.get('valid_seconds', 0):.2f} s"


def result_table(metrics: dict[str, Any], folder: Path, rated: bool = True) -> str:
    """The summary of a finished run, and what can be done with it next.

    Args:
        metrics: its metrics.json.
        folder: its folder.
        rated: whether its data have ratings.
    """
    names = list(metrics["test"] or metrics["valid"])
    told = {"": [metric_title(name) for name in names]} if names else {}
    for part in filter(metrics.get, ("valid", "test")):
        values = [metrics[part].get(name) for name in names]
        told[part] = ["-" if value is None else f"{value:.4f}" for value in values]
    widths = [max(map(len, column)) for column in zip(*told.values(), strict=True)]
    rows = [_row(part, cells, widths) for part, cells in told.items()]
    rows += [f"{part:<6}  nothing was measured" for part in ("valid", "test") if not metrics[part]]
    seconds = metrics["seconds"]
    best = metrics["best_epoch"]
    epochs = "-" if best is None else f"{best} of 0 to {metrics['epochs_run'] - 1}"
    rows.append(
        f"best epoch {epochs}\nprepare {seconds['prepare']:.1f} s, train {seconds['train']:.1f} s, "
        f"evaluate {seconds['evaluate']:.1f} s; peak memory {metrics['peak_memory_mb']:,.0f} MB"
    )
    if "refit_of" in metrics:
        rows.append(
            f"trained on everything for the steps of {metrics['refit_of']}'s best epoch: nothing "
            "is left to test it on"
        )
    rows += _saved(folder, best)
    return "\n" + "\n".join([*rows, *_next(metrics, folder, rated)])


_FILES = {
    "metrics.json": "all figures",
    "per_user.parquet": "those of each user",
    "config.yaml": "the settings, which repeat the run",
    "run.log": "what was said",
}


def _saved(folder: Path, best: int | None) -> list[str]:
    """What of a run is where."""
    weights = "the weights" if best is None else f"the weights of epoch {best}"
    files = {**_FILES, str(BEST_CHECKPOINT): weights}
    there = {name: what for name, what in files.items() if (folder / name).is_file()}
    width = max(map(len, there), default=0)
    lines = (f"  {name:<{width}}  {what}" for name, what in there.items())
    return [f"everything is in {short_path(folder)}", *lines]


def _next(metrics: dict[str, Any], folder: Path, rated: bool) -> list[str]:
    """A line for each command that can be given next."""
    run, use = f"--run={shlex.quote(short_path(folder))}", text_use(str(metrics["model"]))
    single = metrics.get("protocol", {}).get("text_level") != "item"  # reviews, one by one
    commands = {f"report {run}": "all of it on one page"}
    if (folder / BEST_CHECKPOINT).is_file():  # the others load it
        if use == "batch" and single and rated:
            commands[f"explain anchor {run}"] = "what it reads in the reviews"
        elif use != "none":
            commands[f"explain geometry {run}"] = "where its vectors lie"
        k = min(10, metrics.get("data", {}).get("items", 10))
        commands[f"recommend {run} --k={k}"] = "a list for each user"
    width = max(map(len, commands))
    lines = (f"  {program()} {words:<{width}}  {gives}" for words, gives in commands.items())
    return ["what can be done next:", *lines]


def short_path(path: Path) -> str:
    """The path as a person would type it: relative where it lies below this folder."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def metric_title(name: str) -> str:
    """RecBole's lower-case metric name as papers write it: ndcg@10 -> NDCG@10, hit@10 -> Hit@10."""
    word, at, k = name.partition("@")
    return (
        (
            word.upper()
            if word in {"ndcg", "mrr", "map", "gauc", "auc", "arp", "aplt"}
            else word.title()
        )
        + at
        + k
    )


def _row(head: str, cells: list[str], widths: list[int]) -> str:
    return f"{head:<6}" + "".join(
        f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    )
