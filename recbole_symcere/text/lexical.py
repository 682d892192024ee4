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

__all__ = ["lexical_vectors", "word_counts"]

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


def lexical_vectors(counts: csr_matrix, others: csr_matrix, size: int) -> list[torch.Tensor]:
    """Latent semantic analysis (Deerwester et al., 1990) of word counts.

    A count c becomes (1 + log c) idf, rows are brought to length 1, and the first right singular
    vectors of ``counts`` give the space. Words of a single row or of more than 30 % are left out.

    Args:
        counts: [n, words], which chooses words and space: items.
        others: [m, words], brought into that space: users.
        size: its dimensions; fewer where there are fewer rows or words.

    Returns:
        float32 [n, s] and [m, s] with s <= size; zeros for a row without such words.
    """
    rows_with = np.bincount(counts.indices, minlength=counts.shape[1])
    n_rows = int((np.diff(counts.indptr) > 0).sum())
    kept = np.flatnonzero((rows_with >= _LEAST_TEXTS) & (rows_with <= _MOST_TEXTS * n_rows))
    size = min(size, len(kept) - 1, n_rows - 1)
    if size < 1:
        return [torch.zeros(rows.shape[0], 0) for rows in (counts, others)]
    weights = TfidfTransformer(sublinear_tf=True)
    space = TruncatedSVD(size, random_state=_SEED)
    first = space.fit_transform(weights.fit_transform(counts[:, kept]))
    second = space.transform(weights.transform(others[:, kept]))
    return [torch.from_numpy(rows.astype(np.float32)) for rows in (first, second)]
