"""The plots of `explain geometry`."""

from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from recbole_symcere.explain.geometry import Geometry
from recbole_symcere.page.figures import (
    COLOURS,
    GREY,
    count_axis,
    counts,
    drawing,
    key,
    label_ends,
    log_ticks,
    svg,
    whole_numbers,
)
from recbole_symcere.page.page import Picture

__all__ = ["histograms", "norm_plots", "recommended", "spectra"]

_NOISE = 1e-3  # of the largest singular value; what is below is rounding or nearly nothing
_BINS = 28
_OF_PAIRS = {
    "training": COLOURS[0],
    "held out": COLOURS[1],
    "unobserved": GREY,
    "review and its interaction": COLOURS[0],
    "review and another": GREY,
}
_OF_SIDES = dict(zip(("users", "items", "reviews", "interactions"), COLOURS, strict=False))
_WITHOUT = "unobserved"


def histograms(found: Geometry) -> list[Picture]:
    """How many pairs have which cosine or dot product."""
    shown = [
        ("cosines.svg", "cosine", ("training", "held out", _WITHOUT), "user and item"),
        ("products.svg", "dot product", ("training", "held out", _WITHOUT), "user and item"),
        (
            "reviews.svg",
            "cosine",
            ("review and its interaction", "review and another"),
            "review and interaction",
        ),
    ]
    pictures = []
    for file, how, names, what in shown:
        there = [name for name in names if (name, how) in found.products]
        if not there:
            continue
        values = [found.products[(name, how)] for name in there]
        low, high = np.quantile(np.concatenate(values), [0.002, 0.998])
        edges = (
            np.linspace(low, high, _BINS + 1) if high > low else np.linspace(low - 1, low + 1, 3)
        )
        with drawing(4.6, 2.8) as (figure, axes):
            for name, column in zip(there, values, strict=True):
                inside = np.clip(column, edges[0], edges[-1])
                counts(axes, inside, edges, color=_OF_PAIRS[name], histtype="step", linewidth=1.5)
            axes.set_xlabel(f"{how} of {what}")
            axes.set_ylabel("pairs")
            axes.margins(y=0.08)
            shown_names = zip(there, values, strict=True)
            key(figure, [(f"{name} ({len(c):,})", _OF_PAIRS[name]) for name, c in shown_names])
            caption = (
                f"How many pairs have which {how} of {what}; the outermost bars hold what lies "
                "further out"
            )
            pictures.append(Picture(file, svg(figure), caption))
    return pictures


def norm_plots(found: Geometry) -> list[Picture]:
    """Length of each vector against how often its user or item occurs."""
    pictures = []
    for name, norms in found.norms.items():
        there = found.counts[name] > 0
        with drawing(4.6, 2.8) as (figure, axes):
            often = found.counts[name][there]
            look: dict[str, Any] = {
                "s": 9,
                "alpha": 0.45,
                "linewidths": 0,
                "color": _OF_SIDES[name],
            }
            axes.scatter(often, norms[there], **look)
            if len(often):
                count_axis(axes.xaxis, often)
            axes.set_ylim(bottom=0)
            axes.set_xlabel(
                f"training interactions of {'a user' if name == 'users' else 'an item'}"
            )
            axes.set_ylabel("length of the vector")
            picture = Picture(f"norms_{name}.svg", svg(figure), f"Norm and popularity of {name}")
        pictures.append(picture)
    return pictures


def spectra(found: Geometry) -> Picture:
    """The singular values that aren't noise."""
    ends = []
    with drawing(4.8, 2.9) as (figure, axes):
        lowest = 1.0
        for name, values in found.spectrum.items():
            kept = values[values >= _NOISE * values[0]]
            axes.plot(np.arange(1, len(kept) + 1), kept, color=_OF_SIDES[name])
            lowest = min(lowest, float(kept[-1]))
            ends.append((float(kept[-1]), name, _OF_SIDES[name]))
        log_ticks(axes.yaxis, lowest, max(float(v[0]) for v in found.spectrum.values()))
        whole_numbers(axes.xaxis)
        axes.set_xlabel("singular value, the largest first")
        axes.set_ylabel("share of their sum")
        figure.draw_without_rendering()
        label_ends(axes, ends)
        content = svg(figure)
    caption = f"Singular values of the vectors; those below {_NOISE:g} of the largest are left out"
    return Picture("spectrum.svg", content, caption)


def recommended(found: Geometry) -> Picture:
    """How often an item is recommended against how often it occurs in training."""
    with drawing(4.8, 3.0) as (figure, axes):
        look: dict[str, Any] = {"s": 9, "alpha": 0.45, "linewidths": 0, "color": _OF_SIDES["items"]}
        axes.scatter(found.counts["items"], found.recommended, **look)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_yscale("symlog", linthresh=1)
        for axis, values in ((axes.xaxis, found.counts["items"]), (axes.yaxis, found.recommended)):
            highest = int(np.log10(max(values.max(), 1))) + 1
            axis.set_major_locator(FixedLocator([0, *(10**e for e in range(highest + 1))]))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.set_xlabel("training interactions of an item")
        axes.set_ylabel("users who have it in their first ten")
        content = svg(figure)
    return Picture("recommended.svg", content, "Popularity and recommendation of items; a dot each")
