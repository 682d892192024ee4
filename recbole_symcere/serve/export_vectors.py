"""A run's vectors for other programs: Parquet, safetensors, and a FAISS index."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from recbole_symcere.run.catalogue import Catalogue

__all__ = ["INDEX", "write_index", "write_vectors"]

INDEX = "items.faiss"
"""The index's file."""

_LARGE = 100_000  # items; an exact index reads all of them for each user
_ASKED = 1000  # users whose lists tell the recall
_K = 10
_MOST_METADATA = 50_000_000  # bytes of ids; a header of safetensors holds 100 MB at most

_Vectors = npt.NDArray[np.float32]


def write_vectors(folder: Path, catalogue: Catalogue, users: Any, items: Any) -> str:
    """Write users.parquet, items.parquet and vectors.safetensors; row n is the same one in both.

    The padding at place 0, which is nobody, is left out.

    Args:
        folder: it is there.
        catalogue: of the run.
        users: [n_users, d] as they are scored: the dot product is the score.
        items: [n_items, d].

    Returns:
        What was written, in words.
    """
    users, items = (side[1:].float().contiguous() for side in (users, items))
    ids = {"user_ids": catalogue.users[1:], "item_ids": catalogue.items[1:]}
    titles = catalogue.titles[1:]
    table = {"user_id": ids["user_ids"], "vector": _as_lists(users)}
    pq.write_table(pa.table(table), folder / "users.parquet", compression="zstd")
    table = {"item_id": ids["item_ids"], "title": titles, "vector": _as_lists(items)}
    pq.write_table(pa.table(table), folder / "items.parquet", compression="zstd")
    metadata = {name: json.dumps(column.to_pylist()) for name, column in ids.items()}
    if sum(map(len, metadata.values())) > _MOST_METADATA:
        metadata = {"ids": "those of users.parquet and items.parquet, row by row"}
    # clones, because safetensors refuses a view of a larger tensor
    tensors = {"users": users.clone(), "items": items.clone()}
    save_file(tensors, folder / "vectors.safetensors", metadata=metadata)
    return f"{len(users):,} users and {len(items):,} items, vectors of width {users.shape[1]}"


def _as_lists(vectors: torch.Tensor) -> pa.Array:
    flat = pa.array(vectors.numpy().reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def write_index(folder: Path, users: Any, items: Any, large: int = _LARGE) -> str:
    """Write a FAISS index of the items for the inner product, if faiss is installed.

    Up to ``large`` items it is exact, above a graph of neighbours (HNSW). Its number n is row n of
    items.parquet.

    Args:
        folder: it is there.
        users: as in `write_vectors`; some are asked to tell the recall.
        items: see there.
        large: see above.

    Returns:
        What was written, in words.
    """
    try:
        import faiss
    except ImportError:
        return "no FAISS index: faiss isn't installed (pip install faiss-cpu)"
    rows: _Vectors = np.ascontiguousarray(items[1:].float().numpy())
    if len(rows) <= large:
        index: Any = faiss.IndexFlatIP(rows.shape[1])
    else:
        index = faiss.IndexHNSWFlat(rows.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = 200, 128
    index.add(rows)
    faiss.write_index(index, str(folder / INDEX))
    index = faiss.read_index(str(folder / INDEX))  # what was written is what is measured
    places = np.unique(np.linspace(1, len(users) - 1, _ASKED).astype(np.int64))
    asked: _Vectors = users[torch.from_numpy(places)].float().numpy()
    recall = _recall(index, asked, rows)
    kind = "exact" if len(rows) <= large else "HNSW"
    return f"a FAISS index ({kind}): recall@{_K} against exact {recall:.4f}, {len(asked):,} users"


def _recall(index: Any, asked: _Vectors, rows: _Vectors) -> float:
    """The share of found items that belong to the best, or tie with the last of them."""
    k = min(_K, len(rows))
    hits = 0
    for start in range(0, len(asked), 64):
        some = asked[start : start + 64]
        scores = some.astype(np.float64) @ rows.T.astype(np.float64)
        last = np.partition(scores, -k, axis=1)[:, -k]
        found = index.search(some, k)[1]
        theirs = np.take_along_axis(scores, np.maximum(found, 0), axis=1)
        # products in float32 may swap two items whose scores differ in the last bit
        slack = 1e-6 * np.maximum(1, np.abs(last))
        hits += int(((theirs >= (last - slack)[:, None]) & (found >= 0)).sum())
    return hits / (k * len(asked))
