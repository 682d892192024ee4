"""Losses as pure functions on tensors."""

from recbole_symcere.loss.contrastive import (
    Orientation,
    Reduction,
    alignment,
    anchor_user_logits,
    bpr,
    info_nce,
    products,
    sincere,
    sincere_from_logits,
    symmetric_sincere,
    uniformity,
)
from recbole_symcere.loss.fused import unit_rows
from recbole_symcere.loss.ranking import (
    info_nce_among,
    intent_contrast,
    l2_penalty,
    sampled_softmax,
)

__all__ = [
    "Orientation",
    "Reduction",
    "alignment",
    "anchor_user_logits",
    "bpr",
    "info_nce",
    "info_nce_among",
    "intent_contrast",
    "l2_penalty",
    "products",
    "sampled_softmax",
    "sincere",
    "sincere_from_logits",
    "symmetric_sincere",
    "uniformity",
    "unit_rows",
]
