"""Items that are near by the words of their reviews and titles."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.word_counts import Vocabulary
from recbole_symcere.base.words import segment
from recbole_symcere.run.catalogue import Catalogue
from recbole_symcere.serve.training_reviews import TrainingReviews

__all__ = ["ItemWords", "NearItem"]

_MOST_ITEMS = 0.3  # of the items; a more frequent word tells them apart badly
_SHARED = 5


class NearItem(NamedTuple):
    """An item that uses the same words.

    Attributes:
        item: its place in the catalogue.
        similarity: cosine of TF-IDF.
        shared: the words that make most of it.
    """

    item: int
    similarity: float
    shared: list[str]


class ItemWords:
    """TF-IDF of the words of each item: its title and its training reviews.

    Args:
        catalogue: of the run.
        folder: of its data set.
        name: of its data set.

    Attributes:
        reviews: of training interactions.

    Raises:
        InputError: if there are neither reviews nor titles.
    """

    def __init__(self, catalogue: Catalogue, folder: Path, name: str) -> None:
        self.reviews = TrainingReviews(catalogue, folder / f"{name}.reviews.parquet")
        texts = _texts_of(catalogue, self.reviews)
        if not any(texts):
            raise InputError(
                f"Items are compared by the words of titles and reviews, but {name} has neither in "
                f"{folder}. If the data were moved, name their folder: --data_path=DIR."
            )
        vocabulary = self._vocabulary = Vocabulary()
        self._counts = vocabulary.count(texts)
        items_with = np.bincount(self._counts.indices, minlength=self._counts.shape[1])
        kept = np.flatnonzero((items_with >= 2) & (items_with <= _MOST_ITEMS * len(texts)))
        self._all_words = np.array([*vocabulary.codes], object)
        self._codes = dict(vocabulary.codes)  # a copy: a vocabulary grows with what it counts
        self._words, self._kept = self._all_words[kept], kept
        self._weigher, self._weights = _weigher(), self._counts[:, kept]
        if len(kept):  # it makes an error of no words at all
            self._weights = csr_matrix(self._weigher.fit_transform(self._weights))

    def near(self, item: int, k: int) -> list[NearItem]:
        """At most ``k`` items that share a word with ``item``, the nearest first."""
        return _nearest(self._weights[item], self._weights, self._words, [0, item], k)

    def find(self, text: str, k: int) -> list[NearItem]:
        """At most ``k`` items that use words of ``text``, the nearest first.

        Every word that an item uses counts here, rare and frequent ones too: `near` leaves out a
        word of one item, which no other item can share, but it may be what is looked for.

        Args:
            text: in any language; its words are counted as those of reviews are.
            k: at most so many items.
        """
        codes = [self._codes.get(word.key) for word in segment(text)]
        known = np.array([code for code in codes if code is not None], np.int64)
        if not len(known):
            return []
        places = (np.zeros(len(known), np.int64), known)
        shape = (1, len(self._all_words))
        counts = csr_matrix((np.ones(len(known), np.float32), places), shape=shape)
        weigher, weights = self._searched
        mine = csr_matrix(weigher.transform(counts))
        return _nearest(mine, weights, self._all_words, [0], k)

    @cached_property
    def _searched(self) -> tuple[TfidfTransformer, csr_matrix]:
        weigher = _weigher()
        return weigher, csr_matrix(weigher.fit_transform(self._counts))

    def shared(self, items: Sequence[int], others: Sequence[int], k: int) -> list[list[str]]:
        """For each of ``others`` the words, at most ``k``, that it shares with ``items`` together.

        Args:
            items: places in the catalogue, such as a user's history.
            others: places, such as of what he is recommended.
            k: words for each, those that make most of the likeness first.
        """
        profile = csr_matrix(self._weights[np.array(items, np.int64)].sum(axis=0))
        both = csr_matrix(self._weights[np.array(others, np.int64)].multiply(profile))
        return [_largest(both[row], self._words, k) for row in range(len(others))]

    def sums(self, history: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Of each item the sum of its cosines to those of a history [n_items]."""
        mine = csr_matrix(self._weights[history].sum(axis=0))
        summed: npt.NDArray[Any] = (self._weights @ mine.T).toarray()[:, 0]
        return summed

    def cosines(self, text: str) -> npt.NDArray[Any]:
        """Of each item its cosine to a text [n_items]."""
        if not len(self._kept):
            return np.zeros(self._weights.shape[0])
        mine = self._weigher.transform(self._vocabulary.count([text])[:, self._kept])
        cosines: npt.NDArray[Any] = (self._weights @ mine.T).toarray()[:, 0]
        return cosines


_Words = npt.NDArray[np.object_]


def _weigher() -> TfidfTransformer:
    return TfidfTransformer(sublinear_tf=True)


def _nearest(
    mine: csr_matrix, weights: csr_matrix, words: _Words, barred: list[int], k: int
) -> list[NearItem]:
    cosine: npt.NDArray[Any] = (weights @ mine.T).toarray()[:, 0]
    cosine[barred] = 0
    order = np.argsort(-cosine, kind="stable")[:k]
    return [
        NearItem(int(other), float(cosine[other]), _shared(mine, weights[other], words, _SHARED))
        for other in order
        if cosine[other] > 0
    ]


def _shared(first: csr_matrix, second: csr_matrix, words: _Words, k: int) -> list[str]:
    return _largest(csr_matrix(first.multiply(second)), words, k)


def _largest(row: csr_matrix, words: _Words, k: int) -> list[str]:
    order = np.argsort(-row.data, kind="stable")[:k]
    return [str(word) for word in words[row.indices[order]]]


def _texts_of(catalogue: Catalogue, reviews: TrainingReviews) -> list[str]:
    """The text of each item: its title and its reviews."""
    texts: list[str] = catalogue.titles.to_pylist()
    for place, text in reviews.joined_by_item():
        texts[place] = f"{texts[place]} {text}".strip()
    return texts
