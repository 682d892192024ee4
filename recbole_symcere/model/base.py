"""What every model of ours shares: scores from cached vectors, and groups of parameters."""

from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import GeneralRecommender
from torch import nn

__all__ = ["VectorRecommender"]


class VectorRecommender(GeneralRecommender):  # type: ignore[misc] # RecBole has no types
    """A recommender whose score is the product of a user's and an item's vector.

    Vectors are computed once per evaluation. No text is needed to score. Subclasses give `forward`.

    Attributes:
        cosine: whether vectors are brought to length 1 before scoring.
        protocol: what a result should tell of the model's inputs.
    """

    cosine = False

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.protocol: dict[str, Any] = {}
        self.forget()
        self.register_load_state_dict_post_hook(lambda *_: self.forget())

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of all users [n_users, d] and of all items [n_items, d]."""
        raise NotImplementedError(f"{type(self).__name__} must say what its vectors are.")

    def forget(self) -> None:
        """Drop what was computed from weights that are about to change."""
        self._scoring: tuple[torch.Tensor, torch.Tensor] | None = None

    def train(self, mode: bool = True) -> "VectorRecommender":
        """Switch between training and evaluation."""
        self.forget()
        super().train(mode)
        return self

    @torch.no_grad()
    def scoring_vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """User and item vectors as they are scored, [n_users, d] and [n_items, d]."""
        if self._scoring is None:
            users, items = self.forward()
            if self.cosine:
                users, items = F.normalize(users, dim=-1), F.normalize(items, dim=-1)
            self._scoring = (users.contiguous(), items.contiguous())
        return self._scoring

    def predict(self, interaction: Any) -> torch.Tensor:
        """Scores [B] of pairs of a user and an item."""
        users, items = self.scoring_vectors()
        return (users[interaction[self.USER_ID]] * items[interaction[self.ITEM_ID]]).sum(-1)

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        """Scores [B * n_items] of the users and every item."""
        users, items = self.scoring_vectors()
        return (users[interaction[self.USER_ID]] @ items.T).view(-1)

    def groups(self, tuned: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
        """Parameter groups: all but ``tuned`` at the run's rate; what learns in it at its own."""
        inside = {id(p) for p in tuned.parameters()}
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.parameters() if id(p) not in inside]}
        ]
        learning = [p for p in tuned.parameters() if p.requires_grad]
        if learning:
            groups.append({"params": learning, "lr": learning_rate})
        return groups
