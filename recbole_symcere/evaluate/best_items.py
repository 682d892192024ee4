"""The best k of very many scores."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["best", "topk_places"]

_BLOCK = 64  # scores whose largest is looked at first
_FEW = 4096  # scores that are sorted as they are


def best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, the largest first; among equal ones the first place first.

    Args:
        scores: [B, n].
        k: at most n.

    Returns:
        Scores and places [B, k].
    """
    return _in_order(*_first_largest(scores, k))


def topk_places(scores: Tensor, k: int) -> Tensor:
    """The places that ``torch.topk(scores, k, dim=1)`` gives, in less time on a CPU.

    Where the k + 1 largest of a row differ, there is one answer. Other rows are left to torch,
    whose order of equal scores follows no rule that could be kept to.

    Args:
        scores: [B, n].
        k: at most n.

    Returns:
        [B, k].
    """
    if scores.device.type != "cpu" or _are_few(scores, k + 1):
        return torch.topk(scores, k, dim=1).indices
    values, places = _largest(scores, k + 1)
    places = places[:, :k].contiguous()
    unclear = ~(values[:, :-1] > values[:, 1:]).all(dim=1)  # NaN is above nothing
    if unclear.any():
        places[unclear] = torch.topk(scores[unclear], k, dim=1).indices
    return places


def _are_few(scores: Tensor, k: int) -> bool:
    n = scores.shape[1]
    return n <= _FEW or n // _BLOCK <= 2 * k


def _first_largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, of equal ones those that come first."""
    if not _are_few(scores, k):
        # a block to spare: to find k + 1 of fewer than 64 (k + 1) scores torch sorts them whole
        return _largest(scores, k, _first_largest, k + 1)
    n = scores.shape[1]
    if n == k:
        return torch.topk(scores, k, dim=1)
    more, places = torch.topk(scores, k + 1, dim=1)
    values, places = more[:, :k], places[:, :k]
    tied = more[:, k] == values[:, -1]
    if tied.any():
        places[tied] = _first_of_ties(scores[tied], values[tied], places[tied])
    return values, places


def _first_of_ties(scores: Tensor, values: Tensor, places: Tensor) -> Tensor:
    """Places of the best [B, k], those of scores equal to the last of them by place."""
    (n, k), device = (scores.shape[1], places.shape[1]), scores.device
    last = values[:, -1:]
    from_behind = torch.arange(n, 0, -1, dtype=torch.int32, device=device)
    first = torch.topk(from_behind * (scores == last), k, dim=1).indices
    nth = torch.arange(k, device=device) - (values != last).sum(dim=1, keepdim=True)
    return torch.where(nth < 0, places, first.gather(1, nth.clamp(min=0)))


def _largest(
    scores: Tensor,
    k: int,
    topk: Callable[[Tensor, int], tuple[Tensor, Tensor]] = torch.topk,
    among: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The k largest of each row and their places, the largest first.

    They lie in the k blocks with the largest maxima (or in ``among`` such blocks, if there are
    more), so that nearly all scores are read once and never sorted. Where ``topk`` takes the first
    of equal scores, so does this: of the blocks whose maximum is the k-th largest score no more
    than the first k are needed.
    """
    n = scores.shape[1]
    n_blocks = n // _BLOCK
    whole = scores[:, : n_blocks * _BLOCK].view(len(scores), n_blocks, _BLOCK)
    blocks = topk(whole.amax(dim=2), among or k)[1].sort(dim=1).values
    inside = torch.gather(whole, 1, blocks[:, :, None].expand(-1, -1, _BLOCK)).flatten(1)
    places = (blocks[:, :, None] * _BLOCK + torch.arange(_BLOCK, device=scores.device)).flatten(1)
    rest = torch.arange(n_blocks * _BLOCK, n, device=scores.device).expand(len(scores), -1)
    candidates = torch.cat([inside, scores[:, n_blocks * _BLOCK :]], dim=1)
    values, at = topk(candidates, k)
    return values, torch.gather(torch.cat([places, rest], dim=1), 1, at)


def _in_order(values: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    by_place = places.argsort(dim=1)
    values, places = values.gather(1, by_place), places.gather(1, by_place)
    by_value = values.argsort(dim=1, descending=True, stable=True)
    return values.gather(1, by_value), places.gather(1, by_value)
