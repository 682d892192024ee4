"""Why a user is recommended an item: the interactions and reviews behind one score.

Three views of the score y(u, i), each exact for what it says:

* What every user gets: the mean over users of y(., i). The rest is personal.
* The graph: y(u, i) less what it is where one training interaction of u, or of i, is taken out of
  the graph and of u's history, and all vectors are computed again, with the same trained weights,
  item profiles and similarities of items.
* The reviews: what the alignment of reviews and interactions says of them, which shaped the vectors
  in training and isn't part of the score. A review's pull is t(x) . g_i for a review of u, and
  t(x) . g_u for a review of i, each less its mean over all items or users; a word's is what the
  pull loses without it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.base.words import distinct_words, without
from recbole_symcere.data.recency import history_of_one
from recbole_symcere.explain.loaded_run import ExplainedRun
from recbole_symcere.graph.bipartite import BipartiteGraph

__all__ = ["Reason", "Recommendation", "explain_pair", "inner_id"]

_Ints = npt.NDArray[np.int64]


class Reason(NamedTuple):
    """A training interaction of the user or of the item.

    Attributes:
        interaction: its place in the training split.
        effect: what the score loses without it in the graph.
        pull: of its review; None without one.
        words: each distinct word of the review -> what the pull loses without it.
    """

    interaction: int
    effect: float
    pull: float | None
    words: dict[str, float]


class Recommendation(NamedTuple):
    """A user, an item, and what their score rests on.

    Attributes:
        user: inner id.
        item: inner id.
        score: y(u, i).
        common: mean of y(., i) over users.
        rank: place of the item among those that the user has no training interaction with (the item
            itself always counts).
        ranked: their number.
        known: whether the pair is a training interaction.
        interactions: training interactions of the item.
        popularity_rank: place of the item by these.
        from_user: the user's other training interactions, the largest effects first.
        from_item: the item's training interactions with others, the largest effects first.
    """

    user: int
    item: int
    score: float
    common: float
    rank: int
    ranked: int
    known: bool
    interactions: int
    popularity_rank: int
    from_user: list[Reason]
    from_item: list[Reason]


def inner_id(run: ExplainedRun, field: str, name: str) -> int:
    """The inner id of a user or item of the file.

    Raises:
        InputError: if the run's data have none of that name.
    """
    ids: dict[str, int] = run.dataset.field2token_id[field]
    if name not in ids or name == "[PAD]":
        what = "user" if field == run.dataset.uid_field else "item"
        raise InputError(
            f"--{what}={name}: {run.config['dataset']} has no such {what}; it has {len(ids) - 1:,}."
            f"{did_you_mean(name, (token for token in ids if token != '[PAD]'))}"
        )
    return int(ids[name])


@torch.no_grad()
def explain_pair(run: ExplainedRun, user: int, item: int, k: int) -> Recommendation:
    """Explain the score of a user and an item.

    Args:
        run: the run.
        user: inner id.
        item: inner id.
        k: interactions of each side that are told.
    """
    nodes_of_users, nodes_of_items = run.model.forward()
    users, items = run.model.blended(*run.model.as_scored(nodes_of_users, nodes_of_items))
    scores = items @ users[user]
    mine, theirs = run.users == user, run.items == item
    seen = set(run.items[mine].tolist())
    rivals = [i for i in range(1, len(items)) if i not in seen or i == item]
    counts = np.bincount(run.items, minlength=len(items))
    score = float(scores[item])
    targets = (nodes_of_items, nodes_of_users)  # what a user's, an item's reviews pull towards
    sides = (np.flatnonzero(mine & ~theirs), np.flatnonzero(theirs & ~mine))
    reasons = [
        _reasons(run, (user, item), chosen, vectors, at, k)
        for chosen, vectors, at in zip(sides, targets, (item, user), strict=True)
    ]
    return Recommendation(
        user=user,
        item=item,
        score=score,
        common=float((users[1:] @ items[item]).mean()),
        rank=1 + sum(float(scores[i]) > score for i in rivals),
        ranked=len(rivals),
        known=item in seen,
        interactions=int(counts[item]),
        popularity_rank=1 + int((counts > counts[item]).sum()),
        from_user=reasons[0],
        from_item=reasons[1],
    )


def _reasons(
    run: ExplainedRun,
    pair: tuple[int, int],
    chosen: _Ints,
    vectors: Tensor,
    at: int,
    k: int,
) -> list[Reason]:
    """The k of the chosen interactions without which the score falls most."""
    every = np.arange(len(run.users))
    score = _score(run, pair, every >= 0)  # as the others, also where columns are approximate
    effects = {int(one): score - _score(run, pair, every != one) for one in chosen}
    best = sorted(effects, key=lambda one: (-effects[one], one))[:k]
    direction = run.unit(vectors)
    target = (direction[at] - direction[1:].mean(dim=0)).cpu()
    return [Reason(one, effects[one], *_pull(run, run.texts[one], target)) for one in best]


def _score(run: ExplainedRun, pair: tuple[int, int], keep: npt.NDArray[np.bool_]) -> float:
    """The score where only some training interactions [n] are in the graph."""
    model = run.model
    graph = BipartiteGraph(run.users[keep], run.items[keep], model.n_users, model.n_items)
    graph = graph.to(model.device)
    nodes = torch.split(model.nodes(graph), [model.n_users, model.n_items])
    users, items = model.as_scored(*nodes)
    user, item = pair
    scores = (items @ users[user])[None]
    if model.blend is None:
        return float(scores[0, item])
    mine = keep & (run.users == user)
    times = None if run.times is None else run.times[mine]
    until = float(model.blend.known.until[user])  # asked at the same time
    known = history_of_one(run.items[mine], times, model.n_items, until)
    return float(model.blend.added(scores, known)[0, item])


def _pull(run: ExplainedRun, text: str, target: Tensor) -> tuple[float | None, dict[str, float]]:
    """Pull of a review and of its words; a word whose review has no other has all of it."""
    places = distinct_words(text)
    if not places:
        return None, {}
    variants = [text, *(without(text, where) for where in places.values())]
    found = torch.nan_to_num(run.text_vectors(variants) @ target)
    whole, *left = _floats(found)
    return whole, {word: whole - value for word, value in zip(places, left, strict=True)}


def _floats(values: Tensor) -> Sequence[float]:
    found: list[float] = values.double().tolist()
    return found
