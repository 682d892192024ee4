"""The text side of a model: from its training split to vectors of reviews or items."""

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch

from recbole_symcere.base.idle_options import warn_of_idle
from recbole_symcere.base.options import option, read_options
from recbole_symcere.data.items import item_tokens
from recbole_symcere.data.reviews import reviews_of
from recbole_symcere.text.encoder import (
    TextEncoder,
    load_encoder,
    resolve_precision,
    resolve_text_mode,
)
from recbole_symcere.text.kept_layers import KeptLayers
from recbole_symcere.text.review import FrozenReviews, TunedReviews
from recbole_symcere.text.text_options import EncoderOptions, TextOptions
from recbole_symcere.text.tokens import TokenStore
from recbole_symcere.text.vectors import TextVectors, accounting, encoder_key, text_vectors

__all__ = ["encoded", "item_vectors", "review_encoder", "text_facts"]

_log = logging.getLogger(__name__)


class Masking(NamedTuple):
    """Masked copies of texts.

    Attributes:
        views: number of copies of each text.
        probability: share of words masked.
        seed: of the draws of words.
    """

    views: int
    probability: float
    seed: int


_UNMASKED = Masking(0, 0.0, 0)


@dataclass(frozen=True)
class _Seed:
    seed: int = option(help="of the run", minimum=0)


def review_encoder(
    dataset: Any, options: TextOptions, device: torch.device, masked: bool
) -> tuple[FrozenReviews | TunedReviews, dict[str, Any]]:
    """Vectors of the training split's reviews, frozen or tuned as the options say.

    Args:
        dataset: the training split.
        options: the text settings.
        device: where the model runs.
        masked: whether a loss reads masked copies; else none are encoded. They are drawn by the
            run's seed; runs of all seeds share the vectors of the reviews themselves.

    Returns:
        The module, and what a result should tell of it: encoder, mode, pooling, text_level, and the
        numbers of texts.

    Raises:
        InputError: for an encoder that can't be had or a setting that doesn't fit it.
    """
    mode, reason = resolve_text_mode(options.text_mode, device)
    _log.info(reason)
    _warn_of_idle(options, mode, masked)
    reviews = reviews_of(dataset)
    backbone, tokenizer = load_encoder(options.text_encoder)
    encoder = TextEncoder(backbone, options.pooling, options.text_normalize)
    facts = text_facts(options, encoder, reviews.store, mode, options.text_level)
    if options.text_level == "item":
        facts["item_text"] = "mean" if options.by_mean(mode) else "joined"
    encoder.refuse_unreadable(reviews.store)
    seed = options.mask_seed
    if seed is None:
        seed = read_options(_Seed, dataset.config).seed
    masking = Masking(options.masked_views * masked, options.word_mask, seed)
    if mode == "lora":
        return _tuned(encoder, tokenizer, reviews.store, options, device, masking), facts
    what = "training reviews"
    vectors = encoded(encoder, tokenizer, reviews.store, what, options, device, masking)
    return FrozenReviews(TextVectors(*map(reviews.averaged, vectors))), facts


def _warn_of_idle(options: TextOptions, mode: str, masked: bool) -> None:
    """Name the settings of LoRA and of the masked copies that were given and that nothing reads."""
    why: dict[str, set[str]] = {}
    names = [field.name for field in fields(options)]
    if mode == "frozen":
        idle = {"text_precision", "torch_compile", "encode_chunk_tokens", "lora_cache_mb"}
        why["text_mode is frozen"] = idle | {name for name in names if name.startswith("lora_")}
    elif options.lora_layers is None:
        why["lora_layers is ~"] = {"lora_cache_mb", *["masked_views"] * masked}
    if options.text_level != "item":
        why["text_level is interaction"] = {"item_text"}
    if not masked:
        why["no loss reads masked copies (alpha is 0)"] = {"masked_views", "word_mask"}
    warn_of_idle(options, why)


