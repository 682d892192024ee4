"""The comparison as table.md, table.html and table.csv."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recbole_symcere.base.files import write_bytes
from recbole_symcere.compare.execute import Done
from recbole_symcere.compare.over_sets import OverSets
from recbole_symcere.compare.table import Block, metrics_of, values_of
from recbole_symcere.evaluate.significance import Comparison
from recbole_symcere.page.html_page import as_html
from recbole_symcere.page.page import Part, as_markdown, pictures_of

__all__ = ["as_csv", "sets_as_csv", "write_tables"]

_PLOT = re.compile(r"^!\[.*\]\(([^/()]+\.svg)\)$", re.MULTILINE)


def write_tables(
    out: Path,
    parts: Sequence[Part],
    blocks: Sequence[Block],
    over: Sequence[OverSets],
    runs: Sequence[Done],
) -> None:
    """Write the three files, the plots, and runs.csv with metrics, times and memory of every run.

    Of several data sets there is sets.csv, too. Plots of the table that stood there before go.
    """
    (out / "sets.csv").unlink(missing_ok=True)
    before = out / "table.md"
    for name in _PLOT.findall(before.read_text(encoding="utf-8")) if before.is_file() else ():
        (out / name).unlink(missing_ok=True)
    if over:
        write_bytes(out / "sets.csv", sets_as_csv(over).encode())
    for picture in pictures_of(parts):
        write_bytes(out / picture.name, picture.file)
    for name, text in (
        ("runs.csv", runs_as_csv(runs)),
        ("table.md", as_markdown(parts)),
        ("table.html", as_html(parts, "Comparison")),
        ("table.csv", as_csv(blocks)),
    ):
        write_bytes(out / name, text.encode())


def runs_as_csv(runs: Sequence[Done]) -> str:
    """A line per finished run: what it was, what was tuned for it, and its numbers in full."""
    lines: list[dict[str, Any]] = []
    for run in runs:
        if run.error:
            continue
        metrics = metrics_of(run.folder)
        blend = metrics.get("blend", {})
        lines.append(
            {
                **{"dataset": run.dataset, "row": run.label, "seed": run.seed},
                **{"trials": run.trials, "tuned": json.dumps(run.tuned) if run.tuned else ""},
                **{key: metrics[key] for key in ("best_epoch", "epochs_run", "parameters")},
                "peak_memory_mb": metrics["peak_memory_mb"],
                **{f"blend/{key}": value for key, value in blend.items() if key != "refit"},
                **{f"seconds/{key}": value for key, value in metrics["seconds"].items()},
                **{f"valid/{key}": value for key, value in metrics["valid"].items()},
                **{f"test/{key}": value for key, value in values_of(metrics).items()},
            }
        )
    text = io.StringIO(newline="")
    columns = list(dict.fromkeys(key for line in lines for key in line))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def sets_as_csv(over: Sequence[OverSets]) -> str:
    """A line per row and data set with the log ratio to the other row, then one of their mean."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("row", "against", "dataset", "other", "log_ratio", "standard_error"),
            *("sets", "change_percent", "interval_low_percent", "interval_high_percent"),
            *("prediction_low_percent", "prediction_high_percent", "tau"),
        ]
    )
    for row in over:
        first = (row.label, row.against or "best other baseline")
        for on in row.sets:
            change = 100 * math.expm1(on.ratio.value)
            writer.writerow([*first, on.dataset, on.other, *on.ratio, "", change, *[""] * 5])
        if row.pooled:
            sets, mean, interval, prediction, tau = row.pooled
            ends = [*(interval or (None, None)), *(prediction or (None, None))]
            shown = ["" if end is None else 100 * math.expm1(end) for end in (mean, *ends)]
            last = "" if tau is None else tau
            writer.writerow([*first, "mean", "", mean, "", sets, *shown, last])
    return text.getvalue()


_COLUMNS = (
    *("dataset", "row", "model", "role", "metric", "mean", "deviation", "mark", "seeds", "failed"),
    *("improvement_percent", "reference", "users", "difference", "interval_low", "interval_high"),
    *("better", "worse", "p_value", "p_holm", "trials", "seconds_per_run", "peak_memory_mb"),
)


def as_csv(blocks: Sequence[Block]) -> str:
    """A line per data set, row and metric, with full precision; tests are of the main metric."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for block in blocks:
        for values in _csv_lines(block):
            writer.writerow([values.get(column, "") for column in _COLUMNS])
    return text.getvalue()


def _csv_lines(block: Block) -> Iterator[dict[str, object]]:
    for line in block.lines:
        role = "control" if line.row.control else "proposed" if line.row.proposed else "baseline"
        shared: dict[str, object] = {
            "dataset": block.dataset,
            "row": line.row.label,
            "model": line.row.model,
            "role": role,
            "seeds": line.seeds,
            "failed": line.failed,
            "trials": line.trials,
            "seconds_per_run": line.seconds,
            "peak_memory_mb": line.memory_mb,
        }
        if not line.cells:
            yield shared
        for name, cell in line.cells.items():
            own: dict[str, object] = {"metric": name, **cell.__dict__}
            if name == block.metric:
                own |= {"improvement_percent": line.improvement, "reference": block.reference}
                own |= _csv_test(line.comparison, line.p_value)
            yield {key: "" if value is None else value for key, value in (shared | own).items()}


def _csv_test(found: Comparison | None, adjusted: float | None) -> dict[str, object]:
    if found is None:
        return {}
    return {
        "users": found.users,
        "difference": found.difference,
        "interval_low": found.interval.low,
        "interval_high": found.interval.high,
        "better": found.better,
        "worse": found.worse,
        "p_value": found.p_value,
        "p_holm": adjusted,
    }
