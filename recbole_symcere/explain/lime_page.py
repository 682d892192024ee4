"""What `explain lime` found: tables in the form of the paper's, stability, and marked reviews."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from recbole_symcere.base.words import segment
from recbole_symcere.explain.kinds import KINDS, WordKinds
from recbole_symcere.explain.loaded_run import ExplainedRun
from recbole_symcere.explain.surrogate import Explanation
from recbole_symcere.page.figures import COLOURS, counts, drawing, key, svg
from recbole_symcere.page.page import (
    Entry,
    Heading,
    Marked,
    Part,
    Picture,
    Piece,
    Text,
    TextTable,
)

__all__ = ["LimeSummary", "marked", "page", "reviews_of_page", "summarise", "weights_csv"]

_Floats = npt.NDArray[np.float64]
_SHOWN = 8  # words of a row


@dataclass(frozen=True)
class LimeSummary:
    """All explained reviews together; a mention is a distinct word of a review, m in all.

    Attributes:
        words: the words [w].
        word: place in ``words`` of each mention [m].
        weight: mean over the repeats [m].
        mean: mean weight of each word [w].
        reviews: number of reviews that have the word [w].
        kind: place in `KINDS` [w].
        stability: of each review, Spearman's correlation between repeats, mean over pairs of them;
            NaN for a review of fewer than three words.
        global_stability: the same between the words' mean weights.
        occlusion: Spearman's correlation of weights and occlusion, over mentions.
        by_word: the same over words' means.
        fit: mean R squared of the linear models.
    """

    words: list[str]
    word: npt.NDArray[np.int64]
    weight: _Floats
    mean: _Floats
    reviews: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    stability: _Floats
    global_stability: float
    occlusion: float
    by_word: float
    fit: float


def summarise(
    found: Sequence[Explanation], occlusion: npt.ArrayLike, kinds: WordKinds
) -> LimeSummary:
    """Put the explanations together.

    Args:
        found: the explanations, each with the same number of repeats.
        occlusion: c(w, x) of each mention, in the same order [m].
        kinds: the kinds of words.
    """
    places: dict[str, int] = {}
    word = np.array([places.setdefault(w, len(places)) for one in found for w in one.words])
    weights = np.concatenate([one.weights for one in found], axis=1)  # [repeats, m]
    n = np.bincount(word)
    weight, words = weights.mean(axis=0), list(places)
    by_word = np.stack([np.bincount(word, row) / n for row in weights])  # [repeats, w]
    occluded = np.asarray(occlusion, dtype=np.float64)
    mean = np.bincount(word, weight) / n
    return LimeSummary(
        words=words,
        word=word,
        weight=weight,
        mean=mean,
        reviews=n,
        kind=kinds.of(words),
        stability=np.array([_agreement(one.weights) for one in found]),
        global_stability=_agreement(by_word),
        occlusion=_rank(weight, occluded),
        by_word=_rank(mean, np.bincount(word, occluded) / n),
        fit=float(np.mean([one.fit for one in found])),
    )


def _agreement(weights: _Floats) -> float:
    """Mean rank correlation between pairs of rows."""
    if weights.shape[0] < 2 or weights.shape[1] < 3:
        return float("nan")
    return float(np.mean([_rank(a, b) for a, b in combinations(weights, 2)]))


def _rank(first: _Floats, second: _Floats) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(first, second).statistic)


def page(run: ExplainedRun, found: LimeSummary, n_samples: int, repeats: int) -> list[Part]:
    """The page without the reviews."""
    n = len(found.stability)
    parts: list[Part] = [
        Heading(f"LIME: {run.config['model']} on {run.config['dataset']}", 1),
        Text(
            f"{n:,} training reviews of run {run.path.name}, drawn at random. A word's weight is "
            "what its presence adds to the similarity of the review and its interaction, by a "
            f"linear model that the lime package fits to {n_samples:,} texts with words left out. "
            f"Mean of {repeats} repeats with seeds of their own; mean R squared of the linear "
            f"models {found.fit:.2f}."
        ),
        Heading("Keyword types", 2),
        Text(
            "In the form of the SymCERE paper's Tables 5 to 8: types of keywords, their words with "
            "the largest mean weights, and what they contribute. Types are decided by the reviews "
            "and ratings alone, as in explain anchor. The share is of the sum of absolute weights."
        ),
        _types(found),
        *_strongest(found),
        Heading("Stability", 2),
        Text(_stability(found, repeats)),
    ]
    if np.isfinite(found.stability).any():
        parts.append(_figure(found))
    return parts


def _types(found: LimeSummary) -> TextTable:
    kind = found.kind[found.word]
    total = np.abs(found.weight).sum()
    rows = []
    for number, name in enumerate(KINDS):
        chosen = kind == number
        if not chosen.any():
            continue
        words = np.flatnonzero(found.kind == number)
        # a word of one review says little of its type
        known = words[found.reviews[words] >= min(3, found.reviews[words].max())]
        known = known[found.mean[known] > 0]
        best = known[np.argsort(-found.mean[known], kind="stable")][:_SHOWN]
        share = np.abs(found.weight[chosen]).sum() / total if total else 0.0
        rows.append(
            [
                Entry(name),
                Entry(", ".join(found.words[n] for n in best) or "-"),
                Entry(f"{found.weight[chosen].mean():+.4f}"),
                Entry(f"{100 * share:.1f} %"),
                Entry(f"{chosen.sum():,}"),
            ]
        )
    note = (
        "Words: those that raise the similarity most. Contribution: mean weight of a mention, as a "
        "difference of cosines. Share: of the sum of absolute weights. Mentions: number of them."
    )
    return TextTable(["keyword type", "words", "contribution", "share", "mentions"], rows, note)


def _strongest(found: LimeSummary) -> list[Part]:
    """Words that raise the similarity most, and words that lower it most."""
    known = np.flatnonzero(found.reviews >= 3)
    order = known[np.argsort(-found.mean[known], kind="stable")]
    raising = order[found.mean[order] > 0][:20]
    lowering = order[::-1][found.mean[order[::-1]] < 0][:10]
    return [
        _word_table(found, words, title)
        for words, title in (
            (raising, "words that raise it most"),
            (lowering, "words that lower it most"),
        )
        if len(words)
    ]


def _word_table(found: LimeSummary, order: npt.NDArray[np.int64], title: str) -> TextTable:
    rows = [
        [
            Entry(found.words[n]),
            Entry(KINDS[found.kind[n]]),
            Entry(f"{found.mean[n]:+.4f}"),
            Entry(str(found.reviews[n])),
        ]
        for n in order
    ]
    note = (
        "Of words in 3 explained reviews or more. Contribution: mean weight, as a difference of "
        "cosines."
    )
    return TextTable([title, "keyword type", "contribution", "reviews"], rows, note)


def _stability(found: LimeSummary, repeats: int) -> str:
    exact = (
        f"With the occlusion of the same words, which is exact, the weights have a rank correlation"
        f" of {found.occlusion:.3f} over mentions and of {found.by_word:.3f} over words."
    )
    known = found.stability[np.isfinite(found.stability)]
    if not len(known):
        return f"Stability takes two repeats and reviews of three words. {exact}"
    return (
        f"Between {repeats} repeats the rank correlation of a review's weights is "
        f"{known.mean():.3f} on average, {np.median(known):.3f} in the middle and "
        f"{np.quantile(known, 0.05):.3f} for the least stable twentieth of the reviews; that of "
        f"the words' mean weights over all reviews is {found.global_stability:.3f}. {exact}"
    )


def _figure(found: LimeSummary) -> Picture:
    known = found.stability[np.isfinite(found.stability)]
    with drawing(4.6, 2.6) as (figure, axes):
        counts(axes, known, np.linspace(min(known.min(), 0.0), 1.0, 21))
        axes.axvline(known.mean(), color=COLOURS[1])
        axes.set_xlabel("rank correlation of a review's weights between repeats")
        axes.set_ylabel("reviews")
        key(figure, [("reviews", COLOURS[0]), (f"mean {known.mean():.3f}", COLOURS[1])])
        content = svg(figure)
    return Picture("stability.svg", content, "Stability of LIME between repeats, by review")


def reviews_of_page(run: ExplainedRun, found: Sequence[Explanation]) -> list[Part]:
    """The reviews with their words marked, those of the highest similarity first."""
    order = sorted(found, key=lambda one: (-one.similarity, one.review))
    users = run.tokens_of(run.dataset.uid_field, run.users[[one.review for one in order]])
    items = run.named_items(run.items[[one.review for one in order]])
    largest = max((float(np.abs(one.weights.mean(axis=0)).max()) for one in order), default=0.0)
    parts: list[Part] = [
        Heading("Reviews", 2),
        Text(
            "Blue words raise the similarity of review and interaction, orange words lower it; the "
            "colour is as strong as the word's weight, on one scale for all reviews."
        ),
    ]
    for one, user, item in zip(order, users, items, strict=True):
        caption = f"user {user}, item {item}, similarity {one.similarity:.3f}"
        weights = dict(zip(one.words, one.weights.mean(axis=0).tolist(), strict=True))
        parts.append(marked(caption, run.texts[one.review], weights, largest))
    return parts


def marked(caption: str, text: str, weights: dict[str, float], largest: float) -> Marked:
    """A text whose words are coloured by weight.

    Args:
        caption: what it is.
        text: the text.
        weights: word -> weight.
        largest: weight that has the full colour, of all texts that stand beside each other.
    """
    pieces, at = [], 0
    for start, end, word in segment(text):
        pieces.append(Piece(text[at:start]))
        pieces.append(Piece(text[start:end], weights.get(word, 0.0) / (largest or 1.0)))
        at = end
    return Marked(caption, [piece for piece in (*pieces, Piece(text[at:])) if piece.text])


def weights_csv(run: ExplainedRun, found: Sequence[Explanation], kinds: WordKinds) -> str:
    """A line per word of each review, with the weight of each repeat."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    repeats = len(found[0].weights)
    writer.writerow(["user", "item", "word", "kind", *(f"weight_{n}" for n in range(repeats))])
    for one in found:
        names: list[Any] = run.tokens_of(run.dataset.uid_field, run.users[[one.review]])
        names += run.tokens_of(run.dataset.iid_field, run.items[[one.review]])
        for word, kind, column in zip(one.words, kinds.of(one.words), one.weights.T, strict=True):
            writer.writerow([*names, word, KINDS[kind], *(f"{x:.6g}" for x in column)])
    return text.getvalue()
