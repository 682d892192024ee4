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

__all__ = ["LexicalSpace", "lexical_vectors", "word_counts"]

_LEAST_TEXTS = 2  # a word of a single owner says nothing of any other
_MOST_TEXTS = 0.3  # of the owners; a more frequent word tells them apart badly
_SEED = 0  # of the randomised decomposition: vectors don't depend on a run's seed


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
        rows_with = np.bincount(counts.indices, minlength=counts.shape[1])
        n_rows = int((np.diff(counts.indptr) > 0).sum())
        kept = (rows_with >= _LEAST_TEXTS) & (rows_with <= _MOST_TEXTS * n_rows)
        self._kept = np.flatnonzero(kept)
        self._size = min(size, len(self._kept) - 1, n_rows - 1)
        if self._size < 1:
            self.rows = torch.zeros(counts.shape[0], 0)
            return
        self._weights = TfidfTransformer(sublinear_tf=True)
        self._space = TruncatedSVD(self._size, random_state=_SEED)
        weighed = self._weights.fit_transform(counts[:, self._kept])
        self.rows = _float32(self._space.fit_transform(weighed))

    def transform(self, counts: csr_matrix) -> torch.Tensor:
        """Other owners' counts [m, words] in that space: float32 [m, s].

        Args:
            counts: columns past those that the space was made of are new words, left out.
        """
        if self._size < 1:
            return torch.zeros(counts.shape[0], 0)
        return _float32(self._space.transform(self._weights.transform(counts[:, self._kept])))


def lexical_vectors(counts: csr_matrix, others: csr_matrix, size: int) -> list[torch.Tensor]:
    """The `LexicalSpace` of ``counts``: its own rows, and ``others`` [m, words] brought into it.

    Returns:
        float32 [n, s] and [m, s]; zeros for a row without a word that counts.
    """
    space = LexicalSpace(counts, size)
    return [space.rows, space.transform(others)]


def _float32(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows.astype(np.float32))
