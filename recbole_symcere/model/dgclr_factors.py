"""Disentangled message passing over factor graphs made of reviews and structure (SGDN, DGCLR)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FactorGraphs", "Factors", "k_means", "whitened"]

_TEMPERATURE = 0.5  # of both softmaxes over factors, as in SGDN


class Factors(NamedTuple):
    """What the factor graphs give.

    Attributes:
        users: [n_users, K, f].
        items: [n_items, K, f].
        weights: [E, K], the normalised factor weights w of each interaction.
    """

    users: Tensor
    items: Tensor
    weights: Tensor


class FactorGraphs(nn.Module):
    """One layer of message passing over K weighted copies of the user-item graph.

    For an interaction with review vector e, end points u^k, i^k and k = 1..K::

        p_sem^k = softmax_k( (W_k e).c_k / .5 ),   p_str^k = softmax_k( cos(u^k, i^k) / .5 )
        p^k = s p_sem^k + (1 - s) p_str^k,         s = sigmoid(eta)
        w^k = p^k / sqrt( sum_i p^k * sum_u p^k )
        user <- W' dropout( LeakyReLU_.1( sum_i dropout(w^k) (N_k i^k + V_k W_k e) ) ) + b'

    and items likewise, with N, V, W' and b' of their own.

    Args:
        prototypes: c [K, r], where they start.
        factor_size: f, width of a factor.
        dropout: in [0, 1), of weights and of vectors.
    """

    def __init__(self, prototypes: Tensor, factor_size: int, dropout: float) -> None:
        super().__init__()
        n_factors, r = prototypes.shape
        self.prototypes = nn.Parameter(prototypes.clone())
        self.eta = nn.Parameter(torch.zeros(()))
        self.semantic = _xavier(n_factors, r, r)  # W
        sides = ("user", "item")  # the side that is given the message
        square = (n_factors, factor_size, factor_size)
        self.node = nn.ParameterDict({side: _xavier(*square) for side in sides})  # N
        self.review = nn.ParameterDict({s: _xavier(n_factors, r, factor_size) for s in sides})  # V
        self.out = nn.ParameterDict({side: _xavier(*square) for side in sides})  # W'
        self.bias = nn.ParameterDict(
            {side: nn.Parameter(torch.zeros(n_factors, factor_size)) for side in sides}
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, edge_user: Tensor, edge_item: Tensor, reviews: Tensor, users: Tensor, items: Tensor
    ) -> Factors:
        """Factor vectors of all users and items.

        Args:
            edge_user: int64 [E] user of each interaction.
            edge_item: int64 [E] item of each interaction.
            reviews: [E, r] review vectors e; zeros for an interaction without a review, whose
                p_sem is then the same for every factor.
            users: [n_users, K, f] layer 0.
            items: [n_items, K, f] layer 0.
        """
        weights = self.weights(edge_user, edge_item, reviews, users, items)
        new_users = self._passed("user", weights, edge_item, items, reviews, edge_user, len(users))
        new_items = self._passed("item", weights, edge_user, users, reviews, edge_item, len(items))
        return Factors(new_users, new_items, weights)

    def weights(
        self, edge_user: Tensor, edge_item: Tensor, reviews: Tensor, users: Tensor, items: Tensor
    ) -> Tensor:
        """The factor weights w [E, K]; arguments as `forward`."""
        directions = torch.einsum("krs,ks->rk", self.semantic, self.prototypes)
        by_review = F.softmax(reviews @ directions / _TEMPERATURE, dim=1)
        cosine = F.normalize(users, dim=-1)[edge_user] * F.normalize(items, dim=-1)[edge_item]
        by_structure = F.softmax(cosine.sum(-1) / _TEMPERATURE, dim=1)
        share = self.eta.sigmoid()
        mixed = share * by_review + (1 - share) * by_structure
        user_sum = mixed.new_zeros(len(users), mixed.shape[1]).index_add(0, edge_user, mixed)
        item_sum = mixed.new_zeros(len(items), mixed.shape[1]).index_add(0, edge_item, mixed)
        return mixed * (user_sum[edge_user] * item_sum[edge_item]).rsqrt()

    def _passed(
        self,
        side: str,
        weights: Tensor,
        edge_source: Tensor,
        source: Tensor,
        reviews: Tensor,
        edge_target: Tensor,
        n_targets: int,
    ) -> Tensor:
        """The messages to one side, summed and transformed: [n_targets, K, f]."""
        by_node = torch.einsum("nkf,kfg->nkg", source, self.node[side])
        composed = torch.einsum("krs,ksg->rkg", self.semantic, self.review[side])
        by_review = (reviews @ composed.flatten(1)).view(len(reviews), *source.shape[1:])
        messages = (by_node[edge_source] + by_review) * self.dropout(weights)[..., None]
        total = source.new_zeros(n_targets, *source.shape[1:])
        total = self.dropout(F.leaky_relu(total.index_add(0, edge_target, messages), 0.1))
        passed: Tensor = torch.einsum("nkf,kfg->nkg", total, self.out[side]) + self.bias[side]
        return passed


def whitened(vectors: Tensor, size: int) -> Tensor:
    """Text vectors with mean 0 and covariance I along their first principal axes, at length 1.

    Args:
        vectors: [n, d_t]; give those of the training reviews alone.
        size: r, number of axes; fewer if the vectors span fewer.

    Returns:
        [n, r].
    """
    centred = (vectors - vectors.mean(0)).double()
    values, axes = torch.linalg.eigh(centred.T @ centred / max(len(centred), 1))  # ascending
    values, axes = values.flip(0)[:size], axes.flip(1)[:, :size]
    spanned = values > values[0] * 1e-9  # rounding leaves no axis at exactly 0
    directions = axes[:, spanned] * values[spanned].rsqrt()
    return F.normalize(centred @ directions, dim=1).to(vectors.dtype)


def k_means(vectors: Tensor, n_clusters: int, generator: torch.Generator) -> Tensor:
    """Centroids [n_clusters, r] at length 1 of unit vectors [n, r], by 20 of Lloyd's steps."""
    chosen = torch.randperm(len(vectors), generator=generator)[:n_clusters]
    centroids = vectors[chosen]
    for _ in range(20):
        nearest = (vectors @ centroids.T).argmax(1)
        sums = torch.zeros_like(centroids).index_add(0, nearest, vectors)
        empty = torch.bincount(nearest, minlength=len(centroids)) == 0
        centroids = F.normalize(torch.where(empty[:, None], centroids, sums), dim=1)
    return centroids


def _xavier(n_factors: int, n_in: int, n_out: int) -> nn.Parameter:
    weight = torch.empty(n_factors, n_in, n_out)
    for factor in weight:
        nn.init.xavier_uniform_(factor)
    return nn.Parameter(weight)
