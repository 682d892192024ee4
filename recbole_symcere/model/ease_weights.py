"""EASE (Steck, WWW 2019) as a map of vectors, exact for some thousands of items."""

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import cholesky, lapack, lu, qr, solve_triangular, svd
from scipy.linalg.blas import ssymm
from scipy.sparse import csr_matrix
from torch import Tensor

__all__ = ["EaseWeights", "ease_factors"]

_SEED = 0  # of the randomised decompositions: factors don't depend on a run's seed
_POWERS, _MANY_POWERS = 4, 7  # of a matrix that is decomposed; the second for few vectors of many
_FEW = 0.1  # of the vectors
_MORE = 10  # columns beside those that are kept
_RANK = 512  # of the approximate Gram matrix, whose factors need 4 bytes an item for each
_USERS = 65_536  # whose rows are multiplied at once
_ITEMS = 8_192  # whose rows are multiplied in float64 at once
_COLUMNS = 64  # that are solved for at once
_CLOSE = 1e-4  # what is left of a right side that is solved for
_STEPS = 50
_TINY = np.finfo(np.float32).tiny

_Floats = npt.NDArray[np.floating]


class EaseWeights:
    """The item-item weights W of EASE, of which only products with vectors are asked.

    For the history X [users, items], G = X^T X + reg I and P = G^-1::

        W_ij = -P_ij / P_jj,   W_jj = 0,   hence   W = I - P diag(1 / P_jj)

    Up to ``exact_items`` items P is computed, by Cholesky's decomposition. Above, nothing of items
    by items is made. There P x comes from conjugate gradients, helped by an approximation of P
    whose diagonal stands for P's: X^T X is taken for its first r eigenvectors and what they leave
    of its diagonal, for which the inverse is known (Woodbury)::

        X^T X ~ F F^T + D,   F = V S^(1/2),   D_jj = (X^T X - F F^T)_jj
        P ~ L^-1 - Y Y^T,   L = D + reg I,   Y Y^T = L^-1 F (I + F^T L^-1 F)^-1 F^T L^-1

    Args:
        history: [n_users, n_items], 1 for an interaction.
        reg_weight: reg, above 0.
        exact_items: the most items for which P is computed, in 12 bytes for each pair of items.
    """

    def __init__(self, history: csr_matrix, reg_weight: float, exact_items: int) -> None:
        self.n_items = history.shape[1]
        self.exact = self.n_items <= exact_items
        if self.exact:
            inverse = _inverse(history, reg_weight)
            self._diagonal = np.diag(inverse).astype(np.float32)
            self._inverse = inverse.astype(np.float32)
            return
        self._counts, self._reg = csr_matrix(history, dtype=np.float32), np.float32(reg_weight)
        self._scale, self._low = _low_rank_inverse(self._counts, reg_weight)
        self._diagonal = self._scale - np.einsum("ij,ij->i", self._low, self._low)

    def times(self, x: _Floats, rough: bool = False) -> _Floats:
        """W x, float32 [n_items, d]; ``rough`` takes the approximation alone, if there is one."""
        x = x.astype(np.float32)
        return x - self._inverse_times(x / self._diagonal[:, None], rough)

    def transposed_times(self, x: _Floats, rough: bool = False) -> _Floats:
        """W^T x, float32 [n_items, d]; ``rough`` as above."""
        x = x.astype(np.float32)
        return x - self._inverse_times(x, rough) / self._diagonal[:, None]

    def _inverse_times(self, x: _Floats, rough: bool) -> _Floats:
        """P x."""
        found: _Floats
        if self.exact:
            found = ssymm(1.0, self._inverse, x, lower=1)
        elif rough:
            found = self._near(x)
        else:
            found = np.empty_like(x)
            for start in range(0, x.shape[1], _COLUMNS):
                some = slice(start, start + _COLUMNS)
                found[:, some] = self._solved(np.ascontiguousarray(x[:, some]))
        return found

    def _near(self, x: _Floats) -> _Floats:
        """P x by the approximation."""
        found: _Floats = self._scale[:, None] * x - self._low @ (self._low.T @ x)
        return found

    def _solved(self, b: _Floats) -> _Floats:
        """P b by preconditioned conjugate gradients, a column beside the other."""
        x = self._near(b)
        left = b - _gram_times(self._counts, x) - self._reg * x
        step = z = self._near(left)
        energy, enough = _dots(left, z), _CLOSE**2 * _dots(b, b)
        for _ in range(_STEPS):
            if (_dots(left, left) <= enough).all():
                break
            image = _gram_times(self._counts, step) + self._reg * step
            length = energy / np.maximum(_dots(step, image), _TINY)
            x += length * step
            left -= length * image
            z = self._near(left)
            before, energy = energy, _dots(left, z)
            step = z + energy / np.maximum(before, _TINY) * step
        return x


