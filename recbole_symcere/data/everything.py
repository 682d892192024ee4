"""All interactions as training interactions, for a model that goes to work."""

from typing import Any

import torch
from recbole.data.interaction import cat_interactions

__all__ = ["with_everything"]


def with_everything(dataset: Any) -> Any:
    """Let the data set's next `build` put all three splits into training.

    The splits are made as ever and then joined, so that it works for any split, also one by
    ``benchmark_filename``. User and item ids stay: RecBole gives them before it splits. A user's
    interactions stay in order of time: those of training, of validation, of test.

    Args:
        dataset: a RecBole data set, not yet split.

    Returns:
        The data set; after `build` its validation and test splits are empty.
    """
    build = dataset.build

    def with_all() -> list[Any]:
        train, *held_out = build()
        rows = cat_interactions([part.inter_feat for part in (train, *held_out)])
        whole = train.copy(rows)
        whole.tied_users = None  # nothing is held out, so no tie decides what is
        none = torch.zeros(0, dtype=torch.long)
        return [whole, *(part.copy(part.inter_feat[none]) for part in held_out)]

    dataset.build = with_all
    return dataset
