"""What an evaluation keeps of each batch, collected in less time than by RecBole."""

from collections.abc import Callable
from typing import Any

import torch
from recbole.evaluator import Collector
from torch import Tensor

from recbole_symcere.evaluate.best_items import topk_places

__all__ = ["ListCollector"]


class ListCollector(Collector):  # type: ignore[misc] # RecBole has no types
    """RecBole's Collector, which finds each user's list once and never copies the scores.

    RecBole looks for the best items once for each kind of metric, holds a second matrix of the
    scores' size to tell which of them are right, and moves all that it has with every batch. What
    metrics are given is the same. Metrics of ranks and scores, such as GAUC, are RecBole's matter.

    Ties are RecBole's too: which of several items of one score come into the list is left to
    `torch.topk`, which follows no rule; among thousands it tends to take the lowest ids, which are
    those of the items that come first in the data. It matters for models that give many items one
    score: Pop, and ItemKNN, which has 0 for every item without a neighbour in the history.

    Attributes:
        on_batch: called after each batch.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        kinds = [kind for kind in ("rec.items", "rec.topk") if self.register.need(kind)]
        self._rows: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
        self.on_batch: Callable[[], None] = lambda: None
        for kind in kinds:
            setattr(self.register, kind, False)  # RecBole collects the other kinds

    def begin(self) -> None:
        """Drop what an evaluation that was broken off has left."""
        self._take_rows()
        for kind in ("rec.meanrank", "rec.score", "data.label"):
            if kind in self.data_struct:
                del self.data_struct[kind]

    def eval_batch_collect(
        self, scores_tensor: Tensor, interaction: Any, positive_u: Tensor, positive_i: Tensor
    ) -> None:
        """Keep what the metrics need of a batch.

        Args:
            scores_tensor: [B, n_items], -inf where an item is masked.
            interaction: the batch.
            positive_u: [n] rows of the held-out items.
            positive_i: [n] the held-out items.
        """
        if self._rows:
            places = topk_places(scores_tensor, max(self.topk))
            if "rec.items" in self._rows:
                self._rows["rec.items"].append(places)
            if "rec.topk" in self._rows:
                right = _right(places, positive_u, positive_i, scores_tensor.shape[1])
                self._rows["rec.topk"].append(right)
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
        self.on_batch()

    def get_data_struct(self) -> Any:
        """All that was collected, on the CPU; the next evaluation begins with nothing."""
        for kind, rows in self._take_rows().items():
            self.data_struct.set(kind, torch.cat(rows))
        return super().get_data_struct()

    def _take_rows(self) -> dict[str, list[Tensor]]:
        """The lists' rows by batch, which are forgotten here."""
        taken = {kind: rows for kind, rows in self._rows.items() if rows}
        self._rows = {kind: [] for kind in self._rows}
        return taken


def _right(places: Tensor, positive_u: Tensor, positive_i: Tensor, n_items: int) -> Tensor:
    """[B, k + 1]: 1 where an item of a list is held out, and how many are."""
    rows = torch.arange(len(places), device=places.device)
    pairs = torch.unique((positive_u * n_items + positive_i).to(places.device))
    of_user = torch.bincount(pairs // n_items, minlength=len(places))
    right = torch.isin(rows[:, None] * n_items + places, pairs)
    return torch.cat([right.long(), of_user[:, None]], dim=1)
