"""The look of every figure: figures that pyplot doesn't know of, so that nothing stays open.

In a page a figure is SVG: its ink follows the reader's light or dark window, and the colours of its
data are told from either ground and by colour-blind eyes. A file of its own is PNG, on white.
"""

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

__all__ = [
    "COLOURS",
    "GREY",
    "INK",
    "ROW_HEIGHT",
    "Estimate",
    "clipped",
    "count_axis",
    "counts",
    "drawing",
    "escaped",
    "estimates",
    "forest",
    "key",
    "label_ends",
    "log_ticks",
    "png",
    "svg",
    "whole_numbers",
]

INK = "#1a1b1c"
GREY = "#7f7f7f"
COLOURS = ("#1f7fc4", "#d55e00", "#0b9470", "#b0559a", "#a6761d")
"""Of series, in their order: each has a contrast of 3.5 or more to a light and to a dark page."""

_LOOK: dict[Any, Any] = {
    **{"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9},
    **{"axes.labelsize": 9, "axes.titlesize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8},
    **{"legend.fontsize": 8.5, "legend.frameon": False, "figure.titlesize": 10},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7},
    **{"axes.titlelocation": "left", "axes.formatter.useoffset": False},
    **{"xtick.major.width": 0.7, "ytick.major.width": 0.7, "lines.linewidth": 1.6},
    **{"axes.formatter.limits": (-5, 7), "figure.dpi": 150, "lines.markersize": 4},
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    **{"axes.prop_cycle": cycler(color=COLOURS), "axes.facecolor": "none"},
    **{"svg.fonttype": "none", "svg.hashsalt": "figure"},
}
_FEWEST_TICKS = 3
ROW_HEIGHT = 0.19
"""Inches of a row that has a label."""
_LINE = 11.5  # points from a line of text to the next
_FONT = re.compile(r"font-family: [^;\"]*")
_STYLE = "<style>svg{color:#1c2127}@media(prefers-color-scheme:dark){svg{color:#e7e9ec}}</style>"


@contextlib.contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of that size in inches with one pair of axes, while it is drawn and saved."""
    with matplotlib.rc_context(_LOOK):
        # a reader's font may be a little wider than the one that is measured
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.05)
        figure = Figure((width, height), layout=layout)
        FigureCanvasAgg(figure)
        yield figure, figure.add_subplot()


def svg(figure: Figure, inline: bool = False) -> bytes:
    """The figure as SVG without a ground of its own; its text is text, in the reader's font.

    Args:
        figure: made by `drawing`.
        inline: whether its ink is that of the text around it, else of the reader's window.
    """
    content = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with _any_glyphs():
        figure.savefig(content, format="svg", transparent=True, metadata=nothing)
    text = content.getvalue()
    text = re.sub(r"<!--.*?-->\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = _FONT.sub("font-family: system-ui, sans-serif", text).replace(INK, "currentColor")
    place = text.index(">") + 1
    return f"{text[:place]}{'' if inline else _STYLE}{text[place:]}".encode()


def png(figure: Figure) -> bytes:
    """The figure's PNG."""
    content = io.BytesIO()
    with _any_glyphs():
        figure.savefig(content, format="png")
    return content.getvalue()


@contextlib.contextmanager
def _any_glyphs() -> Iterator[None]:
    """A label may be text that the font can't write; a PNG has boxes there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        yield


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers alone."""
    axis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def count_axis(axis: Axis, values: npt.ArrayLike) -> None:
    """A logarithmic axis of counts from 1 on, whose ticks are written in full: 1, 10, 1,000."""
    log_ticks(axis, max(float(np.min(values)), 1), max(float(np.max(values)), 2), whole=True)
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), tuple(map(float, range(1, 10))))


