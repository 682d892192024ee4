"""What a trained model has to beat: popularity, on validation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader

__all__ = ["BY_RANK", "below_popularity", "popularity_score"]

BY_RANK = frozenset({"ndcg", "hit", "recall", "mrr", "map", "precision"})
"""RecBole's metrics of lists, in lower case."""


def popularity_score(trainer: Any, train_data: Any, valid_data: Any) -> float | None:
    """The validation metric of items ranked by their numbers of training interactions.

    Args:
        trainer: of any model; its evaluation is used, so that masks and ties are the model's.
        train_data: the training loader.
        valid_data: the validation loader.

    Returns:
        None unless all items are ranked and the metric is one of lists.
    """
    by_rank = str(trainer.valid_metric).lower().partition("@")[0] in BY_RANK
    if not by_rank or not isinstance(valid_data, FullSortEvalDataLoader):
        return None
    from recbole.model.general_recommender.pop import Pop

    dataset = train_data.dataset
    items = dataset.inter_feat[dataset.iid_field].numpy()
    counts = torch.from_numpy(np.bincount(items, minlength=dataset.item_num))[:, None]
    popularity, model = Pop(trainer.config, dataset).to(trainer.device), trainer.model
    popularity.item_cnt = counts.to(trainer.device)
    popularity.max_cnt = popularity.item_cnt.max(dim=0)[0]
    trainer.model = popularity
    try:
        return float(trainer.evaluate(valid_data, load_best_model=False)[trainer.valid_metric])
    finally:
        trainer.model = model


def below_popularity(
    trainer: Any, result: Mapping[str, float], train_data: Any, valid_data: Any
) -> list[str]:
    """A sentence if the model ranks worse on validation than popularity does, else nothing.

    Args:
        trainer: whose training is over.
        result: what validation says of it; empty without one.
        train_data: the training loader.
        valid_data: the validation loader.
    """
    found = result.get(trainer.valid_metric)
    floor = None if found is None else popularity_score(trainer, train_data, valid_data)
    if found is None or floor is None or found >= floor:
        return []
    batches = len(trainer.history) * len(train_data)
    said = (
        f"{trainer.config['model']} is below popularity alone on validation: "
        f"{trainer.config['valid_metric']} {found:.4f} against {floor:.4f}"
    )
    if len(trainer.history) > 1:
        said += (
            f". It ended after {batches:,} batches; a higher stopping_step or learning_rate or a "
            "smaller train_batch_size may let it learn more"
        )
    return [f"{said}."]
