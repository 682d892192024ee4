"""The plots of `explain anchor`."""

import numpy as np

from recbole_symcere.explain.anchor import Anchoring
from recbole_symcere.explain.kinds import KINDS
from recbole_symcere.page.figures import new_figure, png
from recbole_symcere.page.page import Picture

__all__ = ["pictures"]

# colour and marker: they differ also in print and for the colour-blind
_LOOK = {
    "objective": ("#1f5fa8", "o"),
    "subjective": ("#d62728", "^"),
    "stop-word": ("#7a7a7a", "x"),
    "unsorted": ("#9467bd", "v"),
    "other language": ("#2ca02c", "s"),
    "neither": ("#e69f00", "D"),
    "rare": ("#c9c9c9", "."),
}
_AXIS = "specific contribution"


def pictures(found: Anchoring) -> list[Picture]:
    """Contributions by kind, by word, and the contrast among the shuffled ones."""
    drawn = [_by_kind(found), _by_word(found)]
    return [*drawn, _shuffled(found)] if found.contrast is not None else drawn


def _by_kind(found: Anchoring) -> Picture:
    figure, axes = new_figure(7.0, 3.4)
    shown = [(name, mean) for name, mean in zip(KINDS, found.by_kind, strict=True) if mean]
    for row, (name, mean) in enumerate(reversed(shown)):
        low, high = mean.value - mean.interval.low, mean.interval.high - mean.value
        axes.barh(row, mean.value, color=_LOOK[name][0], alpha=0.8)
        axes.errorbar(mean.value, row, xerr=[[low], [high]], color="black", capsize=3)
    axes.set_yticks(range(len(shown)), [name for name, _ in reversed(shown)])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"mean {_AXIS} of a word to its review's similarity")
    caption = "Mean specific contribution of each kind of words, with 95 % intervals over items"
    return Picture("kinds.png", png(figure), caption)


def _by_word(found: Anchoring) -> Picture:
    figure, axes = new_figure(7.5, 4.6)
    table = found.table
    enough = table.reviews >= 5
    for kind, name in enumerate(KINDS):
        chosen = enough & (found.kind_of == kind)
        if chosen.any():
            colour, marker = _LOOK[name]
            axes.scatter(
                table.reviews[chosen], table.mean[chosen], s=18, c=colour, marker=marker, label=name
            )
    clear = np.flatnonzero(enough)
    for n in clear[np.argsort(-np.abs(table.mean[clear]))[:12]]:
        word = found.occlusions.vocabulary[n]
        place = (table.reviews[n], table.mean[n])
        axes.annotate(word, place, fontsize=7, xytext=(3, 2), textcoords="offset points")
    axes.set_xscale("log")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("reviews explained that have the word")
    axes.set_ylabel(f"mean {_AXIS}")
    if enough.any():
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    caption = "Each word of at least five explained reviews: how often, and what it contributes"
    return Picture("words.png", png(figure), caption)


def _shuffled(found: Anchoring) -> Picture:
    figure, axes = new_figure(7.0, 3.2)
    axes.hist(found.shuffled, bins=20, color="#999999", label="reviews paired with other items")
    true = found.contrast.value if found.contrast else 0.0
    axes.axvline(true, color=_LOOK["objective"][0], linewidth=2, label="true pairs")
    axes.set_xlabel("objective less subjective words")
    axes.set_ylabel("pairings")
    axes.legend(frameon=False)
    caption = "The contrast with the true pairs, and among shuffled pairs of review and interaction"
    return Picture("shuffled.png", png(figure), caption)
