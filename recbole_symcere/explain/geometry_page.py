"""What `explain geometry` found, as a page."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from recbole_symcere.explain.geometry import Geometry
from recbole_symcere.explain.geometry_plots import histograms, norm_plots, recommended, spectra
from recbole_symcere.page.page import Entry, Gallery, Heading, Part, Text, TextTable

__all__ = ["as_json", "page"]

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
            ["vectors", "alignment", "uniformity", "effective rank"],
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
            "Alignment: mean squared distance of the pairs, 0 to 4. Uniformity: a logarithm, at "
            "most 0. Effective rank: dimensions that are in use, of those that there are.",
        ),
        spectra(found),
        Heading("Positives and negatives", 2),
        _products(found),
        Gallery(histograms(found)),
        Heading("Norm and popularity", 2),
        _norms(found),
        Gallery(norm_plots(found)),
        Heading("Score: angle and magnitude", 2),
        Text(
            "A dot product is |u| |i| cos(u, i). The user's norm doesn't change the order of a "
            "user's items; means over users:"
        ),
        _table(["figure", "value"], [[n, _number(value)] for n, value in found.ranking.items()]),
        Heading("What is recommended", 2),
        Text(
            "How often an item is among the first ten of a user and its training interactions have "
            f"a rank correlation of {_number(found.recommended_popularity)}; recommended items are "
            f"{found.amplification:.2f} times as popular as those of the training interactions."
        ),
        recommended(found),
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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> TextTable:
    return TextTable(head, [[Entry(cell) for cell in row] for row in rows], note)


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
    note = (
        "Of pairs drawn at random: training and held-out ones, and ones without an interaction. "
        "Above a negative: chance that such a pair lies above a random pair without one; 0.5 is "
        "chance. The columns 5 %, median and 95 % are quantiles."
    )
    return _table([*head, "above a negative"], rows, note)


def _norms(found: Geometry) -> TextTable:
    rows = []
    for name, values in found.norms.items():
        told = _distribution(values)
        shown = (f"{told[k]:.3f}" for k in ("mean", "deviation", "minimum", "median", "maximum"))
        rows.append([name, *shown, _number(found.norm_popularity[name])])
    head = ["norms of", "mean", "deviation", "least", "median", "largest"]
    note = (
        "Lengths of vectors. Rank correlation (Spearman, -1 to 1) with the number of training "
        "interactions."
    )
    return _table([*head, "rank correlation with interactions"], rows, note)
