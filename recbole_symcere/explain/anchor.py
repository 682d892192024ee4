"""Semantic anchoring over all reviews: which kinds of words tie reviews to their interactions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from recbole_symcere.base.errors import InputError
from recbole_symcere.explain.anchor_stats import (
    Estimate,
    WordTable,
    by_kind,
    item_bootstrap,
    match,
    superiority,
    word_table,
)
from recbole_symcere.explain.explain_options import AnchorOptions
from recbole_symcere.explain.gradients import integrated_gradients
from recbole_symcere.explain.kinds import KINDS, WordKinds, word_kinds
from recbole_symcere.explain.loaded_run import ExplainedRun
from recbole_symcere.explain.occlusion import Chunk, Occlusions, gather, occlude

__all__ = ["Anchoring", "Matched", "SecondOpinion", "analyse"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_OBJECTIVE, _SUBJECTIVE = KINDS.index("objective"), KINDS.index("subjective")
_STOP, _NEITHER = KINDS.index("stop-word"), KINDS.index("neither")


@dataclass(frozen=True)
class Matched:
    """Words of one kind against their neighbours of another, matched in frequency and IDF.

    Attributes:
        pairs: number of pairs.
        difference: mean over pairs, objective word less the other; None without a pair.
        imbalance: mean standardised difference of log frequency and of IDF that is left.
    """

    pairs: int
    difference: Estimate | None
    imbalance: tuple[float, float]


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


@dataclass(frozen=True)
class Anchoring:
    """What the reviews of one run say.

    Attributes:
        occlusions: every contribution.
        kinds: the kind of every word.
        table: contributions by word, in the order of ``occlusions.vocabulary``.
        kind_of: kind of each of these words.
        by_kind: mean specific contribution of a kind; None for a kind without words.
        contrast: objective less subjective; None where one of them has no words.
        content_contrast: objective and neither less subjective.
        superiority: chance that an objective word contributes more than a subjective one.
        standardised: the difference of their words' means in standard deviations.
        shuffled: the contrast for each shuffled pairing.
        p_shuffled: share of pairings (with the true one) whose contrast is at least the true one.
        subjective_matched: subjective words and objective ones like them.
        other_matched: objective words and stop-words or neither like them.
        random_encoder: the same with a text encoder of random weights.
        gradients: the same by integrated gradients; None if left out.
    """

    occlusions: Occlusions
    kinds: WordKinds
    table: WordTable
    kind_of: _Ints
    by_kind: list[Estimate | None]
    contrast: Estimate | None
    content_contrast: Estimate | None
    superiority: float
    standardised: float
    shuffled: list[float]
    p_shuffled: float
    subjective_matched: Matched
    other_matched: Matched
    random_encoder: SecondOpinion
    gradients: SecondOpinion | None


def analyse(run: ExplainedRun, options: AnchorOptions) -> Anchoring:
    """Occlude every word and test which kinds of words the alignment rests on.

    Raises:
        InputError: for data without ratings, or with too few reviews.
    """
    kinds = word_kinds(run.texts, run.items, run.known_ratings(), options.seed)
    reviews = run.sample(options.n, options.seed)
    pairings = _Pairings(run, kinds, options)
    found = gather(run, pairings.watch(occlude(run, reviews)))
    if len(found.reviews) < 2:
        raise InputError(f"--run={options.run}: only {len(found.reviews)} review has two words.")
    kind_of = kinds.of(found.vocabulary)
    table = word_table(found.word, run.items[found.review], found.specific, len(kind_of))
    estimates = _kind_estimates(run, found, kind_of[found.word], options)
    shuffled = pairings.contrasts()
    contrast = estimates["contrast"]
    true = contrast.value if contrast else np.nan
    objective, subjective = (
        table.mean[(kind_of == kind) & (table.reviews >= 5)] for kind in (_OBJECTIVE, _SUBJECTIVE)
    )
    judged = table.mean[(table.reviews >= 5) & np.isin(kind_of, (_OBJECTIVE, _SUBJECTIVE))]
    spread = judged.std() if len(judged) > 1 else np.nan
    gap = objective.mean() - subjective.mean() if len(objective) and len(subjective) else np.nan
    return Anchoring(
        occlusions=found,
        kinds=kinds,
        table=table,
        kind_of=kind_of,
        by_kind=[estimates[name] for name in KINDS],
        contrast=contrast,
        content_contrast=estimates["content"],
        superiority=superiority(objective, subjective),
        standardised=float(gap / spread),
        shuffled=shuffled,
        p_shuffled=(1 + sum(value >= true for value in shuffled)) / (1 + len(shuffled)),
        subjective_matched=_matched(
            run, found, kinds, kind_of, (_SUBJECTIVE,), (_OBJECTIVE,), options
        ),
        other_matched=_matched(
            run, found, kinds, kind_of, (_OBJECTIVE,), (_STOP, _NEITHER), options
        ),
        random_encoder=_random_encoder(run, found, kinds, options),
        gradients=_gradients(run, found, kinds, options) if options.n_gradients else None,
    )


class _Pairings:
    """The shuffled-pair control: each review with the interaction of another item, many times."""

    def __init__(self, run: ExplainedRun, kinds: WordKinds, options: AnchorOptions) -> None:
        rng = np.random.default_rng(options.seed)
        self._run, self._kinds = run, kinds
        self._mean = run.pairs.mean(dim=0)
        self._partners = [_partners(run.items, rng) for _ in range(options.permutations)]
        self._sums = np.zeros((options.permutations, len(KINDS)))
        self._counts = np.zeros(len(KINDS))

    def watch(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Pass on the chunks, and add up what their words contribute to the wrong interactions."""
        for chunk in chunks:
            kind = self._kinds.of(chunk.words)
            self._counts += np.bincount(kind, minlength=len(KINDS))
            review = chunk.reviews[chunk.owner]
            for row, partners in enumerate(self._partners):
                others = self._run.pairs[partners[review]] - self._mean
                values = (chunk.loss * others).sum(dim=1).numpy()
                self._sums[row] += np.bincount(kind, values, len(KINDS))
            yield chunk

    def contrasts(self) -> list[float]:
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums / self._counts
        return [float(value) for value in means[:, _OBJECTIVE] - means[:, _SUBJECTIVE]]


