"""Losses as pure functions on tensors: symmetric SINCERE, InfoNCE, BPR, alignment, uniformity.

All contrastive losses work on logits in the log domain: a masked entry becomes the lowest number
before one log-softmax, so it adds nothing to the loss and receives a gradient of exactly 0, and no
exp can overflow. Half-precision input is lifted to float32 first, inside autocast too, because at
temperature 0.01 a bfloat16 logit is off by up to 0.25; the result is then float32.

Vectors are used as they are: making them unit vectors is the caller's job.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_symcere.loss.fused import AnchorSoftmax, LogPotential, NegativeLogSoftmax, PairSoftmax

__all__ = [
    "Orientation",
    "Reduction",
    "alignment",
    "anchor_user_logits",
    "bpr",
    "info_nce",
    "products",
    "sincere",
    "sincere_from_logits",
    "symmetric_sincere",
    "uniformity",
]

Reduction = Literal["mean", "sum", "none"]
Orientation = Literal["anchor", "transpose", "both"]


def sincere(
    anchor: Tensor,
    candidate: Tensor,
    negative_mask: Tensor,
    temperature: float,
    reduction: Reduction = "mean",
) -> Tensor:
    """SINCERE from one view to another (SymCERE eq. 7; Feeney & Hughes, arXiv 2309.14277).

    For row r with anchor a_r, positive c_r and true negatives N_r, where t is the temperature::

        L_r = -log( exp(a_r.c_r / t) / (exp(a_r.c_r / t) + sum_{s in N_r} exp(a_r.c_s / t)) )

    Args:
        anchor: [B, d] unit vectors; the caller normalises them.
        candidate: [B, d] unit vectors; row r holds the positive of anchor r.
        negative_mask: [B, B] bool, True at (r, s) where row s is a true negative of row r. The
            diagonal is the positive, never a negative, whatever the mask says there.
        temperature: above 0; a logit is a dot product over the temperature.
        reduction: ``mean`` or ``sum`` over the rows, or ``none`` for the [B] row losses.

    Returns:
        Nats. A row without negatives gives exactly 0, and so does the mean of an empty batch
        (B = 0, all rows without text); both keep a gradient path.

    Raises:
        ValueError: for a wrong shape, mask type, temperature or reduction.

    Relations: equals ``info_nce`` when every other row is a negative, and is never above it.
    Differs from the paper: nothing; SINCERE itself averages over all positives of a class, where
        SymCERE's eq. 7 has one positive per row and uses the class as an exclusion mask only.

    Example:
        >>> view = torch.eye(2)
        >>> mask = torch.tensor([[False, True], [False, False]])
        >>> [round(x, 4) for x in sincere(view, view, mask, 1.0, reduction="none").tolist()]
        [0.3133, 0.0]
    """
    pairs = _scaled(anchor, candidate, temperature, ("anchor", "candidate"))
    return _contrast(*pairs, _kept(negative_mask, len(anchor)), reduction)


def sincere_from_logits(
    logits: Tensor, negative_mask: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """SINCERE on ready logits: row r's positive is at (r, r), its candidates along the row.

    Args:
        logits: [B, B], already divided by the temperature, for instance ``anchor_user_logits``.
        negative_mask: as in ``sincere``.
        reduction: as in ``sincere``.

    Returns:
        Nats, as ``sincere``.

    Raises:
        ValueError: for a wrong shape, mask type or reduction.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [9.0, 1.0]])
        >>> sincere_from_logits(logits, torch.zeros(2, 2, dtype=torch.bool)).item() == 0
        True
    """
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise ValueError(f"logits has shape {_shape(logits)}, expected a square matrix [B, B]")
    return _reduce(_row_losses(_lift(logits), _kept(negative_mask, len(logits))), reduction)


def symmetric_sincere(
    graph: Tensor,
    text: Tensor,
    negative_mask: Tensor,
    temperature: float,
    reduction: Reduction = "mean",
    orientation: Orientation = "anchor",
) -> Tensor:
    """Cross-modal loss (L_G->T + L_T->G) / 2 (SymCERE eq. 7-9).

    L_G->T is ``sincere(graph, text)``. L_T->G is the same with row r's text as the anchor and the
    graph vectors of the batch as candidates.

    Args:
        graph: [B, d] unit vectors of the pairs (u_r, v_r).
        text: [B, d] unit vectors of the reviews; row r belongs to pair r.
        negative_mask: [B, B] bool N, as in ``sincere``.
        temperature: above 0.
        reduction: as in ``sincere``; ``none`` gives the mean of the two losses of each row.
        orientation: which pairs are negatives. ``anchor``: N in both directions, so that row r's
            text is held against the history of its own author. ``transpose``: N for G->T and its
            transpose for T->G. ``both``: (N and its transpose) in both directions, which spares
            the most pairs.

    Returns:
        Nats, as ``sincere``.

    Raises:
        ValueError: for a wrong shape, mask type, temperature, reduction or orientation.

    Relations: with ``transpose`` or ``both``, swapping graph and text, with the mask transposed,
        changes nothing.
    Differs from the paper: eq. 8 writes the negatives of T->G as g_{u_r,v_s}; here they are the
        pairs of the batch, g_{u_s,v_s}. The literal form is
        ``sincere_from_logits(anchor_user_logits(...), negative_mask)``.

    Example:
        >>> view = torch.eye(2)
        >>> mask = torch.tensor([[False, True], [False, False]])
        >>> round(symmetric_sincere(view, view, mask, 1.0).item(), 4)
        0.1566
    """
    pairs = _scaled(graph, text, temperature, ("graph", "text"))
    kept = _kept(negative_mask, len(graph))
    if orientation == "both":
        kept = kept & kept.T
    elif orientation not in ("anchor", "transpose"):
        raise ValueError(
            f"orientation is {orientation!r}, expected 'anchor', 'transpose' or 'both'"
        )
    if reduction in ("mean", "sum") and PairSoftmax.takes(*pairs):
        weight = 0.5 / len(graph) if reduction == "mean" else 0.5
        loss: Tensor = PairSoftmax.apply(*pairs, kept, orientation == "anchor", weight)  # type: ignore[no-untyped-call] # torch's own
        return loss
    # a text's own row of the mask is that of its author, whichever way it is looked at
    of_text = kept.T.contiguous() if orientation == "transpose" else kept
    text_to_graph = _contrast(pairs[1], pairs[0], of_text, reduction)
    return (_contrast(*pairs, kept, reduction) + text_to_graph) / 2


def anchor_user_logits(
    text: Tensor, user: Tensor, item: Tensor, temperature: float, l2_normalize: bool = True
) -> Tensor:
    """Logits of row r's text against the pairs (u_r, v_s): eq. 8 of SymCERE read literally.

    With g_{u,v} = (g_u + g_v) / 2 scaled to length 1, and without a B x B x d tensor::

        t_r.g_{u_r,v_s} = (t_r.g_{u_r} + t_r.g_{v_s})
                          / sqrt(|g_{u_r}|^2 + |g_{v_s}|^2 + 2 g_{u_r}.g_{v_s})

    Args:
        text: [B, d] unit vectors of the reviews.
        user: [B, d] graph vectors g_{u_r}, not normalised.
        item: [B, d] graph vectors g_{v_r}, not normalised.
        temperature: above 0.
        l2_normalize: False leaves g_{u,v} at its own length (the ablation without normalisation).

    Returns:
        [B, B] logits for ``sincere_from_logits``; (r, r) is row r's own pair.

    Raises:
        ValueError: for a wrong shape or temperature.

    Example:
        >>> one = torch.tensor([[1.0, 0.0]])
        >>> round(anchor_user_logits(one, one, torch.tensor([[0.0, 1.0]]), 1.0).item(), 4)
        0.7071
    """
    by_item = _logits(text, item, temperature, ("text", "item"))  # [B text, B item]
    _check_pair(text, user, ("text", "user"))
    text, user, item = _lift(text), _lift(user), _lift(item)
    total = by_item + (text * user).sum(1, keepdim=True) / temperature
    if not l2_normalize:
        return total / 2
    ends = user.square().sum(1, keepdim=True) + item.square().sum(1)  # [B user, B item]
    # rounding leaves nothing of the sum where g_u is about -g_v: bound its length from below
    floor = ends * torch.finfo(ends.dtype).eps + 1e-24
    squared = ends + 2 * products(user, item)
    return total * torch.maximum(squared, floor).rsqrt()


def info_nce(
    original: Tensor, augmented: Tensor, temperature: float, reduction: Reduction = "mean"
) -> Tensor:
    """InfoNCE from originals to their augmented copies (SymCERE eq. 10), one direction, no mask.

    For row r, where t is the temperature::

        L_r = -log( exp(z_r.z'_r / t) / sum_s exp(z_r.z'_s / t) )

    Args:
        original: [B, d] unit vectors, the anchors.
        augmented: [B, d] unit vectors; row r holds the positive of anchor r.
        temperature: above 0.
        reduction: as in ``sincere``.

    Returns:
        Nats, as ``sincere``; 0 for a batch of one row or none.

    Raises:
        ValueError: for a wrong shape, temperature or reduction.

    Relations: ``sincere`` with every other row as a negative. The ablation "MM w/ InfoNCE" is
        ``(info_nce(graph, text) + info_nce(text, graph)) / 2``.
    Differs from the paper: nothing.

    Example:
        >>> round(info_nce(torch.eye(2), torch.eye(2), 1.0).item(), 4)
        0.3133
    """
    pairs = _scaled(original, augmented, temperature, ("original", "augmented"))
    return _contrast(*pairs, None, reduction)


def bpr(positive_score: Tensor, negative_score: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Bayesian personalised ranking (SymCERE eq. 12): -log sigmoid(positive - negative).

    Args:
        positive_score: scores of the observed items, any shape.
        negative_score: scores of the sampled items, the same shape.
        reduction: as in ``sincere``.

    Returns:
        Nats, as ``sincere``. With cosine scores a term is at least log(1 + e^-2) = 0.1269.

    Raises:
        ValueError: for shapes that differ or a wrong reduction.

    Differs from the paper: eq. 12 is a bare sum, which at 512 rows outweighs the contrastive means
        that it should only regularise; the default is the mean.

    Example:
        >>> round(bpr(torch.tensor([1.0]), torch.tensor([1.0])).item(), 4)
        0.6931
    """
    if positive_score.shape != negative_score.shape:
        raise ValueError(
            f"negative_score has shape {_shape(negative_score)}, expected that of "
            f"positive_score, {_shape(positive_score)}"
        )
    return _reduce(-F.logsigmoid(_lift(positive_score) - _lift(negative_score)), reduction)


