"""SymCEREPlus: SymCERE whose graph starts from the reviews and which is trained to rank."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from recbole.model.init import xavier_uniform_initialization
from torch import Tensor, nn

from recbole_symcere.encoder.adaptor import linear_or_mlp
from recbole_symcere.errors import InputError
from recbole_symcere.loss import symmetric_sincere
from recbole_symcere.model.node_profiles import node_profiles
from recbole_symcere.model.symcere import SymCERE
from recbole_symcere.neighbour_loss import sampled_softmax
from recbole_symcere.options import EncoderOptions, option, read_options

__all__ = ["SymCEREPlus", "SymCEREPlusLoss", "SymCEREPlusOptions"]


@dataclass(frozen=True)
class SymCEREPlusOptions:
    """What is new beside SymCERE; properties/model/SymCEREPlus.yaml says what each means."""

    profile: Literal["item", "user", "both"] | None
    profile_text: Literal["both", "dense", "lexical"]
    learn_id_scale: bool
    item_bias: bool
    id_scale: float = option(minimum=0)
    lexical_size: int = option(minimum=1)
    profile_hidden: int = option(minimum=0)
    rank_weight: float = option(minimum=0)
    rank_temperature: float = option(above=0)
    n_negatives: int = option(minimum=1)
    popularity: float = option(minimum=0)
    cross_weight: float = option(minimum=0)
    node_weight: float = option(minimum=0)


class SymCEREPlusLoss(NamedTuple):
    """The weighted terms; their sum is the loss."""

    rank: Tensor
    cross: Tensor
    intra: Tensor
    bpr: Tensor
    node: Tensor


class SymCEREPlus(SymCERE):
    """SymCERE with a review-seeded graph, a ranking loss and popularity of its own; ours.

    Layer 0 of a node is e^(0) = s id + f(p), where p is what the training reviews of the item (or
    of the user) say: the mean of their vectors and the words they use, see `node_profiles`. The
    score keeps direction and popularity apart::

        s_ui = cos(g_u, g_i) / tau_r + lambda b_i
        L = w_r L_rank + w_c L_cross + alpha L_intra + beta L_BPR + w_n L_node
        L_rank = -log( exp(s_ui) / (exp(s_ui) + sum_j exp(s_uj)) ),   lambda = 1

    The j are drawn uniformly for the batch from the items with a training interaction, less those
    that the user knows. lambda is a dial at inference: 0 ranks by preference alone. L_node is
    `symmetric_sincere` between the batch's nodes and their profiles; the other terms are SymCERE's
    (eq. 7-12). With profile: ~, s = 1, item_bias: False and the weights 0, 1, alpha, beta, 0 this
    is SymCERE. An item without interactions is placed by its text alone, with b_i = 0.

    Args: as `SymCERE`.
    """

    profiles: Tensor
    trained_items: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.plus = o = read_options(SymCEREPlusOptions, config)
        width = self.options.embedding_size
        if not (o.profile or o.id_scale or o.learn_id_scale):
            raise InputError("profile is ~ and id_scale 0, so that nothing is left of layer 0.")
        self.id_scale = nn.Parameter(torch.tensor(o.id_scale), requires_grad=o.learn_id_scale)
        if not (o.id_scale or o.learn_id_scale):
            del self.embedding  # no id takes part
        size = 0 if o.profile_text == "dense" else o.lexical_size
        encoder, dense = read_options(EncoderOptions, config), o.profile_text != "lexical"
        profiles = torch.cat(node_profiles(dataset, encoder, self.device, size, dense))
        self.register_buffer("profiles", profiles, persistent=False)
        d_p = profiles.shape[1]
        if o.profile:
            self.seed = linear_or_mlp(d_p, o.profile_hidden, width)
            self.seed.apply(xavier_uniform_initialization)
        if o.node_weight:
            self.node_projection = nn.Linear(d_p, self.backbone.output_size(width), bias=False)
            xavier_uniform_initialization(self.node_projection)
        if o.item_bias:
            self.item_bias = nn.Parameter(torch.zeros(self.n_items))
        trained = torch.unique(dataset.inter_feat[self.ITEM_ID])
        self.register_buffer("trained_items", trained, persistent=False)

    def ego(self) -> Tensor:
        """Layer 0 of users and then items [n_users + n_items, d]."""
        ids: Any = self.id_scale * self.embedding.weight if hasattr(self, "embedding") else 0
        if self.plus.profile is None:
            return torch.as_tensor(ids)
        first, n = self.n_users, self.n_users + self.n_items
        start, stop = {"item": (first, n), "user": (0, first), "both": (0, n)}[self.plus.profile]
        seeds = F.pad(self.seed(self.profiles[start:stop]), (0, 0, start, n - stop))
        return torch.as_tensor(ids + seeds)

    def calculate_loss(self, interaction: Any) -> SymCEREPlusLoss:  # type: ignore[override] # more terms
        """The weighted loss terms of a batch, each a scalar."""
        o, nodes = self.plus, self.nodes(self.graph)
        cross = intra = ranking = none = nodes.new_zeros(())
        if o.cross_weight or self.options.alpha or self.options.beta:
            cross, intra, ranking = self.terms(interaction, nodes)
        pairs = interaction[self.USER_ID], interaction[self.ITEM_ID]
        rank = o.rank_weight * self._rank(*pairs, nodes) if o.rank_weight else none
        node = o.node_weight * self._node(*pairs, nodes) if o.node_weight else none
        return SymCEREPlusLoss(rank, o.cross_weight * cross, intra, ranking, node)

    def _rank(self, user: Tensor, item: Tensor, nodes: Tensor) -> Tensor:
        tau, m = self.plus.rank_temperature, self.plus.n_negatives
        place = torch.randint(len(self.trained_items), (m,), device=user.device)
        drawn = self.trained_items[place]  # [m], shared by the batch
        rows = torch.cat([user, item + self.n_users, drawn + self.n_users])
        vectors = self.unit(F.embedding(rows, nodes))
        users, items, others = torch.split(vectors, [len(user), len(item), len(drawn)])
        score, sampled = (users * items).sum(-1) / tau, users @ others.T / tau  # [B], [B, m]
        if self.plus.item_bias:
            score, sampled = score + self.item_bias[item], sampled + self.item_bias[drawn]
        allowed = self.graph.edges_of(user[:, None], drawn[None]) < 0
        return sampled_softmax(score, sampled, allowed, 1.0)

    def _node(self, user: Tensor, item: Tensor, nodes: Tensor) -> Tensor:
        sides = []
        for batch in (user, item + self.n_users):
            rows = torch.unique(batch[self.profiles[batch].any(dim=1)])  # those that have a text
            graph = self.unit(F.embedding(rows, nodes))
            text = self.unit(self.node_projection(self.profiles[rows]))
            others = torch.ones(len(rows), len(rows), dtype=torch.bool, device=rows.device)
            sides.append(symmetric_sincere(graph, text, others, self.options.temperature))
        return torch.stack(sides).mean()

    def as_scored(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors whose dot product is the score; the last column is the item's popularity."""
        users, items = super().as_scored(users, items)
        items = items / self.plus.rank_temperature
        if self.plus.item_bias:
            users = torch.cat([users, torch.ones_like(users[:, :1])], dim=1)
            items = torch.cat([items, self.plus.popularity * self.item_bias[:, None]], dim=1)
        return users.contiguous(), items.contiguous()
