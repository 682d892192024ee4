"""What `explain anchor` found, as numbers for a file and as one page."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from recbole_symcere.explain.anchor import Anchoring, Matched
from recbole_symcere.explain.anchor_stats import Estimate
from recbole_symcere.explain.causal import Deletion, Retrained
from recbole_symcere.explain.kinds import KINDS
from recbole_symcere.explain.loaded_run import ExplainedRun
from recbole_symcere.explain.second_opinion import SecondOpinion

__all__ = ["summarise", "words_csv"]

_TOP = 12  # words named for each kind
_FEWEST_PAIRS = 5  # fewer matched words say nothing
_NOISE = 0.1  # a random encoder may keep this share of the contrast
_METRIC = "ndcg@10"
_COLUMNS = (
    *("word", "kind", "contribution", "standard_error", "p_value", "p_holm"),
    *("reviews_explained", "items_explained", "reviews", "places", "stars", "lift"),
)

Json = dict[str, Any]


def summarise(
    run: ExplainedRun,
    found: Anchoring,
    whole: float | None,
    deleted: Sequence[Deletion],
    retrained: Sequence[Retrained],
    held_out: tuple[Anchoring, float | None] | None = None,
) -> Json:
    """Everything of anchor.json.

    Args:
        run: the run.
        found: the analysis.
        whole: NDCG@10 with which a whole review finds its item; None if not asked for.
        deleted: what deletions change.
        retrained: models trained anew.
        held_out: the analysis of validation reviews, and NDCG@10 with which they find their item.
    """
    numbers: Json = {
        "run": str(run.path.name),
        "model": run.config["model"],
        "dataset": run.config["dataset"],
        "language": found.kinds.language,
        "training_reviews": len(run.texts),
        **_analysis(found),
        "random_encoder": _opinion(found.random_encoder),
        "gradients": _opinion(found.gradients),
        "validation": held_out and {**_analysis(held_out[0]), "finding": held_out[1]},
        "retrieval": _retrieval(whole, deleted),
        "retrained": {r.name: r.metrics for r in retrained},
    }
    return {**numbers, "tests": _tests(numbers)}


def _analysis(found: Anchoring) -> Json:
    """What some reviews say."""
    occlusions = found.occlusions
    strength = float(occlusions.specific_similarity.mean())
    return {
        "reviews": len(occlusions.reviews),
        "words": len(occlusions.vocabulary),
        "occlusions": len(occlusions.word),
        "similarity": float(occlusions.similarity.mean()),
        "specific_similarity": strength,
        "kinds": {name: _kind(found, n, strength) for n, name in enumerate(KINDS)},
        "contrast": _estimate(found.contrast),
        "content_contrast": _estimate(found.content_contrast),
        "superiority": _finite(found.superiority),
        "standardised_difference": _finite(found.standardised),
        "shuffled": {"p": _finite(found.p_shuffled), "contrasts": found.shuffled},
        "shuffled_labels": {"p": _finite(found.p_labels), "contrasts": found.labels},
        "subjective_matched": _matched(found.subjective_matched),
        "other_matched": _matched(found.other_matched),
    }


def _kind(found: Anchoring, kind: int, strength: float) -> Json:
    words = np.flatnonzero(found.kind_of == kind)
    mean = found.by_kind[kind]
    table = found.table
    frequent = words[(table.reviews[words] >= 5) & (table.mean[words] > 0)]
    order = frequent[np.argsort(-table.mean[frequent], kind="stable")]
    certain = table.p_holm[words] < 0.05
    return {
        "words": len(words),
        "places": int(table.reviews[words].sum()),
        "mean": _estimate(mean),
        "share_of_similarity": mean.value / strength if mean and strength > 0 else None,
        "positive_words": int((certain & (table.mean[words] > 0)).sum()),
        "negative_words": int((certain & (table.mean[words] < 0)).sum()),
        "top": [found.occlusions.vocabulary[n] for n in order[:_TOP]],
    }


def _estimate(estimate: Estimate | None) -> Json | None:
    if estimate is None or not np.isfinite(estimate.value):
        return None
    return {
        "value": estimate.value,
        "low": estimate.interval.low,
        "high": estimate.interval.high,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _matched(found: Matched) -> Json:
    return {
        "pairs": found.pairs,
        "difference": _estimate(found.difference),
        "imbalance": [_finite(value) for value in found.imbalance],
    }


def _opinion(found: SecondOpinion | None) -> Json | None:
    if found is None:
        return None
    return {
        "reviews": found.reviews,
        "kinds": dict(zip(KINDS, found.kinds, strict=True)),
        "contrast": _estimate(found.contrast),
        "occlusion_contrast": _estimate(found.same),
        "rank_correlation": _finite(found.correlation),
    }


def _retrieval(whole: float | None, deleted: Sequence[Deletion]) -> Json | None:
    if whole is None:
        return None
    return {
        "whole": whole,
        "deleted": {
            d.name: {"places": d.places, "words": len(d.words), "change": _estimate(d.ndcg)}
            for d in deleted
        },
    }


def _tests(numbers: Json) -> list[Json]:
    """Each question with its answer: True, False, or None where the data can't tell."""
    tests = [
        ("Objective words contribute more than subjective ones.", _above(numbers["contrast"])),
        (
            "All words of content that don't follow the rating contribute more than those that do "
            "(a comparison that doesn't look at who shares an item).",
            _above(numbers["content_contrast"]),
        ),
        (
            "So they do word by word, matched in frequency and IDF.",
            _above_matched(numbers["subjective_matched"]),
        ),
        (
            "Objective words contribute more than stop-words and others matched in frequency "
            "and IDF.",
            _above_matched(numbers["other_matched"]),
        ),
        (
            "The contrast is gone where reviews are paired with other interactions.",
            _rare(numbers, "shuffled"),
        ),
        (
            "The contrast is gone where objective and subjective words swap their labels at "
            "random.",
            _rare(numbers, "shuffled_labels"),
        ),
        (
            "The contrast is gone with a text encoder of random weights.",
            _gone(numbers["random_encoder"]),
        ),
    ]
    if held_out := numbers["validation"]:
        tests += [
            (
                "In validation reviews, which nothing was trained on, objective words contribute "
                "more than subjective ones.",
                _above(held_out["contrast"]),
            ),
            (
                "There too the contrast is gone where reviews are paired with other interactions.",
                _rare(held_out, "shuffled"),
            ),
            (
                "There too it is gone where words swap their labels at random.",
                _rare(held_out, "shuffled_labels"),
            ),
        ]
    if numbers["gradients"]:
        tests.append(
            ("Integrated gradients find it too.", _above(numbers["gradients"]["contrast"]))
        )
    if numbers["retrieval"]:
        tests.append(
            (
                "Deleting objective words harms the finding of the item more than deleting equally "
                "many places of subjective words.",
                _worse(numbers["retrieval"]["deleted"]),
            )
        )
    if numbers["retrained"]:
        tests.append(
            (
                "Training without the objective words costs more test NDCG@10 than training "
                "without equally many places of subjective ones.",
                _worse_trained(numbers["retrained"]),
            )
        )
    return [{"question": question, "holds": holds} for question, holds in tests]


