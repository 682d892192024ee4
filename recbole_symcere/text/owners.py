"""Which texts belong to which user or item, and the mean of their vectors."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

__all__ = ["mean_of", "owned_texts"]

_VECTORS = 131_072  # of texts, that are added up at once
_OWNERS = 16_384  # whose vectors are copied at once


def owned_texts(
    text_ids: np.ndarray, owners: np.ndarray, n_owners: int, n_texts: int
) -> csr_matrix:
    """Which texts belong to whom, as a matrix that sums what texts have over their owners.

    Args:
        text_ids: int64 [n], 0 <= id < n_texts; -1 for none.
        owners: int64 [n], the user or item that each belongs to, 0 <= owner < n_owners.
        n_owners: number of users or items, padding included.
        n_texts: number of texts.

    Returns:
        float32 [n_owners, n_texts], how often an owner has a text.
    """
    there = text_ids >= 0
    places = owners[there], text_ids[there]
    return csr_matrix((np.ones(there.sum(), np.float32), places), shape=(n_owners, n_texts))


def mean_of(
    vectors: torch.Tensor, chosen: np.ndarray, owners: np.ndarray, size: int
) -> torch.Tensor:
    """Mean of the vectors that belong to each of ``size`` owners.

    Args:
        vectors: float32 [m, d].
        chosen: int64 [n], rows of ``vectors``; -1 for none.
        owners: int64 [n], 0 <= owner < size; ``vectors[chosen[k]]`` belongs to ``owners[k]``.
        size: number of owners.

    Returns:
        float32 [size, d]; zeros for an owner of none.

    Example:
        >>> vectors = torch.tensor([[2.0], [4.0]])
        >>> mean_of(vectors, np.array([0, 1, -1]), np.array([0, 0, 0]), 2).tolist()
        [[3.0], [0.0]]
    """
    owned = owned_texts(chosen, owners, size, len(vectors))
    n_owned = np.bincount(owners[chosen >= 0], minlength=size)[:, None]
    means = _sums(owned, vectors.numpy())
    means /= np.maximum(n_owned, 1).astype(np.float32)
    # n v / n is v but for rounding, which would tell n where all have one text
    single = np.flatnonzero(np.diff(owned.indptr) == 1)
    for start in range(0, len(single), _OWNERS):
        some = single[start : start + _OWNERS]
        means[some] = vectors.numpy()[owned.indices[owned.indptr[some]]]
    return torch.from_numpy(means)


def _sums(owned: csr_matrix, vectors: np.ndarray) -> np.ndarray:
    """The product, with vectors read from their beginning to their end: a file may hold them."""
    if len(vectors) <= _VECTORS:
        return np.asarray(owned @ vectors)
    by_text, found = owned.tocsc(), np.zeros((owned.shape[0], vectors.shape[1]), vectors.dtype)
    for start in range(0, len(vectors), _VECTORS):
        part = slice(start, start + _VECTORS)
        found += by_text[:, part] @ vectors[part]
    return found
