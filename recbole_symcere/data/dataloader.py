"""RecBole's training loader with each interaction's review and the history mask in the batch."""

from functools import cached_property
from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.utils import InputType

from recbole_symcere.data.dataset import ROW_FIELD
from recbole_symcere.data.history import history_mask
from recbole_symcere.data.reviews import TrainingReviews, reviews_of

__all__ = [
    "HISTORY_MASK",
    "REVIEW_ATTENTION",
    "REVIEW_IDS",
    "REVIEW_WORDS",
    "TEXT_ID",
    "ReviewTrainDataLoader",
    "reviewed_rows",
]

TEXT_ID = "text_id"
REVIEW_IDS = "review_input_ids"
REVIEW_ATTENTION = "review_attention_mask"
REVIEW_WORDS = "review_word_ids"
HISTORY_MASK = "history_mask"


class ReviewTrainDataLoader(TrainDataLoader):  # type: ignore[misc] # RecBole has no types
    """Batches of training interactions with their reviews and the history mask.

    Beside RecBole's fields a batch holds:

    * ``text_id`` int64 [B]: which distinct text belongs to the row, -1 for none or an empty one;
    * ``review_input_ids`` int64, ``review_attention_mask`` bool, ``review_word_ids`` int64 [B, T]:
      its tokens, padded to the longest of the batch; an empty review has no token at all;
    * ``history_mask`` bool [B, B]: True at (r, s) where the item of row s is in the training
      history of the user of row r. Such an item is no negative for r (SymCERE, section 3.2.2).

    All of it comes from the training split. Sampled negatives of point-wise batches carry no
    review. What the model says that it doesn't need, see `BatchNeeds`, isn't made: tokens where it
    looks up frozen vectors, sampled items where no loss reads them.
    """

    def __init__(self, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        self._reviewed = dataset
        self._needs = config.model_class.batch_needs(config, config["device"])
        self.history = dataset.history()
        if config["history_scope"] == "all":
            getLogger(__name__).warning(
                "history_scope: all leaks: held-out pairs are spared as negatives, so their items "
                "are the only unseen ones that training never pushes away. Only for reproducing "
                "published numbers."
            )
            self.history = dataset.all_history
        super().__init__(config, dataset, sampler, shuffle=shuffle)

    @cached_property
    def reviews(self) -> TrainingReviews:
        """The split's reviews, tokenised when they are first asked for: scoring needs none."""
        return reviews_of(self._reviewed)

    def collate_fn(self, index: list[int]) -> Any:
        """The interactions at ``index``, sampled negatives and what the class adds."""
        # RecBole's own indexes with a list, which takes longer than the rest of it
        rows, every = torch.from_numpy(np.array(index)), self._reviewed.inter_feat
        batch = Interaction({name: every[name][rows] for name in every.columns})
        batch = self.transform(self._reviewed, self._reviewed.join(batch))
        if self._needs.negatives or self.times > 1:
            batch = self._neg_sampling(batch)
        items = batch[self.iid_field].numpy()
        text_ids = self.reviews.text_ids(batch[ROW_FIELD].numpy(), items)
        if self.dl_format == InputType.POINTWISE and self.label_field in batch:
            text_ids = np.where(batch[self.label_field].numpy() > 0, text_ids, -1)
        batch[TEXT_ID] = torch.from_numpy(text_ids)
        if self._needs.tokens:
            tokens = self.reviews.take(text_ids)
            batch[REVIEW_IDS] = tokens.input_ids
            batch[REVIEW_ATTENTION] = tokens.attention_mask
            batch[REVIEW_WORDS] = tokens.word_ids
        batch[HISTORY_MASK] = history_mask(batch[self.uid_field].numpy(), items, self.history)
        return batch


def reviewed_rows(
    batch: Any, among: torch.Tensor | slice = slice(None)
) -> tuple[torch.Tensor | slice, list[torch.Tensor | None], torch.Tensor]:
    """The rows of a batch that have a review, R of B.

    Args:
        batch: as `ReviewTrainDataLoader` makes it.
        among: rows that are looked at, see `distinct_pairs`.

    Returns:
        The rows, as an index of whatever has B rows; their text ids [R], tokens, attention and
        words [R, T], None each where the batch has no tokens; and the history mask among them
        [R, R].
    """
    names = (TEXT_ID, REVIEW_IDS, REVIEW_ATTENTION, REVIEW_WORDS)
    reviews = [batch.interaction.get(name) for name in names]
    reviewed = batch[REVIEW_ATTENTION].any(dim=1) if REVIEW_IDS in batch else batch[TEXT_ID] >= 0
    history = batch[HISTORY_MASK]
    if not isinstance(among, slice):
        rows = among[reviewed[among]]
    elif reviewed.all():
        return slice(None), reviews, history
    else:
        rows = reviewed
    return rows, [x if x is None else x[rows] for x in reviews], history[rows][:, rows]
