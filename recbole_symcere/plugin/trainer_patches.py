"""What changes in RecBole's own trainers and loaders."""

from functools import wraps
from types import ModuleType
from typing import Any

from recbole_symcere.model.registry import is_ours

__all__ = ["change_eval_loader", "change_knowledge_loader", "change_trainers"]

_USERS, _SCORES = 64, 2**23


def change_trainers(module: ModuleType) -> None:
    """Let NCL's trainer train its epochs as every other, but for the term that it leaves out.

    RecBole copied the epoch, and with it calls that torch has dropped, to leave out the last term
    of the loss in the first epochs.
    """
    ncl: Any = module.NCLTrainer

    def train_epoch(
        self: Any,
        train_data: Any,
        epoch_idx: int,
        loss_func: Any = None,
        show_progress: bool = False,
    ) -> Any:
        loss_func = loss_func or self.model.calculate_loss

        def loss(batch: Any) -> Any:
            return loss_func(batch)[:-1]

        warms_up = epoch_idx < self.config["warm_up_step"]
        return super(ncl, self)._train_epoch(
            train_data, epoch_idx, loss if warms_up else loss_func, show_progress
        )

    ncl._train_epoch = train_epoch


def change_knowledge_loader(module: ModuleType) -> None:
    """Let the loader of knowledge-aware models tell its data set, as every other does."""
    module.KnowledgeBasedDataLoader.dataset = property(lambda self: self._dataset)


def change_eval_loader(module: ModuleType) -> None:
    """Let RecBole's loader over all items choose its batches by what they cost.

    Under our protocol eval_batch_size counts scores for sequential models too, where RecBole takes
    it for rows, each of which is scored with all items. A model of ours makes its products for
    `ROWS` users at least, so a batch has as many, and it has 64 where their scores take no more
    than 32 MB: each product reads all items. Known and held-out items are put together without a
    tensor for each user.
    """
    import numpy as np
    import torch

    from recbole_symcere.evaluate.products import ROWS

    loader = module.FullSortEvalDataLoader
    init, collate = loader._init_batch_size_and_step, loader.collate_fn

    @wraps(init)
    def by_scores(self: Any) -> None:
        init(self)
        n_items = self._dataset.item_num
        if self.is_sequential and self.config.common_protocol:
            self.step = max(self.config["eval_batch_size"] // n_items, 1)
            self.set_batch_size(self.step)
        elif is_ours(self.config["model"]):
            self.step = max(self.step, ROWS, min(_USERS, _SCORES // n_items))
            self.set_batch_size(self.step * n_items)

    @wraps(collate)
    def at_once(self: Any, index: Any) -> Any:
        if self.is_sequential:
            return collate(self, index)
        batch = self.user_df[np.array(index)]
        users = batch[self.uid_field].numpy()
        known, right = self.uid2history_item[users], self.uid2positive_item[users]
        return batch, with_rows(known), *with_rows(right)

    def with_rows(items: Any) -> tuple[Any, Any]:
        rows = np.repeat(np.arange(len(items)), [of_user.numel() for of_user in items])
        return torch.from_numpy(rows), torch.cat([*items])

    loader._init_batch_size_and_step, loader.collate_fn = by_scores, at_once
