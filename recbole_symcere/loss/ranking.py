"""Losses that the compared models need beside those of `loss`: pure functions on tensors."""

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_symcere.loss.contrastive import products
from recbole_symcere.loss.fused import SampledSoftmax

__all__ = ["info_nce_among", "intent_contrast", "l2_penalty", "sampled_softmax"]


def l2_penalty(*vectors: Tensor) -> Tensor:
    """Weight decay of the vectors that a batch touches: sum |e|^2 / (2 B), as LightGCN's.

    Args:
        vectors: [..., B, d] each, with one B.

    Returns:
        A scalar.

    Example:
        >>> l2_penalty(torch.ones(2, 3), torch.ones(2, 3)).item()
        3.0
    """
    total = torch.stack([x.square().sum() for x in vectors]).sum()
    return total / (2 * max(vectors[0].shape[-2], 1))


def info_nce_among(
    anchor: Tensor, candidates: Tensor, positive: Tensor, temperature: float
) -> Tensor:
    """InfoNCE whose candidates are a table, one row of which is each anchor's positive.

    For anchor r with the positive p_r and all n candidates c, where t is the temperature::

        L_r = -log( exp(a_r.c_{p_r} / t) / sum_s exp(a_r.c_s / t) )

    Args:
        anchor: [B, d] unit vectors.
        candidates: [n, d] unit vectors.
        positive: int64 [B], 0 <= p_r < n.
        temperature: above 0.

    Returns:
        Nats, the mean over the anchors; 0 with a gradient path for none.

    Relations: `info_nce` is the case of candidates that belong to the batch's rows.

    Example:
        >>> table = torch.eye(2)
        >>> round(info_nce_among(table[:1], table, torch.tensor([0]), 1.0).item(), 4)
        0.3133
    """
    logits = products(
        anchor / temperature, candidates
    )  # [B, n], which divided afterwards takes longer
    return F.cross_entropy(logits, positive, reduction="sum") / max(len(anchor), 1)


def sampled_softmax(
    score: Tensor, sampled_score: Tensor, times: Tensor, temperature: float
) -> Tensor:
    """Softmax over an item and sampled items (AlphaRec, Sheng et al., ICLR 2025).

    For row r with the observed item's score s_r and sampled items' scores s_rj, t the temperature::

        L_r = -log( exp(s_r / t) / (exp(s_r / t) + sum_j exp(s_rj / t)) )

    Args:
        score: [B] scores of the observed items.
        sampled_score: [B, m] scores of the sampled items.
        times: [B, m], how often a sampled item stands in the sum; bool where that is once or never.
        temperature: above 0.

    Returns:
        Nats, the mean over the rows; 0 with a gradient path for none.

    Example:
        >>> both = torch.tensor([[True, False]])
        >>> round(sampled_softmax(torch.zeros(1), torch.zeros(1, 2), both, 1.0).item(), 4)
        0.6931
    """
    # the item's own score takes part, so that a row without sampled items is no NaN
    rows: Tensor = SampledSoftmax.apply(score / temperature, sampled_score / temperature, times)  # type: ignore[no-untyped-call] # torch's own
    return rows.sum() / max(len(rows), 1)


def intent_contrast(
    first: Tensor, second: Tensor, factors: Tensor, n_positives: int, temperature: float
) -> Tensor:
    """Intent-aware contrast of interactions (SGDN, Ren et al., IJCAI 2023).

    The positives P_r of interaction r are those whose factor weights have the largest dot product
    with its own. With two views h, h' and the temperature t::

        L_r = -log( sum_{p in P_r} exp(cos(h_r, h'_p) / t) / sum_s exp(cos(h_r, h'_s) / t) )

    Args:
        first: [B, d] unit vectors h.
        second: [B, d] unit vectors h' of the same interactions.
        factors: [B, K] factor weights; no gradient passes through the choice.
        n_positives: size of P_r; all B if there are fewer.
        temperature: above 0.

    Returns:
        Nats, the mean over the interactions; 0 with a gradient path for none.

    Example:
        >>> both = torch.eye(2)
        >>> round(intent_contrast(both, both, both, 1, 1.0).item(), 4)
        0.3133
        >>> intent_contrast(both, both, both, 2, 1.0).item()
        0.0
    """
    if not len(first):
        return first.sum() * 0
    alike = products(factors.detach(), factors.detach())
    chosen = alike.topk(min(n_positives, len(first)), dim=1).indices  # [B, P]
    logits = products(first, second) / temperature  # [B, B]
    rows = torch.logsumexp(logits, dim=1) - torch.logsumexp(logits.gather(1, chosen), dim=1)
    return rows.mean()
