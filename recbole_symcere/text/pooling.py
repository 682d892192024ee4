"""From hidden states to one vector per text."""

import json
from pathlib import Path
from typing import Any

import torch

from recbole_symcere.base.errors import InputError

__all__ = ["POOLINGS", "default_pooling", "pool"]

POOLINGS = ("first", "mean", "last")


def pool(hidden: torch.Tensor, attention_mask: torch.Tensor, how: str) -> torch.Tensor:
    """One vector per text.

    Args:
        hidden: [B, T, d_t].
        attention_mask: [B, T], nonzero on tokens; padding may be left or right.
        how: "first" token, "mean" over tokens, or "last" token.

    Returns:
        [B, d_t]. Zeros for a "mean" over no token; otherwise such a row is a pad token's vector.

    Raises:
        ValueError: if ``how`` is something else.
    """
    mask = attention_mask.bool()
    if how == "mean":
        weights = mask.unsqueeze(-1).to(hidden.dtype)  # [B, T, 1]
        # where, not a product alone: a pad token's state may be infinite, and 0 * inf is NaN
        total = torch.where(weights > 0, hidden, 0.0).sum(dim=1)
        return total / weights.sum(dim=1).clamp(min=1.0)
    place = torch.arange(mask.shape[1], device=mask.device)
    if how == "first":
        at = torch.where(mask, place, mask.shape[1] - 1).amin(dim=1)
    elif how == "last":
        at = torch.where(mask, place, 0).amax(dim=1)
    else:
        raise ValueError(f"pooling={how}: expected one of {', '.join(POOLINGS)}")
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), at]


def default_pooling(config: Any) -> str:
    """The pooling a model was trained with.

    sentence-transformers models say so in 1_Pooling/config.json; decoder-only models have seen
    the whole text at the last token alone; BERT and RoBERTa (so BLaIR) put it into the first.

    Args:
        config: the transformers config of a model loaded from a folder.

    Raises:
        InputError: if the model pools in a way that is not offered.
    """
    file = Path(config.name_or_path) / "1_Pooling" / "config.json"
    if file.is_file():
        return _sentence_transformers_pooling(file)
    return "last" if is_decoder_only(config) else "first"


def is_decoder_only(config: Any) -> bool:
    """Whether the architecture exists as a causal language model only (Llama, not BERT)."""
    from transformers.models.auto import modeling_auto

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return config.model_type in causal and config.model_type not in masked


def _sentence_transformers_pooling(file: Path) -> str:
    settings = json.loads(file.read_text(encoding="utf-8"))
    modes = {"cls": "first", "mean": "mean", "lasttoken": "last"}
    keys = {f"pooling_mode_{'cls_token' if m == 'cls' else m}": h for m, h in modes.items()}
    keys["pooling_mode_mean_tokens"] = keys.pop("pooling_mode_mean")
    chosen = [key for key, value in settings.items() if value is True and "mode" in key]
    named = settings.get("pooling_mode")  # the newer spelling
    if named in modes:
        return modes[named]
    if len(chosen) == 1 and chosen[0] in keys:
        return keys[chosen[0]]
    raise InputError(
        f"pooling=auto: {file} asks for {named or chosen}, which is not offered. "
        f"Set pooling to one of {', '.join(POOLINGS)}."
    )
