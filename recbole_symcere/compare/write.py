"""The comparison as table.md, table.html and table.csv."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from recbole_symcere.compare.table import Block
from recbole_symcere.evaluate.significance import Comparison
from recbole_symcere.files import write_bytes
from recbole_symcere.report.page import Part, as_html, as_markdown

__all__ = ["as_csv", "write_tables"]


def write_tables(out: Path, parts: Sequence[Part], blocks: Sequence[Block]) -> None:
    """Write the three files."""
    for name, text in (
        ("table.md", as_markdown(parts)),
        ("table.html", as_html(parts, "Comparison")),
        ("table.csv", as_csv(blocks)),
    ):
        write_bytes(out / name, text.encode())


_COLUMNS = (
    *("dataset", "row", "model", "role", "metric", "mean", "deviation", "mark", "seeds", "failed"),
    *("improvement_percent", "reference", "users", "difference", "interval_low", "interval_high"),
    *("better", "worse", "p_wilcoxon", "p_holm", "trials", "seconds_per_run", "peak_memory_mb"),
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
        "p_wilcoxon": found.p_value,
        "p_holm": adjusted,
    }
