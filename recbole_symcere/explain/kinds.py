"""What kind a word is, decided from the reviews and their ratings alone, in any language.

No lexicon is asked, and nothing that the model computes. The rules, in this order:

* rare: in fewer than `MIN_REVIEWS` reviews or of fewer than `MIN_ITEMS` items. Not judged.
* other language: of another script than most words, or most of its reviews are in another language
  than most reviews.
* stop-word: in scikit-learn's English list (English data), and not recurring (see below).
* subjective: follows the rating. Its reviews' ratings, less the mean of their item, differ from
  those of the other reviews by at least `MIN_STARS`, at a false discovery rate of 1 %.
* objective: recurs. People who review the same item use it together at least `MIN_LIFT` times as
  often as reviews dealt to items at random (199 permutations), at a false discovery rate of 1 %: an
  attribute of the item that reviewers agree on.
* unsorted: in at least 1 % of the reviews, and none of the above. A word of sentiment that failed
  the test is among them, and so are stop-words of a language without a list.
* neither: the rest.

A word that both recurs and follows the rating is subjective. The rule for objective words looks at
who shares an item, as the graph does; a comparison that doesn't is that of subjective words with
all other words of content (objective or neither).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats
from scipy.sparse import csr_matrix

from recbole_symcere.base.words import script_of
from recbole_symcere.convert.language import UNKNOWN, languages
from recbole_symcere.explain.occlusion import vocabulary_of

__all__ = ["KINDS", "WordKinds", "word_kinds"]

KINDS = ("objective", "subjective", "stop-word", "unsorted", "other language", "neither", "rare")
MIN_REVIEWS = 10
MIN_ITEMS = 5
MIN_STARS = 0.2
MIN_LIFT = 1.5
_RATE = 0.01  # false discovery rate
_COMMON = 0.01  # share of the reviews
_PERMUTATIONS = 199

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]


class WordKinds(NamedTuple):
    """The words of the training reviews, one entry each.

    Attributes:
        words: the words.
        kind: place in `KINDS`.
        reviews: number of reviews that have the word.
        times: number of its places in all reviews.
        items: number of items whose reviews have it.
        stars: mean rating of its reviews less that of the others, item means taken off.
        lift: pairs of reviews of one item that share it, over what chance gives; NaN if rare.
        language: the language of most reviews.
    """

    words: list[str]
    kind: _Ints
    reviews: _Ints
    times: _Ints
    items: _Ints
    stars: _Floats
    lift: _Floats
    language: str

    def of(self, words: Sequence[str]) -> _Ints:
        """The kind of each of the words; one that these reviews don't have is rare."""
        kind = dict(zip(self.words, self.kind.tolist(), strict=True))
        rare = KINDS.index("rare")
        return np.array([kind.get(word, rare) for word in words], dtype=np.int64)


def word_kinds(texts: Sequence[str], items: _Ints, ratings: _Floats, seed: int = 0) -> WordKinds:
    """Sort the words of reviews into `KINDS`.

    Args:
        texts: the reviews [n].
        items: the item of each [n].
        ratings: the rating of each [n].
        seed: of the permutations.
    """
    words, rows, columns, times = vocabulary_of(texts)
    ones = np.ones(len(rows), dtype=np.float64)
    has = csr_matrix((ones, (rows, columns)), shape=(len(texts), len(words)))
    reviews = np.bincount(columns, minlength=len(words))
    _, item_of = np.unique(items, return_inverse=True)
    per_item = np.unique(np.stack([item_of[rows], columns]), axis=1)[1]
    n_items = np.bincount(per_item, minlength=len(words))
    rare = (reviews < MIN_REVIEWS) | (n_items < MIN_ITEMS)
    stars, p_stars = _rating_effect(has, item_of, ratings)
    lift, p_lift = _recurrence(has, item_of, ~rare, seed)
    spoken = languages(_as_series(texts)).to_numpy()
    language = _most_common([name for name in spoken if name != UNKNOWN])
    foreign = _foreign(words, has, spoken, language)
    follows = _chosen(p_stars, ~rare & ~foreign) & (np.abs(stars) >= MIN_STARS)
    recurs = _chosen(p_lift, ~rare & ~foreign) & (lift >= MIN_LIFT)
    listed = np.array([word in _stop_words(language) for word in words], dtype=bool) & ~recurs
    common = reviews >= _COMMON * len(texts)
    rules = [rare, foreign, listed, follows, recurs, common]
    names = ["rare", "other language", "stop-word", "subjective", "objective", "unsorted"]
    kind = np.select(rules, [KINDS.index(name) for name in names], KINDS.index("neither"))
    n_times = np.bincount(columns, times, len(words)).astype(np.int64)
    return WordKinds(words, kind, reviews, n_times, n_items, stars, lift, language)


