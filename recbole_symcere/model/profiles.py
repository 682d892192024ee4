"""Text vectors of interactions, users and items, from the training reviews and a frozen encoder."""

from typing import Any, NamedTuple

import numpy as np
import torch

from recbole_symcere.data.owners import owned_texts
from recbole_symcere.data.reviews import reviews_of
from recbole_symcere.data.tokens import TokenStore
from recbole_symcere.encoder.text import TextEncoder, load_encoder
from recbole_symcere.model.text import encoded, text_facts
from recbole_symcere.options import EncoderOptions

__all__ = ["InteractionVectors", "interaction_vectors", "mean_of"]


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
    owned = owned_texts(chosen, owners, size, len(vectors))
    n_owned = np.bincount(owners[chosen >= 0], minlength=size)[:, None]
    means = owned @ vectors.numpy() / np.maximum(n_owned, 1).astype(np.float32)
    # n v / n is v but for rounding, which would tell n where all have one text
    single = np.diff(owned.indptr) == 1
    means[single] = vectors.numpy()[owned.indices[owned.indptr[:-1][single]]]
    return torch.from_numpy(means)


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
    facts = text_facts(options, encoder, reviews.store, "frozen", "interaction")
    return InteractionVectors(vectors, reviews.training_ids(dataset), reviews.store, facts)
