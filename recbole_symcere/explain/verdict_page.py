"""The page of `explain anchor`: the verdict, what it rests on, and what it doesn't say."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recbole_symcere.explain import kinds as rules
from recbole_symcere.explain.anchor import Anchoring
from recbole_symcere.explain.kinds import KINDS
from recbole_symcere.explain.verdict_beside import both_parts, number
from recbole_symcere.page.page import Entry, Gallery, Heading, Part, Picture, Text, TextTable
from recbole_symcere.run.log_lines import metric_title

__all__ = ["page"]

Json = Mapping[str, Any]

_ANSWER = {True: "yes", False: "no", None: "can't be judged"}
_DELETED = {
    "objective": "objective words",
    "subjective": "subjective words",
    "others": "stop-words and others",
}
_METHOD = (
    "Occlusion: each distinct word is taken out of each review, with all its places, and the "
    "review is encoded again. What the similarity of review and interaction loses is the word's "
    "contribution. Its specific contribution is that, less what the same deletion changes on "
    "average over all training interactions; it is what is counted here. No surrogate model is "
    "involved. Intervals are 95 % intervals from drawing items, each with all its reviews, with "
    "replacement; p-values of words are corrected by Holm over all words."
)
_RULES = (
    f"Kinds come from the reviews and ratings alone, in this order. Rare: fewer than "
    f"{rules.MIN_REVIEWS} reviews or {rules.MIN_ITEMS} items. Other language: another script, or "
    "mostly in reviews of another language. Stop-word: in scikit-learn's English list, and not "
    "objective. Subjective: "
    "the ratings of its reviews differ from those of the others, item means taken off, by "
    f"{rules.MIN_STARS} stars or more (false discovery rate 1 %). Objective: reviewers of one item "
    f"use it together at least {rules.MIN_LIFT} times as often as chance (the same rate). "
    "Unsorted: in 1 % of the reviews, and none of these; a word of sentiment that failed the test "
    "is among them, and so are stop-words of other languages. Neither: the rest."
)
_LIMITS = (
    "What this doesn't say: that objective words recur over the reviews of an item is their "
    "definition here, and reviews of one item share its graph vector, so a model that aligns well "
    "at all has reason to use them; the second question of the verdict leaves this definition out. "
    "A word that both names an attribute and follows the rating (broken, dirty) counts as "
    "subjective. Only single words are deleted: two that say the same can each seem to matter "
    "little."
)


def page(numbers: Json, found: Anchoring, drawn: Sequence[Picture]) -> list[Part]:
    """The page of one run.

    Args:
        numbers: of `recbole_symcere.explain.verdict.summarise`.
        found: the analysis.
        drawn: the plots.
    """
    scope = (
        f"{numbers['reviews']:,} of {numbers['training_reviews']:,} training reviews were explained"
        f", with {numbers['occlusions']:,} occlusions of {numbers['words']:,} words. Mean "
        f"similarity of a review and its interaction: {numbers['similarity']:.3f}, of which "
        f"{numbers['specific_similarity']:.3f} is specific to it."
    )
    return [
        Heading(f"Semantic anchoring of {numbers['model']} on {numbers['dataset']}", 1),
        Text(f"Run {numbers['run']}. {_verdict(numbers)}"),
        _questions(numbers),
        Text(scope),
        Heading("By kind of word", 2),
        _kinds(numbers),
        Text(_effect_sizes(numbers)),
        *both_parts(numbers),
        Gallery(drawn),
        Heading("Words", 2),
        _words(found, "objective", "Most contributing objective words"),
        _words(found, "subjective", "Most contributing subjective words"),
        Heading("Controls", 2),
        _controls(numbers),
        *_causal(numbers),
        Heading("How it was done", 2),
        Text(_METHOD),
        Text(_RULES),
        Text(_LIMITS),
    ]


def _verdict(numbers: Json) -> str:
    answers = [test["holds"] for test in numbers["tests"]]
    judged = [answer for answer in answers if answer is not None]
    if numbers["contrast"] is None:
        return (
            "There is no verdict: the data have no objective or no subjective words by the rules "
            "below."
        )
    contrast = numbers["contrast"]
    sides = numbers["kinds"]["objective"]["mean"], numbers["kinds"]["subjective"]["mean"]
    how = f"{sum(judged)} of the {len(judged)} tests that can be judged agree"
    words = (
        "Alignment rests on objective words"
        if all(judged)
        else "Alignment rests on objective words in part of the tests"
        if contrast["low"] > 0
        else "Alignment does not rest on objective words more than on subjective ones"
    )
    return (
        f"{words}: {how}. A mention of an objective word contributes {number(sides[0])}, one of a "
        f"subjective word {number(sides[1])}; the difference is {number(contrast)}."
    )


def _questions(numbers: Json) -> TextTable:
    rows = [
        [Entry(test["question"]), Entry(_ANSWER[holds], "best" if holds is False else "")]
        for test in numbers["tests"]
        for holds in [test["holds"]]
    ]
    return TextTable(["test", "holds"], rows, "Those that don't hold are bold.")


def _kinds(numbers: Json) -> TextTable:
    rows = []
    for name in KINDS:
        kind = numbers["kinds"][name]
        share = kind["share_of_similarity"]
        rows.append(
            [
                Entry(name),
                Entry(f"{kind['words']:,}"),
                Entry(f"{kind['places']:,}"),
                Entry(number(kind["mean"])),
                Entry("-" if share is None else f"{100 * share:.1f} %"),
                Entry(f"{kind['positive_words']:,} / {kind['negative_words']:,}"),
                Entry(", ".join(kind["top"][:8]) or "-"),
            ]
        )
    head = [
        *("kind", "words", "mentions", "specific contribution of a mention"),
        *("of the similarity", "words above / below 0 (Holm)", "most contributing"),
    ]
    note = (
        "Specific contribution: what the similarity (a cosine) of a review and its interaction "
        "loses without a word, beyond what it loses with any interaction; mean with a 95 % "
        "interval over items. Of the similarity: that, as a share of the mean specific similarity. "
        "Above / below 0: words whose mean is, by p (Holm) below .05. Most contributing: words "
        "with the largest means above 0."
    )
    return TextTable(head, rows, note)


def _effect_sizes(numbers: Json) -> str:
    if numbers["superiority"] is None:
        return "Words of one of the two kinds are too few for effect sizes."
    return (
        "Effect sizes over words of at least five explained reviews: an objective word contributes "
        f"more than a subjective one with probability {numbers['superiority']:.3f}; their means "
        f"differ by {numbers['standardised_difference']:.2f} standard deviations."
    )


def _words(found: Anchoring, kind: str, title: str, n: int = 15) -> TextTable:
    place = {word: at for at, word in enumerate(found.kinds.words)}
    table = found.table
    chosen = np.flatnonzero(
        (found.kind_of == KINDS.index(kind)) & (table.reviews >= 5) & (table.mean > 0)
    )
    rows = []
    for word_at in chosen[np.argsort(-table.mean[chosen], kind="stable")][:n]:
        word = found.occlusions.vocabulary[word_at]
        at = place[word]
        error, p = table.error[word_at], table.p_holm[word_at]
        rows.append(
            [
                Entry(word),
                Entry(f"{table.mean[word_at]:+.4f}"),
                Entry(f"{error:.4f}" if np.isfinite(error) else "-"),
                Entry("-" if not np.isfinite(p) else "< 0.0001" if p < 1e-4 else f"{p:.4f}"),
                Entry(f"{table.reviews[word_at]:,}"),
                Entry(f"{found.kinds.lift[at]:.1f}"),
                Entry(f"{found.kinds.stars[at]:+.2f}"),
            ]
        )
    head = [title, "contribution", "standard error", "p (Holm)", "reviews", "lift", "stars"]
    note = (
        "Contribution: mean specific contribution of a mention, a difference of cosines, with its "
        "standard error and p-value. Reviews: those explained that have the word. Lift: how many "
        "times as often as chance reviewers of one item share it. Stars: mean rating of its "
        "reviews less that of the others."
    )
    return TextTable(head, rows, note)


def _controls(numbers: Json) -> TextTable:
    rows = [[Entry("true pairs"), Entry(number(numbers["contrast"])), Entry("-")]]
    for key, name in (("shuffled", "pairings"), ("shuffled_labels", "labels of words")):
        drawn = numbers[key]["contrasts"]
        span = f"{min(drawn):+.4f} to {max(drawn):+.4f}" if drawn else "-"
        p = "-" if numbers[key]["p"] is None else f"p = {numbers[key]['p']:.4f}"
        rows.append([Entry(f"{len(drawn)} shuffled {name}"), Entry(span), Entry(p)])
    for key, name in (("random_encoder", "random encoder"), ("gradients", "integrated gradients")):
        opinion = numbers[key]
        if opinion:
            same = number(opinion["occlusion_contrast"])
            note = (
                f"{opinion['reviews']} reviews, on which occlusion gives {same}; rank correlation "
                f"with it {opinion['rank_correlation'] or 0:.2f}"
            )
            rows.append([Entry(name), Entry(number(opinion["contrast"])), Entry(note)])
    for key, name in (
        ("subjective_matched", "matched: subjective words and their objective neighbours"),
        ("other_matched", "matched: objective words and their neighbours of other kinds"),
    ):
        found = numbers[key]
        left = [f"{value or 0:+.2f}" for value in found["imbalance"]]
        note = (
            f"{found['pairs']} pairs; left imbalance (SD): {left[0]} log frequency, {left[1]} IDF"
        )
        rows.append([Entry(name), Entry(number(found["difference"])), Entry(note)])
    note = (
        "Differences of specific contributions, in units of the similarity (a cosine), with 95 % "
        "intervals, or the range of the shuffles."
    )
    return TextTable(["control", "objective less subjective (or other)", "note"], rows, note)


def _causal(numbers: Json) -> list[Part]:
    parts: list[Part] = []
    retrieval, retrained = numbers["retrieval"], numbers["retrained"]
    if retrieval or retrained:
        parts.append(Heading("Deleting words", 2))
    if retrieval:
        rows = [
            [
                Entry(_DELETED[name]),
                Entry(f"{d['places']:,}"),
                Entry(str(d["words"])),
                Entry(number(d["change"])),
            ]
            for name, d in retrieval["deleted"].items()
        ]
        parts += [
            Text(
                "A review ranks all items by their similarity to it; the whole review finds its "
                f"own item with NDCG@10 {retrieval['whole']:.4f}. From all training reviews "
                "equally many places of words are deleted."
            ),
            TextTable(
                ["deleted", "places", "words", "change of NDCG@10"],
                rows,
                "Places: of words in all reviews. Change with a 95 % interval over items.",
            ),
        ]
    if retrained:
        parts += [
            Text("The model trained anew on the shortened reviews, and tested as any run is:"),
            _retrained(retrained),
        ]
    return parts


def _retrained(retrained: Mapping[str, Mapping[str, Sequence[float]]]) -> TextTable:
    names = [name for name in retrained["whole"] if name.endswith("@10")]
    rows = []
    for condition, metrics in retrained.items():
        cells = [Entry("nothing" if condition == "whole" else _DELETED[condition])]
        for name in names:
            values, whole = metrics[name], retrained["whole"][name]
            change = np.array(values) - np.array(whole)
            text = f"{np.mean(values):.4f}"
            if condition != "whole":
                text += f" ({change.mean():+.4f}"
                text += f"; {change.min():+.4f} to {change.max():+.4f})" if len(change) > 1 else ")"
            cells.append(Entry(text))
        rows.append(cells)
    seeds = len(next(iter(retrained["whole"].values())))
    how = f"{seeds} seeds; change: mean, range" if seeds > 1 else "one seed; change"
    head = [f"deleted ({how})", *map(metric_title, names)]
    return TextTable(head, rows)