def _chosen(p_values: _Floats, judged: _Flags) -> _Flags:
    chosen = np.zeros(len(p_values), dtype=bool)
    if judged.any():
        chosen[judged] = scipy.stats.false_discovery_control(p_values[judged]) <= _RATE
    return chosen


def _rating_effect(has: csr_matrix, item_of: _Ints, ratings: _Floats) -> tuple[_Floats, _Floats]:
    """Difference of the residual ratings with and without each word, and Welch's p-value."""
    residual = ratings - (np.bincount(item_of, ratings) / np.bincount(item_of))[item_of]
    n = np.asarray(has.sum(axis=0)).ravel()
    total, squares = has.T @ residual, has.T @ residual**2
    n_rest = len(ratings) - n
    rest, rest_squares = residual.sum() - total, (residual**2).sum() - squares
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, mean_rest = total / n, rest / n_rest
        variance = (squares / n - mean**2) / (n - 1)
        variance_rest = (rest_squares / n_rest - mean_rest**2) / (n_rest - 1)
        z = (mean - mean_rest) / np.sqrt(np.maximum(variance + variance_rest, 0))
        difference = np.nan_to_num(mean - mean_rest)
    p = 2 * scipy.stats.t.sf(np.abs(z), np.maximum(n - 1, 1))
    return difference, np.where(np.isfinite(p) & (difference != 0), p, 1.0)


def _recurrence(
    has: csr_matrix, item_of: _Ints, judged: _Flags, seed: int
) -> tuple[_Floats, _Floats]:
    """Lift of pairs of one item's reviews that share a word, and its one-sided p-value."""
    lift, p = np.full(has.shape[1], np.nan), np.ones(has.shape[1])
    if not judged.any():
        return lift, p
    small = has[:, judged].T.tocsr()
    rng = np.random.default_rng(seed)

    def pairs(item_of: _Ints) -> _Floats:
        rows = np.arange(len(item_of))
        ones = np.ones(len(item_of))
        counts = small @ csr_matrix((ones, (rows, item_of)))
        counts.data = counts.data * (counts.data - 1)
        return np.asarray(counts.sum(axis=1)).ravel()

    found = pairs(item_of)
    drawn = np.stack([pairs(rng.permutation(item_of)) for _ in range(_PERMUTATIONS)])
    mean, deviation = drawn.mean(axis=0), drawn.std(axis=0, ddof=1)
    n = np.asarray(small.sum(axis=1)).ravel()
    # by chance two pairs or so; fewer would make any lift out of nothing
    lift[judged] = found / np.maximum(mean, 2.0)
    z = (found - mean) / np.maximum(deviation, np.sqrt(2.0))
    p[judged] = np.where(n > 0, scipy.stats.norm.sf(z), 1.0)
    return lift, p


def _foreign(words: list[str], has: csr_matrix, spoken: Any, language: str) -> _Flags:
    scripts = np.array([script_of(word) for word in words])
    n = np.asarray(has.sum(axis=0)).ravel()
    known = [script for script in np.unique(scripts) if script]
    main = max(known, key=lambda script: n[scripts == script].sum(), default="")
    alike = {main, "", *(("Japanese", "Han") if language in {"Japanese", "Chinese"} else ())}
    of_script = ~np.isin(scripts, list(alike))
    here, elsewhere = spoken == language, (spoken != language) & (spoken != UNKNOWN)
    by_review = (has.T @ elsewhere.astype(float)) > 2 * (has.T @ here.astype(float))
    flags: _Flags = of_script | by_review
    return flags


def _stop_words(language: str) -> frozenset[str]:
    if language != "English":
        return frozenset()
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


def _most_common(names: Sequence[str]) -> str:
    return max(sorted(set(names)), key=list(names).count, default=UNKNOWN)


def _as_series(texts: Sequence[str]) -> Any:
    import polars as pl

    return pl.Series("text", list(texts), dtype=pl.String)
