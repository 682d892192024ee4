"""DirectAU (Wang et al., KDD 2022): alignment and uniformity of user and item vectors."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from recbole.model.init import xavier_normal_initialization
from recbole.utils import InputType
from torch import Tensor

from recbole_symcere.base.options import option, read_options
from recbole_symcere.graph.encoders import LightGCN
from recbole_symcere.loss.contrastive import alignment, uniformity
from recbole_symcere.model.base import GraphRecommender, PropagationOptions
from recbole_symcere.model.loss_batches import rows_of

__all__ = ["DirectAU", "DirectAULoss", "DirectAUOptions"]


@dataclass(frozen=True)
class DirectAUOptions:
    """Hyper-parameters."""

    embedding_size: int = option(64, "d", minimum=1)
    n_layers: int = option(
        0, "0: a table (MF), the paper's default; above: LightGCN's K", minimum=0
    )
    gamma: float = option(
        1.0, "weight of l_uniform: 0.5 for Beauty, 1 for Yelp, 5 for Gowalla", minimum=0
    )
    score: Literal["dot", "cosine"] = option("dot", "of users and items")


class DirectAULoss(NamedTuple):
    """The weighted terms: l_align and gamma l_uniform."""

    align: Tensor
    uniform: Tensor


class DirectAU(GraphRecommender):
    """l = l_align + gamma l_uniform on vectors of users and items.

    With e the vectors at length 1::

        l_align   = mean_{(u,i)} |e_u - e_i|^2                              over the batch
        l_uniform = (log mean_{u,u'} exp(-2 |e_u - e_u'|^2)
                     + log mean_{i,i'} exp(-2 |e_i - e_i'|^2)) / 2          over its rows

    The vectors are rows of a table, or with ``n_layers`` above 0 what LightGCN makes of it. Scored
    by the dot product of the vectors as they are, not at length 1, as in the authors' code.

    Args:
        config: RecBole's configuration.
        dataset: the training split.

    Differs from the paper: nothing. A user with two rows in a batch counts twice in l_uniform, as
        in the authors' code.
    """

    text_use = "none"
    option_groups = (DirectAUOptions, PropagationOptions)
    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        o = read_options(DirectAUOptions, config)
        self.refuse_sampled_negatives(config)
        super().__init__(config, dataset, LightGCN(o.n_layers), o.embedding_size)
        self.options, self.cosine = o, o.score == "cosine"
        self.apply(xavier_normal_initialization)

    def losses(self, interaction: Any, *propagated: Tensor) -> DirectAULoss:
        """The weighted loss terms of a batch, each a scalar."""
        (nodes,), items = propagated, interaction[self.ITEM_ID] + self.n_users
        drawn = rows_of(torch.stack([interaction[self.USER_ID], items]), nodes)
        user, item = F.normalize(drawn, dim=-1)  # [B, d]
        uniform = (uniformity(user) + uniformity(item)) / 2
        return DirectAULoss(alignment(user, item), self.options.gamma * uniform)
