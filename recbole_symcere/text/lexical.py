"""Which words the texts of a user or an item use: TF-IDF and latent semantic analysis.

A sentence encoder averages names away (a street, a model number), and they are what tells one item
from another; counting words keeps them.
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from recbole_symcere.text.owners import owned_texts

__all__ = ["NO_WORDS", "LexicalSpace", "WordSums", "telling_words", "word_counts"]

_LEAST_TEXTS = 2  # a word of a single owner says nothing of any other
_MOST_TEXTS = 0.3  # of the owners; a more frequent word tells them apart badly
_SEED = 0  # of the randomised decomposition: vectors don't depend on a run's seed

NO_WORDS = (
    f"fewer than two words stand in the texts of at least {_LEAST_TEXTS} items and of at most "
    f"{_MOST_TEXTS:.0%} of them"
)
"""Why a `LexicalSpace` has no dimension."""


def word_counts(
    words: csr_matrix, text_ids: np.ndarray, owners: np.ndarray, n_owners: int
) -> csr_matrix:
    """How often the texts of each owner use each word.

    Args:
        words: float32 [n_texts, n_words], how often each text uses each word, see `Vocabulary`.
        text_ids: int64 [n], rows of ``words``; -1 for none.
        owners: int64 [n], the user or item that each text belongs to.
        n_owners: number of owners.

    Returns:
        float32 [n_owners, n_words].
    """
    return csr_matrix(owned_texts(text_ids, owners, n_owners, words.shape[0]) @ words)


class WordSums:
    """Counts of the same owners, added up piece by piece.

    A piece is added to those before it when it has grown as large as the last of them, so that the
    time is near linear in what is added and the memory that of the sum.

    Args:
        n_owners: rows of each piece.
    """

    def __init__(self, n_owners: int) -> None:
        self._n_owners = n_owners
        self._parts: list[csr_matrix] = []

    def add(self, counts: csr_matrix) -> None:
        """Add float32 [n_owners, n_words]; later pieces may have more words."""
        while self._parts and self._parts[-1].nnz <= counts.nnz:
            counts = _sum(self._parts.pop(), counts)
        self._parts.append(counts)

    def total(self, n_words: int) -> csr_matrix:
        """The sum [n_owners, n_words] so far, of at least as many words as any piece has."""
        counts = csr_matrix((self._n_owners, n_words), dtype=np.float32)
        while self._parts:
            counts = _sum(self._parts.pop(), counts)
        self._parts = [counts]
        return counts


def _sum(first: csr_matrix, second: csr_matrix) -> csr_matrix:
    n_words = max(first.shape[1], second.shape[1])
    for part in (first, second):
        part.resize(part.shape[0], n_words)
    return first + second


def telling_words(counts: csr_matrix) -> np.ndarray:
    """The words that tell rows apart: of several rows, but of at most 30 % of those with a word.

    Args:
        counts: [n, words].

    Returns:
        int64, columns; a `LexicalSpace` needs two of them.
    """
    rows_with = np.bincount(counts.indices, minlength=counts.shape[1])
    n_rows = int((np.diff(counts.indptr) > 0).sum())
    return np.flatnonzero((rows_with >= _LEAST_TEXTS) & (rows_with <= _MOST_TEXTS * n_rows))


class LexicalSpace:
    """Latent semantic analysis (Deerwester et al., 1990) of word counts.

    A count c becomes (1 + log c) idf, rows are brought to length 1, and the first right singular
    vectors of ``counts`` give the space. Words of a single row or of more than 30 % are left out.

    Args:
        counts: [n, words], which chooses words and space: items.
        size: its dimensions; fewer where there are fewer rows or words.

    Attributes:
        rows: float32 [n, s] with s <= size, of ``counts``; zeros for a row without such words.
    """

    def __init__(self, counts: csr_matrix, size: int) -> None:
        self._kept = telling_words(counts)
        n_rows = int((np.diff(counts.indptr) > 0).sum())
        self._size = min(size, len(self._kept) - 1, n_rows - 1)
        if self._size < 1:
            self.rows = torch.zeros(counts.shape[0], 0)
            return
        self._weights = TfidfTransformer(sublinear_tf=True)
        self._space = TruncatedSVD(self._size, random_state=_SEED)
        weighed = counts[:, self._kept]
        weighed = self._weights.fit(weighed).transform(weighed, copy=False)
        self.rows = _float32(self._space.fit_transform(weighed))

    def transform(self, counts: csr_matrix) -> torch.Tensor:
        """Other owners' counts [m, words] in that space: float32 [m, s].

        Args:
            counts: columns past those that the space was made of are new words, left out.
        """
        if self._size < 1:
            return torch.zeros(counts.shape[0], 0)
        weighed = self._weights.transform(counts[:, self._kept], copy=False)
        return _float32(self._space.transform(weighed))


def _float32(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows.astype(np.float32, copy=False))
