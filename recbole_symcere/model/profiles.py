"""Text vectors of interactions, users and items, from the training reviews and a frozen encoder."""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix

from recbole_symcere.data.dataset import ROW_FIELD
from recbole_symcere.data.items import item_file
from recbole_symcere.data.reviews import reviews_of
from recbole_symcere.data.tokens import TokenStore
from recbole_symcere.encoder.lexical import lexical_vectors, word_counts
from recbole_symcere.encoder.text import TextEncoder, load_encoder
from recbole_symcere.model.text import encoded, item_vectors, text_facts
from recbole_symcere.options import EncoderOptions

__all__ = ["InteractionVectors", "interaction_vectors", "mean_of", "node_profiles"]


class InteractionVectors(NamedTuple):
    """Vectors of the training interactions' reviews, from the frozen encoder.

    Attributes:
        vectors: float32 [n_texts, d_t], one per distinct text.
        text_ids: int64 [n], the text of each training interaction in the order of the split; -1 for
            an empty review.
        store: the tokens of those texts.
        facts: what a result should tell: encoder, mode, pooling, text_level, numbers of texts.
    """

    vectors: torch.Tensor
    text_ids: np.ndarray
    store: TokenStore
    facts: dict[str, Any]

    def mean_per(self, ids: np.ndarray, size: int) -> torch.Tensor:
        """Mean review vector of each user or item.

        Args:
            ids: [n] the user or item of each training interaction.
            size: number of such ids, padding included.

        Returns:
            float32 [size, d_t]; zeros where there is no review.
        """
        return mean_of(self.vectors, self.text_ids, ids, size)


def mean_of(
    vectors: torch.Tensor, chosen: np.ndarray, owners: np.ndarray, size: int
) -> torch.Tensor:
    """Mean of the vectors that belong to each of ``size`` owners.

    Args:
        vectors: float32 [m, d].
        chosen: int64 [n], rows of ``vectors``; -1 for none.
        owners: int64 [n], 0 <= owner < size; ``vectors[chosen[k]]`` belongs to ``owners[k]``.
        size: number of owners.

    Returns:
        float32 [size, d]; zeros for an owner of none.

    Example:
        >>> vectors = torch.tensor([[2.0], [4.0]])
        >>> mean_of(vectors, np.array([0, 1, -1]), np.array([0, 0, 0]), 2).tolist()
        [[3.0], [0.0]]
    """
    present = chosen >= 0
    owners, chosen = owners[present], chosen[present]
    ones = np.ones(len(chosen), dtype=np.float32)
    counts = csr_matrix((ones, (owners, chosen)), shape=(size, len(vectors)))
    n_owned = np.bincount(owners, minlength=size)[:, None]
    return torch.from_numpy(counts @ vectors.numpy() / np.maximum(n_owned, 1).astype(np.float32))


def interaction_vectors(
    dataset: Any, options: EncoderOptions, device: torch.device
) -> InteractionVectors:
    """The vector of each training interaction's review.

    Args:
        dataset: the training split.
        options: the encoder's settings.
        device: where to compute; the result is on the CPU.

    Raises:
        InputError: as `review_encoder`.
    """
    reviews = reviews_of(dataset, options)
    backbone, tokenizer = load_encoder(options.text_encoder)
    encoder = TextEncoder(backbone, options.pooling)
    vectors = encoded(
        encoder, tokenizer, reviews.store, "training reviews", options, device
    ).original
    rows, items = (dataset.inter_feat[f].numpy() for f in (ROW_FIELD, dataset.iid_field))
    text_ids = reviews.text_ids(rows, items)
    text_ids = np.where(reviews.store.lengths[text_ids] > 0, text_ids, -1)
    facts = text_facts(options, encoder, reviews.store, "frozen", "interaction")
    return InteractionVectors(vectors, text_ids, reviews.store, facts)


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
    counts = [
        word_counts(reviews.store, reviews.text_ids, ids, n)
        for ids, n in zip(owners, sizes, strict=True)
    ]
    if item_file(dataset).is_file():
        silent = np.setdiff1d(np.arange(dataset.item_num), owners[1][reviews.text_ids >= 0])
        vectors, _, store = item_vectors(dataset, options, device)
        means[1][silent] = vectors[silent]
        texts = store.text_index[silent]
        counts[1] = counts[1] + word_counts(store, texts, silent, dataset.item_num)
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