def _partners(items: _Ints, rng: np.random.Generator) -> _Ints:
    """For each interaction a random one of another item, where there is one."""
    partners = rng.permutation(len(items))
    for _ in range(20):
        same = np.flatnonzero(items[partners] == items)
        if not len(same):
            break
        partners[same] = rng.integers(0, len(items), len(same))
    return partners


def _difference(means: _Floats) -> _Floats:
    return means[:, :1] - means[:, 1:]


def _contrast(
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


def _kind_estimates(
    run: ExplainedRun, found: Occlusions, kind: _Ints, options: AnchorOptions
) -> dict[str, Estimate | None]:
    item = run.items[found.review]
    parts = by_kind(kind, item, found.specific, len(KINDS))
    means = item_bootstrap(*parts, lambda m: m, options.bootstrap, options.seed)
    there = np.bincount(kind, minlength=len(KINDS)) > 0
    estimates: dict[str, Estimate | None] = {
        name: mean if has else None for name, mean, has in zip(KINDS, means, there, strict=True)
    }
    for name, first in (("contrast", (_OBJECTIVE,)), ("content", (_OBJECTIVE, _NEITHER))):
        estimates[name] = _contrast(kind, item, found.specific, first, options)
    return estimates


def _matched(
    run: ExplainedRun,
    found: Occlusions,
    kinds: WordKinds,
    kind_of: _Ints,
    wanted: tuple[int, ...],
    pool: tuple[int, ...],
    options: AnchorOptions,
) -> Matched:
    """Each wanted word with its neighbour of the pool; one side of a pair is objective."""
    place = {word: n for n, word in enumerate(kinds.words)}
    at = np.array([place[word] for word in found.vocabulary])
    idf = np.log(len(run.texts) / kinds.reviews[at])
    covariates = np.stack([np.log(kinds.times[at]), idf], axis=1)
    first, second = (np.flatnonzero(np.isin(kind_of, side)) for side in (wanted, pool))
    left, right = match(covariates[first], covariates[second])
    first, second = first[left], second[right]
    if not len(first):
        return Matched(0, None, (float("nan"), float("nan")))
    if pool == (_OBJECTIVE,):
        first, second = second, first
    words, pair_of = np.unique(np.concatenate([first, second]), return_inverse=True)
    group = np.full(len(kind_of), -1)
    group[words] = np.arange(len(words))
    of = group[found.word]
    inside = of >= 0
    parts = by_kind(of[inside], run.items[found.review[inside]], found.specific[inside], len(words))
    a, b = np.split(pair_of, 2)
    estimate = item_bootstrap(
        *parts, lambda m: _mean_known(m[:, a] - m[:, b]), options.bootstrap, options.seed
    )[0]
    spread = covariates.std(axis=0)
    left_over = (covariates[first] - covariates[second]).mean(axis=0) / np.where(spread, spread, 1)
    return Matched(len(first), estimate, (float(left_over[0]), float(left_over[1])))


def _mean_known(values: _Floats) -> _Floats:
    """Mean of each row's values [k, p] that are known [k, 1]; NaN for a row without one."""
    known = np.isfinite(values)
    n = known.sum(axis=1, keepdims=True)
    total = np.where(known, values, 0.0).sum(axis=1, keepdims=True)
    mean: _Floats = np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
    return mean


def _random_encoder(
    run: ExplainedRun, found: Occlusions, kinds: WordKinds, options: AnchorOptions
) -> SecondOpinion:
    reviews = _some(found.reviews, options.n_control, options.seed)
    other = run.randomised(options.seed)
    theirs = gather(other, occlude(other, reviews))
    return _compare(run, found, kinds, reviews, theirs.specific, options)


def _gradients(
    run: ExplainedRun, found: Occlusions, kinds: WordKinds, options: AnchorOptions
) -> SecondOpinion:
    reviews = _some(found.reviews, options.n_gradients, options.seed)
    mean = run.pairs.mean(dim=0)
    values = [
        value
        for review in reviews
        for value in integrated_gradients(run, run.texts[review], run.pairs[review] - mean).values()
    ]
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
        contrast=_contrast(kind, item, theirs, (_OBJECTIVE,), options),
        same=_contrast(kind, item, ours, (_OBJECTIVE,), options),
        correlation=float(scipy.stats.spearmanr(ours, theirs).statistic),
    )
