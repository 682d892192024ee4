"""DGCLR (our ranking adaptation): disentangled graph contrastive learning with reviews."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option, read_options
from recbole_symcere.data.history import distinct_pairs
from recbole_symcere.loss.contrastive import bpr
from recbole_symcere.loss.ranking import intent_contrast
from recbole_symcere.model.base import VectorRecommender
from recbole_symcere.model.dgclr_factors import FactorGraphs, Factors, k_means, whitened
from recbole_symcere.model.profiles import interaction_vectors
from recbole_symcere.text.owners import mean_of
from recbole_symcere.text.text_options import EncoderOptions

__all__ = ["DGCLR", "DGCLRLoss", "DGCLROptions"]


@dataclass(frozen=True)
class DGCLROptions:
    """Hyper-parameters; values of SGDN's code unless said otherwise."""

    embedding_size: int = option(64, "width of all factors together", minimum=1)
    n_factors: int = option(2, "K", minimum=1)
    review_size: int = option(64, "r, width of the whitened review vectors", minimum=1)
    dropout: float = option(0.8, "of factor weights and of vectors", minimum=0, below=1)
    temperature: float = option(0.2, "tau", above=0)
    cl_weight: float = option(0.005, "weight of the contrastive loss", minimum=0)
    n_positives: int = option(10, "interactions of the batch that count as alike", minimum=1)

    def __post_init__(self) -> None:
        """Refuse a width that can't be shared among the factors."""
        if self.embedding_size % self.n_factors:
            raise InputError(
                f"embedding_size is {self.embedding_size}, but it must be a multiple of "
                f"n_factors, {self.n_factors}."
            )


class DGCLRLoss(NamedTuple):
    """L_BPR and the weighted contrastive term."""

    bpr: Tensor
    contrast: Tensor


class DGCLR(VectorRecommender):
    """L = L_BPR + w L_intent over K factors of users and items (Ren et al., arXiv 2209.01524).

    `FactorGraphs` gives u^k and i^k from structure and whitened training reviews. A score is the
    sum of the factors' scores, weighted by an attention of the user::

        h_ui = [a_1 u^1 * i^1; ...; a_K u^K * i^K],   a = softmax_k(q . u^k),   y(u,i) = sum of h_ui

    Each step runs two passes with dropout of their own. L_BPR is the mean of both; L_intent is
    `intent_contrast` between the h of the batch's interactions in the two.

    Args:
        config: RecBole's configuration.
        dataset: the training split, a `ReviewDataset`.

    Differs from the paper: DGCLR predicts ratings and has no public code. The encoder and the one
        contrastive loss are those of its successor SGDN (Ren et al., IJCAI 2023). Ours: BPR instead
        of the squared error; one relation, as ratings are implicit feedback here; one eta, not one
        per interaction, which says nothing of a new one; a head whose scores are a matrix product;
        prototypes that start at the K-means centroids and learn; whitening of training reviews
        alone; positives and negatives from the batch.
    """

    text_use = "once"
    option_groups = (DGCLROptions, EncoderOptions)
    input_type = InputType.PAIRWISE
    edge_review: Tensor
    edges: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        o = read_options(DGCLROptions, config)
        super().__init__(config, dataset)
        self.options, self.graph = o, self.training_graph(dataset)
        reviews = interaction_vectors(dataset, read_options(EncoderOptions, config), self.device)
        ids = (dataset.inter_feat[field] for field in (self.USER_ID, self.ITEM_ID))
        vectors = whitened(reviews.vectors[reviews.text_ids[reviews.text_ids >= 0]], o.review_size)
        present = torch.from_numpy(reviews.text_ids >= 0)
        rows = torch.where(present, present.cumsum(0) - 1, -1).numpy()
        of_edges = mean_of(vectors, rows, self.graph.edges_of(*ids).numpy(), self.graph.n_edges)
        self.register_buffer("edge_review", of_edges, persistent=False)  # [E, r]
        edge_item = self.graph.column[: self.graph.n_edges] - self.n_users
        edges = torch.stack([self.graph.edge_user, edge_item]).long()
        self.register_buffer("edges", edges, persistent=False)  # [2, E]
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        factor_size = o.embedding_size // o.n_factors
        prototypes = k_means(vectors, o.n_factors, generator)
        self.factors = FactorGraphs(prototypes, factor_size, o.dropout)
        self.embedding = nn.Parameter(torch.empty(self.graph.n_nodes, o.n_factors, factor_size))
        self.query = nn.Parameter(torch.empty(1, factor_size))
        for weight in (self.embedding.view(self.graph.n_nodes, -1), self.query):
            nn.init.xavier_uniform_(weight)
        self.protocol = reviews.facts

    def encode(self) -> Factors:
        """Factor vectors of all users, already weighted by the attention, and of all items."""
        tables = torch.split(self.embedding, [self.n_users, self.n_items])
        found: Factors = self.factors(*self.edges, self.edge_review, *tables)
        attention = F.softmax(found.users @ self.query.T, dim=1)  # [n_users, K, 1]
        return found._replace(users=attention * found.users)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Vectors of all users [n_users, d] and of all items [n_items, d]."""
        found = self.encode()
        return found.users.flatten(1), found.items.flatten(1)

    def calculate_loss(self, interaction: Any) -> DGCLRLoss:
        """The weighted loss terms of a batch, each a scalar."""
        o = self.options
        ids = (interaction[f] for f in (self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID))
        user, item, negative = ids
        ranking, views = [], []
        for _ in range(2):
            found = self.encode()
            users = found.users[user].flatten(1)  # [B, d]
            joined = users * found.items[item].flatten(1)
            sampled = users * found.items[negative].flatten(1)
            ranking.append(bpr(joined.sum(-1), sampled.sum(-1)))
            views.append(F.normalize(joined, dim=-1))
        once = distinct_pairs(user, item)
        weights = found.weights[self.graph.edges_of(user[once], item[once])]
        first, second = (view[once] for view in views)
        contrast = intent_contrast(first, second, weights, o.n_positives, o.temperature)
        return DGCLRLoss(torch.stack(ranking).mean(), o.cl_weight * contrast)
