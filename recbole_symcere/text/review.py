"""From a batch of reviews to their vectors and those of a masked copy, frozen or tuned."""

from typing import NamedTuple

import torch
from torch import nn

from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.masking import mask_words
from recbole_symcere.text.sharded import encode_shared
from recbole_symcere.text.vectors import TextVectors

__all__ = ["FrozenReviews", "ReviewViews", "TunedReviews"]


class ReviewViews(NamedTuple):
    """Vectors [B, d_t] of reviews as they are and with words masked (t and t' of eq. 11)."""

    original: torch.Tensor
    masked: torch.Tensor


class FrozenReviews(nn.Module):
    """Looks up vectors that were encoded before training.

    Args:
        vectors: of each distinct text, and of one or more masked copies of it.
    """

    original: torch.Tensor
    masked: torch.Tensor

    def __init__(self, vectors: TextVectors) -> None:
        super().__init__()
        # buffers follow the model to its device; not persistent, so no checkpoint holds them
        self.register_buffer("original", vectors.original, persistent=False)
        self.register_buffer("masked", vectors.masked, persistent=False)
        self.width = vectors.original.shape[1]

    def forward(
        self,
        text_ids: torch.Tensor,
        input_ids: torch.Tensor,  # noqa: ARG002 # the two classes take the same arguments
        attention_mask: torch.Tensor,  # noqa: ARG002
        word_ids: torch.Tensor,  # noqa: ARG002
    ) -> ReviewViews:
        """Vectors of the texts ``text_ids`` [B]; of several masked copies one is drawn per row."""
        original = self.original.index_select(0, text_ids)  # [B, d_t]
        n_views = len(self.masked)
        if n_views == 1:
            return ReviewViews(original, self.masked[0].index_select(0, text_ids))
        view = torch.randint(n_views, text_ids.shape, device="cpu").to(text_ids.device)
        return ReviewViews(original, self.masked[view, text_ids])


class TunedReviews(nn.Module):
    """Encodes the batch's reviews, so that the encoder's LoRA weights learn.

    Args:
        encoder: with LoRA added.
        mask_probability: share of words masked in the second view.
        mask_token_id: what stands for a masked word; None deletes the word.
        pad_token_id: fills the places of deleted words.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        mask_probability: float,
        mask_token_id: int | None,
        pad_token_id: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.mask_probability = mask_probability
        self.mask_token_id, self.pad_token_id = mask_token_id, pad_token_id
        self.width = encoder.width

    def forward(
        self,
        text_ids: torch.Tensor,  # noqa: ARG002 # the two classes take the same arguments
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        word_ids: torch.Tensor,
    ) -> ReviewViews:
        """Vectors of the reviews with these tokens [B, T]; both views in one pass of 2B rows."""
        masked_ids, masked_attention = mask_words(
            input_ids,
            attention_mask,
            word_ids,
            self.mask_probability,
            mask_token_id=self.mask_token_id,
            pad_token_id=self.pad_token_id,
        )
        texts = (
            torch.cat([input_ids, masked_ids]),
            torch.cat([attention_mask, masked_attention]),
        )

        def encode(rows: torch.Tensor | slice) -> torch.Tensor:
            return self.encoder(*(part[rows] for part in texts))  # type: ignore[no-any-return]

        vectors = encode_shared(encode, texts[1].sum(dim=1), self.encoder)  # [2B, d_t]
        original, masked = vectors.chunk(2)
        return ReviewViews(original, masked)
