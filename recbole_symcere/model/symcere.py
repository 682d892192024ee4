"""SymCERE (arXiv 2504.02195 v2): graph and review vectors aligned by a symmetric SINCERE loss."""

from typing import Any, ClassVar, NamedTuple

import torch
from recbole.model.init import xavier_uniform_initialization
from recbole.utils import InputType
from torch import Tensor

from recbole_symcere.base.idle_options import warn_of_idle
from recbole_symcere.base.options import read_options
from recbole_symcere.data.dataloader import TEXT_ID, reviewed_rows
from recbole_symcere.data.history import distinct_pairs, negative_mask
from recbole_symcere.graph.encoders import NGCF, LightGCN
from recbole_symcere.loss.contrastive import (
    anchor_user_logits,
    bpr,
    info_nce,
    sincere,
    sincere_from_logits,
    symmetric_sincere,
)
from recbole_symcere.loss.fused import unit_rows
from recbole_symcere.model.base import BatchNeeds, GraphRecommender, PropagationOptions
from recbole_symcere.model.loss_batches import rows_of
from recbole_symcere.model.symcere_options import SymCEREOptions
from recbole_symcere.model.text_side import review_encoder
from recbole_symcere.text.encoder import Projection, resolve_text_mode
from recbole_symcere.text.text_options import TextOptions

__all__ = ["SymCERE", "SymCERELoss", "SymCEREOptions"]


class SymCERELoss(NamedTuple):
    """The weighted terms of eq. 13: L_cross, alpha L_intra, beta L_BPR; their sum is the loss."""

    cross: Tensor
    intra: Tensor
    bpr: Tensor


class Drawn(NamedTuple):
    """Vectors of a batch's users, its items and, where a loss reads them, sampled items [B, d].

    Attributes:
        raw: as the graph gives them.
        unit: at length 1, unless the ablation leaves that out.
    """

    raw: tuple[Tensor, ...]
    unit: tuple[Tensor, ...]


