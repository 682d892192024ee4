"""AlphaRec (Sheng et al., ICLR 2025): recommendation from language representations, without ids."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from recbole.model.init import xavier_uniform_initialization
from recbole.utils import InputType
from torch import Tensor

from recbole_symcere.base.options import option, read_options
from recbole_symcere.graph.encoders import LightGCN
from recbole_symcere.loss.contrastive import products
from recbole_symcere.loss.ranking import sampled_softmax
from recbole_symcere.model.base import GraphRecommender, PropagationOptions
from recbole_symcere.model.loss_batches import rows_of
from recbole_symcere.model.profiles import interaction_vectors
from recbole_symcere.text.adaptor import linear_or_mlp
from recbole_symcere.text.owners import mean_of
from recbole_symcere.text.text_options import EncoderOptions

__all__ = ["AlphaRec", "AlphaRecLoss", "AlphaRecOptions"]

# Up to so many items per sampled item of a row all are scored, each counted as often as it was
# drawn, which saves sorting and looking up the draws.
_FEW_ITEMS = 2


@dataclass(frozen=True)
class AlphaRecOptions:
    """Hyper-parameters; the authors' values."""

    embedding_size: int = option(64, "d", minimum=1)
    n_layers: int = option(2, "K of LightGCN", minimum=0)
    hidden_multiplier: float = option(
        2.0, "hidden width of the MLP, in text widths; 0 is the linear variant", minimum=0
    )
    temperature: float = option(0.15, "tau: 0.15 for books and movies, 0.2 for games", above=0)
    n_negatives: int = option(256, "sampled items per row", minimum=1)


class AlphaRecLoss(NamedTuple):
    """The one term: softmax over the item and sampled items."""

    softmax: Tensor


class AlphaRec(GraphRecommender):
    """Sampled softmax on the cosine of vectors that text alone gives.

    With t_i the text vector of an item and t_u the mean of those of the user's training items::

        e^(0) = W2 LeakyReLU(W1 t + b1) + b2,   g = LightGCN(e^(0))
        L = -log( exp(s_ui / tau) / (exp(s_ui / tau) + sum_j exp(s_uj / tau)) ),   s = cos(g_u, g_i)

    where the j are items drawn uniformly for each row, less those that the user knows. Both sides
    share W1, b1, W2, b2. Scored by the cosine.

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Differs from the paper: t_i is the mean of the item's training reviews, not its title. A drawn
        item that the user knows is left out instead of being drawn again. A row is an interaction,
        each once an epoch; the authors' code goes through the users, as many rows as there are
        interactions, and draws one of the user's items, so that all users count alike. The learning
        rate is RecBole's 0.001 where theirs is 0.0005, and a last, smaller batch is trained on too.
    """

    text_use = "once"
    option_groups = (AlphaRecOptions, PropagationOptions, EncoderOptions)
    input_type = InputType.POINTWISE
    cosine = True
    text: Tensor
    row: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        o = read_options(AlphaRecOptions, config)
        self.refuse_sampled_negatives(config)
        super().__init__(config, dataset, LightGCN(o.n_layers), None)
        self.options = o
        reviews = interaction_vectors(dataset, read_options(EncoderOptions, config), self.device)
        users, items = (dataset.inter_feat[f].numpy() for f in (self.USER_ID, self.ITEM_ID))
        of_items = reviews.mean_per(items, self.n_items)
        described = np.isin(items, items[reviews.text_ids >= 0])
        of_users = mean_of(of_items, np.where(described, items, -1), users, self.n_users)
        # users of one item have its text: each text passes the MLP once
        text, row = torch.unique(torch.cat([of_users, of_items]), dim=0, return_inverse=True)
        self.register_buffer("text", text, persistent=False)
        self.register_buffer("row", row, persistent=False)  # of a node in it
        width, hidden = self.text.shape[1], int(o.hidden_multiplier * self.text.shape[1])
        self.mlp = linear_or_mlp(width, hidden, o.embedding_size)
        self.apply(xavier_uniform_initialization)
        self.protocol = reviews.facts

    def ego(self) -> Tensor:
        """Layer 0 of users and then items [n_users + n_items, d], from their texts."""
        return F.embedding(self.row, self.mlp(self.text))

    def propagated(self) -> tuple[Tensor, ...]:
        """Vectors of all users and of all items at length 1."""
        users, items = (F.normalize(vectors, dim=-1) for vectors in self.forward())
        return users, items

    def losses(self, interaction: Any, *propagated: Tensor) -> AlphaRecLoss:
        """The loss of a batch, a scalar."""
        o = self.options
        user, item = interaction[self.USER_ID], interaction[self.ITEM_ID]  # [B]
        sampled = torch.randint(1, self.n_items, (len(user), o.n_negatives), device=user.device)
        users, items = propagated
        user_vectors = rows_of(user, users)  # [B, d]
        score = (user_vectors * rows_of(item, items)).sum(-1)
        if self.n_items <= _FEW_ITEMS * o.n_negatives:
            scores = products(user_vectors, items)  # [B, n_items]
            ones = scores.new_ones(1).expand(sampled.shape)
            times = torch.zeros_like(scores).scatter_add_(1, sampled, ones)
            times[self.graph.items_of(user)] = 0
        else:
            drawn, place = torch.unique(sampled, return_inverse=True)
            scores = products(user_vectors, rows_of(drawn, items)).gather(1, place)  # [B, m]
            times = self.graph.edges_of(user[:, None], sampled) < 0
        return AlphaRecLoss(sampled_softmax(score, scores, times, o.temperature))
