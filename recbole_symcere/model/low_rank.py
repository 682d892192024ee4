"""The few directions in which users' histories vary most, as a map of items."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds

__all__ = ["low_pass"]

_NOTHING = 1e-6  # of the largest singular value: a direction in which no history differs
_CLOSE = 1e-3  # of the squares of singular values; products of W are then right to 1e-5
_SEED = 0  # of the decomposition's start: its result doesn't depend on a run's seed

_Floats = npt.NDArray[np.floating]


def low_pass(known: csr_matrix, size: int) -> tuple[_Floats, _Floats]:
    """The ideal low-pass filter of the graph of items, a part of GF-CF (Shen et al., CIKM 2021).

    With D_U and D_I the numbers of interactions of users and of items::

        D_U^(-1/2) X D_I^(-1/2) ~ U S V^T,   of the s largest singular values
        W = D_I^(-1/2) V V^T D_I^(1/2)

    so that a history is taken for what it has in common with many others.

    Args:
        known: X [n_users, n_items], 1 for an interaction.
        size: s; half of the users or items at most.

    Returns:
        float32 A and B [n_items, s] with A B^T = W.
    """
    counts = csr_matrix(known, dtype=np.float64)
    of_users, of_items = (np.maximum(np.asarray(counts.sum(axis=n)).ravel(), 1) for n in (1, 0))
    root = np.sqrt(of_items)
    scaled = diags(1 / np.sqrt(of_users)) @ counts @ diags(1 / root)
    size = max(min(size, min(counts.shape) // 2), 1)
    start = np.random.default_rng(_SEED).random(min(counts.shape))
    _, values, turned = svds(scaled, size, v0=start, tol=_CLOSE)
    turned[values < _NOTHING * values.max()] = 0
    near, far = turned.T / root[:, None], turned.T * root[:, None]
    return near.astype(np.float32), far.astype(np.float32)
