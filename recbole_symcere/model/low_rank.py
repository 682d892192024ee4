"""The few directions in which users' histories vary most, as a map of items."""

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.sparse import block_array, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import svds

__all__ = ["low_pass"]

_NOTHING = 1e-6  # of the largest singular value: a direction in which no history differs
_DENSE = 2_000  # items up to which nothing is approximate
_CLOSE = 1e-3  # of singular values above; products of W are then right to 1e-5
_SEED = 0  # of the decomposition's start: it doesn't depend on a run's seed

_Floats = npt.NDArray[np.floating]
_Ints = npt.NDArray[np.int64]


def low_pass(known: csr_matrix, size: int) -> tuple[_Floats, _Floats]:
    """The ideal low-pass filter of the graph of items, a part of GF-CF (Shen et al., CIKM 2021).

    With D_U and D_I the numbers of interactions of users and of items::

        D_U^(-1/2) X D_I^(-1/2) ~ U S V^T,   of the s largest singular values
        W = D_I^(-1/2) V V^T D_I^(1/2)

    so that a history is taken for what it has in common with many others. X is that of the largest
    connected part of the graph: each further part has a singular value of 1 too, as large as any,
    so that which of them were found would be chance. Outside W is 0.

    Args:
        known: X [n_users, n_items], 1 for an interaction.
        size: s; half of the users or items of the part at most.

    Returns:
        float32 A and B [n_items, s] with A B^T = W.
    """
    counts = csr_matrix(known, dtype=np.float64)
    users, items = _largest_part(counts)
    counts = counts[users][:, items]
    of_users, of_items = (np.asarray(counts.sum(axis=n)).ravel() for n in (1, 0))
    root = np.sqrt(of_items)
    scaled = csr_matrix(diags(1 / np.sqrt(of_users)) @ counts @ diags(1 / root))
    found = _directions(scaled, max(min(size, min(counts.shape) // 2), 1))
    near, far = np.zeros((2, known.shape[1], found.shape[1]), dtype=np.float32)
    near[items], far[items] = found / root[:, None], found * root[:, None]
    return near, far


def _largest_part(known: csr_matrix) -> tuple[_Ints, _Ints]:
    """Users and items of the connected part that has the most interactions."""
    n_users = known.shape[0]
    graph = block_array([[None, known], [known.T, None]], format="csr")
    _, part = connected_components(graph, directed=False)
    degrees = np.bincount(part[:n_users], np.diff(known.indptr), part.max() + 1)
    inside = np.flatnonzero(part == degrees.argmax())
    return inside[inside < n_users], inside[inside >= n_users] - n_users


def _directions(scaled: csr_matrix, size: int) -> _Floats:
    """V [n_items, s]; 0 where the singular value is."""
    n_items = scaled.shape[1]
    if n_items <= _DENSE:
        last = [n_items - size, n_items - 1]
        squares, found = eigh((scaled.T @ scaled).toarray(), subset_by_index=last)
        values = np.sqrt(np.maximum(squares, 0))
    else:
        start = np.random.default_rng(_SEED).random(min(scaled.shape))
        _, values, turned = svds(scaled, size, v0=start, tol=_CLOSE)
        found = turned.T
    kept: _Floats = np.where(values > _NOTHING * values.max(), found, 0)
    return kept