def log_ticks(axis: Axis, low: float, high: float, whole: bool = False) -> None:
    """A logarithmic axis with some round ticks between two values, written in full.

    Args:
        axis: of the figure.
        low: the least value, above 0.
        high: the largest.
        whole: whether ticks are whole numbers.
    """
    axes = axis.axes
    (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
    first = math.floor(math.log10(low))
    last = max(math.ceil(math.log10(high)), first + 1)
    ticks: list[float] = []
    for steps in _STEPS:
        every = -(-(last - first) // 6) if len(steps) == 1 else 1
        ticks = [m * 10.0**e for e in range(first, last + 1, every) for m in steps]
        ticks = [tick for tick in ticks if not whole or tick == int(tick)]
        if sum(low <= tick <= high for tick in ticks) >= _FEWEST_TICKS:
            break
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def counts(axes: Axes, values: npt.ArrayLike, edges: npt.ArrayLike, **look: Any) -> None:
    """A histogram, whose height is a number of things."""
    axes.hist(np.asarray(values), np.asarray(edges).tolist(), **({"color": COLOURS[0]} | look))
    whole_numbers(axes.yaxis)


class Estimate(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def estimates(
    axes: Axes,
    rows: Sequence[tuple[str, Sequence[Estimate | None]]],
    colours: Sequence[str],
    apart: bool = True,
) -> None:
    """A row for each label, from above; in it a dot with its interval for each series.

    Args:
        axes: to draw in.
        rows: label, and a value for each series; None where there is none.
        colours: of the series.
        apart: whether the series of a row stand below each other, else in one line.
    """
    gap = 0.7 / max(len(colours), 1) if apart else 0.0
    for n, (_, values) in enumerate(rows):
        for m, (one, colour) in enumerate(zip(values, colours, strict=True)):
            if one is not None:
                at = n + gap * (m - (len(colours) - 1) / 2)
                axes.plot([one.low, one.high], [at, at], color=colour, linewidth=1.4)
                axes.plot(one.value, at, "o", color=colour, markersize=4.5)
    axes.set_yticks(range(len(rows)), [escaped(label) for label, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GREY, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)


@contextlib.contextmanager
def forest(
    rows: Sequence[tuple[str, Estimate, str]], axis: str, names: Sequence[tuple[str, str]] = ()
) -> Iterator[Figure]:
    """Changes with their intervals, a row each, from above, and a line where nothing changes.

    Args:
        rows: label, change and colour of each.
        axis: what the changes are of.
        names: what colours stand for, with the colour.
    """
    colours = [*dict.fromkeys(colour for *_, colour in rows)]
    shown = [
        (clipped(label), [change if colour == own else None for colour in colours])
        for label, change, own in rows
    ]
    with drawing(4.8, 0.8 + ROW_HEIGHT * max(len(rows), 3)) as (figure, axes):
        estimates(axes, shown, colours, apart=False)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(escaped(axis))
        if names:
            key(figure, names)
        yield figure


def key(figure: Figure, labels: Sequence[tuple[str, ...]]) -> None:
    """Names of series in their colours, in a line above the axes.

    Args:
        figure: to draw in.
        labels: name and colour of each series, and its marker where that isn't a dot.
    """
    marks: list[Any] = [
        Line2D([], [], marker=(*marker, "o")[0], linestyle="", color=colour, label=escaped(label))
        for label, colour, *marker in labels
    ]
    figure.legend(
        handles=marks,
        loc="outside upper left",
        ncols=min(len(marks), 4),
        labelcolor="linecolor",
        handletextpad=0.1,
        columnspacing=1.0,
        borderpad=0,
        handlelength=1.2,
    )


def label_ends(
    axes: Axes, ends: Sequence[tuple[float, str, str]], leaders: Sequence[float] | None = None
) -> None:
    """Names of lines beside their right ends, moved apart where they would overlap.

    Args:
        axes: with their final limits, laid out (`Figure.draw_without_rendering`).
        ends: height of the end, name and colour of each line.
        leaders: where on the x axis each end is, to draw a thin line from it to its name.
    """
    if not ends:
        return
    to_axes = axes.transData + axes.transAxes.inverted()
    least = _LINE / (axes.get_window_extent().height / axes.figure.dpi * 72)
    order = sorted(range(len(ends)), key=lambda n: ends[n][0])
    x = axes.get_xlim()[1]
    places = [float(to_axes.transform((x, ends[n][0]))[1]) for n in order]
    for n in range(1, len(places)):
        places[n] = max(places[n], places[n - 1] + least)
    over = max(places[-1] - 1, 0.0)
    places = [place - over for place in places]
    for n in range(len(places) - 2, -1, -1):
        places[n] = min(places[n], places[n + 1] - least)
    under = max(-places[0], 0.0)  # only where there are more names than lines of text
    for n, place in zip(order, places, strict=True):
        y, name, colour = ends[n]
        if leaders is not None:
            start = to_axes.transform((leaders[n], y))
            look: dict[str, Any] = {
                "color": colour,
                "linewidth": 0.5,
                "alpha": 0.6,
                "clip_on": False,
            }
            axes.plot([start[0], 1.02], [start[1], place + under], transform=axes.transAxes, **look)
        axes.annotate(
            escaped(name),
            (1.03, place + under),
            xycoords="axes fraction",
            color=colour,
            va="center",
            annotation_clip=False,
            fontsize=8.5,
        )


def clipped(label: str, longest: int = 34) -> str:
    """A label that leaves room for the figure beside it, of so many characters at most.

    >>> clipped("LightGCN, blended", 10)
    'LightGCN,…'
    """
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def escaped(text: str) -> str:
    """A text that matplotlib prints as it is: a dollar would begin a formula."""
    return text.replace("$", r"\$")
