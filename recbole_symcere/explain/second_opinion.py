"""Contributions found in another way, beside those of occlusion: a control, and another method."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from recbole_symcere.base.live_line import working
from recbole_symcere.explain.anchor_stats import Estimate, by_kind, item_bootstrap
from recbole_symcere.explain.explain_options import AnchorOptions
from recbole_symcere.explain.gradients import integrated_gradients
from recbole_symcere.explain.kinds import KINDS, WordKinds
from recbole_symcere.explain.loaded_run import ExplainedRun
from recbole_symcere.explain.occlusion import Occlusions, gather, occlude

__all__ = ["SecondOpinion", "by_gradients", "by_random_encoder", "contrast"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_OBJECTIVE, _SUBJECTIVE = KINDS.index("objective"), KINDS.index("subjective")


@dataclass(frozen=True)
class SecondOpinion:
    """Contributions found in another way, on some of the reviews.

    Attributes:
        reviews: number of reviews.
        kinds: mean by kind, None for a kind without words there.
        contrast: objective less subjective.
        same: the contrast of the occlusion on the same reviews.
        correlation: Spearman's, over words of reviews, with the occlusion.
    """

    reviews: int
    kinds: list[float | None]
    contrast: Estimate | None
    same: Estimate | None
    correlation: float


def _difference(means: _Floats) -> _Floats:
    return means[:, :1] - means[:, 1:]


def contrast(
    kind: _Ints, item: _Ints, values: npt.ArrayLike, first: tuple[int, ...], options: AnchorOptions
) -> Estimate | None:
    """Mean of the kinds ``first`` less that of subjective words; None where one has no entry."""
    values = np.asarray(values)
    ours, theirs = np.isin(kind, first), kind == _SUBJECTIVE
    if not ours.any() or not theirs.any():
        return None
    chosen = ours | theirs
    parts = by_kind(theirs[chosen].astype(np.int64), item[chosen], values[chosen], 2)
    return item_bootstrap(*parts, _difference, options.bootstrap, options.seed)[0]


def by_random_encoder(
    run: ExplainedRun, found: Occlusions, kinds: WordKinds, options: AnchorOptions
) -> SecondOpinion:
    """By a text encoder of random weights, see `ExplainedRun.randomised`."""
    reviews = _some(found.reviews, options.n_control, options.seed)
    other = run.randomised(options.seed)
    theirs = gather(other, occlude(other, reviews))
    return _compare(run, found, kinds, reviews, theirs.specific, options)


def by_gradients(
    run: ExplainedRun, found: Occlusions, kinds: WordKinds, options: AnchorOptions
) -> SecondOpinion:
    """By integrated gradients."""
    reviews = _some(found.reviews, options.n_gradients, options.seed)
    values: list[float] = []
    with working("integrated gradients", len(reviews), "reviews") as shown:
        for review in reviews:
            pair = run.pairs[review] - run.centre
            values += integrated_gradients(run, run.texts[review], pair).values()
            shown.advance()
    return _compare(run, found, kinds, reviews, np.array(values), options)


def _some(reviews: _Ints, n: int, seed: int) -> _Ints:
    if n >= len(reviews):
        return reviews
    return np.sort(np.random.default_rng(seed).choice(reviews, n, replace=False))


def _compare(
    run: ExplainedRun,
    found: Occlusions,
    kinds: WordKinds,
    reviews: _Ints,
    theirs: npt.NDArray[Any],
    options: AnchorOptions,
) -> SecondOpinion:
    """Another way's values, in the order of the words of these reviews, beside the occlusion's."""
    inside = np.isin(found.review, reviews)
    ours, item = found.specific[inside], run.items[found.review[inside]]
    kind = kinds.of(found.vocabulary)[found.word[inside]]
    means = [theirs[kind == k].mean() if (kind == k).any() else None for k in range(len(KINDS))]
    return SecondOpinion(
        reviews=len(reviews),
        kinds=[None if mean is None else float(mean) for mean in means],
        contrast=contrast(kind, item, theirs, (_OBJECTIVE,), options),
        same=contrast(kind, item, ours, (_OBJECTIVE,), options),
        correlation=float(scipy.stats.spearmanr(ours, theirs).statistic),
    )
