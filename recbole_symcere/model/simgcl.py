"""SimGCL (Yu et al., SIGIR 2022): graph contrastive learning by noise, not by dropped edges."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from recbole.model.init import xavier_uniform_initialization
from recbole.utils import InputType
from torch import Tensor

from recbole_symcere.base.options import option, read_options
from recbole_symcere.graph.encoders import NoisyLightGCN
from recbole_symcere.loss.contrastive import bpr, info_nce
from recbole_symcere.loss.ranking import l2_penalty
from recbole_symcere.model.base import GraphRecommender, PropagationOptions
from recbole_symcere.model.loss_batches import rows_of

__all__ = ["SimGCL", "SimGCLLoss", "SimGCLOptions"]


@dataclass(frozen=True)
class SimGCLOptions:
    """Hyper-parameters; values as in RecBole-GNN."""

    embedding_size: int = option(64, "d", minimum=1)
    n_layers: int = option(2, "K", minimum=1)
    eps: float = option(0.1, "length of the noise added to each layer", minimum=0)
    temperature: float = option(0.2, "tau", above=0)
    cl_weight: float = option(0.5, "lambda, weight of the contrastive loss", minimum=0)
    reg_weight: float = option(0.0001, "weight of L2 on the layer-0 vectors of a batch", minimum=0)


class SimGCLLoss(NamedTuple):
    """L_rec, lambda L_cl and the L2 term, each weighted."""

    bpr: Tensor
    contrast: Tensor
    l2: Tensor


class SimGCL(GraphRecommender):
    """L = L_BPR + lambda L_cl + reg |E|^2, scored by the dot product of graph vectors.

    L_cl is InfoNCE between two noisy passes e', e'' through the graph, for the distinct users and
    for the distinct items of a batch::

        L_cl = mean_u -log( exp(e'_u.e''_u / t) / sum_v exp(e'_u.e''_v / t) )  + the same of items

    Args:
        config: RecBole's configuration.
        dataset: the training split.

    Differs from the paper: L_cl is a mean, as in the authors' code, and not a sum, so that lambda
        doesn't depend on the batch size. L2 is LightGCN's: half the squares of the layer-0 vectors
        of a batch's users, items and sampled items, per row. The authors' code takes the propagated
        vectors, without those of sampled items, and not their squares: the root of the sum of all
        squares of the users' rows, and that of the items', each per row. So a reg_weight here is
        not one there.
    """

    text_use = "none"
    option_groups = (SimGCLOptions, PropagationOptions)
    input_type = InputType.PAIRWISE
    backbone: NoisyLightGCN

    def __init__(self, config: Any, dataset: Any) -> None:
        o: SimGCLOptions = read_options(self.option_groups[0], config)
        super().__init__(config, dataset, NoisyLightGCN(o.n_layers, o.eps), o.embedding_size)
        self.options = o
        self.apply(xavier_uniform_initialization)

    def perturbed(self) -> list[Tensor]:
        """A noisy pass: the layers 1 to K of all nodes [n_nodes, d]."""
        return self.backbone.perturbed(self.graph, self.embedding.weight)

    def propagated(self) -> tuple[Tensor, ...]:
        """The `views`, and layer 0, of which L2 reads a batch's rows."""
        return *self.views(), self.embedding.weight

    def views(self) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of all nodes [n_nodes, d]: those that are ranked and the two that contrast."""
        first, second = (torch.stack(self.perturbed()).mean(0) for _ in range(2))
        return self.nodes(self.graph), first, second

    def losses(self, interaction: Any, *propagated: Tensor) -> SimGCLLoss:
        """The weighted loss terms of a batch, each a scalar."""
        o, drawn = self.options, self.triples(interaction)  # [3, B]
        ranked, first, second, table = propagated
        user, item, negative = rows_of(drawn, ranked)
        contrast = torch.zeros((), dtype=ranked.dtype, device=ranked.device)
        for ids in drawn[:2]:
            ids = ids.unique()
            one, other = (F.normalize(rows_of(ids, v), dim=-1) for v in (first, second))
            contrast = contrast + info_nce(one, other, o.temperature)
        return SimGCLLoss(
            bpr((user * item).sum(-1), (user * negative).sum(-1)),
            o.cl_weight * contrast,
            o.reg_weight * l2_penalty(rows_of(drawn, table)),
        )
