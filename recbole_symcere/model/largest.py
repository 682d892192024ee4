"""The largest entries of sparse columns."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix

__all__ = ["k_largest"]


def k_largest(columns: csc_matrix, start: int, k: int) -> csc_matrix:
    """The k largest of each column [n, b], without the item itself: column c is item start + c."""
    columns = csc_matrix(columns)
    kept: list[npt.NDArray[np.int64]] = []
    for column, (begin, end) in enumerate(zip(columns.indptr, columns.indptr[1:], strict=False)):
        places = np.arange(begin, end)
        places = places[columns.indices[places] != start + column]
        if len(places) > k:
            # of equals those of the lower items, whatever the order that they stand in
            order = np.lexsort((columns.indices[places], -columns.data[places]))
            places = places[order[:k]]
        kept.append(places)
    chosen = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    of_column = np.repeat(np.arange(len(kept)), [len(places) for places in kept])
    pairs = columns.data[chosen], (columns.indices[chosen], of_column)
    return csc_matrix(pairs, columns.shape, dtype=np.float32)
