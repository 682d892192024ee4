"""The vectors of a trained model, which score without the model and what it was made from."""

from collections.abc import Mapping
from typing import Any

import torch
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.model.base import VectorRecommender

__all__ = ["StoredVectors"]


class StoredVectors(VectorRecommender):
    """Scores as the model of a run, from what `VectorRecommender.stored_vectors` gave.

    It needs no text encoder and no reviews. It can't be trained, and it has no vectors of reviews.

    Args:
        config: RecBole's configuration.
        dataset: the training split.
        stored: the vectors.
        protocol: of the model.
    """

    input_type = InputType.POINTWISE

    def __init__(
        self,
        config: Any,
        dataset: Any,
        stored: Mapping[str, Any],
        protocol: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(config, dataset)
        self.protocol = dict(protocol or {})
        for name in ("raw", "scored"):
            for side, vectors in zip(("users", "items"), stored[name] or (), strict=False):
                # no buffer: a trainer, which evaluates, wants something for its optimizer
                frozen = nn.Parameter(vectors, requires_grad=False)
                self.register_parameter(f"{name}_{side}", frozen)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Vectors of all users [n_users, d] and items [n_items, d] as the model gave them."""
        return self.get_parameter("raw_users"), self.get_parameter("raw_items")

    @torch.no_grad()
    def scoring_vectors(self) -> tuple[Tensor, Tensor]:
        """User and item vectors as they are scored."""
        if not hasattr(self, "scored_users"):
            return self.forward()
        return self.get_parameter("scored_users"), self.get_parameter("scored_items")

    def calculate_loss(self, interaction: Any) -> Tensor:  # noqa: ARG002 # RecBole's signature
        """Refused.

        Raises:
            InputError: always.
        """
        raise InputError(
            "Without its text encoder there are of this model only the vectors that it scores by, "
            "which can't be trained. Name the encoder: --text_encoder=DIR."
        )
