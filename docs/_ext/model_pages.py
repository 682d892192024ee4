"""Directives for the pages of the models: results, and where a model differs from its paper."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from docstrings import differences
from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from results import RULES, Over, over_sets, results_of, summary
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

from recbole_symcere.model.registry import class_of

__all__ = ["setup"]

_COLUMNS = (
    *("Data set", "Row", "NDCG@10", "Its difference to the best baseline, 95 % interval"),
    *("p (Holm)", "Hit@10", "s a run"),
)
_CLASSIC = "Pop/ItemKNN/EASE/LightGCN/XSimGCL/WordKNN"
_INK = "#010203"  # stands for the page's own colour of text until the figure is written


class ModelDifferences(SphinxDirective):
    """Where a model differs from its paper, as its docstring tells it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A paragraph, or a sentence where the docstring has no such section."""
        told = differences(class_of(self.arguments[0]))
        if told is None:
            return [nodes.paragraph("", "It is ours: there is no paper to differ from.")]
        return [nodes.paragraph("", told[0].upper() + told[1:].replace("`", ""))]


class ModelResults(SphinxDirective):
    """The results that there are of a model."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A table for each set of rules under which it was run."""
        found: list[nodes.Node] = []
        for rules, words in RULES.items():
            rows = results_of(self.arguments[0], rules)
            if rows:
                found += [nodes.paragraph("", words), table(_COLUMNS, rows, "results")]
        if not found:
            words = "No results yet: it stands in none of the tables under benchmarks/results."
            found.append(nodes.paragraph("", words))
        return found


class ResultsSummary(SphinxDirective):
    """NDCG@10 of every row on every data set."""

    def run(self) -> list[nodes.Node]:
        """A table."""
        sets, rows = summary()
        return [table(["Row", *sets], rows, "results")]


class ResultsFigure(SphinxDirective):
    """A picture of the rows over all data sets, as part of the page."""

    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 # docutils' own form

    def run(self) -> list[nodes.Node]:
        """An SVG that takes the page's colours."""
        drawn = _forest(over_sets(_CLASSIC))
        svg = drawn[drawn.index("<svg") :].replace(_INK, "currentColor")
        label = f'<svg role="img" aria-label="{self.options["alt"]}" '
        shown = f'<div class="figure">{svg.replace("<svg ", label, 1)}</div>'
        return [nodes.raw("", shown, format="html")]


def _forest(rows: Sequence[Over]) -> str:
    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "results", "font.family": "sans-serif",
        "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK,
        "xtick.color": _INK, "ytick.color": _INK, "font.size": 9,
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = Figure((5.5, 0.26 * len(rows) + 0.9), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        places = range(len(rows), 0, -1)
        ours = ["#2f6fb5" if "SymCERE" in row.row else "#888888" for row in rows]
        axes.hlines(places, [r.low for r in rows], [r.high for r in rows], colors=ours, lw=3)
        axes.scatter([r.change for r in rows], places, c=ours, s=45, zorder=3)
        axes.axvline(0, color=_INK, lw=1, ls=(0, (4, 3)))
        axes.set_yticks(places, [row.row for row in rows])
        axes.set_xlabel("change of NDCG@10, %, with 95 % interval over five data sets")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return written.getvalue()


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("model-differences", ModelDifferences)
    app.add_directive("model-results", ModelResults)
    app.add_directive("results-figure", ResultsFigure)
    app.add_directive("results-summary", ResultsSummary)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
