"""From a batch of reviews to their vectors and those of a masked copy, frozen or tuned."""

from typing import NamedTuple

import torch
from torch import nn

from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.kept_layers import KeptLayers
from recbole_symcere.text.masking import mask_words
from recbole_symcere.text.sharded import encode_shared
from recbole_symcere.text.step_encoder import StepEncoder, Texts
from recbole_symcere.text.vectors import TextVectors

__all__ = ["FrozenReviews", "ReviewViews", "TunedReviews"]


class ReviewViews(NamedTuple):
    """Vectors [B, d_t] of reviews as they are and with words masked (t and t' of eq. 11).

    Where no masked copies were asked for, ``masked`` has no row.
    """

    original: torch.Tensor
    masked: torch.Tensor


class FrozenReviews(nn.Module):
    """Looks up vectors that were encoded before training.

    Args:
        vectors: of each distinct text, and of masked copies of it if a loss reads them.
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
        *_tokens: torch.Tensor,  # those that `TunedReviews` takes
        masked: bool,
    ) -> ReviewViews:
        """Vectors of the texts ``text_ids`` [B]; of several masked copies one is drawn per row."""
        original = self.original.index_select(0, text_ids)  # [B, d_t]
        if not masked:
            return ReviewViews(original, original[:0])
        n_views, n_texts, _ = self.masked.shape
        if n_views > 1:
            view = torch.randint(n_views, text_ids.shape, device="cpu").to(text_ids.device)
            text_ids = view * n_texts + text_ids
        return ReviewViews(original, self.masked.flatten(0, 1).index_select(0, text_ids))


class TunedReviews(nn.Module):
    """Encodes the batch's reviews, so that the encoder's LoRA weights learn.

    A text that stands in several rows is encoded once, and so is its masked copy: its rows share
    one vector, one draw of words and one dropout.

    Args:
        encoder: with LoRA added.
        mask_probability: share of words masked in the second view.
        mask_token_id: what stands for a masked word; None deletes the word.
        pad_token_id: fills the places of deleted words.
        held_tokens: see `StepEncoder`.
        kept: the hidden states below the encoder's cut, if it has one. Masked copies are then
            drawn among those that are kept; else anew at each step.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        mask_probability: float,
        mask_token_id: int | None,
        pad_token_id: int,
        held_tokens: int | None = None,
        kept: KeptLayers | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.mask_probability = mask_probability
        self.mask_token_id, self.pad_token_id = mask_token_id, pad_token_id
        self.width = encoder.width
        self.kept = kept
        self._step = StepEncoder(encoder, held_tokens, kept)

    def forward(
        self,
        text_ids: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        word_ids: torch.Tensor,
        *,
        masked: bool,
    ) -> ReviewViews:
        """Vectors of the reviews ``text_ids`` [B] with these tokens [B, T].

        With ``masked``, both views are encoded in one pass.
        """
        distinct, place = torch.unique(text_ids, return_inverse=True)
        row = torch.arange(len(text_ids), device=text_ids.device)
        first = row.new_zeros(len(distinct)).scatter_reduce_(
            0, place, row, "amin", include_self=False
        )
        tokens = input_ids[first], attention_mask[first], word_ids[first]
        texts = Texts(*tokens[:2], distinct, torch.full_like(distinct, -1))
        if masked:
            texts = Texts(*map(torch.cat, zip(texts, self._masked(texts, tokens[2]), strict=True)))
        vectors = self.encode(texts)  # [n, d_t], of n distinct texts; [2n, d_t] with masked copies
        original = vectors[: len(distinct)].index_select(0, place)
        if not masked:
            return ReviewViews(original, original[:0])
        return ReviewViews(original, vectors[len(distinct) :].index_select(0, place))

    def encode(self, texts: Texts) -> torch.Tensor:
        """Vectors [n, d_t] of distinct texts and masked copies, with gradient."""

        def encode(rows: torch.Tensor | slice) -> torch.Tensor:
            return self._step(Texts(*(part[rows] for part in texts)))

        return encode_shared(encode, texts.attention_mask.sum(dim=1), self.encoder)

    @property
    def held_tokens(self) -> int | None:
        """Padded tokens whose activations are held at once; None before they were chosen."""
        return self._step.held_tokens

    def _masked(self, texts: Texts, word_ids: torch.Tensor) -> Texts:
        """A masked copy of each text."""
        if self.kept is not None:
            views = torch.randint(self.kept.views, texts.text_ids.shape, device="cpu")
            views = views.to(texts.text_ids.device)
            ids, attention = self.kept.masked(*texts[:2], word_ids, views)
            return Texts(ids, attention, texts.text_ids, views)
        ids, attention = mask_words(
            *texts[:2],
            word_ids,
            self.mask_probability,
            mask_token_id=self.mask_token_id,
            pad_token_id=self.pad_token_id,
        )
        return Texts(ids, attention, texts.text_ids, torch.zeros_like(texts.views))
