"""What models without training have in common."""

from typing import Any

import torch
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_symcere.data.recency import Histories
from recbole_symcere.model.base import VectorRecommender
from recbole_symcere.model.blend import Blend
from recbole_symcere.model.blend_of import tell_of_columns
from recbole_symcere.model.experts import Expert, expert

__all__ = ["OneExpert", "Untrained"]


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


class OneExpert(Untrained):
    """A model that ranks by one `Expert`; `_rank_by` tells which.

    Where users or items times items are more than 50 million, scores are approximate and the lists
    with them: `Blend` holds them in 128 to 1,024 columns, which the log and the result's protocol
    tell (score_columns).
    """

    def _rank_by(self, name: str, known: Histories, words: Tensor | None = None) -> None:
        """Take an expert, whose name and what else it is made of are as in `expert`."""

        def make(name: str) -> Expert:
            return expert(name, known, None if words is None else words.numpy(), 0)

        self.protocol = tell_of_columns(f"{type(self).__name__}'s scores are", known)
        self.near = Blend((name,), make, known, words)
        self.near.weigh({name: 1.0})

    def blended(
        self, users: Tensor, items: Tensor, known: Histories | None = None
    ) -> tuple[Tensor, Tensor]:
        """The expert's part, and what a `Blend` adds to it."""
        users, items = self.near(users, items, known)
        return super().blended(users, items, known)
