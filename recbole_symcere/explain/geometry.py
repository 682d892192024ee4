"""Where a model's vectors lie: alignment and uniformity, norms, angles, rank, popularity."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.sorted_ids import among, distinct
from recbole_symcere.explain.anchor_stats import superiority
from recbole_symcere.explain.loaded_run import ExplainedRun, Places, facts_of, load_run
from recbole_symcere.graph.encoders import NGCF
from recbole_symcere.loss.contrastive import alignment, uniformity
from recbole_symcere.model.base import VectorRecommender

__all__ = ["Geometry", "effective_rank", "measure"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_MOST = 5000  # vectors in a pairwise figure; more are drawn at random
_USERS = 500  # users whose rankings are taken apart
_K = 10


class _Pairs(NamedTuple):
    """User and item ids of pairs, each [n]."""

    users: _Ints
    items: _Ints


@dataclass(frozen=True)
class Geometry:
    """Figures of a run's vectors, and the arrays that its plots show.

    Attributes:
        alignment: name of paired vectors -> l_align of unit vectors.
        uniformity: name of vectors -> l_uniform of unit vectors.
        products: (kind of pairs, "cosine" or "dot product") -> the values.
        auc: the same keys without the unobserved pairs -> chance that a value is above one of the
            unobserved pairs.
        norms: "users" and "items" -> length of each vector.
        counts: the same -> training interactions of each.
        norm_popularity: the same -> Spearman's correlation of both.
        rank: name of vectors -> effective rank; width is that of the vectors.
        width: number of dimensions.
        spectrum: name of vectors -> singular values, largest first, as a share of their sum.
        ranking: how the items' order by dot product hangs together with angle and magnitude.
        recommended: how often each item is among the first ten of a user.
        recommended_popularity: Spearman's correlation of that and the item's interactions.
        amplification: mean popularity of recommended items over that of training interactions.
        largest_logit: largest |g . t| / temperature of a review and any interaction, without
            normalisation and with it; None without reviews.
        normalised: whether the loss normalises vectors; None for other models.
        lengths: mean length of what a logit is made of, before normalisation: "reviews",
            "interactions", and with NGCF each layer's share of the nodes' vectors.
    """

    alignment: dict[str, float]
    uniformity: dict[str, float]
    products: dict[tuple[str, str], _Floats]
    auc: dict[tuple[str, str], float]
    norms: dict[str, _Floats]
    counts: dict[str, _Ints]
    norm_popularity: dict[str, float]
    rank: dict[str, float]
    width: int
    spectrum: dict[str, _Floats]
    ranking: dict[str, float]
    recommended: _Ints
    recommended_popularity: float
    amplification: float
    largest_logit: tuple[float, float] | None = None
    normalised: bool | None = None
    lengths: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def effective_rank(vectors: Tensor) -> float:
    """Exponential of the entropy of the singular values' shares (Roy & Vetterli, 2007).

    Example:
        >>> round(effective_rank(torch.eye(4)), 4)
        4.0
    """
    return float(np.exp(scipy.stats.entropy(_spectrum(vectors))))


def _spectrum(vectors: Tensor) -> _Floats:
    values = torch.linalg.svdvals(vectors.double()).numpy()
    total = values.sum()
    shares: _Floats = values / total if total > 0 else np.full(len(values), 1 / len(values))
    return shares


@torch.no_grad()
def measure(path: str, n: int, seed: int, places: Places | None = None) -> Geometry:
    """Measure a run.

    Args:
        path: the run's folder.
        n: reviews and pairs that are drawn at random.
        seed: of the draws.
        places: see `load_run`.

    Raises:
        InputError: if there is no such run, or its model has no vectors of users and items.
    """
    config, model, dataset, train, *_ = load_run(path, places)
    users, items = _vectors(model, config, path)
    rng = np.random.default_rng(seed)
    pairs = _pairs(dataset, train.dataset, n, rng)
    products, auc = _products(users, items, pairs)
    seen = _Pairs(*(train.dataset.inter_feat[f].numpy() for f in _fields(dataset)))
    sides = {"users": (users, seen.users), "items": (items, seen.items)}
    counts = {
        name: np.bincount(ids, minlength=len(vectors))[1:] for name, (vectors, ids) in sides.items()
    }
    norms = {name: vectors[1:].norm(dim=1).double().numpy() for name, (vectors, _) in sides.items()}
    spread = {name: F.normalize(vectors[1:], dim=1) for name, (vectors, _) in sides.items()}
    drawn = pairs["training"]
    together = {
        "user and item": alignment(
            F.normalize(users[drawn.users], dim=1), F.normalize(items[drawn.items], dim=1)
        )
    }
    matrices = {"users": users[1:], "items": items[1:]}
    logit, lengths = None, _layer_lengths(model, torch.cat([users[1:], items[1:]]))
    if _reads_reviews(model):
        text, own, other, logit, more = _reviews(path, config, model, train.dataset, n, seed)
        lengths |= more
        together["review and interaction"] = alignment(text, own)
        spread |= {"reviews": text, "interactions": own}
        matrices |= {"reviews": text, "interactions": own}
        products[("review and its interaction", "cosine")] = (text * own).sum(1).double().numpy()
        products[("review and another", "cosine")] = (text * other).sum(1).double().numpy()
        auc[("review and its interaction", "cosine")] = superiority(
            products[("review and its interaction", "cosine")],
            products[("review and another", "cosine")],
        )
    recommended = _recommended(model, users, items, seen)
    return Geometry(
        alignment={name: float(value) for name, value in together.items()},
        uniformity={name: float(uniformity(_some(v, rng))) for name, v in spread.items()},
        products=products,
        auc=auc,
        norms=norms,
        counts=counts,
        norm_popularity={name: _rank(norms[name], counts[name]) for name in norms},
        rank={name: effective_rank(v) for name, v in matrices.items()},
        width=users.shape[1],
        spectrum={name: _spectrum(v) for name, v in matrices.items()},
        ranking=_ranking(users, items, rng),
        recommended=recommended,
        recommended_popularity=_rank(recommended, counts["items"]),
        amplification=_amplification(recommended, counts["items"]),
        largest_logit=logit,
        normalised=getattr(getattr(model, "options", None), "l2_normalize", None),
        lengths=lengths,
        facts=facts_of(path, config, model),
    )


def _fields(dataset: Any) -> tuple[str, str]:
    return dataset.uid_field, dataset.iid_field


def _reads_reviews(model: Any) -> bool:
    return getattr(model, "text_use", "none") == "batch"


def _vectors(model: Any, config: Any, path: str) -> tuple[Tensor, Tensor]:
    """Vectors of all users and items before any normalisation, padding included, on the CPU."""
    try:
        users, items = model.forward()
    except (TypeError, ValueError, NotImplementedError):
        users = items = None
    if not isinstance(users, Tensor) or len(users) != model.n_users or len(items) != model.n_items:
        raise InputError(
            f"--run={path}: the run is of {config['model']}, which doesn't score by one vector per "
            "user and item. Name a run of a model that does, such as SymCERE or LightGCN."
        )
    return users.float().cpu(), items.float().cpu()


def _some(vectors: Tensor, rng: np.random.Generator) -> Tensor:
    if len(vectors) <= _MOST:
        return vectors
    return vectors[torch.from_numpy(rng.choice(len(vectors), _MOST, replace=False))]


def _pairs(dataset: Any, train: Any, n: int, rng: np.random.Generator) -> dict[str, _Pairs]:
    """Pairs of the training split, of the other splits, and of neither."""
    uid, iid = _fields(dataset)

    def keys(part: Any) -> _Ints:
        users, items = (part.inter_feat[f].numpy().astype(np.int64) for f in (uid, iid))
        found: _Ints = users * dataset.item_num + items
        return found

    everything, seen = distinct(keys(dataset)), distinct(keys(train))
    held_out = everything[~among(everything, seen)]
    random = rng.integers(1, dataset.user_num, 2 * n) * dataset.item_num
    random = distinct(random + rng.integers(1, dataset.item_num, 2 * n))
    unobserved = random[~among(random, everything)]
    return {
        name: _Pairs(*np.divmod(_draw(found, n, rng), dataset.item_num))
        for name, found in (
            ("training", seen),
            ("held out", held_out),
            ("unobserved", unobserved),
        )
        if len(found)
    }


def _draw(values: _Ints, n: int, rng: np.random.Generator) -> _Ints:
    return values if len(values) <= n else rng.choice(values, n, replace=False)


def _products(
    users: Tensor, items: Tensor, pairs: dict[str, _Pairs]
) -> tuple[dict[tuple[str, str], _Floats], dict[tuple[str, str], float]]:
    products = {}
    for name, (u, i) in pairs.items():
        left, right = users[torch.from_numpy(u)], items[torch.from_numpy(i)]
        products[(name, "cosine")] = F.cosine_similarity(left, right).double().numpy()
        products[(name, "dot product")] = (left * right).sum(1).double().numpy()
    auc = {
        (name, how): superiority(values, products[("unobserved", how)])
        for (name, how), values in products.items()
        if name != "unobserved" and ("unobserved", how) in products
    }
    return products, auc


def _reviews(
    path: str, config: Any, model: Any, dataset: Any, n: int, seed: int
) -> tuple[Tensor, Tensor, Tensor, tuple[float, float], dict[str, float]]:
    """Unit vectors of reviews, of their interactions and of others; largest logits; lengths."""
    run = ExplainedRun(Path(path), config, model, dataset)
    chosen = run.sample(n, seed)
    raw = run.raw_text_vectors([run.texts[r] for r in chosen])
    there = ~raw.isnan().any(dim=1)
    raw, chosen = raw[there], chosen[there.numpy()]
    users, items = (vectors.cpu() for vectors in model.forward())
    pairs = (users[torch.from_numpy(run.users)] + items[torch.from_numpy(run.items)]) / 2
    own = pairs[torch.from_numpy(chosen)]
    partners = np.random.default_rng(seed).permutation(len(run.texts))[: len(chosen)]
    text, unit = F.normalize(raw, dim=1), F.normalize(own, dim=1)
    tau = float(config["temperature"])
    largest = (float((a @ b.T).abs().max()) / tau for a, b in ((raw, own), (text, unit)))
    without, with_ = largest
    others = F.normalize(pairs[torch.from_numpy(partners)], dim=1)
    return (
        text,
        unit,
        others,
        (without, with_),
        {
            "reviews": float(raw.norm(dim=1).mean()),
            "interactions": float(own.norm(dim=1).mean()),
        },
    )


def _layer_lengths(model: Any, nodes: Tensor) -> dict[str, float]:
    """Mean length of each layer's part of NGCF's vectors, which stand side by side."""
    if not isinstance(getattr(model, "backbone", None), NGCF):
        return {}
    sizes = [model.options.embedding_size, *model.options.hidden_size_list]
    parts = torch.split(nodes, sizes, dim=1)
    return {f"layer {n}": float(part.norm(dim=1).mean()) for n, part in enumerate(parts)}


def _ranking(users: Tensor, items: Tensor, rng: np.random.Generator) -> dict[str, float]:
    """What a user's order of items by dot product owes to the angle and to the items' norms."""
    chosen = _draw(np.arange(1, len(users)), _USERS, rng)
    dots = (users[torch.from_numpy(chosen)] @ items[1:].T).double().numpy()
    norms = items[1:].norm(dim=1).double().numpy()
    cosines = dots / np.maximum(norms, 1e-12)  # the user's norm doesn't change the order
    top = np.argsort(-dots, axis=1)[:, :_K]
    top_angle = np.argsort(-cosines, axis=1)[:, :_K]
    shared = [len(np.intersect1d(a, b)) / _K for a, b in zip(top, top_angle, strict=True)]
    return {
        "rank correlation of dot product and cosine": float(
            np.mean([_rank(a, b) for a, b in zip(dots, cosines, strict=True)])
        ),
        "rank correlation of dot product and item norm": float(
            np.mean([_rank(row, norms) for row in dots])
        ),
        "share of the first 10 by dot product that are first by cosine too": float(np.mean(shared)),
    }


def _recommended(model: Any, users: Tensor, items: Tensor, seen: _Pairs) -> _Ints:
    """How often each item is among a user's first ten; training items aren't recommended."""
    if isinstance(model, VectorRecommender):
        users, items = (vectors.cpu() for vectors in model.scoring_vectors())
    counts = np.zeros(len(items), dtype=np.int64)
    order = np.argsort(seen.users, kind="stable")
    by_user = np.split(seen.items[order], np.cumsum(np.bincount(seen.users[order]))[:-1])
    for start in range(1, len(users), 1024):
        scores = users[start : start + 1024] @ items.T
        scores[:, 0] = -torch.inf
        for row in range(len(scores)):
            if start + row < len(by_user):
                scores[row, torch.from_numpy(by_user[start + row])] = -torch.inf
        top = scores.topk(min(_K, len(items) - 1), dim=1).indices.numpy()
        counts += np.bincount(top.ravel(), minlength=len(items))
    return counts[1:]


def _amplification(recommended: _Ints, counts: _Ints) -> float:
    return float(np.average(counts, weights=recommended) / np.average(counts, weights=counts))


def _rank(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    a, b = np.asarray(first), np.asarray(second)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(a, b).statistic)
