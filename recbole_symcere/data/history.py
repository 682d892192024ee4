"""Who has interacted with what, and which rows of a batch are true negatives."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["distinct_pairs", "history_mask", "history_matrix", "negative_mask"]

Ids = Tensor | NDArray[np.integer]


def history_matrix(users: Ids, items: Ids, n_users: int, n_items: int) -> sp.csr_matrix:
    """The histories as a boolean CSR matrix, each pair stored once, indices sorted.

    Give it the training split only: a validation or test pair in a history spares exactly the
    pairs that will be ranked, which leaks them.

    Args:
        users: [n] user ids; user n interacted with item n. Pairs may repeat.
        items: [n] item ids.
        n_users: number of user ids, padding included.
        n_items: number of item ids, padding included.

    Returns:
        [n_users, n_items] bool.

    Raises:
        ValueError: for lengths that differ or an id outside its range.

    Example:
        >>> history_matrix(np.array([0, 0]), np.array([1, 1]), 1, 2).toarray()
        array([[False,  True]])
    """
    rows = _ids("users", users, n_users)
    columns = _ids("items", items, n_items)
    _check_lengths(rows, columns)
    seen = np.ones(len(rows), dtype=bool)
    return sp.csr_matrix((seen, (rows, columns)), shape=(n_users, n_items))


def history_mask(users: Ids, items: Ids, history: sp.csr_matrix) -> torch.BoolTensor:
    """Which items of the batch each row's user already knows.

    Args:
        users: [B] user ids of the batch.
        items: [B] item ids of the batch.
        history: [n_users, n_items] CSR from ``history_matrix``; one with repeated pairs, stored
            zeros or unsorted indices gives the same answer, only slower. A stored zero is no
            interaction.

    Returns:
        [B, B] bool on the device of ``users``: True at (r, s) where items[s] is in the history of
        users[r].

    Raises:
        ValueError: for lengths that differ or an id outside the history's range.

    Example:
        >>> history = history_matrix(np.array([0, 1]), np.array([0, 1]), 2, 2)
        >>> history_mask(np.array([0, 1]), np.array([0, 1]), history).tolist()
        [[True, False], [False, True]]
    """
    rows = _ids("users", users, history.shape[0])
    columns = _ids("items", items, history.shape[1])
    _check_lengths(rows, columns)
    known = torch.from_numpy(history[rows][:, columns].toarray().astype(bool, copy=False))
    device = users.device if isinstance(users, Tensor) else torch.device("cpu")
    return known.to(device)  # type: ignore[return-value]  # torch types every tensor as Tensor


def negative_mask(items: Ids, history_mask: Tensor) -> torch.BoolTensor:
    """The true negatives N_r of SymCERE's eq. 7: another item, and one the user does not know.

    Args:
        items: [B] item ids of the batch.
        history_mask: [B, B] bool from ``history_mask``.

    Returns:
        [B, B] bool: True at (r, s) where items[s] != items[r] and items[s] is not in the history
        of row r's user. The diagonal is False.

    Raises:
        ValueError: if the mask is not boolean or does not fit the items.

    Example:
        >>> negative_mask(torch.tensor([4, 4, 5]), torch.zeros(3, 3, dtype=torch.bool))[0].tolist()
        [False, False, True]
    """
    ids = torch.as_tensor(items, device=history_mask.device)
    if history_mask.dtype != torch.bool:
        raise ValueError(f"history_mask has dtype {history_mask.dtype}, expected torch.bool")
    if ids.ndim != 1 or history_mask.shape != (len(ids), len(ids)):
        raise ValueError(
            f"history_mask has shape {tuple(history_mask.shape)} and items {tuple(ids.shape)}, "
            "expected [B, B] and [B]"
        )
    negative = ~history_mask
    if not history_mask.diagonal().all():  # else each user's history holds the item of the row
        negative &= ids[:, None] != ids[None, :]  # [B, B]
    return negative  # type: ignore[return-value]  # as above


def _ids(name: str, ids: Ids, size: int) -> NDArray[np.int64]:
    array = ids.detach().cpu().numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"{name} has shape {array.shape} and dtype {array.dtype}, expected 1-D integers"
        )
    # SciPy would take a negative id for one counted from the end
    if array.size and (array.min() < 0 or array.max() >= size):
        raise ValueError(
            f"{name} holds ids from {array.min()} to {array.max()}, expected 0 to {size - 1}"
        )
    return array.astype(np.int64, copy=False)


def _check_lengths(users: NDArray[np.int64], items: NDArray[np.int64]) -> None:
    if len(users) != len(items):
        raise ValueError(f"items has {len(items)} entries, expected {len(users)}, as users has")


def distinct_pairs(users: Tensor, items: Tensor, texts: Tensor | None = None) -> Tensor | slice:
    """The rows of a batch that hold a pair for the first time, as an index of what has B rows.

    With several sampled items per interaction RecBole repeats its row, and a contrastive loss over
    the rows would take the copies for each other's negatives.

    Args:
        users: [B] user ids.
        items: [B] item ids.
        texts: [B] text ids, -1 for none: a pair with several reviews counts once with each.

    Example:
        >>> distinct_pairs(torch.tensor([1, 2, 1]), torch.tensor([5, 5, 5])).tolist()
        [0, 1]
    """
    pairs = users * (int(items.max()) + 1 if len(items) else 1) + items
    distinct, place = torch.unique(pairs, return_inverse=True)
    if len(distinct) == len(pairs):
        return slice(None)
    if texts is not None:
        return distinct_pairs(place, texts + 1)
    rows = torch.arange(len(pairs), device=pairs.device)
    first = rows.new_full((len(distinct),), len(pairs)).scatter_reduce_(0, place, rows, "amin")
    return first.sort().values
