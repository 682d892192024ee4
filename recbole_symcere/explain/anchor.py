"""Semantic anchoring over all reviews: which kinds of words tie reviews to their interactions.

Training reviews are what the run was fitted to, and what item vectors are made of where reviews
seed them. Validation reviews are of interactions that nothing was trained on, so that what they say
about words is not put there by their own training.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recbole_symcere.base.errors import InputError
from recbole_symcere.explain.anchor_stats import (
    Estimate,
    WordTable,
    by_kind,
    item_bootstrap,
    match,
    shuffled_labels,
    superiority,
    word_table,
)
from recbole_symcere.explain.explain_options import AnchorOptions
from recbole_symcere.explain.kinds import KINDS, WordKinds, word_kinds
from recbole_symcere.explain.loaded_run import ExplainedRun
from recbole_symcere.explain.occlusion import Chunk, Occlusions, gather, occlude
from recbole_symcere.explain.second_opinion import (
    SecondOpinion,
    by_gradients,
    by_random_encoder,
    contrast,
)

__all__ = ["Anchoring", "Matched", "analyse"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_OBJECTIVE, _SUBJECTIVE = KINDS.index("objective"), KINDS.index("subjective")
_OTHERS = tuple(KINDS.index(name) for name in ("stop-word", "unsorted", "neither"))


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
        labels: the contrast with the kinds of objective and subjective words dealt anew to the
            words, for each draw.
        p_labels: as ``p_shuffled``, of these.
        subjective_matched: subjective words and objective ones like them.
        other_matched: objective words and stop-words or neither like them.
        random_encoder: the same with a text encoder of random weights; None if left out.
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
    labels: list[float]
    p_labels: float
    subjective_matched: Matched
    other_matched: Matched
    random_encoder: SecondOpinion | None
    gradients: SecondOpinion | None


def analyse(run: ExplainedRun, options: AnchorOptions, kinds: WordKinds | None = None) -> Anchoring:
    """Occlude every word and test which kinds of words the alignment rests on.

    Args:
        run: the run, with its training reviews or others.
        options: how many reviews, draws and controls.
        kinds: of the words, from other reviews; then only what needs no other encoder is done. By
            default they come from the run's own reviews.

    Raises:
        InputError: for data without ratings, or with too few reviews.
    """
    own = kinds is None
    if kinds is None:
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
    labels = shuffled_labels(
        table, kind_of == _OBJECTIVE, kind_of == _SUBJECTIVE, options.permutations, options.seed
    )
    found_contrast = estimates["contrast"]
    true = found_contrast.value if found_contrast else np.nan
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
        contrast=found_contrast,
        content_contrast=estimates["content"],
        superiority=superiority(objective, subjective),
        standardised=float(gap / spread),
        shuffled=shuffled,
        p_shuffled=_share_above(shuffled, true),
        labels=labels,
        p_labels=_share_above(labels, true),
        subjective_matched=_matched(
            run, found, kinds, kind_of, (_SUBJECTIVE,), (_OBJECTIVE,), options
        ),
        other_matched=_matched(run, found, kinds, kind_of, (_OBJECTIVE,), _OTHERS, options),
        random_encoder=by_random_encoder(run, found, kinds, options) if own else None,
        gradients=(
            by_gradients(run, found, kinds, options) if own and options.n_gradients else None
        ),
    )


def _share_above(drawn: list[float], true: float) -> float:
    """Of the draws and the true value, the share that is at least the true value; NaN without."""
    if not np.isfinite(true) or not drawn:
        return float("nan")
    return (1 + sum(value >= true for value in drawn)) / (1 + len(drawn))


class _Pairings:
    """The shuffled-pair control: each review with the interaction of another item, many times."""

    def __init__(self, run: ExplainedRun, kinds: WordKinds, options: AnchorOptions) -> None:
        rng = np.random.default_rng(options.seed)
        self._run, self._kinds = run, kinds
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
                others = self._run.pairs[partners[review]] - self._run.centre
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
    content = (_OBJECTIVE, KINDS.index("neither"))
    for name, first in (("contrast", (_OBJECTIVE,)), ("content", content)):
        estimates[name] = contrast(kind, item, found.specific, first, options)
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
    # a word that is not in those reviews is rare, and in neither group
    at = np.array([place.get(word, 0) for word in found.vocabulary])
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
