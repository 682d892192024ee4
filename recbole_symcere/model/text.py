"""The text side of a model: from its training split to a module that gives review vectors."""

import logging
from pathlib import Path
from typing import Any

import torch

from recbole_symcere.data.reviews import TrainingReviews, reviews_of
from recbole_symcere.encoder.cache import text_vectors
from recbole_symcere.encoder.review import FrozenReviews, TunedReviews
from recbole_symcere.encoder.text import TextEncoder, load_encoder, resolve_text_mode
from recbole_symcere.options import TextOptions

__all__ = ["review_encoder"]

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
    facts = {
        "text_encoder": options.text_encoder,
        "text_mode": mode,
        "text_level": options.text_level,
        "pooling": encoder.pooling,
        "distinct_texts": len(reviews.store),
        "empty_texts": int((reviews.store.lengths == 0).sum()),
    }
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
    return FrozenReviews(_vectors(encoder, tokenizer, reviews, options, device)), facts


def _vectors(
    encoder: TextEncoder,
    tokenizer: Any,
    reviews: TrainingReviews,
    options: TextOptions,
    device: torch.device,
) -> Any:
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
        masked_views=options.masked_views,
        mask_probability=options.word_mask,
        seed=_MASK_SEED,
        device=device,
    )
