"""Figures that pyplot doesn't know of, so that nothing stays open, as PNG."""

import io
import warnings

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["new_figure", "png"]


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of that size in inches with one pair of axes."""
    figure = Figure((width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def png(figure: Figure) -> bytes:
    """The figure's PNG."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # a label may be text that the font can't write; it is drawn as boxes
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(content, format="png")
    return content.getvalue()
