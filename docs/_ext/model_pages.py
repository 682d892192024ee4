"""Directives for the pages of the models: results, and where a model differs from its paper."""

from docstrings import differences
from docutils import nodes
from docutils.parsers.rst import directives
from results import RULES, over_best_unblended, results_of, summary
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

from recbole_symcere.model.registry import class_of
from recbole_symcere.page.figures import COLOURS, GREY, Estimate, forest, svg

__all__ = ["setup"]

_COLUMNS = (
    *("Data set", "Row", "NDCG@10", "Its difference to the best baseline, 95 % interval"),
    *("p (Holm)", "Hit@10", "s a run"),
)


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
        rows = [
            (
                one.row,
                Estimate(one.change, one.low, one.high),
                COLOURS[0] if "SymCERE" in one.row else GREY,
            )
            for one in over_best_unblended()
        ]
        with forest(rows, "change of NDCG@10, %") as figure:
            drawn = svg(figure, inline=True).decode()
        label = f'<svg role="img" aria-label="{self.options["alt"]}" '
        shown = f'<div class="figure">{drawn.replace("<svg ", label, 1)}</div>'
        return [nodes.raw("", shown, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("model-differences", ModelDifferences)
    app.add_directive("model-results", ModelResults)
    app.add_directive("results-figure", ResultsFigure)
    app.add_directive("results-summary", ResultsSummary)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
