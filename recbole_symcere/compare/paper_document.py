"""The tables of the SymCERE paper, with our values beside the printed ones."""

from collections.abc import Mapping, Sequence

from recbole_symcere.compare.paper_tables import BACKBONES, printed_values
from recbole_symcere.compare.table import Block, with_every_seed
from recbole_symcere.page.page import Entry, Heading, Part, Text, TextTable

__all__ = ["paper_parts"]

_NONE = Entry("-")


def paper_parts(blocks: Sequence[Block], preset: str) -> list[Part]:
    """The layout of Table 2 or 3, on every data set.

    Args:
        blocks: one per data set.
        preset: "table2" or "table3".
    """
    number = preset[-1]
    labels = [line.row.label for line in blocks[0].lines]
    changes = ["max. improvement"] if number == "2" else [f"max. drop {b}" for b in BACKBONES]
    rows = []
    for block in blocks:
        printed = printed_values(preset, block.dataset)
        whole = {line.row.label for line in with_every_seed(block.lines)}
        for n, (metric, name) in enumerate((("hit@10", "HR@10"), ("ndcg@10", "NDCG@10"))):
            ours = {
                line.row.label: line.cells[metric].mean
                for line in block.lines
                if metric in line.cells
            }
            theirs = {label: cell[n] for label, cell in printed.items()}
            for source, values in (("here", ours), ("paper", theirs)):
                if values:
                    counted = {k: v for k, v in values.items() if source == "paper" or k in whole}
                    rows.append(_preset_row(block, name, source, values, counted, labels, number))
    note = (
        f"Laid out as Table {number} of arXiv 2504.02195 v2. Rows marked paper hold what is "
        "printed there, as far as it could be checked; they can't be compared directly, because "
        "the paper doesn't say how its data sets were sampled."
    )
    head = ["data set", "metric", "source", *labels, *changes]
    return [Heading(f"The paper's Table {number}", 2), Text(note), TextTable(head, rows)]


def _preset_row(
    block: Block,
    name: str,
    source: str,
    values: Mapping[str, float],
    counted: Mapping[str, float],
    labels: Sequence[str],
    number: str,
) -> list[Entry]:
    """A line of the table; values that lack seeds are shown, but neither marked nor compared."""
    top = sorted(set(counted.values()))[::-1]
    places = dict(zip(top, ("best", "second"), strict=False)) if len(counted) > 1 else {}
    marks = {label: places.get(value, "") for label, value in counted.items()}
    cells = [
        Entry(f"{values[label]:.3f}", marks.get(label, "")) if label in values else _NONE
        for label in labels
    ]
    if number == "2":
        changes = [_improvement(block, counted)]
    else:
        changes = [_drop(backbone, block, counted) for backbone in BACKBONES]
    return [Entry(block.dataset), Entry(name), Entry(source), *cells, *changes]


def _improvement(block: Block, values: Mapping[str, float]) -> Entry:
    """The best proposed model over the best baseline."""
    lines = [line for line in block.lines if line.row.label in values and not line.row.control]
    ours = [values[line.row.label] for line in lines if line.row.proposed]
    others = [values[line.row.label] for line in lines if not line.row.proposed]
    if not ours or not others or not max(others):
        return _NONE
    return Entry(f"{100 * (max(ours) / max(others) - 1):+.1f} %")


def _drop(backbone: str, block: Block, values: Mapping[str, float]) -> Entry:
    """The largest loss of an ablation against the whole model; a gain has a plus."""
    full = f"SymCERE ({backbone})"
    rows = [line.row for line in block.lines if not line.row.control]
    labels = [row.label for row in rows if row.label.startswith((f"{full}, w/o", f"{full}, MM"))]
    ablated = [values[label] for label in labels if label in values]
    if not ablated or not values.get(full):
        return _NONE
    return Entry(f"{100 * (min(ablated) / values[full] - 1):+.1f} %")
