"""What the training reviews say of each user and each item: their meaning and their words."""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix

from recbole_symcere.data.items import item_file, item_tokens
from recbole_symcere.data.reviews import reviews_of
from recbole_symcere.encoder.lexical import lexical_vectors, text_words, word_counts
from recbole_symcere.model.profiles import interaction_vectors
from recbole_symcere.model.text import item_vectors
from recbole_symcere.options import EncoderOptions

__all__ = ["NodeProfiles", "node_profiles", "seeded"]


class NodeProfiles(NamedTuple):
    """What the training reviews say of each user and each item.

    A profile has two parts, each centred and brought to length 1: the mean of the owner's review
    vectors, and the words of its reviews (`lexical_vectors`). An item without a training review has
    the text of ``<name>.items.parquet`` instead, where there is one.

    Attributes:
        users: float32 [n_users, d_p]; zeros for an owner without text.
        items: float32 [n_items, d_p], the same.
        words: float32 [n_items, s], the second part of the items as `lexical_vectors` gives it.
    """

    users: torch.Tensor
    items: torch.Tensor
    words: torch.Tensor


def node_profiles(
    dataset: Any,
    options: EncoderOptions,
    device: torch.device,
    lexical_size: int,
    lexical_length: int,
    dense: bool,
) -> NodeProfiles:
    """The profiles of users and items.

    Args:
        dataset: the training split.
        options: the encoder's settings.
        device: where to encode.
        lexical_size: dimensions of the second part; 0 leaves it out.
        lexical_length: tokens of a text whose words count, however many the encoder reads.
        dense: whether there is the first part.

    Raises:
        InputError: as `interaction_vectors`.
    """
    parts, words = [], torch.zeros(dataset.item_num, 0)
    if dense:
        parts.append(_directions(_means(dataset, options, device)))
    if lexical_size:
        counts = _word_counts(dataset, options, lexical_length)
        words, of_users = lexical_vectors(counts[1], counts[0], lexical_size)
        parts.append(_directions([of_users, words]))
    users, items = (torch.cat(side, dim=1) for side in zip(*parts, strict=True))
    return NodeProfiles(users, items, words)


def seeded(
    f: Any, profiles: torch.Tensor, side: Literal["item", "user", "both"], n_users: int
) -> torch.Tensor:
    """f(p) for the nodes of one side or of both, zeros for the others.

    Args:
        f: from [n, d_p] to [n, d].
        profiles: [n_users + n_items, d_p].
        side: whose profiles are read.
        n_users: number of users, who come first.
    """
    n = len(profiles)
    start, stop = {"item": (n_users, n), "user": (0, n_users), "both": (0, n)}[side]
    return F.pad(f(profiles[start:stop]), (0, 0, start, n - stop))


def _owners(dataset: Any) -> list[tuple[np.ndarray, int]]:
    """The user, and the item, of each training interaction [n], and how many there are."""
    fields = ((dataset.uid_field, dataset.user_num), (dataset.iid_field, dataset.item_num))
    return [(dataset.inter_feat[field].numpy(), size) for field, size in fields]


def _means(dataset: Any, options: EncoderOptions, device: torch.device) -> list[torch.Tensor]:
    reviews = interaction_vectors(dataset, options, device)
    means = [reviews.mean_per(ids, size) for ids, size in _owners(dataset)]
    if item_file(dataset).is_file():
        silent = _silent(dataset, reviews.text_ids)
        means[1][silent] = item_vectors(dataset, options, device)[0][silent]
    return means


def _word_counts(dataset: Any, options: EncoderOptions, length: int) -> list[csr_matrix]:
    reviews = reviews_of(dataset, options, length)
    text_ids = reviews.training_ids(dataset)
    words = text_words(reviews.store)
    counts = [word_counts(words, text_ids, ids, size) for ids, size in _owners(dataset)]
    if item_file(dataset).is_file():
        silent = _silent(dataset, text_ids)
        texts, _ = item_tokens(dataset, options, length)
        chosen = texts.text_index[silent]
        counts[1] += word_counts(text_words(texts), chosen, silent, dataset.item_num)
    return counts


def _silent(dataset: Any, text_ids: np.ndarray) -> np.ndarray:
    """The items without a training review, the padding item among them."""
    ids, size = _owners(dataset)[1]
    return np.setdiff1d(np.arange(size), ids[text_ids >= 0])


def _directions(sides: list[torch.Tensor]) -> list[torch.Tensor]:
    """Rows as unit vectors around the mean of all that aren't zero, which stay so."""
    centred = []
    for rows in sides:
        present = rows.abs().sum(dim=1) > 0
        centre = rows[present].mean(dim=0) if present.any() else 0
        centred.append(F.normalize(torch.where(present[:, None], rows - centre, 0.0), dim=-1))
    return centred