def _rare(numbers: Json, control: str) -> bool | None:
    """Whether a contrast as large as the true one hardly ever comes out of a control."""
    return None if numbers["contrast"] is None else numbers[control]["p"] <= 0.05


def _above(estimate: Json | None) -> bool | None:
    return None if estimate is None else estimate["low"] > 0


def _above_matched(matched: Json) -> bool | None:
    return _above(matched["difference"]) if matched["pairs"] >= _FEWEST_PAIRS else None


def _gone(opinion: Json) -> bool | None:
    """Whether a contrast that is there otherwise isn't there: an interval of both tells nothing."""
    theirs, ours = opinion["contrast"], opinion["occlusion_contrast"]
    if theirs is None or ours is None:
        return None
    if theirs["low"] > 0 and theirs["value"] > _NOISE * abs(ours["value"]):
        return False
    return True if theirs["high"] < ours["low"] else None


def _worse(deleted: Json) -> bool | None:
    changes = [deleted.get(name, {}).get("change") for name in ("objective", "subjective")]
    if None in changes:
        return None
    return bool(changes[0]["high"] < changes[1]["low"])


def _worse_trained(retrained: Mapping[str, Mapping[str, Sequence[float]]]) -> bool | None:
    """By the 95 % t interval of the difference over seeds; they are the same on both sides."""
    if not {"objective", "subjective"} <= retrained.keys():
        return None
    objective, subjective = (
        np.asarray(retrained[name][_METRIC]) for name in ("objective", "subjective")
    )
    n = len(objective)
    if n < 2:
        return None
    more = subjective - objective
    half = float(scipy.stats.t.ppf(0.975, n - 1) * more.std(ddof=1)) / math.sqrt(n)
    return bool(more.mean() > 0) if abs(more.mean()) > half > 0 else None


def words_csv(found: Anchoring) -> str:
    """A line per word: its kind, contribution and figures, most contributing words first."""
    place = {word: n for n, word in enumerate(found.kinds.words)}
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    table, kinds = found.table, found.kinds
    for n in np.argsort(-table.mean, kind="stable"):
        word = found.occlusions.vocabulary[n]
        at = place[word]
        figures = (table.mean[n], table.error[n], table.p_value[n], table.p_holm[n])
        counts = (table.reviews[n], table.items[n], kinds.reviews[at], kinds.times[at])
        more = (kinds.stars[at], kinds.lift[at])
        shown = [f"{x:.6g}" if np.isfinite(x) else "" for x in (*figures, *more)]
        writer.writerow([word, KINDS[found.kind_of[n]], *shown[:4], *counts, *shown[4:]])
    return text.getvalue()
