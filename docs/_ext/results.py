"""What the tables in benchmarks/results say, read anew whenever the site is built."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "RESULTS",
    "RULES",
    "Over",
    "Result",
    "data_set_name",
    "over_best_unblended",
    "results_of",
    "summary",
]

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

RULES = {
    "today": "The protocol of today: three seeds, 12 trials on validation, ties in time by a hash, "
    "sign-flip test, best baseline chosen on validation.",
    "0.1": "The rules of 0.1: five seeds, four trials that all models shared, 100 epochs, ties in "
    "the order of the file, Wilcoxon's test, best baseline chosen on test.",
}
"""How the tables came about, the newest first."""

_MAIN = "seven_sets"  # the table that pages begin with
_FILES = {
    "today": [f"{_MAIN}/table.csv"],
    "0.1": ["0.1/musical_instruments/table.csv", "0.1/tripadvisor/table.csv"],
}
_NAMES = {
    "magazine": "Magazine Subscriptions",
    "giftcards": "Gift Cards",
    "digital_music": "Digital Music",
    "food": "Food.com",
    "musical_instruments": "Musical Instruments",
    "tripadvisor": "TripAdvisor",
    "critics": "film critics",
}


def data_set_name(name: str) -> str:
    """The name of a data set as the pages write it."""
    return _NAMES.get(name, name)


class Result(NamedTuple):
    """A row of a table of results on one data set, ready to be shown.

    Attributes:
        dataset: its name.
        row: the row's label.
        ndcg: NDCG@10, mean and deviation over the seeds.
        against: the best baseline and the difference to it, with its 95 % interval.
        p_holm: p-value after Holm's correction over the rows.
        hit: Hit@10, as NDCG@10.
        seconds: wall time of a run.
    """

    dataset: str
    row: str
    ndcg: str
    against: str
    p_holm: str
    hit: str
    seconds: str


def results_of(model: str, rules: str) -> list[Result]:
    """The rows of a model, as such, blended or with its settings as given.

    Args:
        model: its name.
        rules: a key of `RULES`.
    """
    rows = [row for name in _FILES[rules] for row in _read(name) if row["model"] == model]
    hits = {(row["dataset"], row["row"]): row for row in rows if row["metric"] == "hit@10"}
    return [
        Result(
            data_set_name(row["dataset"]),
            row["row"],
            _mean(row),
            _against(row),
            f"{float(row['p_holm']):.4f}" if row["p_holm"] else "",
            _mean(hits[row["dataset"], row["row"]]),
            f"{float(row['seconds_per_run']):.1f}",
        )
        for row in rows
        if row["metric"] == "ndcg@10"
    ]


def summary() -> tuple[list[str], list[list[str]]]:
    """NDCG@10 of every row on every data set of today's table: the sets, and rows of cells."""
    found = [row for row in _read(f"{_MAIN}/table.csv") if row["metric"] == "ndcg@10"]
    sets = list(dict.fromkeys(row["dataset"] for row in found))
    labels = dict.fromkeys(row["row"] for row in found)
    cells = {(row["row"], row["dataset"]): _mean(row) for row in found}
    rows = [[label, *(cells[label, name] for name in sets)] for label in labels]
    return [data_set_name(name) for name in sets], rows


class Over(NamedTuple):
    """A row over all data sets: per cent of change against another, and its interval."""

    row: str
    change: float
    low: float
    high: float


def over_best_unblended() -> list[Over]:
    """The means over all data sets against the best of the most rows that any are held against."""
    means = [row for row in _read(f"{_MAIN}/sets.csv") if row["dataset"] == "mean"]
    most = max((row["against"] for row in means), key=lambda name: name.count("/"))
    return [
        Over(
            row["row"],
            float(row["change_percent"]),
            float(row["interval_low_percent"]),
            float(row["interval_high_percent"]),
        )
        for row in means
        if row["against"] == most
    ]


def _read(name: str) -> Iterable[Mapping[str, str]]:
    with (RESULTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _mean(row: Mapping[str, str]) -> str:
    mean, deviation = float(row["mean"]), float(row["deviation"] or 0)
    return f"{mean:.4f}" + (f" ± {deviation:.4f}" if deviation else "")


def _against(row: Mapping[str, str]) -> str:
    if not row["difference"]:
        return "is the best baseline" if row["row"] == row["reference"] else ""
    interval = f"[{float(row['interval_low']):+.4f}, {float(row['interval_high']):+.4f}]"
    return f"{float(row['difference']):+.4f} {interval} to {row['reference']}"
