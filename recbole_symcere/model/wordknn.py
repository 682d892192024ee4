"""WordKNN: items whose reviews use the words of those that a user knows; nothing is trained."""

from dataclasses import dataclass
from typing import Any

import torch
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_symcere.base.options import option, read_options
from recbole_symcere.data.reviews import refuse_blank
from recbole_symcere.model.base import VectorRecommender
from recbole_symcere.model.blend import training_histories
from recbole_symcere.model.catalogue_words import item_words
from recbole_symcere.model.experts import ItemMap, nearest_words

__all__ = ["Untrained", "WordKNN", "WordKNNOptions"]


class Untrained(VectorRecommender):
    """A model that has nothing to learn: its loss is 0, and one epoch is enough.

    Args:
        config: RecBole's configuration.
        dataset: the training split.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.nothing = nn.Parameter(torch.zeros(1))  # an optimizer wants something

    def calculate_loss(self, interaction: Any) -> Tensor:  # noqa: ARG002 # RecBole's signature
        """0, with a gradient path."""
        return self.nothing.sum() * 0


@dataclass(frozen=True)
class WordKNNOptions:
    """Which words count."""

    word_neighbours: int | None = option(
        20, "items that count, the nearest of each; ~ for all", minimum=1
    )


class WordKNN(Untrained):
    """x_ui = sum_{j in N_u} cos(w_j, w_i) over the j among the k nearest of i.

    w are the items' words: TF-IDF of all training reviews of an item in 256 dimensions of latent
    semantic analysis, see `LexicalSpace`. With word_neighbours: ~ it is sum_j w_j . w_i of all j.

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Raises:
        InputError: if no review has a word.
    """

    text_use = "once"
    option_groups = (WordKNNOptions,)
    scored_users: Tensor
    scored_items: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        refuse_blank(dataset.training_reviews(), dataset)
        k, words = read_options(WordKNNOptions, config).word_neighbours, item_words(dataset)
        known, vectors = training_histories(dataset).flat, words.numpy()
        if k is None:
            users, items = torch.from_numpy(known @ vectors), words
        else:
            users = torch.from_numpy(ItemMap(nearest_words(vectors, k)).scores(known))
            items = torch.eye(self.n_items)
        self.register_buffer("scored_users", users, persistent=False)
        self.register_buffer("scored_items", items, persistent=False)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Vectors of users [n_users, d] and items [n_items, d]; d is n_items where k is given."""
        return self.scored_users, self.scored_items
