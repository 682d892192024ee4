"""Ranking all items with RecBole's NeuMF, which only scores pairs."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["full_sort_predict"]

_USERS_AT_A_TIME = 16  # hidden vectors of all items for so many users stay in a CPU's cache


def full_sort_predict(self: Any, interaction: Any) -> Tensor:
    """The values of `NeuMF.predict` for the users of a batch and all items, as [B * n_items].

    RecBole would send every pair through the whole network. The first layer is linear in
    [user; item], so it is applied to users and to items here, and only their sums to pairs.
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
