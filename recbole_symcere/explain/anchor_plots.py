"""The plots of `explain anchor`."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from recbole_symcere.explain.anchor import Anchoring
from recbole_symcere.explain.kinds import KINDS
from recbole_symcere.page.figures import (
    COLOURS,
    GREY,
    INK,
    Estimate,
    count_axis,
    counts,
    drawing,
    escaped,
    estimates,
    key,
    svg,
)
from recbole_symcere.page.page import Picture

__all__ = ["pictures"]

# colour and marker: they differ also in print and for the colour-blind
_LOOK = {
    "objective": (COLOURS[0], "o"),
    "subjective": (COLOURS[1], "^"),
    "stop-word": (GREY, "x"),
    "unsorted": (COLOURS[3], "v"),
    "other language": (COLOURS[2], "s"),
    "neither": (COLOURS[4], "D"),
    "rare": (GREY, "."),
}
_AXIS = "specific contribution"
_NAMED = 12  # words


def pictures(found: Anchoring) -> list[Picture]:
    """Contributions by kind, by word, and the contrast among the shuffled ones."""
    drawn = [_by_kind(found), _by_word(found)]
    return [*drawn, _shuffled(found)] if found.contrast is not None else drawn


def _by_kind(found: Anchoring) -> Picture:
    shown = [(name, mean) for name, mean in zip(KINDS, found.by_kind, strict=True) if mean]
    with drawing(4.6, 0.7 + 0.26 * max(len(shown), 2)) as (figure, axes):
        rows = [(name, [Estimate(mean.value, *mean.interval)]) for name, mean in shown]
        estimates(axes, rows, [COLOURS[0]])
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"mean {_AXIS} of a word to its review's similarity")
        content = svg(figure)
    caption = "Mean specific contribution of each kind of words, with 95 % intervals over items"
    return Picture("kinds.svg", content, caption)


def _by_word(found: Anchoring) -> Picture:
    table = found.table
    enough = table.reviews >= 5
    shown = []
    with drawing(5.0, 3.6) as (figure, axes):
        for kind, name in enumerate(KINDS):
            chosen = enough & (found.kind_of == kind)
            if chosen.any():
                colour, marker = _LOOK[name]
                look: dict[str, Any] = {
                    "s": 14,
                    "c": colour,
                    "marker": marker,
                    "alpha": 0.8,
                    "linewidths": 0.8,
                }
                axes.scatter(table.reviews[chosen], table.mean[chosen], **look)
                shown.append((name, colour, marker))
        if enough.any():
            count_axis(axes.xaxis, table.reviews[enough])
            axes.set_xlim(left=4.5)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("reviews explained that have the word")
        axes.set_ylabel(f"mean {_AXIS}")
        if shown:
            key(figure, shown)
        figure.draw_without_rendering()
        clear = np.flatnonzero(enough)
        order = clear[np.argsort(-np.abs(table.mean[clear]), kind="stable")][:_NAMED]
        _name_words(axes, found, order.tolist())
        content = svg(figure)
    caption = "Each word of at least five explained reviews: how often, and what it contributes"
    return Picture("words.svg", content, caption)


def _name_words(axes: Axes, found: Anchoring, words: list[int]) -> None:
    """Names beside the dots, as far as none would cover another."""
    taken: list[tuple[float, float, float, float]] = []
    left, right = axes.get_window_extent().intervalx
    for n in words:
        word = found.occlusions.vocabulary[n]
        x, y = axes.transData.transform((found.table.reviews[n], found.table.mean[n]))
        width, height = 0.075 * axes.figure.dpi * (len(word) + 1), 0.14 * axes.figure.dpi
        to_the_left = x + width > right
        start = x - width if to_the_left else x
        box = (start, y - height / 2, start + width, y + height / 2)
        if start < left or any(_overlap(box, other) for other in taken):
            continue
        taken.append(box)
        place = (found.table.reviews[n], found.table.mean[n])
        axes.annotate(
            escaped(word),
            place,
            xytext=(-5 if to_the_left else 5, 0),
            textcoords="offset points",
            ha="right" if to_the_left else "left",
            va="center",
            fontsize=8,
        )


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _shuffled(found: Anchoring) -> Picture:
    true = found.contrast.value if found.contrast else 0.0
    drawn = np.asarray(found.shuffled)
    with drawing(4.6, 2.6) as (figure, axes):
        edges = np.linspace(drawn.min(), max(drawn.max(), drawn.min() + 1e-9), 13)
        counts(axes, drawn, edges, color=GREY)
        axes.axvline(true, color=_LOOK["objective"][0], linewidth=2)
        axes.set_xlabel("objective less subjective words")
        axes.set_ylabel("pairings")
        names = ("reviews paired with other items", "true pairs")
        key(figure, list(zip(names, (GREY, COLOURS[0]), strict=True)))
        content = svg(figure)
    caption = "The contrast with the true pairs, and among shuffled pairs of review and interaction"
    return Picture("shuffled.svg", content, caption)
