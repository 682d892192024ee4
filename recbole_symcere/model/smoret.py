"""SMORE-T: the text side of SMORE (Xu et al., WSDM 2025), denoised in the frequency domain."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from recbole.model.init import xavier_uniform_initialization
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_symcere.base.options import option, read_options
from recbole_symcere.data.history import distinct_pairs
from recbole_symcere.graph.encoders import LightGCN
from recbole_symcere.loss.contrastive import bpr, info_nce
from recbole_symcere.loss.ranking import l2_penalty
from recbole_symcere.model.base import GraphRecommender, PropagationOptions
from recbole_symcere.model.loss_batches import rows_of
from recbole_symcere.model.profiles import interaction_vectors
from recbole_symcere.model.smoret_neighbours import Neighbours, averaged, nearest
from recbole_symcere.text.text_options import EncoderOptions

__all__ = ["SMORET", "SMORETLoss", "SMORETOptions"]


@dataclass(frozen=True)
class SMORETOptions:
    """Hyper-parameters; the authors' values unless said otherwise."""

    embedding_size: int = option(64, "d", minimum=1)
    n_layers: int = option(3, "K of LightGCN over users and items; 3 or 4 there", minimum=0)
    n_item_layers: int = option(1, "L, over the graph of similar texts", minimum=0)
    n_neighbours: int = option(
        10, "of an item in that graph, itself included; 10 to 40 there", minimum=1
    )
    dropout: float = option(0.1, "of the preferences; our choice", minimum=0, below=1)
    temperature: float = option(0.2, "tau", above=0)
    cl_weight: float = option(0.01, "weight of the contrastive loss", minimum=0)
    reg_weight: float = option(0.0001, "weight of L2 on the final vectors of a batch", minimum=0)


class SMORETLoss(NamedTuple):
    """L_BPR, the weighted contrastive term and the weighted L2 term."""

    bpr: Tensor
    contrast: Tensor
    l2: Tensor


class SMORET(GraphRecommender):
    """L = L_BPR + w L_cl + reg |final|^2, scored by the dot product of the final vectors.

    With t the items' text vectors, which learn, x an item's id vector, c LightGCN's vectors, S the
    graph of nearest texts, R the users' rows of the normalised graph and * elementwise::

        f = irfft( filter * rfft(W t + b) )        a complex filter per frequency, learned
        v_items = S^L ( x * sigmoid(G f + g) ),    v_users = R v_items
        side = dropout( sigmoid(P c + p) ) * v,    final = c + side
        L_cl = InfoNCE(side_i, c_i) + InfoNCE(side_u, c_u)      over the rows of the batch

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Differs from the paper: there are no images, so that the image view and the fusion of both
        spectra are left out, and with them the attention that the fused view gives. t is the mean
        of an item's training reviews. Cosines below 0 make no edge between items. The learning
        rate doesn't decay.
    """

    text_use = "once"
    option_groups = (SMORETOptions, PropagationOptions, EncoderOptions)
    input_type = InputType.PAIRWISE
    neighbour_ids: Tensor
    neighbour_weights: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        o = read_options(SMORETOptions, config)
        super().__init__(config, dataset, LightGCN(o.n_layers), o.embedding_size)
        self.options, d = o, o.embedding_size
        reviews = interaction_vectors(dataset, read_options(EncoderOptions, config), self.device)
        text = reviews.mean_per(dataset.inter_feat[self.ITEM_ID].numpy(), self.n_items)
        neighbours = nearest(text, o.n_neighbours)
        self.register_buffer("neighbour_ids", neighbours.ids, persistent=False)
        self.register_buffer("neighbour_weights", neighbours.weights, persistent=False)
        self.text = nn.Parameter(text)
        self.projection = nn.Linear(text.shape[1], d)
        self.spectrum = nn.Parameter(torch.randn(d // 2 + 1, 2))  # real and imaginary part
        self.gate, self.preference = nn.Linear(d, d), nn.Linear(d, d)
        self.preference_dropout = nn.Dropout(o.dropout)
        self.apply(xavier_uniform_initialization)
        self.protocol = reviews.facts

    def views(self) -> tuple[Tensor, Tensor]:
        """Content c and side of users and then items, [n_users + n_items, d] each."""
        content = self.nodes(self.graph)
        spectrum = torch.fft.rfft(self.projection(self.text), dim=1, norm="ortho")
        filtered = spectrum * torch.view_as_complex(self.spectrum)
        size = self.options.embedding_size
        denoised = torch.fft.irfft(filtered, n=size, dim=1, norm="ortho")
        items = self.embedding.weight[self.n_users :] * self.gate(denoised).sigmoid()
        neighbours = Neighbours(self.neighbour_ids, self.neighbour_weights)
        for _ in range(self.options.n_item_layers):
            items = averaged(items, neighbours)
        nobody = items.new_zeros(self.n_users, size)
        users = self.graph.propagate(torch.cat([nobody, items]))[: self.n_users]
        preference = self.preference_dropout(self.preference(content).sigmoid())
        return content, preference * torch.cat([users, items])

    def forward(self) -> tuple[Tensor, Tensor]:
        """Final vectors of all users [n_users, d] and items [n_items, d]."""
        content, side = self.views()
        users, items = torch.split(content + side, [self.n_users, self.n_items])
        return users, items

    def propagated(self) -> tuple[Tensor, ...]:
        """The `views`."""
        return self.views()

    def losses(self, interaction: Any, *propagated: Tensor) -> SMORETLoss:
        """The weighted loss terms of a batch, each a scalar."""
        o, drawn = self.options, self.triples(interaction)  # [3, B]
        content, side = (rows_of(drawn, view) for view in propagated)  # [3, B, d]
        final = content + side
        user, item, negative = final
        once = distinct_pairs(interaction[self.USER_ID], interaction[self.ITEM_ID])
        # users, items
        sides, contents = (F.normalize(x[:2, once], dim=-1) for x in (side, content))
        contrast = torch.stack(
            [info_nce(a, b, o.temperature) for a, b in zip(sides, contents, strict=True)]
        )
        return SMORETLoss(
            bpr((user * item).sum(-1), (user * negative).sum(-1)),
            o.cl_weight * contrast.sum(),
            o.reg_weight * l2_penalty(final),
        )
