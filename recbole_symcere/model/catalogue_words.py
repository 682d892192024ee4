"""The words of the items' training reviews, for models that read nothing else of them."""

from typing import Any

import torch

from recbole_symcere.data.dataset import ReviewDataset
from recbole_symcere.model.profiles import review_words
from recbole_symcere.text.lexical import LexicalSpace, telling_words

__all__ = ["item_words", "tells_items_apart"]

_WORDS, _LENGTH = 256, 512  # dimensions, and words of a review that count


def item_words(dataset: Any) -> torch.Tensor:
    """`NodeProfiles.words`, without anything else.

    Args:
        dataset: the training split, with reviews or without.

    Returns:
        float32 [n_items, s]; no columns where there are no reviews.
    """
    if not isinstance(dataset, ReviewDataset):
        return torch.zeros(dataset.item_num, 0)
    counts, _ = review_words(dataset, _LENGTH, False)
    return LexicalSpace(counts[0], _WORDS).rows


def tells_items_apart(dataset: Any) -> bool:
    """Whether `item_words` have a column, without making them.

    Args:
        dataset: the training split, with reviews or without.
    """
    if not isinstance(dataset, ReviewDataset):
        return False
    counts, _ = review_words(dataset, _LENGTH, False)
    return len(telling_words(counts[0])) > 1