def alignment(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared distance of paired rows (Wang & Isola, ICML 2020): mean_r |x_r - y_r|^2.

    Args:
        x: [B, d] unit vectors.
        y: [B, d] unit vectors; row r belongs to row r of ``x``.

    Returns:
        A scalar in [0, 4] for unit vectors; 0 with a gradient path for an empty batch.

    Raises:
        ValueError: for a wrong shape.

    Example:
        >>> alignment(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])).item()
        2.0
    """
    _check_pair(x, y, ("x", "y"))
    return _reduce((_lift(x) - _lift(y)).square().sum(1), "mean")


def uniformity(x: Tensor, t: float = 2.0) -> Tensor:
    """Log of the mean Gaussian potential (Wang & Isola, 2020): log mean_{a<b} exp(-t|x_a-x_b|^2).

    Args:
        x: [B, d] unit vectors. Repeated rows count as often as they are given: CollabContext gives
            each user and item of a batch once, DirectAU as often as it has rows.
        t: above 0.

    Returns:
        A scalar, at most 0; 0 with a gradient path for fewer than two rows.

    Raises:
        ValueError: if ``x`` is not a matrix or ``t`` is not positive.

    Example:
        >>> round(uniformity(torch.eye(3)).item(), 4)
        -4.0
    """
    if x.ndim != 2:
        raise ValueError(f"x has shape {_shape(x)}, expected [B, d]")
    _check_positive("t", t)
    if len(x) < 2:
        return _lift(x).sum() * 0
    total: Tensor = LogPotential.apply(_lift(x), t)  # type: ignore[no-untyped-call] # torch's own
    return total - math.log(len(x) * (len(x) - 1) / 2)


def _logits(left: Tensor, right: Tensor, temperature: float, names: tuple[str, str]) -> Tensor:
    return products(*_scaled(left, right, temperature, names))  # [B left, B right]


def _scaled(
    left: Tensor, right: Tensor, temperature: float, names: tuple[str, str]
) -> tuple[Tensor, Tensor]:
    """Two tables whose products are the logits."""
    _check_pair(left, right, names)
    _check_positive("temperature", temperature)
    return _lift(left) / temperature, _lift(right)


def products(left: Tensor, right: Tensor) -> Tensor:
    """Dot products of all pairs of rows, never in half precision, also under autocast.

    Args:
        left: [m, d].
        right: [n, d].

    Returns:
        [m, n]; float32 of float16 and bfloat16.
    """
    with torch.autocast(left.device.type, enabled=False):
        return _lift(left) @ _lift(right).T


def _contrast(left: Tensor, right: Tensor, kept: Tensor | None, reduction: Reduction) -> Tensor:
    """Losses of the products of two tables, of which row r belongs to row r."""
    if reduction in ("mean", "sum") and AnchorSoftmax.takes(left, right):
        weight = 1 / len(left) if reduction == "mean" else 1.0
        loss: Tensor = AnchorSoftmax.apply(left, right, kept, weight)  # type: ignore[no-untyped-call] # torch's own
        return loss
    return _reduce(_row_losses(products(left, right), kept), reduction)


def _row_losses(logits: Tensor, kept: Tensor | None) -> Tensor:
    """-log softmax of the rows, read on the diagonal, over the entries that are ``kept``: [B]."""
    if not logits.numel():
        return logits.sum(1)
    losses: Tensor = NegativeLogSoftmax.apply(logits, kept)  # type: ignore[no-untyped-call] # torch's own
    return losses


def _kept(negative_mask: Tensor, size: int) -> Tensor:
    """What takes part in a denominator: the negatives and the positive."""
    if negative_mask.dtype != torch.bool:
        raise ValueError(f"negative_mask has dtype {negative_mask.dtype}, expected torch.bool")
    shape = _shape(negative_mask)
    if shape != (size, size):
        raise ValueError(f"negative_mask has shape {shape}, expected ({size}, {size})")
    return negative_mask.clone(memory_format=torch.contiguous_format).fill_diagonal_(True)


def _reduce(rows: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "mean":
        return rows.sum() / max(rows.numel(), 1)  # .mean() of an empty batch would be NaN
    if reduction == "sum":
        return rows.sum()
    if reduction == "none":
        return rows
    raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")


def _lift(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _check_pair(left: Tensor, right: Tensor, names: tuple[str, str]) -> None:
    if left.ndim != 2:
        raise ValueError(f"{names[0]} has shape {_shape(left)}, expected [B, d]")
    if left.shape != right.shape:
        raise ValueError(
            f"{names[1]} has shape {_shape(right)}, expected that of {names[0]}, {_shape(left)}"
        )


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}, expected a finite number above 0")


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)
