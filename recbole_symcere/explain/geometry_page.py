"""What `explain geometry` found, as a page."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from recbole_symcere.explain.geometry import Geometry
from recbole_symcere.page.figures import new_figure, png
from recbole_symcere.page.page import Entry, Heading, Part, Picture, Text, TextTable

__all__ = ["as_json", "page"]

_COLOURS = {
    "training": "#1f5fa8",
    "held out": "#2ca02c",
    "unobserved": "#999999",
    "review and its interaction": "#1f5fa8",
    "review and another": "#999999",
}
_NOT_TABLE_4 = (
    "The paper's Table 4 gives standard deviations of cosines of about 0.01 and calls larger ones "
    "more uniform; random unit vectors of d dimensions have 1/sqrt(d), and spread isn't "
    "uniformity. "
    "Here alignment is the mean squared distance of positive pairs, and uniformity the log of the "
    "mean Gaussian potential of all pairs, both of unit vectors (Wang & Isola, 2020): lower is "
    "better for both."
)


def as_json(found: Geometry) -> dict[str, Any]:
    """All figures of geometry.json."""
    return {
        **found.facts,
        "alignment": found.alignment,
        "uniformity": found.uniformity,
        "products": [
            {
                "pairs": pairs,
                "product": how,
                **_distribution(values),
                "auc": found.auc.get((pairs, how)),
            }
            for (pairs, how), values in found.products.items()
        ],
        "norms": {name: _distribution(values) for name, values in found.norms.items()},
        "norm_popularity": {name: _known(value) for name, value in found.norm_popularity.items()},
        "effective_rank": found.rank,
        "width": found.width,
        "ranking": {name: _known(value) for name, value in found.ranking.items()},
        "recommended_popularity": _known(found.recommended_popularity),
        "amplification": found.amplification,
        "largest_logit": found.largest_logit,
        "normalised": found.normalised,
        "lengths": found.lengths,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _distribution(values: Any) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {
        "mean": float(np.mean(values)),
        "deviation": float(np.std(values)),
        "minimum": float(np.min(values)),
        "low": float(low),
        "median": float(middle),
        "high": float(high),
        "maximum": float(np.max(values)),
    }


def page(found: Geometry) -> list[Part]:
    """Tables and plots."""
    facts = found.facts
    parts: list[Part] = [
        Heading(f"Geometry of {facts['model']} on {facts['dataset']}", 1),
        Text(f"Run {facts['run']}. {_sentences(found)}"),
        *([Text(facts["left_out"])] if "left_out" in facts else []),
        Heading("Alignment and uniformity", 2),
        Text(_NOT_TABLE_4),
        TextTable(
            ["", "alignment", "uniformity", "effective rank"],
            [
                *(
                    [Entry(name), Entry(f"{value:.4f}"), Entry("-"), Entry("-")]
                    for name, value in found.alignment.items()
                ),
                *(
                    [
                        Entry(name),
                        Entry("-"),
                        Entry(f"{value:.4f}"),
                        Entry(f"{found.rank[name]:.1f} of {found.width}"),
                    ]
                    for name, value in found.uniformity.items()
                ),
            ],
        ),
        _spectra(found),
        Heading("Positives and negatives", 2),
        _products(found),
        *_histograms(found),
        Heading("Norm and popularity", 2),
        _norms(found),
        *(_norm_plot(found, name) for name in found.norms),
        Heading("Score: angle and magnitude", 2),
        Text(
            "A dot product is |u| |i| cos(u, i). The user's norm doesn't change the order of a "
            "user's items; means over users:"
        ),
        _table(["", "value"], [[name, _number(value)] for name, value in found.ranking.items()]),
        Heading("What is recommended", 2),
        Text(
            "How often an item is among the first ten of a user and its training interactions have "
            f"a rank correlation of {_number(found.recommended_popularity)}; recommended items are "
            f"{found.amplification:.2f} times as popular as those of the training interactions."
        ),
        _recommended(found),
    ]
    return parts


def _sentences(found: Geometry) -> str:
    told = []
    for name in ("items", "users"):
        value = found.norm_popularity[name]
        if abs(value) >= 0.3:
            how = "grow" if value > 0 else "shrink"
            told.append(f"Norms of {name} {how} with popularity (rank correlation {value:.2f}).")
    for name, value in found.rank.items():
        if value < 0.25 * found.width:
            told.append(
                f"Vectors of {name} have collapsed to {value:.1f} of {found.width} dimensions."
            )
    if found.largest_logit is not None:
        raw, unit = found.largest_logit
        told.append(
            f"The largest logit of a review and an interaction is {raw:.1f} without normalisation "
            f"and {unit:.1f} with it."
        )
        if found.normalised is False:
            told.append(
                "The run leaves the normalisation out, so nothing bounds that logit: the loss "
                "can fall by longer vectors alone, and its gradient grows with them. Mean length "
                f"of reviews {found.lengths['reviews']:.2f}, of interactions "
                f"{found.lengths['interactions']:.2f}."
            )
            if "layer 0" in found.lengths:
                told.append(
                    "NGCF brings the output of every layer to length 1, so on the graph's side "
                    f"only layer 0 can grow (mean length {found.lengths['layer 0']:.2f}): where "
                    "NGCF diverges, it is by layer 0 and the reviews' vectors driving each other."
                )
    return " ".join(told) or "Nothing stands out."


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> TextTable:
    return TextTable(head, [[Entry(cell) for cell in row] for row in rows])


def _products(found: Geometry) -> TextTable:
    rows = []
    for (pairs, how), values in found.products.items():
        told = _distribution(values)
        auc = found.auc.get((pairs, how))
        rows.append(
            [
                pairs,
                how,
                f"{len(values):,}",
                *(f"{told[k]:.4f}" for k in ("mean", "deviation", "low", "median", "high")),
                "-" if auc is None else f"{auc:.4f}",
            ]
        )
    head = ["pairs", "product", "number", "mean", "deviation", "5 %", "median", "95 %"]
    return _table([*head, "above a negative"], rows)


def _norms(found: Geometry) -> TextTable:
    rows = []
    for name, values in found.norms.items():
        told = _distribution(values)
        shown = (f"{told[k]:.3f}" for k in ("mean", "deviation", "minimum", "median", "maximum"))
        rows.append([name, *shown, _number(found.norm_popularity[name])])
    head = ["norms of", "mean", "deviation", "least", "median", "largest"]
    return _table([*head, "rank correlation with interactions"], rows)


def _histograms(found: Geometry) -> list[Picture]:
    shown = [
        ("cosines.png", "cosine", ("training", "held out", "unobserved"), "user and item"),
        ("products.png", "dot product", ("training", "held out", "unobserved"), "user and item"),
        (
            "reviews.png",
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
        figure, axes = new_figure(6.5, 3.2)
        values = [found.products[(name, how)] for name in there]
        edges = np.histogram_bin_edges(np.concatenate(values), bins=60).tolist()
        for name, column in zip(there, values, strict=True):
            axes.hist(
                column, edges, density=True, histtype="step", color=_COLOURS[name], label=name
            )
        axes.set_xlabel(f"{how} of {what}")
        axes.set_ylabel("density")
        axes.legend(frameon=False)
        pictures.append(Picture(file, png(figure), f"Distribution of the {how} of {what}"))
    return pictures


def _norm_plot(found: Geometry, name: str) -> Picture:
    figure, axes = new_figure(6.5, 3.2)
    there = found.counts[name] > 0
    axes.scatter(found.counts[name][there], found.norms[name][there], s=6, alpha=0.5)
    axes.set_xscale("log")
    axes.set_xlabel(f"training interactions of {name}")
    axes.set_ylabel("norm")
    return Picture(f"norms_{name}.png", png(figure), f"Norm and popularity of {name}")


def _spectra(found: Geometry) -> Picture:
    figure, axes = new_figure(6.5, 3.2)
    for name, values in found.spectrum.items():
        axes.plot(np.arange(1, len(values) + 1), values, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("singular value")
    axes.set_ylabel("share of the sum")
    axes.legend(frameon=False)
    return Picture("spectrum.png", png(figure), "Singular values of the vectors")


def _recommended(found: Geometry) -> Picture:
    figure, axes = new_figure(6.5, 3.2)
    axes.scatter(found.counts["items"], found.recommended, s=6, alpha=0.5)
    axes.set_xscale("symlog")
    axes.set_yscale("symlog")
    axes.set_xlabel("training interactions of an item")
    axes.set_ylabel("users who have it in their first ten")
    return Picture("recommended.png", png(figure), "Popularity and recommendation of items")
