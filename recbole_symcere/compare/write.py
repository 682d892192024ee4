"""The comparison as table.md, table.html and table.csv."""

import csv
import html
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recbole_symcere.compare.document import Entry, Heading, Part, Text, TextTable
from recbole_symcere.compare.execute import Done
from recbole_symcere.compare.table import Block, metrics_of, values_of
from recbole_symcere.evaluate.significance import Comparison
from recbole_symcere.files import write_bytes

__all__ = ["as_csv", "as_html", "as_markdown", "write_tables"]


def write_tables(
    out: Path, parts: Sequence[Part], blocks: Sequence[Block], runs: Sequence[Done]
) -> None:
    """Write the three files, and runs.csv with every number of every run."""
    for name, text in (
        ("runs.csv", runs_as_csv(runs)),
        ("table.md", as_markdown(parts)),
        ("table.html", as_html(parts)),
        ("table.csv", as_csv(blocks)),
    ):
        write_bytes(out / name, text.encode())


def as_markdown(parts: Sequence[Part]) -> str:
    """Markdown; the best value is bold, the second best in italics."""
    lines: list[str] = []
    for part in parts:
        if isinstance(part, Heading):
            lines += [f"{'#' * part.level} {_escaped(part.text)}", ""]
        elif isinstance(part, Text):
            lines += [_escaped(part.text), ""]
        else:
            lines += [*_markdown_table(part), ""]
    return "\n".join(lines)


def _markdown_table(table: TextTable) -> Iterator[str]:
    yield "| " + " | ".join(map(_escaped, table.head)) + " |"
    yield "| --- |" + " ---: |" * (len(table.head) - 1)
    for row in table.rows:
        yield "| " + " | ".join(map(_markdown_cell, row)) + " |"


def _markdown_cell(entry: Entry) -> str:
    around = {"best": "**", "second": "_"}.get(entry.mark, "")
    return f"{around}{_escaped(entry.text)}{around}"


def _escaped(text: str) -> str:
    """Text that means nothing else in Markdown."""
    for mark in "\\|`*_<":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
p { max-width: 50rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid currentColor; vertical-align: bottom; }
tbody tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
tbody th { font-weight: normal; }
"""


def as_html(parts: Sequence[Part]) -> str:
    """A page that needs no other file; the best value is bold, the second best underlined."""
    body = "\n".join(_html_part(part) for part in parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Comparison</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        "</body>\n</html>\n"
    )


def _html_part(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{html.escape(part.text)}</h{part.level}>"
    if isinstance(part, Text):
        return f"<p>{html.escape(part.text)}</p>"
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in part.head)
    rows = "\n".join(_html_row(row) for row in part.rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _html_row(row: Sequence[Entry]) -> str:
    first, *rest = row
    cells = "".join(f"<td>{_html_cell(entry)}</td>" for entry in rest)
    return f'<tr><th scope="row">{_html_cell(first)}</th>{cells}</tr>'


def _html_cell(entry: Entry) -> str:
    tag = {"best": "strong", "second": "u"}.get(entry.mark)
    text = html.escape(entry.text)
    return f"<{tag}>{text}</{tag}>" if tag else text


def runs_as_csv(runs: Sequence[Done]) -> str:
    """A line per finished run: what it was, what was tuned for it, and its numbers in full."""
    lines: list[dict[str, Any]] = []
    for run in runs:
        if run.error:
            continue
        metrics = metrics_of(run.folder)
        lines.append(
            {
                **{"dataset": run.dataset, "row": run.label, "seed": run.seed},
                **{"trials": run.trials, "tuned": json.dumps(run.tuned) if run.tuned else ""},
                **{key: metrics[key] for key in ("best_epoch", "epochs_run", "parameters")},
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
