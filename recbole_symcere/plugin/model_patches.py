"""What changes in RecBole's own models: Pop counts right, and NeuMF ranks all items at once."""

from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["change_neumf", "change_pop"]

_USERS_AT_A_TIME = 16  # hidden vectors of all items for so many users stay in a CPU's cache


def change_pop(model_class: Any) -> None:
    """Let Pop count every training interaction.

    RecBole counts an item once per batch, however often it is in it, and sampled negatives too.
    """
    init = model_class.__init__

    @wraps(init)
    def with_label(self: Any, config: Any, dataset: Any) -> None:
        init(self, config, dataset)
        self.label = config["LABEL_FIELD"]

    model_class.__init__, model_class.calculate_loss = with_label, _count_items


def change_neumf(model_class: Any) -> None:
    """Give NeuMF a `full_sort_predict`: RecBole sends every pair through the whole network."""
    model_class.full_sort_predict = _rank_with_neumf


def _count_items(self: Any, interaction: Any) -> Tensor:
    """`Pop.calculate_loss`; Pop learns nothing, so it returns a zero."""
    items = interaction[self.ITEM_ID]
    if self.label in interaction:
        items = items[interaction[self.label] > 0]
    self.item_cnt += torch.bincount(items, minlength=self.n_items)[:, None]
    self.max_cnt = self.item_cnt.max()
    return nn.Parameter(torch.zeros(1, device=self.device))


def _rank_with_neumf(self: Any, interaction: Any) -> Tensor:
    """The values of `NeuMF.predict` for the users of a batch and all items, as [B * n_items].

    The first layer is linear in [user; item], so it is applied to users and to items, and only
    their sums to pairs.
    """
    layers = [layer for layer in self.mlp_layers.mlp_layers if isinstance(layer, nn.Linear)]
    if not layers:
        raise NotImplementedError  # RecBole then scores pairs
    users, width = interaction[self.USER_ID], self.mf_embedding_size if self.mf_train else 0
    weight, bias = self.predict_layer.weight[0], self.predict_layer.bias
    scores: Tensor = bias.expand(len(users), self.n_items).clone()
    if self.mf_train:
        scores += (self.user_mf_embedding(users) * weight[:width]) @ self.item_mf_embedding.weight.T
    if self.mlp_train:
        first, *rest = layers
        of_user, of_item = torch.split(first.weight, self.mlp_embedding_size, dim=1)
        by_user = F.linear(self.user_mlp_embedding(users), of_user, first.bias)  # [B, h]
        by_item = F.linear(self.item_mlp_embedding.weight, of_item)  # [n_items, h]
        parts = (torch.split(x, _USERS_AT_A_TIME) for x in (scores, by_user))
        for part, rows in zip(*parts, strict=True):
            hidden = (rows[:, None] + by_item).relu_()
            for layer in rest:
                hidden = layer(hidden).relu_()
            part += hidden @ weight[width:]
    return torch.sigmoid(scores).flatten()