def _tuned(
    encoder: TextEncoder,
    tokenizer: Any,
    store: TokenStore,
    options: TextOptions,
    device: torch.device,
    masking: Masking,
) -> TunedReviews:
    encoder.add_lora(
        options.lora_rank,
        options.lora_alpha,
        options.lora_dropout,
        options.lora_target_modules,
        options.lora_layers,
    )
    encoder.precision = resolve_precision(options.text_precision, device)
    if options.torch_compile:
        encoder.compile_layers()
    kept = None
    if encoder.cut is not None:
        kept = KeptLayers(
            encoder,
            tokenizer,
            store,
            views=masking.views,
            probability=masking.probability,
            seed=masking.seed,
            memory=None if options.lora_cache_mb is None else 10**6 * options.lora_cache_mb,
            directory=Path(options.cache_dir) / "layers",
        )
    words = (options.word_mask, tokenizer.mask_token_id, store.pad_token_id)
    return TunedReviews(encoder, *words, options.encode_chunk_tokens, kept)


def item_vectors(
    dataset: Any, options: EncoderOptions, device: torch.device
) -> tuple[torch.Tensor, dict[str, Any], TokenStore]:
    """Frozen vectors of the items' texts (see `item_texts`), from the one cache of text vectors.

    Reviews are joined; their mean is `item_text_vectors`.

    Args:
        dataset: the training split.
        options: the encoder's settings.
        device: where to encode.

    Returns:
        float32 [n_items, d_t] as the encoder gives them, zeros for the padding item and for an item
        without a text; what a result should tell of them, as `review_encoder`; and their tokens.

    Raises:
        InputError: for an encoder that can't be had, or a data set without item texts.
    """
    store, source = item_tokens(dataset, options)
    backbone, tokenizer = load_encoder(options.text_encoder)
    encoder = TextEncoder(backbone, options.pooling, options.text_normalize)
    vectors = encoded(encoder, tokenizer, store, f"item texts ({source})", options, device)
    of_item = store.text_index
    facts = text_facts(options, encoder, store, "frozen", "item")
    without = int((store.lengths[of_item[1:]] == 0).sum())
    facts |= {"item_texts": source, "items_without_text": without}
    return vectors.original.index_select(0, torch.from_numpy(of_item.copy())), facts, store


def text_facts(
    options: EncoderOptions, encoder: TextEncoder, store: TokenStore, mode: str, level: str
) -> dict[str, Any]:
    """What a result should tell of the texts that a model saw."""
    after = encoder.head.fingerprint()
    return {
        "text_encoder": options.text_encoder,
        "text_mode": mode,
        "text_level": level,
        "text_encoder_fingerprint": encoder_key(encoder, store),
        **({"text_head_fingerprint": after} if after else {}),
        "pooling": encoder.pooling,
        "distinct_texts": len(store),
        "empty_texts": int((store.lengths == 0).sum()),
        "unknown_tokens": round(store.unknown_share, 4),
    }


def encoded(
    encoder: TextEncoder,
    tokenizer: Any,
    store: TokenStore,
    what: str,
    options: EncoderOptions,
    device: torch.device,
    masking: Masking = _UNMASKED,
) -> TextVectors:
    """Vectors of texts and, with ``masking``, of masked copies; the log tells how many."""
    with accounting() as accounts:
        vectors = text_vectors(
            encoder,
            tokenizer,
            store,
            directory=Path(options.cache_dir) / "vectors",
            masked_views=masking.views,
            mask_probability=masking.probability,
            seed=masking.seed,
            device=device,
        )
    empty = int((store.lengths == 0).sum())
    _log.info(
        f"{len(store):,} distinct {what}{f', {empty:,} empty' * bool(empty)}, by "
        f"{options.text_encoder}, kept in {options.cache_dir}:"
    )
    for account in accounts:
        _log.info(f"  {account.words()}")
    return vectors
