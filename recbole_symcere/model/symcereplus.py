"""SymCEREPlus: SymCERE whose graph starts from the reviews and which is trained to rank."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from recbole.model.init import xavier_uniform_initialization
from torch import Tensor, nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option, read_options
from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.graph.encoders import LightGCN
from recbole_symcere.loss.contrastive import products, symmetric_sincere
from recbole_symcere.loss.ranking import sampled_softmax
from recbole_symcere.model.blend_of import blend_of
from recbole_symcere.model.catalogue_words import item_words
from recbole_symcere.model.loss_batches import rows_of
from recbole_symcere.model.profile_map import profile_map
from recbole_symcere.model.profiles import node_profiles
from recbole_symcere.model.symcere import Drawn, SymCERE
from recbole_symcere.text.lexical import NO_WORDS
from recbole_symcere.text.text_options import EncoderOptions

__all__ = ["SymCEREPlus", "SymCEREPlusLoss", "SymCEREPlusOptions"]


@dataclass(frozen=True)
class SymCEREPlusOptions:
    """What is new beside SymCERE; benchmarks/results/symcereplus.md tells what each is worth."""

    profile: Literal["item", "user", "both"] | None = option(
        "item", "whose training reviews seed its node in layer 0; ~ for none"
    )
    profile_text: Literal["both", "dense", "lexical"] = option(
        "both", "what of the reviews: the encoder's vectors (dense), words (lexical), or both"
    )
    lexical_size: int = option(256, "dimensions of the words (TF-IDF, LSA)", minimum=1)
    lexical_max_length: int = option(
        512, "words of a review that count; the encoder reads max_length tokens", minimum=1
    )
    profile_hidden: int = option(0, "hidden width of f; 0 makes it a matrix", minimum=0)
    profile_start: Literal["directions", "random"] = option(
        "directions", "where a matrix f starts: at the profiles' leading directions, or anywhere"
    )
    id_scale: float = option(0.0, "s; 0 without learn_id_scale leaves ids out", minimum=0)
    learn_id_scale: bool = option(False, "whether s is learned, from id_scale on")
    rank_weight: float = option(1.0, "weight of L_rank", minimum=0)
    rank_temperature: float = option(0.4, "tau_r of the softmax and the score", above=0)
    n_negatives: int = option(256, "sampled items, shared by a batch", minimum=1)
    item_bias: bool = option(True, "b_i, which carries popularity")
    popularity: float = option(
        1.0, "lambda at inference; with 0 and blend: ~ preference alone ranks", minimum=0
    )
    cross_weight: float = option(0.03, "weight of SymCERE's L_cross", minimum=0)
    node_weight: float = option(0.0, "weight of the cross-modal term of users and items", minimum=0)

    def __post_init__(self) -> None:
        if not (self.profile or self.id_scale or self.learn_id_scale):
            raise InputError("profile is ~ and id_scale 0, so that nothing is left of layer 0.")


class SymCEREPlusLoss(NamedTuple):
    """The weighted terms; their sum is the loss."""

    rank: Tensor
    cross: Tensor
    intra: Tensor
    bpr: Tensor
    node: Tensor


class SymCEREPlus(SymCERE):
    """SymCERE with a review-seeded graph, a ranking loss and popularity of its own; ours.

    Layer 0 of a node is e^(0) = s id + f(p), where p is what its training reviews say, see
    `NodeProfiles`. The score keeps direction and popularity apart::

        s_ui = cos(g_u, g_i) / tau_r + lambda b_i
        L = w_r L_rank + w_c L_cross + alpha L_intra + beta L_BPR + w_n L_node
        L_rank = -log( exp(s_ui) / (exp(s_ui) + sum_j exp(s_uj)) ),   lambda = 1

    The j are drawn uniformly for the batch from the items with a training interaction, less the
    user's own. lambda is a dial of b_i at inference. L_node is `symmetric_sincere` of the batch's
    nodes and their profiles, other terms are SymCERE's (eq. 7-12). A `Blend` adds scores of experts
    without training. profile, blend: ~, s = 1, no bias, weights 0, 1, alpha, beta, 0 make it
    SymCERE.
    """

    option_groups = (*SymCERE.option_groups, SymCEREPlusOptions)
    blends = True
    profiles: Tensor
    trained_items: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.plus = o = read_options(SymCEREPlusOptions, config)
        self.id_scale = nn.Parameter(torch.tensor(o.id_scale), requires_grad=o.learn_id_scale)
        if not (o.id_scale or o.learn_id_scale):
            del self.embedding  # no id takes part
            one_side = o.profile in {"item", "user"} and isinstance(self.backbone, LightGCN)
            if one_side and not self.options.n_layers:
                raise InputError(
                    f"n_layers=0: profile: {o.profile} seeds one side, and without layers and ids "
                    "the other's vectors are all zero. Set n_layers to 1 or more, or profile: both."
                )
        size = 0 if o.profile_text == "dense" else o.lexical_size
        encoder, dense = read_options(EncoderOptions, config), o.profile_text != "lexical"
        users = bool(o.node_weight) or o.profile in {"user", "both"}
        found = node_profiles(
            dataset, encoder, self.device, size, o.lexical_max_length, dense, users
        )
        self.register_buffer("profiles", found.nodes, persistent=False)
        if not self.profiles.shape[1]:
            raise InputError(f"profile_text is lexical, but {NO_WORDS}. Take both, or dense.")
        if o.profile:
            sizes = self.options.embedding_size, o.profile_hidden
            self.seed = profile_map(self._own_profiles(), *sizes, o.profile_start)
        if o.node_weight:
            width = self.backbone.output_size(self.options.embedding_size)
            self.node_projection = nn.Linear(self.profiles.shape[1], width, bias=False)
            xavier_uniform_initialization(self.node_projection)
        if o.item_bias:
            self.item_bias = nn.Parameter(torch.zeros(self.n_items))
        self.register_buffer("trained_items", dataset.inter_feat[self.ITEM_ID].unique(), False)
        # the blend reads words also where the profile has none
        self.blend = blend_of(config, dataset, lambda: found.words if size else item_words(dataset))

    def _own_profiles(self) -> Tensor:
        """Those of the nodes that are seeded [n, d_p]."""
        parts = {"item": slice(-self.n_items, None), "user": slice(self.n_users)}
        return self.profiles[parts.get(self.plus.profile or "", slice(None))]

    def ego(self) -> Tensor:
        """Layer 0 of users and then items [n_users + n_items, d]."""
        ids: Any = self.id_scale * self.embedding.weight if hasattr(self, "embedding") else 0
        side = self.plus.profile
        if side:
            around = 0, 0, self.n_users * (side == "item"), self.n_items * (side == "user")
            ids = ids + nn.functional.pad(self.seed(self._own_profiles()), around)
        return torch.as_tensor(ids)

    def nodes(self, graph: BipartiteGraph) -> Tensor:
        """Vectors of users and then items; half the work where one side has no layer 0."""
        side, backbone, ids = self.plus.profile, self.backbone, hasattr(self, "embedding")
        if side is None or side == "both" or ids or not isinstance(backbone, LightGCN):
            return super().nodes(graph)
        return backbone.of_side(graph, self.seed(self._own_profiles()), side)

    def losses(self, interaction: Any, *propagated: Tensor) -> SymCEREPlusLoss:  # type: ignore[override] # more terms
        """The weighted loss terms of a batch, each a scalar."""
        o, (nodes, view) = self.plus, propagated
        users, items, n = interaction[self.USER_ID], interaction[self.ITEM_ID], self.n_users
        ids, chosen = [users, items + n], items[:0]
        if self.options.beta:
            ids.append(interaction[self.NEG_ITEM_ID] + n)
        if o.rank_weight:
            known = self.trained_items
            chosen = known[torch.randint(len(known), (o.n_negatives,), device=users.device)]
            ids.append(chosen + n)  # [m], for all rows
        drawn = self.draw(nodes, *ids)
        others = drawn.unit[-1]
        if o.rank_weight:
            drawn = Drawn(drawn.raw[:-1], drawn.unit[:-1])
        cross = intra = ranking = rank = node = nodes.new_zeros(())
        if o.cross_weight or self.options.alpha or self.options.beta:
            cross, intra, ranking = self.terms(interaction, drawn, view)
        if o.rank_weight:
            rank = o.rank_weight * self._rank(users, items, chosen, drawn, others)
        if o.node_weight:
            node = o.node_weight * self._node(users, items, nodes)
        return SymCEREPlusLoss(rank, o.cross_weight * cross, intra, ranking, node)

    def _rank(
        self, user: Tensor, item: Tensor, chosen: Tensor, drawn: Drawn, others: Tensor
    ) -> Tensor:
        tau, (users, own, *_) = self.plus.rank_temperature, drawn.unit
        users = users / tau
        score, sampled = (users * own).sum(-1), products(users, others)  # [B], [B, m]
        if self.plus.item_bias:
            score, sampled = score + self.item_bias[item], sampled + self.item_bias[chosen]
        return sampled_softmax(score, sampled, ~self.graph.known(user, chosen), 1.0)

    def _node(self, user: Tensor, item: Tensor, nodes: Tensor) -> Tensor:
        sides, tau = [], self.options.temperature
        for batch in (user, item + self.n_users):
            rows = torch.unique(batch[self.profiles[batch].any(dim=1)])  # those that have a text
            graph, text = rows_of(rows, nodes), self.node_projection(self.profiles[rows])
            others = rows.new_ones(len(rows), len(rows), dtype=torch.bool)
            sides.append(symmetric_sincere(self.unit(graph), self.unit(text), others, tau))
        return torch.stack(sides).mean()

    def as_scored(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors whose dot product is the score; the last column is the item's popularity."""
        users, items = super().as_scored(users, items)
        items = items / self.plus.rank_temperature
        if self.plus.item_bias:
            users = torch.cat([users, torch.ones_like(users[:, :1])], dim=1)
            items = torch.cat([items, self.plus.popularity * self.item_bias[:, None]], dim=1)
        return users.contiguous(), items.contiguous()
