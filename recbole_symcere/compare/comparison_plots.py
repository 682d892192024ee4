"""The plots of a comparison: gains with their intervals, what they cost, groups."""

import math
from collections.abc import Sequence
from typing import Any

from recbole_symcere.compare.over_sets import OverSets
from recbole_symcere.compare.rows import Row
from recbole_symcere.compare.table import Block, Line
from recbole_symcere.page.figures import (
    COLOURS,
    GREY,
    INK,
    ROW_HEIGHT,
    Estimate,
    clipped,
    drawing,
    escaped,
    forest,
    key,
    label_ends,
    log_ticks,
    svg,
)
from recbole_symcere.page.page import Picture
from recbole_symcere.run.log_lines import metric_title

__all__ = ["cost_plot", "gains_over_sets", "gains_plot", "groups_plots"]

_ROLES = {"proposed": COLOURS[0], "best baseline": COLOURS[1], "baseline": GREY}
_ROLES["control"] = COLOURS[3]


def gains_plot(block: Block) -> Picture | None:
    """Forest plot: each row's gain over the best baseline with its interval; None without tests."""
    base = next((line for line in block.lines if line.row.label == block.reference), None)
    if base is None or not base.cells[block.metric].mean:
        return None
    whole = 100 / base.cells[block.metric].mean
    rows = [
        (line, Estimate(*(whole * x for x in (found.difference, *found.interval))))
        for line in block.lines
        if (found := line.comparison)
    ]
    rows = [row for row in rows if all(map(math.isfinite, row[1]))]
    if not rows:
        return None
    rows.sort(key=lambda row: -row[1].value)
    shown = [(line.row.label, estimate, _role(line.row, block)) for line, estimate in rows]
    metric = metric_title(block.metric)
    caption = (
        f"Gain of each row in {metric} over {block.reference} on {block.dataset}, with 95 % "
        "intervals over users and seeds, not adjusted for their number"
    )
    return _forest(shown, f"gain in {metric}, %", f"gains_{block.dataset}.svg", caption)


def gains_over_sets(over: Sequence[OverSets], rows: Sequence[Row], metric: str) -> Picture | None:
    """Forest plot of the mean change against the best other baseline over all data sets."""
    roles = {row.label: _role(row, None) for row in rows}
    shown = [
        (
            one.label,
            Estimate(*(100 * math.expm1(x) for x in (one.pooled.mean, *one.pooled.interval))),
            roles[one.label],
        )
        for one in over
        if one.against is None and one.pooled and one.pooled.interval
    ]
    if not shown:
        return None
    shown.sort(key=lambda row: -row[1].value)
    caption = (
        f"Change of {metric} against the best other baseline of each data set, mean over the data "
        "sets with a 95 % interval over sets like these"
    )
    return _forest(shown, f"change of {metric}, %", "gains_over_sets.svg", caption)


def _forest(
    shown: Sequence[tuple[str, Estimate, str]], axis: str, file: str, caption: str
) -> Picture:
    rows = [(label, change, _ROLES[role]) for label, change, role in shown]
    with forest(rows, axis, _names([role for *_, role in shown])) as figure:
        return Picture(file, svg(figure), caption)


def cost_plot(block: Block) -> Picture | None:
    """The metric of each row against the seconds of a run; None where there is but one."""
    lines = [line for line in block.lines if block.metric in line.cells and line.seconds]
    if len(lines) < 2:
        return None
    metric = metric_title(block.metric)
    roles = [_role(line.row, block) for line in lines]
    seconds = [float(line.seconds or 0) for line in lines]
    with drawing(4.8, max(2.8, 1.2 + ROW_HEIGHT * len(lines))) as (figure, axes):
        for line, role, x in zip(lines, roles, seconds, strict=True):
            cell = line.cells[block.metric]
            spread = cell.deviation or 0.0
            look: dict[str, Any] = {
                "color": _ROLES[role],
                "capsize": 0,
                "elinewidth": 1.2,
                "markersize": 5,
            }
            axes.errorbar(x, cell.mean, yerr=spread, fmt="o", **look)
        log_ticks(axes.xaxis, min(seconds), max(seconds))
        axes.set_xlim(min(seconds) / 1.25, max(seconds) * 1.25)
        axes.set_xlabel("seconds of a run")
        axes.set_ylabel(metric)
        axes.set_ylim(axes.get_ylim())
        key(figure, _names(roles))
        # as wide as the names will be, so that the layout is that of the saved figure
        named = [(line.cells[block.metric].mean, clipped(line.row.label)) for line in lines]
        longest = max((name for _, name in named), key=len)
        axes.annotate(longest, (1.03, 0.5), xycoords="axes fraction", fontsize=8.5, alpha=0)
        figure.draw_without_rendering()
        ends = [(y, name, _ROLES[role]) for (y, name), role in zip(named, roles, strict=True)]
        label_ends(axes, ends, seconds)
        caption = (
            f"{metric} on the test split of {block.dataset} against the time to prepare, train and "
            "evaluate; a line through a dot is the standard deviation over seeds"
        )
        return Picture(f"cost_{block.dataset}.svg", svg(figure), caption)


def groups_plots(block: Block) -> list[Picture]:
    """A plot for each group of items or users: a bar for each row."""
    names = dict.fromkeys(name for line in block.lines for name in line.cells)
    pictures = []
    for name in names:
        metric, _, group = name.partition("/")
        if metric != block.metric or not group:
            continue
        lines = [line for line in block.lines if name in line.cells]
        pictures.append(_bars(block, name, group, lines))
    return pictures


def _bars(block: Block, name: str, group: str, lines: Sequence[Line]) -> Picture:
    with drawing(3.6, 0.7 + ROW_HEIGHT * max(len(lines), 2)) as (figure, axes):
        for n, line in enumerate(lines):
            cell = line.cells[name]
            colour = _ROLES[_role(line.row, block)]
            axes.barh(n, cell.mean, color=colour, height=0.7)
            if cell.deviation:
                ends = [max(cell.mean - cell.deviation, 0), cell.mean + cell.deviation]
                axes.plot(ends, [n, n], color=INK, linewidth=1)
        axes.set_yticks(range(len(lines)), [escaped(clipped(line.row.label)) for line in lines])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=4)
        figure.suptitle(escaped(group), x=0.02, ha="left")
        axes.set_xlabel(metric_title(block.metric))
        caption = f"{metric_title(block.metric)} of {group} on {block.dataset}, a bar for each row"
        file = f"{group.replace(' ', '_').replace('=', '')}_{block.dataset}.svg"
        return Picture(file, svg(figure), caption, titled=True)


def _role(row: Row, block: Block | None) -> str:
    if block is not None and row.label == block.reference and not row.proposed:
        return "best baseline"
    return "control" if row.control else "proposed" if row.proposed else "baseline"


def _names(roles: Sequence[str]) -> list[tuple[str, str]]:
    return [(role, colour) for role, colour in _ROLES.items() if role in roles]
