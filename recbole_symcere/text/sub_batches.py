"""Texts sorted by length and cut where a batch would pass a number of padded tokens."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["sub_batches", "token_budget"]

_CPU_TOKENS = 1024  # a batch's activations stay in the cache
_ACCELERATOR_TOKENS = 32_768


def token_budget(device: torch.device) -> int:
    """Padded tokens of a batch that suit the device."""
    return _CPU_TOKENS if device.type == "cpu" else _ACCELERATOR_TOKENS


def sub_batches(
    places: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], budget: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Cut places, sorted by falling length, where a batch would pass the token budget.

    Args:
        places: [n], of texts.
        lengths: their tokens, by place.
        budget: padded tokens of a batch; one text may have more.
    """
    start = 0
    while start < len(places):
        size = max(1, budget // max(1, int(lengths[places[start]])))
        yield places[start : start + size]
        start += size
