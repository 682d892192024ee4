"""RLMRec-Con (Ren et al., WWW 2024): LightGCN whose vectors are aligned with text profiles."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from recbole.model.init import xavier_uniform_initialization
from recbole.utils import InputType
from torch import Tensor

from recbole_symcere.base.options import option, read_options
from recbole_symcere.data.history import distinct_pairs
from recbole_symcere.graph.encoders import LightGCN
from recbole_symcere.loss.contrastive import bpr, info_nce
from recbole_symcere.loss.ranking import info_nce_among
from recbole_symcere.model.base import GraphRecommender, PropagationOptions
from recbole_symcere.model.loss_batches import rows_of
from recbole_symcere.model.profiles import interaction_vectors
from recbole_symcere.text.encoder import Projection
from recbole_symcere.text.text_options import EncoderOptions

__all__ = ["RLMRecCon", "RLMRecConLoss", "RLMRecConOptions"]


@dataclass(frozen=True)
class RLMRecConOptions:
    """Hyper-parameters; the authors' values unless said otherwise."""

    embedding_size: int = option(
        64, "d; the authors' 32 is half of what the other models have", minimum=1
    )
    n_layers: int = option(3, "K of LightGCN", minimum=0)
    edge_dropout: float = option(
        0.2, "share of edges left out in training, drawn anew at each step", minimum=0, below=1
    )
    temperature: float = option(0.2, "tau", above=0)
    kd_weight: float = option(0.01, "weight of the alignment with the profiles", minimum=0)
    reg_weight: float = option(0.0000001, "weight of L2 on all weights", minimum=0)


class RLMRecConLoss(NamedTuple):
    """L_BPR, the weighted contrastive alignment and the weighted L2 term."""

    bpr: Tensor
    alignment: Tensor
    l2: Tensor


class RLMRecCon(GraphRecommender):
    """L = L_BPR + w L_con + reg |theta|^2, scored by the dot product of graph vectors.

    With s = MLP(profile) and unit vectors, for the users u, items i and sampled items j of a batch,
    and c(e, S) = InfoNCE from graph vectors e to their own text vector among S::

        L_con = c(u, all users) + c(i, the batch's i) + c(j, the batch's j)

    In training g comes from a graph with edges left out, drawn anew at each step.

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Differs from the paper: a profile is the mean of the training reviews' vectors, not a text that
        a large language model wrote. Nodes without a review stay out of L_con, whose means are over
        the rows that are left. LightGCN's layers are averaged where the authors' code sums them.
        An edge is left out in both directions, and degrees are counted on what is left; the
        authors' code leaves out each direction by itself, and the others keep the weights that they
        have in the whole graph, so that sums get smaller in training.
    """

    text_use = "once"
    option_groups = (RLMRecConOptions, PropagationOptions, EncoderOptions)
    input_type = InputType.PAIRWISE
    profiles: Tensor
    place: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        o = read_options(RLMRecConOptions, config)
        super().__init__(
            config, dataset, LightGCN(o.n_layers), o.embedding_size, o.edge_dropout, "step"
        )
        self.options = o
        reviews = interaction_vectors(dataset, read_options(EncoderOptions, config), self.device)
        users, items = (dataset.inter_feat[f].numpy() for f in (self.USER_ID, self.ITEM_ID))
        described = torch.zeros(self.graph.n_nodes, dtype=torch.bool)
        for nodes in (users, items + self.n_users):
            described[nodes[reviews.text_ids >= 0]] = True
        of_users = reviews.mean_per(users, self.n_users)
        profiles = torch.cat([of_users, reviews.mean_per(items, self.n_items)])[described]
        place = torch.where(described, described.cumsum(0) - 1, -1)
        self.register_buffer("profiles", profiles, persistent=False)  # those of users come first
        self.register_buffer("place", place, persistent=False)  # of a node in them, or -1
        self.n_user_profiles = int(described[: self.n_users].sum())
        self.projection = Projection(profiles.shape[1], o.embedding_size, "mlp")
        self.apply(xavier_uniform_initialization)
        self.protocol = reviews.facts

    def propagated(self) -> tuple[Tensor, ...]:
        """Vectors of all nodes with edges left out, and s of all profiles at length 1."""
        text = F.normalize(self.projection(self.profiles), dim=-1)
        return self.nodes(self.augmented_graph()), text

    def losses(self, interaction: Any, *propagated: Tensor) -> RLMRecConLoss:
        """The weighted loss terms of a batch, each a scalar."""
        o, drawn = self.options, self.triples(interaction)  # [3, B]
        nodes, text = propagated
        vectors = rows_of(drawn, nodes)  # [3, B, d]
        user, item, negative = vectors
        (of_users, place), *of_items = self._described(drawn, F.normalize(vectors, dim=-1))
        aligned = [info_nce_among(of_users, text[: self.n_user_profiles], place, o.temperature)]
        for rows, place in of_items:
            aligned.append(info_nce(rows, F.embedding(place, text), o.temperature))
        squares = torch.stack([p.square().sum() for p in self.parameters()])
        return RLMRecConLoss(
            bpr((user * item).sum(-1), (user * negative).sum(-1)),
            o.kd_weight * torch.stack(aligned).sum(),
            o.reg_weight * squares.sum(),
        )

    def _described(self, drawn: Tensor, vectors: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Vectors and places of users and items, each pair once, and sampled items with profile."""
        once = distinct_pairs(drawn[0], drawn[1])
        sides = []
        for nodes, rows, chosen in zip(drawn, vectors, (once, once, slice(None)), strict=True):
            place, rows = self.place[nodes[chosen]], rows[chosen]
            sides.append((rows[place >= 0], place[place >= 0]))
        return sides
