"""Which texts belong to which user or item."""

import numpy as np
from scipy.sparse import csr_matrix

__all__ = ["owned_texts"]


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
