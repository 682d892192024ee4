"""What changes in RecBole's own trainers and loaders."""

from functools import wraps
from types import ModuleType
from typing import Any

__all__ = ["change_eval_loader", "change_knowledge_loader", "change_trainers"]


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
    """Let eval_batch_size count scores for sequential models too, under our protocol.

    RecBole takes it for rows there, each of which is scored with all items.
    """
    loader = module.FullSortEvalDataLoader
    init = loader._init_batch_size_and_step

    @wraps(init)
    def by_scores(self: Any) -> None:
        if not (self.is_sequential and self.config.common_protocol):
            init(self)
            return
        self.step = max(self.config["eval_batch_size"] // self._dataset.item_num, 1)
        self.set_batch_size(self.step)

    loader._init_batch_size_and_step = by_scores
