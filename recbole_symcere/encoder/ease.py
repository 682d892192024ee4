"""Which items are near which, from interactions alone, as two thin matrices."""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd

__all__ = ["ease_factors"]

_SEED = 0  # of the randomised decomposition: factors don't depend on a run's seed


def ease_factors(
    history: csr_matrix, reg_weight: float, size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """EASE (Steck, WWW 2019), whose item-item matrix is kept as its first singular vectors.

    For the history X [users, items] and P = (X^T X + reg I)^-1::

        W_ij = -P_ij / P_jj,   W_jj = 0,   A B^T = W truncated to rank s

    Args:
        history: [n_users, n_items], 1 for an interaction.
        reg_weight: reg, above 0.
        size: s; fewer where there are fewer items.

    Returns:
        float32 A and B [n_items, s]: a user's scores are (sum of A's rows over its items) B^T.
    """
    counts = csr_matrix(history, dtype=np.float64)
    gram = (counts.T @ counts).toarray()
    gram[np.diag_indices_from(gram)] += reg_weight
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    size = min(size, len(weights))
    left, values, right = randomized_svd(weights, size, random_state=_SEED)
    first, second = (np.ascontiguousarray(side, np.float32) for side in (left * values, right.T))
    return torch.from_numpy(first), torch.from_numpy(second)
