"""The text side of a model: from its training split to vectors of reviews, users and items."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix

from recbole_symcere.data.dataset import ROW_FIELD
from recbole_symcere.data.reviews import TrainingReviews, reviews_of
from recbole_symcere.encoder.cache import TextVectors, text_vectors
from recbole_symcere.encoder.review import FrozenReviews, TunedReviews
from recbole_symcere.encoder.text import TextEncoder, load_encoder, resolve_text_mode
from recbole_symcere.options import EncoderOptions, TextOptions

__all__ = ["InteractionVectors", "interaction_vectors", "mean_of", "review_encoder"]

_log = logging.getLogger(__name__)

# The masked copies don't depend on a run's seed, so that runs of all seeds share one cache.
_MASK_SEED = 0


def review_encoder(
    dataset: Any, options: TextOptions, device: torch.device
) -> tuple[FrozenReviews | TunedReviews, dict[str, Any]]:
    """Vectors of the training split's reviews, frozen or tuned as the options say.

    Args:
        dataset: the training split.
        options: the text settings.
        device: where the model runs.

    Returns:
        The module, and what a result should tell of it: encoder, mode, pooling, text_level, and the
        numbers of texts.

    Raises:
        InputError: for an encoder that can't be had or a setting that doesn't fit it.
    """
    mode, reason = resolve_text_mode(options.text_mode, device)
    _log.info(reason)
    reviews = reviews_of(dataset)
    backbone, tokenizer = load_encoder(options.text_encoder)
    encoder = TextEncoder(backbone, options.pooling)
    facts = _facts(options, encoder, reviews, mode, options.text_level)
    if mode == "lora":
        encoder.add_lora(
            options.lora_rank,
            options.lora_alpha,
            options.lora_dropout,
            options.lora_target_modules,
        )
        return TunedReviews(
            encoder, options.word_mask, tokenizer.mask_token_id, reviews.store.pad_token_id
        ), facts
    vectors = _vectors(
        encoder, tokenizer, reviews, options, device, options.masked_views, options.word_mask
    )
    return FrozenReviews(vectors), facts


class InteractionVectors(NamedTuple):
    """Vectors of the training interactions' reviews, from the frozen encoder.

    Attributes:
        vectors: float32 [n_texts, d_t], one per distinct text.
        text_ids: int64 [n], the text of each training interaction in the order of the split; -1 for
            an empty review.
        facts: what a result should tell: encoder, mode, pooling, text_level, numbers of texts.
    """

    vectors: torch.Tensor
    text_ids: np.ndarray
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
    vectors = _vectors(encoder, tokenizer, reviews, options, device).original
    rows, items = (dataset.inter_feat[f].numpy() for f in (ROW_FIELD, dataset.iid_field))
    text_ids = reviews.text_ids(rows, items)
    text_ids = np.where(reviews.store.lengths[text_ids] > 0, text_ids, -1)
    return InteractionVectors(
        vectors, text_ids, _facts(options, encoder, reviews, "frozen", "interaction")
    )


def _facts(
    options: EncoderOptions, encoder: TextEncoder, reviews: TrainingReviews, mode: str, level: str
) -> dict[str, Any]:
    return {
        "text_encoder": options.text_encoder,
        "text_mode": mode,
        "text_level": level,
        "pooling": encoder.pooling,
        "distinct_texts": len(reviews.store),
        "empty_texts": int((reviews.store.lengths == 0).sum()),
    }


def _vectors(
    encoder: TextEncoder,
    tokenizer: Any,
    reviews: TrainingReviews,
    options: EncoderOptions,
    device: torch.device,
    masked_views: int = 0,
    word_mask: float = 0.0,
) -> TextVectors:
    n_texts = len(reviews.store)
    _log.info(
        f"{n_texts:,} distinct training reviews, encoded once by {options.text_encoder} and kept "
        f"in {options.cache_dir}"
    )
    return text_vectors(
        encoder,
        tokenizer,
        reviews.store,
        directory=Path(options.cache_dir) / "vectors",
        masked_views=masked_views,
        mask_probability=word_mask,
        seed=_MASK_SEED,
        device=device,
    )
