"""What the training reviews say of each user and each item: their meaning and their words."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from recbole_symcere.data.items import item_file
from recbole_symcere.encoder.lexical import lexical_vectors, text_words, word_counts
from recbole_symcere.model.profiles import interaction_vectors
from recbole_symcere.model.text import item_vectors
from recbole_symcere.options import EncoderOptions

__all__ = ["node_profiles"]


def node_profiles(
    dataset: Any, options: EncoderOptions, device: torch.device, lexical_size: int, dense: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the training reviews say of each user and each item.

    A profile has two parts, each centred and brought to length 1: the mean of the owner's review
    vectors, and the words of its reviews (`lexical_vectors`). An item without a training review has
    the text of ``<name>.items.parquet`` instead, where there is one.

    Args:
        dataset: the training split.
        options: the encoder's settings.
        device: where to encode.
        lexical_size: dimensions of the second part; 0 leaves it out.
        dense: whether there is the first part.

    Returns:
        float32 [n_users, d_p] and [n_items, d_p]; zeros for an owner without text.

    Raises:
        InputError: as `interaction_vectors`.
    """
    reviews = interaction_vectors(dataset, options, device)
    owners = [dataset.inter_feat[f].numpy() for f in (dataset.uid_field, dataset.iid_field)]
    sizes = (dataset.user_num, dataset.item_num)
    means = [reviews.mean_per(ids, n) for ids, n in zip(owners, sizes, strict=True)]
    counts = []
    if lexical_size:
        words = text_words(reviews.store)
        counts = [
            word_counts(words, reviews.text_ids, ids, n)
            for ids, n in zip(owners, sizes, strict=True)
        ]
    if item_file(dataset).is_file():
        silent = np.setdiff1d(np.arange(dataset.item_num), owners[1][reviews.text_ids >= 0])
        vectors, _, store = item_vectors(dataset, options, device)
        means[1][silent] = vectors[silent]
        if lexical_size:
            texts = store.text_index[silent]
            counts[1] += word_counts(text_words(store), texts, silent, dataset.item_num)
    parts = [means] if dense else []
    if lexical_size:
        items, users = lexical_vectors(counts[1], counts[0], lexical_size)
        parts.append([users, items])
    users, items = (torch.cat(side, dim=1) for side in zip(*map(_directions, parts), strict=True))
    return users, items


def _directions(sides: list[torch.Tensor]) -> list[torch.Tensor]:
    """Rows as unit vectors around the mean of all that aren't zero, which stay so."""
    centred = []
    for rows in sides:
        present = rows.abs().sum(dim=1) > 0
        centre = rows[present].mean(dim=0) if present.any() else 0
        centred.append(F.normalize(torch.where(present[:, None], rows - centre, 0.0), dim=-1))
    return centred
