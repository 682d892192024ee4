"""WordKNN: items whose reviews use the words of those that a user knows; nothing is trained."""

from dataclasses import dataclass
from typing import Any

import torch
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option, read_options
from recbole_symcere.data.recency import Histories
from recbole_symcere.data.reviews import refuse_blank
from recbole_symcere.model.base import VectorRecommender
from recbole_symcere.model.blend import Blend, tell_of_columns, training_histories
from recbole_symcere.model.catalogue_words import item_words
from recbole_symcere.model.experts import Expert, expert
from recbole_symcere.text.lexical import NO_WORDS

__all__ = ["Untrained", "WordKNN", "WordKNNOptions"]


class Untrained(VectorRecommender):
    """A model that has nothing to learn and by itself scores all items 0: one epoch is enough.

    Args:
        config: RecBole's configuration.
        dataset: the training split.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.nothing = nn.Parameter(torch.zeros(1))  # an optimizer wants something

    def forward(self) -> tuple[Tensor, Tensor]:
        """Zeros [n_users, 1] and [n_items, 1]."""
        zeros = self.nothing.detach() * 0
        return zeros.expand(self.n_users, 1), zeros.expand(self.n_items, 1)

    def calculate_loss(self, interaction: Any) -> Tensor:  # noqa: ARG002 # RecBole's signature
        """0, with a gradient path."""
        return self.nothing.sum() * 0


@dataclass(frozen=True)
class WordKNNOptions:
    """Which words count."""

    word_neighbours: int = option(20, "items that count, the nearest of each", minimum=1)


class WordKNN(Untrained):
    """x_ui = sum_{j in N_u} cos(w_j, w_i) / sd_u over the j among the k nearest of i.

    w are the items' words: TF-IDF of all training reviews of an item, and of its own text
    (`own_item_text`), in 256 dimensions of latent semantic analysis, see `LexicalSpace`. The
    deviation sd_u of a user's scores changes no list. Where users or items times items are more
    than 50 million, x is approximate and the lists with it: `Blend` holds it in 128 to 1,024
    columns, which the log and the result's protocol tell (score_columns).

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Raises:
        InputError: if no review has a word, or no words tell items apart.
    """

    text_use = "once"
    option_groups = (WordKNNOptions,)

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        refuse_blank(dataset.training_reviews(), dataset)
        known, words = training_histories(dataset), item_words(dataset)
        if not words.shape[1]:
            raise InputError(
                f"WordKNN has nothing to rank {dataset.dataset_name} by: {NO_WORDS}. Take another "
                "model; compare leaves it out with --untrained=False."
            )
        name = f"words_{read_options(WordKNNOptions, config).word_neighbours}"

        def make(name: str) -> Expert:
            return expert(name, known, words.numpy(), 0)

        self.protocol = tell_of_columns("WordKNN's scores are", known)
        self.near = Blend((name,), make, known, words)
        self.near.weigh({name: 1.0})

    def blended(
        self, users: Tensor, items: Tensor, known: Histories | None = None
    ) -> tuple[Tensor, Tensor]:
        """The words' part, and what a `Blend` adds to it."""
        users, items = self.near(users, items, known)
        return super().blended(users, items, known)
