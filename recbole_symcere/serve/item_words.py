"""Items that are near by the words of their reviews and titles."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.word_counts import Vocabulary
from recbole_symcere.run.catalogue import Catalogue

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

    Raises:
        InputError: if there are neither reviews nor titles.
    """

    def __init__(self, catalogue: Catalogue, folder: Path, name: str) -> None:
        texts = _texts_of(catalogue, folder / f"{name}.reviews.parquet")
        if not any(texts):
            raise InputError(
                f"Items are compared by the words of titles and reviews, but {name} has neither in "
                f"{folder}. If the data were moved, name their folder: --data_path=DIR."
            )
        vocabulary = self._vocabulary = Vocabulary()
        counts = vocabulary.count(texts)
        items_with = np.bincount(counts.indices, minlength=counts.shape[1])
        kept = np.flatnonzero((items_with >= 2) & (items_with <= _MOST_ITEMS * len(texts)))
        words = np.array([*vocabulary.codes], object)
        self._words = words[kept]
        self._kept, self._tfidf = kept, TfidfTransformer(sublinear_tf=True)
        self._weights = csr_matrix(self._tfidf.fit_transform(counts[:, kept]))

    def near(self, item: int, k: int) -> list[NearItem]:
        """At most ``k`` items that share a word with ``item``, the nearest first."""
        mine = self._weights[item]
        cosine: npt.NDArray[Any] = (self._weights @ mine.T).toarray()[:, 0]
        cosine[[0, item]] = 0
        order = np.argsort(-cosine, kind="stable")[:k]
        return [
            NearItem(int(other), float(cosine[other]), self._shared(mine, self._weights[other]))
            for other in order
            if cosine[other] > 0
        ]

    def sums(self, history: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Of each item the sum of its cosines to those of a history [n_items]."""
        mine = csr_matrix(self._weights[history].sum(axis=0))
        summed: npt.NDArray[Any] = (self._weights @ mine.T).toarray()[:, 0]
        return summed

    def cosines(self, text: str) -> npt.NDArray[Any]:
        """Of each item its cosine to a text [n_items]."""
        mine = self._tfidf.transform(self._vocabulary.count([text])[:, self._kept])
        cosines: npt.NDArray[Any] = (self._weights @ mine.T).toarray()[:, 0]
        return cosines

    def _shared(self, first: csr_matrix, second: csr_matrix) -> list[str]:
        both = first.multiply(second).tocoo()
        order = np.argsort(-both.data, kind="stable")[:_SHARED]
        return [str(word) for word in self._words[both.col[order]]]


def _texts_of(catalogue: Catalogue, file: Path) -> list[str]:
    """The text of each item; reviews of held-out interactions are left out."""
    titles: list[str] = catalogue.titles.to_pylist()
    if not file.is_file():
        return titles
    train = catalogue.part == 0
    pairs = pl.DataFrame(
        {
            "user_id": catalogue.users.take(catalogue.user[train]),
            "item_id": catalogue.items.take(catalogue.item[train]),
            "place": catalogue.item[train],
        }
    )
    reviews = pl.read_parquet(file, columns=["user_id", "item_id", "text"])
    reviews = reviews.cast({"user_id": pl.String, "item_id": pl.String})
    reviews = reviews.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    joined = (
        pairs.unique(maintain_order=True)
        .join(reviews, on=["user_id", "item_id"], how="inner", maintain_order="left")
        .group_by("place", maintain_order=True)
        .agg(pl.col("text").drop_nulls().str.join(" "))
    )
    for place, text in joined.iter_rows():
        titles[place] = f"{titles[place]} {text}".strip()
    return titles
