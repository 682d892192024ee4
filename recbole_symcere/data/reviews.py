"""The tokenised reviews of a training split, found by interaction."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import read_options
from recbole_symcere.data.dataset import ROW_FIELD, ReviewDataset
from recbole_symcere.data.items import warn_of_cut
from recbole_symcere.text.encoder import resolve_text_mode
from recbole_symcere.text.load import load_tokenizer
from recbole_symcere.text.owners import mean_of
from recbole_symcere.text.text_options import EncoderOptions, TextOptions
from recbole_symcere.text.tokens import TokenBatch, TokenStore, any_written, warn_of_unknown

__all__ = ["TrainingReviews", "refuse_blank", "reviews_of"]


class TrainingReviews:
    """Tokens of the review that goes with each training interaction.

    With ``level="interaction"`` that is the interaction's own review; with "item" it is all
    training reviews of its item, joined in order of time. With "mean" the texts are the reviews,
    but what goes with an interaction is its item, of whose reviews `averaged` takes the mean.
    Reviews of other splits aren't even tokenised.

    Args:
        dataset: the training split.
        tokenizer: a Hugging Face tokenizer.
        max_length: tokens kept of a text, special ones included.
        level: "interaction" or "item".
        cache_dir: where token stores are kept.

    Attributes:
        store: the distinct texts.
    """

    def __init__(
        self, dataset: ReviewDataset, tokenizer: Any, max_length: int, level: str, cache_dir: Path
    ) -> None:
        self._by_item, self._by_mean = level != "interaction", level == "mean"
        joined = level == "item"
        texts = dataset.training_item_texts() if joined else dataset.training_reviews()
        refuse_blank(texts, dataset)
        self.store = TokenStore.open_or_build(texts, tokenizer, max_length, cache_dir / "tokens")
        warn_of_unknown(self.store, f"the training reviews of {dataset.dataset_name}")
        if joined:
            warn_of_cut(dataset, tokenizer, max_length)
        read = self.store.text_index
        read = np.where(self.store.lengths[read] > 0, read, -1)
        if joined:
            self._text_of = read
        elif self._by_mean:
            self._owned = read, dataset.inter_feat[dataset.iid_field].numpy(), dataset.item_num
            self._text_of = np.full(dataset.item_num, -1, dtype=np.int64)
            told = self._owned[1][read >= 0]
            self._text_of[told] = told
        else:
            rows = dataset.inter_feat[ROW_FIELD].numpy()
            self._text_of = np.full(rows.max() + 1, -1, dtype=np.int64)
            self._text_of[rows] = read

    def text_ids(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The text of each interaction [B]: its place in `store`, -1 if it is empty.

        At the level "mean" it is the row of `averaged`.

        Args:
            rows: row numbers in the file [B].
            items: item ids [B].
        """
        found: np.ndarray = self._text_of[items if self._by_item else rows]
        return found

    def training_ids(self, dataset: ReviewDataset) -> np.ndarray:
        """The text of each training interaction [n] in the order of the split; -1 if it is empty.

        Args:
            dataset: the training split.
        """
        rows, items = (dataset.inter_feat[f].numpy() for f in (ROW_FIELD, dataset.iid_field))
        return self.text_ids(rows, items)

    def take(self, text_ids: np.ndarray) -> TokenBatch:
        """The tokens of ``text_ids`` [B], padded to the longest of them; -1 is no review.

        Raises:
            InputError: at the level "mean", where an item has no tokens of its own.
        """
        if self._by_mean:
            raise InputError(
                "item_text=mean: the mean of reviews has no tokens, but the model asks for them. "
                "Set item_text: joined."
            )
        present = text_ids >= 0
        tokens = self.store.take(np.where(present, text_ids, 0))
        if present.all():
            return tokens
        absent = torch.from_numpy(~present)[:, None]
        return TokenBatch(
            tokens.input_ids.masked_fill(absent, self.store.pad_token_id),
            tokens.attention_mask & ~absent,
            tokens.word_ids.masked_fill(absent, -1),
        )

    def read(self, text_ids: np.ndarray) -> TokenBatch:
        """The tokens behind ``text_ids`` [B]: at the level "mean" of all reviews of those items."""
        if not self._by_mean:
            return self.take(text_ids)
        texts, owners, _ = self._owned
        return self.store.take(texts[(texts >= 0) & np.isin(owners, text_ids)])

    def averaged(self, vectors: torch.Tensor) -> torch.Tensor:
        """At the level "mean" the mean of each item's reviews; else what is given.

        Args:
            vectors: float32 [..., n_texts, d], of the texts in `store`.

        Returns:
            float32 [..., n_items, d], or [..., n_texts, d].
        """
        if not self._by_mean:
            return vectors
        shape = vectors.shape[:-2]
        means = [mean_of(part, *self._owned) for part in vectors.reshape(-1, *vectors.shape[-2:])]
        size = self._owned[2], vectors.shape[-1]
        return torch.stack(means).view(*shape, *size) if means else vectors.new_zeros(*shape, *size)


def refuse_blank(texts: pa.Array, dataset: ReviewDataset) -> None:
    """Stop where there are reviews, but nothing is written in them.

    Args:
        texts: those of the training split.
        dataset: the training split.

    Raises:
        InputError: if no text has more than white space.
    """
    if not any_written(texts):
        raise InputError(
            f"All training reviews of {dataset.dataset_name} are empty, but "
            f"{dataset.config['model']} learns from reviews. Convert the data set with their texts."
        )


def reviews_of(dataset: ReviewDataset, options: EncoderOptions | None = None) -> TrainingReviews:
    """The reviews of a training split, tokenised once per split, level and length.

    Args:
        dataset: the training split.
        options: how to read them, each with its own interaction; by default the configuration of
            the data set says how, and at which ``text_level``.
    """
    level = "interaction"
    if options is None:
        options = text = read_options(TextOptions, dataset.config)
        mode, _ = resolve_text_mode(text.text_mode, dataset.config["device"])
        level = "mean" if text.text_level == "item" and text.by_mean(mode) else text.text_level
    key = level, options.max_length
    if dataset.tokenised is None:
        dataset.tokenised = {}
    if key not in dataset.tokenised:
        dataset.tokenised[key] = TrainingReviews(
            dataset, load_tokenizer(options.text_encoder), key[1], level, Path(options.cache_dir)
        )
    reviews: TrainingReviews = dataset.tokenised[key]
    return reviews