class SymCERE(GraphRecommender):
    """L = L_cross + alpha L_intra + beta L_BPR (eq. 13), scored by g_u . g_i on the unit sphere.

    g are vectors of a graph encoder, g_{u,i} = (g_u + g_i) / 2 belongs to an interaction, t to its
    review: a language model and a projection. All are L2-normalised (eq. 1-3).

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Differs from the paper: what it leaves open is a setting, see docs/models/symcere.md. Rows
        without a review are left out of the cross-modal and the text term.
    """

    input_type = InputType.PAIRWISE
    text_use = "batch"
    option_groups: ClassVar[tuple[type, ...]] = (SymCEREOptions, PropagationOptions, TextOptions)

    def __init__(self, config: Any, dataset: Any) -> None:
        o, text = read_options(SymCEREOptions, config), read_options(TextOptions, config)
        warn_of_idle(o, o.idle)
        backbone: LightGCN | NGCF = LightGCN(o.n_layers)
        if o.backbone == "NGCF":
            backbone = NGCF(o.embedding_size, o.hidden_size_list, o.message_dropout)
        super().__init__(
            config, dataset, backbone, o.embedding_size, o.edge_dropout, o.edge_dropout_per
        )
        self.options = o
        reviews, facts = review_encoder(dataset, text, self.device, masked=bool(o.alpha))
        width = backbone.output_size(o.embedding_size)
        self.projection = Projection(reviews.width, width, text.text_proj)
        self.apply(xavier_uniform_initialization)
        self.reviews = reviews  # added now: the initialisation would undo its pretrained weights
        self.cosine = o.score == "cosine" or (o.score is None and o.l2_normalize)
        self.protocol = {**facts, "history_scope": o.history_scope}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Graph and projection at learning_rate; LoRA, where there is one, at its own rate."""
        return self.groups(self.reviews, self.options.lora_learning_rate)

    @classmethod
    def batch_needs(cls, config: Any, device: torch.device) -> BatchNeeds:
        """Tokens only where LoRA learns, sampled items only with L_BPR; a user's class gets all."""
        if not cls.__module__.startswith("recbole_symcere."):
            return BatchNeeds()
        text, loss = read_options(TextOptions, config), read_options(SymCEREOptions, config)
        mode, _ = resolve_text_mode(text.text_mode, device)
        return BatchNeeds(tokens=mode == "lora", negatives=loss.beta > 0)

    def unit(self, vectors: Tensor) -> Tensor:
        """Eq. 3, unless the ablation leaves it out."""
        return unit_rows(vectors) if self.options.l2_normalize else vectors

    def draw(self, nodes: Tensor, *ids: Tensor) -> Drawn:
        """Vectors of nodes with these ids, [n] each, in one look-up."""
        raw, sizes = rows_of(torch.cat(ids), nodes), [len(one) for one in ids]
        return Drawn(torch.split(raw, sizes), torch.split(self.unit(raw), sizes))

    def propagated(self) -> tuple[Tensor, ...]:
        """The graph's vectors [n_users + n_items, d], not normalised, and the augmented view's."""
        nodes = self.nodes(self.graph)
        return nodes, self.nodes(self.augmented_graph()) if self.options.alpha else nodes

    def losses(self, interaction: Any, *propagated: Tensor) -> SymCERELoss:
        """The weighted loss terms of a batch, each a scalar."""
        nodes, view = propagated
        fields = [self.ITEM_ID, *[self.NEG_ITEM_ID] * bool(self.options.beta)]
        ids = [interaction[self.USER_ID], *(interaction[f] + self.n_users for f in fields)]
        return self.terms(interaction, self.draw(nodes, *ids), view)

    def terms(self, interaction: Any, drawn: Drawn, view: Tensor) -> SymCERELoss:
        """`losses`, given the vectors of the batch's rows and the augmented view's of all nodes."""
        o = self.options
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]  # [B]
        user, item, *_ = drawn.raw
        once = distinct_pairs(users, items)
        described = distinct_pairs(users, items, interaction[TEXT_ID])
        rows, reviews, history = reviewed_rows(interaction, described)
        pair = self.unit((user + item) / 2)  # g^
        original, masked = self.reviews(*reviews, masked=bool(o.alpha))  # [R, d_t]
        text = self.unit(self.projection(original))  # t^
        *graph, rated_items = (x[rows] for x in (pair, user, item, items))
        cross = self._cross(text, negative_mask(rated_items, history), *graph)
        intra = ranking = cross.new_zeros(())
        if o.alpha:
            both = torch.stack([users, items + self.n_users])
            augmented = self.unit(rows_of(both, view).sum(0) / 2)  # g^'
            tau = o.intra_temperature or o.temperature
            text_view = self.unit(self.projection(masked))  # t^'
            intra = info_nce(pair[once], augmented[once], tau) + info_nce(text, text_view, tau)
        if o.beta:
            one, chosen, sampled = drawn.unit
            ranking = bpr((one * chosen).sum(-1), (one * sampled).sum(-1), o.bpr_reduction)
        return SymCERELoss(cross, o.alpha * intra, o.beta * ranking)

    def _cross(
        self, text: Tensor, mask: Tensor, pair: Tensor, user: Tensor, item: Tensor
    ) -> Tensor:
        """Eq. 7-9; ``user`` and ``item`` are not normalised, ``mask`` is True at negatives."""
        o, tau = self.options, self.options.temperature
        if o.cross_modal_loss == "info_nce":
            mask = torch.ones_like(mask)
        if o.text_to_graph == "inbatch":
            return symmetric_sincere(pair, text, mask, tau, orientation=o.mask_orientation)
        logits = anchor_user_logits(text, user, item, tau, o.l2_normalize)
        graph_to_text = sincere(pair, text, mask, tau)
        return (graph_to_text + sincere_from_logits(logits, mask)) / 2
