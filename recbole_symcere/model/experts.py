"""Recommenders without training: what an item is like that a user knows, and what all like."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix, csr_matrix, hstack

from recbole_symcere.data.recency import Histories
from recbole_symcere.model.blend_options import kind_of
from recbole_symcere.model.ease_weights import EaseWeights, ease_factors
from recbole_symcere.model.followers import followers
from recbole_symcere.model.largest import k_largest
from recbole_symcere.model.low_rank import low_pass

__all__ = [
    "Expert",
    "ItemMap",
    "Popularity",
    "basis_columns",
    "expert",
    "item_knn",
    "nearest_words",
]

_PAIRS = 50_000_000  # scores of all users that are held as they are: 200 MB
_COLUMNS = (128, 1_024)  # fewest and most that stand in their place above
_DENSE = 4_000  # items up to which EASE's weights and all followers are held, whatever the users
_FOLLOWERS = 100  # of an item where there are more items than that
_RANK = 256  # of EASE's factors above, where the scores are cut down to columns anyway
_ITEMS = 1_024  # whose neighbours are looked for at once

_Floats = npt.NDArray[np.floating]


class Expert(Protocol):
    """Scores of all items from what users know."""

    def rows(self, known: Histories, recent: bool) -> csr_matrix:
        """What it reads of it [b, ...], as the other methods take it.

        Args:
            known: of b users.
            recent: whether later interactions count more.
        """
        return known.recent if recent else known.flat

    def scores(self, known: csr_matrix, items: npt.NDArray[np.int64] | None = None) -> _Floats:
        """Float32 [b, n_items] for known items [b, n_items], or those of some items [b, m]."""

    def times(self, known: csr_matrix, x: _Floats) -> _Floats:
        """Scores times x [n_items, d], without the scores: [b, d]."""

    def transposed_times(self, known: csr_matrix, x: _Floats) -> _Floats:
        """Scores, the other way round, times x [b, d]: [n_items, d]."""


class Popularity(Expert):
    """log(1 + |N_i|) for every user.

    Args:
        counts: [n_items] training interactions.
    """

    def __init__(self, counts: _Floats) -> None:
        self._logs = np.log1p(counts).astype(np.float32)

    def scores(self, known: csr_matrix, items: npt.NDArray[np.int64] | None = None) -> _Floats:
        """See `Expert`."""
        logs = self._logs if items is None else self._logs[items]
        return np.broadcast_to(logs, (known.shape[0], len(logs)))

    def times(self, known: csr_matrix, x: _Floats) -> _Floats:
        """See `Expert`."""
        return np.broadcast_to(self._logs @ x, (known.shape[0], x.shape[1]))

    def transposed_times(self, known: csr_matrix, x: _Floats) -> _Floats:  # noqa: ARG002 # as others
        """See `Expert`."""
        return np.outer(self._logs, x.sum(axis=0))


class ItemMap(Expert):
    """x_ui = sum_{j in N_u} W_ji with W = A or A B^T.

    Args:
        near: A, dense or sparse, [n_items, d].
        far: B [n_items, d]; None if W is A.
    """

    def __init__(self, near: _Floats | csr_matrix, far: _Floats | None = None) -> None:
        self.near, self.far = near, far

    def scores(self, known: csr_matrix, items: npt.NDArray[np.int64] | None = None) -> _Floats:
        """See `Expert`."""
        if self.far is not None:
            far = self.far if items is None else self.far[items]
            return _dense(known @ self.near) @ far.T
        return _dense(known @ (self.near if items is None else self.near[:, items]))

    def times(self, known: csr_matrix, x: _Floats) -> _Floats:
        """See `Expert`."""
        if self.far is not None:
            x = self.far.T @ x
        return _dense(known @ (self.near @ x))

    def transposed_times(self, known: csr_matrix, x: _Floats) -> _Floats:
        """See `Expert`."""
        sums = self.near.T @ (known.T @ x)
        return _dense(sums if self.far is None else self.far @ sums)


def basis_columns(n_users: int, n_items: int) -> int:
    """Columns of a user for what all experts but "words" say; ``n_items`` where nothing is lost."""
    most = _PAIRS // max(n_users, n_items)
    return n_items if n_items <= most else min(max(most, _COLUMNS[0]), _COLUMNS[1], n_items)


def expert(
    name: str, known: Histories, words: _Floats | None, exact_items: int
) -> ItemMap | Popularity:
    """The expert of a name.

    Args:
        name: see `kind_of`; not "trend", see `trend`. Whether later interactions count more is a
            matter of what is asked.
        known: the training interactions.
        words: float32 [n_items, d], what the reviews of each item say, if the name asks for them.
        exact_items: items up to which EASE's inverse is. Its weights are whole up to 4,000 of
            these, and further where a user has a column for each item (`basis_columns`); beyond
            they have rank 256. Of more than 4,000 items "next" knows the 100 likeliest followers.
    """
    kind, flat = kind_of(name), known.flat
    n_users, n_items = flat.shape
    number = kind.number or n_items
    if kind.what == "popularity":
        return Popularity(np.asarray(flat.sum(axis=0)).ravel())
    if kind.what == "words" and words is not None:
        return ItemMap(nearest_words(words, number)) if kind.number else ItemMap(words, words)
    if kind.what == "knn":
        return ItemMap(item_knn(flat, number))
    if kind.what == "svd":
        return ItemMap(*low_pass(flat, number))
    if kind.what == "next":
        return ItemMap(followers(known.later, n_items if n_items <= _DENSE else _FOLLOWERS))
    assert kind.what == "ease"
    limit = exact_items + 1  # the padding item is in the matrix
    whole = n_items <= _DENSE or basis_columns(n_users, n_items) == n_items
    if whole and n_items <= limit:
        return ItemMap(EaseWeights(flat, number, limit).times(np.eye(n_items, dtype=np.float32)))
    near, far = ease_factors(flat, number, _RANK, limit)
    return ItemMap(near.numpy(), far.numpy())


def item_knn(known: csr_matrix, k: int) -> csr_matrix:
    """Cosine of items' users, of each item's k nearest (Sarwar et al., WWW 2001).

    W_ji = |N_j & N_i| / sqrt(|N_j| |N_i|) where j is among the k nearest of i, else 0.

    Args:
        known: [n_users, n_items], 1 for an interaction.
        k: at least 1.

    Returns:
        float32 [n_items, n_items].
    """
    lengths = np.sqrt(np.asarray(known.sum(axis=0)).ravel())
    unit = csr_matrix(known.multiply(1 / np.maximum(lengths, 1)), dtype=np.float32).tocsc()
    turned = unit.T.tocsr()
    blocks = [
        k_largest(turned @ unit[:, start : start + _ITEMS], start, k)
        for start in range(0, known.shape[1], _ITEMS)
    ]
    return hstack(blocks, format="csr", dtype=np.float32)


def nearest_words(vectors: _Floats, k: int) -> csr_matrix:
    """Cosine of items' words, of each item's k nearest, where it is above 0.

    Args:
        vectors: float32 [n_items, d].
        k: at least 1.

    Returns:
        float32 [n_items, n_items], as `item_knn`.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    blocks = [
        k_largest(csc_matrix(np.maximum(unit @ unit[start : start + _ITEMS].T, 0)), start, k)
        for start in range(0, len(unit), _ITEMS)
    ]
    return hstack(blocks, format="csr", dtype=np.float32)


def _dense(matrix: _Floats | csr_matrix) -> _Floats:
    found: _Floats = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    return found
