"""LIME (Ribeiro et al., 2016) on single reviews, by the ``lime`` package.

What is explained is the similarity t(x) . g of a review and its interaction. LIME encodes the
review many times with words left out at random and fits a weighted linear model to the
similarities; a word's weight is its coefficient. A word is left out at all its places at once.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from lime.lime_text import LimeTextExplainer

from recbole_symcere.base.live_line import working
from recbole_symcere.base.words import distinct_words, segment
from recbole_symcere.explain.loaded_run import ExplainedRun

__all__ = ["Explanation", "explain_review", "explain_reviews"]

_SPACES = re.compile(r" {2,}")


class Explanation(NamedTuple):
    """The words of a review and their weights.

    Attributes:
        review: the training interaction.
        words: its distinct words in order of first appearance [n].
        weights: LIME's coefficients [repeats, n].
        similarity: t(x) . g of the whole review.
        fit: weighted R squared of the linear model, mean over the repeats.
        encoded: number of different texts that were encoded.
    """

    review: int
    words: list[str]
    weights: npt.NDArray[np.float64]
    similarity: float
    fit: float
    encoded: int


class _Similarity:
    """Similarity of any texts to one interaction; a text that was asked for before isn't encoded.

    A text without a word has none, so it counts as 0; LIME gives such a sample next to no weight.
    """

    def __init__(self, run: ExplainedRun, review: int) -> None:
        self._run, self._pair = run, run.pairs[review]
        self.known: dict[str, float] = {}

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """The two columns that LIME asks a classifier for; the second is explained."""
        tidy = [_SPACES.sub(" ", text).strip(" ") for text in texts]
        new = [text for text in dict.fromkeys(tidy) if text not in self.known]
        if new:
            found = self._run.text_vectors(new) @ self._pair
            self.known |= zip(new, np.nan_to_num(found.double().numpy()).tolist(), strict=True)
        values = np.array([self.known[text] for text in tidy])
        return np.stack([-values, values], axis=1)


def explain_reviews(
    run: ExplainedRun,
    reviews: npt.NDArray[np.int64],
    n_samples: int,
    repeats: int,
    seed: int,
) -> list[Explanation]:
    """Explain reviews; what a review's draws are depends on ``seed`` and on itself alone.

    Args:
        run: the run.
        reviews: training interactions, as for `explain_review`.
        n_samples: texts that LIME draws for each review and repeat.
        repeats: how often each is explained.
        seed: of the draws.
    """
    found = []
    with working("LIME", len(reviews), "reviews") as shown:
        for review in reviews.tolist():
            seeds = np.random.SeedSequence([seed, review]).generate_state(repeats).tolist()
            found.append(explain_review(run, review, n_samples, seeds))
            shown.advance()
    return found


def explain_review(
    run: ExplainedRun, review: int, n_samples: int, seeds: Sequence[int]
) -> Explanation:
    """Explain one review, once with each seed.

    Args:
        run: the run.
        review: a training interaction whose review has two distinct words or more.
        n_samples: texts that LIME draws, the whole review among them; equal ones are encoded once.
        seeds: of the draws; at least one.
    """
    text = run.texts[review]
    words = list(distinct_words(text))
    place = {word: n for n, word in enumerate(words)}
    key = {text[start:end]: word for start, end, word in segment(text)}
    similarity = _Similarity(run, review)
    weights = np.zeros((len(seeds), len(words)))
    fits = []
    for row, seed in enumerate(seeds):
        explainer = LimeTextExplainer(
            feature_selection="none",
            split_expression=lambda whole: [whole[start:end] for start, end, _ in segment(whole)],
            random_state=seed,
        )
        found = explainer.explain_instance(
            text, similarity, num_features=len(key), num_samples=n_samples
        )
        for spelling, weight in found.as_list():  # "Great" and "great" are two features to LIME
            weights[row, place[key[spelling]]] += weight
        fits.append(float(found.score))
    whole = float(similarity([text])[0, 1])
    return Explanation(review, words, weights, whole, float(np.mean(fits)), len(similarity.known))
