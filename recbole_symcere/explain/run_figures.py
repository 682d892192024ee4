"""The figures of a run's page: loss terms, validation, groups of users and items."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from recbole_symcere.evaluate.groups import ITEM_BINS
from recbole_symcere.explain.yardsticks import Measured, estimate_of
from recbole_symcere.page.figures import (
    COLOURS,
    GREY,
    Estimate,
    drawing,
    escaped,
    estimates,
    key,
    label_ends,
    svg,
    whole_numbers,
)
from recbole_symcere.page.metric_words import main_metric
from recbole_symcere.page.page import Gallery, Part, Picture, Text
from recbole_symcere.run.log_lines import metric_title

__all__ = ["active_terms", "groups_picture", "loss_panels", "validation_pictures"]

Json = Mapping[str, Any]

_MOST_LINES = 4
_DOTS_UP_TO = 40  # epochs


def active_terms(history: Sequence[Json]) -> list[str]:
    """The loss terms that are anything but 0 in some epoch."""
    terms = dict.fromkeys(term for epoch in history for term in epoch["loss"])
    return [term for term in terms if any(epoch["loss"].get(term) for epoch in history)]


def loss_panels(metrics: Json) -> list[Part]:
    """A small plot of each term that is switched on, side by side; each has a scale of its own."""
    history = metrics["history"]
    terms = active_terms(history)
    if not terms:
        return []
    panels = []
    for term in terms:
        points = [(e["epoch"], e["loss"][term]) for e in history if term in e["loss"]]
        with drawing(1.9, 1.55) as (figure, axes):
            _line(axes, points, COLOURS[0])
            _tested_epoch(axes, metrics)
            axes.set_title(escaped(term))
            axes.set_xlabel("epoch")
            axes.locator_params(axis="y", nbins=4)
            caption = f"Loss term {term} over epochs"
            picture = Picture(f"loss_{term}.svg", svg(figure), caption, titled=True)
        panels.append(picture)
    off = [t for t in dict.fromkeys(t for e in history for t in e["loss"]) if t not in terms]
    text = (
        "Mean of each loss term over the batches of an epoch, each on a scale of its own; epochs "
        f"are counted from 0.{_dotted(metrics)}"
    )
    if off:
        text += f" Switched off, and 0 throughout: {', '.join(off)}."
    return [Text(text), Gallery(panels)]


def _dotted(metrics: Json) -> str:
    best = metrics["best_epoch"]
    return "" if best is None else f" The dotted line is epoch {best}, whose weights were tested."


def validation_pictures(metrics: Json) -> list[Part]:
    """Metrics on validation over epochs, and what the blend made of them."""
    history = [epoch for epoch in metrics["history"] if epoch.get("valid")]
    if not history:
        return []
    names = _at_one_k(list(history[0]["valid"]), metrics)
    best = metrics["best_epoch"]
    blended = best is not None and _blended(metrics, history, names)
    ends, colours = [], dict(zip(names, COLOURS, strict=False))
    with drawing(4.6, 2.9) as (figure, axes):
        for name, colour in colours.items():
            points = [(e["epoch"], e["valid"][name]) for e in history if name in e["valid"]]
            _line(axes, points, colour)
            ends.append((points[-1][1], metric_title(name), colour))
            if blended:
                axes.plot(best, metrics["valid"][name], "D", color=colour, markersize=5.5)
        _tested_epoch(axes, metrics)
        axes.set_xlabel("epoch")
        axes.set_ylabel("on validation")
        axes.set_ylim(bottom=0)
        figure.draw_without_rendering()
        label_ends(axes, ends)
        content = svg(figure)
    caption = f"Metrics on validation over epochs.{_dotted(metrics)}"
    if blended:
        before = next(e["valid"][names[0]] for e in history if e["epoch"] == best)
        caption += (
            " Diamonds: with the blend, whose weights were chosen on validation after training "
            f"({metric_title(names[0])} {before:.4f} without it, "
            f"{metrics['valid'][names[0]]:.4f} with it); these are the figures of the table."
        )
    return [Picture("valid.svg", content, caption)]


def _blended(metrics: Json, history: Sequence[Json], names: Sequence[str]) -> bool:
    """Whether a blend changed what the best epoch had on validation."""
    of_best = [epoch for epoch in history if epoch["epoch"] == metrics["best_epoch"]]
    if "blend" not in metrics or not of_best:
        return False
    before = of_best[-1]["valid"]
    return any(before.get(name) != metrics["valid"].get(name) for name in names)


def _at_one_k(names: Sequence[str], metrics: Json) -> list[str]:
    """The metric that epochs are chosen by, then the others of the same k."""
    main = main_metric(metrics, names)
    k = main.partition("@")[2]
    same = [name for name in names if name != main and name.partition("@")[2] == k]
    return [main, *same][:_MOST_LINES]


def _line(axes: Axes, points: Sequence[tuple[int, float]], colour: str) -> None:
    marker = "." if len(points) < _DOTS_UP_TO else ""
    axes.plot(*zip(*points, strict=True), marker=marker, color=colour)
    whole_numbers(axes.xaxis)


def _tested_epoch(axes: Axes, metrics: Json) -> None:
    if metrics["best_epoch"] is not None:
        axes.axvline(metrics["best_epoch"], color=GREY, linestyle=":", linewidth=1)


def groups_picture(measured: Sequence[Measured], k: int) -> Picture | None:
    """NDCG of rare and popular items, of users with few and many interactions; with intervals."""
    metric = f"ndcg@{k}"
    rows: list[tuple[str, list[Estimate | None]]] = [
        ("all users", [estimate_of(one.columns[metric]) for one in measured])
    ]
    for name in ITEM_BINS:
        column = f"{metric}/{name}"
        rows.append((f"{name} items", [estimate_of(one.columns[column]) for one in measured]))
    for name in measured[0].groups:
        values = [estimate_of(one.columns[metric][one.groups[name]]) for one in measured]
        rows.append((f"users with {name} interactions", values))
    rows = [row for row in rows if any(row[1])]
    if not rows:
        return None
    colours = COLOURS[: len(measured)]
    with drawing(4.8, 0.9 + 0.1 * len(rows) * (len(measured) + 1.4)) as (figure, axes):
        estimates(axes, rows, colours)
        axes.set_xlabel(f"NDCG@{k} on the test split")
        axes.set_xlim(left=0)
        key(figure, [(one.name, colour) for one, colour in zip(measured, colours, strict=True)])
        caption = f"NDCG@{k} of groups of items and users, with 95 % intervals over users"
        return Picture("groups.svg", svg(figure), caption)