def _dots(first: _Floats, second: _Floats) -> _Floats:
    """The inner product of each pair of columns."""
    found: _Floats = np.einsum("ij,ij->j", first, second)
    return found


def ease_factors(
    history: csr_matrix, reg_weight: float, size: int, exact_items: int
) -> tuple[Tensor, Tensor]:
    """W of EASE truncated to rank s by a randomised decomposition (Halko et al., 2011).

    Where P is approximate, the decomposition's powers are of the approximation, and only its last
    products, which make the factors, are solved for.

    Args:
        history: as those of `EaseWeights`, like the others.
        reg_weight: likewise.
        size: s; fewer where there are fewer items.
        exact_items: likewise.

    Returns:
        float32 A and B [n_items, s] with A B^T ~ W and B^T B = I: a user's scores are (sum of A's
        rows over its items) B^T.
    """
    weights = EaseWeights(history, reg_weight, exact_items)
    size = min(size, weights.n_items)
    shape = weights.n_items, size + _MORE
    q = np.random.RandomState(_SEED).normal(size=shape).astype(np.float32)
    for _ in range(_MANY_POWERS if size < _FEW * weights.n_items else _POWERS):
        q, _ = lu(weights.times(q, rough=True), permute_l=True, overwrite_a=True)
        q, _ = lu(weights.transposed_times(q, rough=True), permute_l=True, overwrite_a=True)
    q, _ = qr(weights.times(q), mode="economic", overwrite_a=True)
    right, values, left = svd(weights.transposed_times(q), full_matrices=False, overwrite_a=True)
    near = (q @ left.T[:, :size]) * values[:size]
    return torch.from_numpy(near), torch.from_numpy(np.ascontiguousarray(right[:, :size]))


def _inverse(history: csr_matrix, reg_weight: float) -> _Floats:
    """P, float64 [n_items, n_items], of which only the lower triangle is right."""
    counts = csr_matrix(history, dtype=np.float64)
    gram = np.zeros((history.shape[1],) * 2, order="F")
    (counts.T @ counts).toarray(out=gram)
    gram[np.diag_indices_from(gram)] += reg_weight
    factor, failed = lapack.dpotrf(gram, lower=1, overwrite_a=1, clean=0)
    if not failed:
        factor, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise np.linalg.LinAlgError(f"X^T X + {reg_weight:g} I isn't positive definite")
    inverse: _Floats = factor
    return inverse


def _low_rank_inverse(counts: csr_matrix, reg_weight: float) -> tuple[_Floats, _Floats]:
    """The diagonal of L^-1 [n_items] and Y [n_items, r], float32."""
    values, vectors = _eigenvectors(counts, min(_RANK, counts.shape[1]))
    factor = vectors * np.sqrt(values)
    own = np.bincount(counts.indices, counts.data**2, minlength=counts.shape[1])
    left = np.maximum(own - np.einsum("ij,ij->i", factor, factor), 0)
    scale = (1 / (left + reg_weight)).astype(np.float32)
    inner = np.eye(factor.shape[1])
    for start in range(0, len(factor), _ITEMS):
        some = slice(start, start + _ITEMS)
        part = factor[some].astype(np.float64)
        inner += (part * scale[some, None]).T @ part
    factor *= scale[:, None]
    root = cholesky(inner, lower=True).astype(np.float32)
    low = solve_triangular(root, factor.T, lower=True, overwrite_b=True).T
    return scale, np.ascontiguousarray(low)


def _eigenvectors(counts: csr_matrix, size: int) -> tuple[_Floats, _Floats]:
    """The first eigenvalues [s] of X^T X and their vectors [n_items, s], by subspace iteration."""
    n_items = counts.shape[1]
    rng = np.random.default_rng(_SEED)
    q = rng.standard_normal((n_items, min(size + _MORE, n_items)), dtype=np.float32)
    for _ in range(_POWERS):
        q, _ = qr(_gram_times(counts, q), mode="economic", overwrite_a=True)
    projected = q.T @ _gram_times(counts, q)
    values, turn = np.linalg.eigh(projected.astype(np.float64))
    first = np.argsort(-values)[:size]
    vectors: _Floats = q @ turn[:, first].astype(np.float32)
    return np.maximum(values[first], 0).astype(np.float32), vectors


def _gram_times(counts: csr_matrix, x: _Floats) -> _Floats:
    """X^T X x [n_items, d]."""
    found = np.zeros_like(x)
    for start in range(0, counts.shape[0], _USERS):
        part = counts[start : start + _USERS]
        found += part.T @ (part @ x)
    return found
