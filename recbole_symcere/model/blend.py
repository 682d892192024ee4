"""What experts without training say, added to a model's scores as far as validation wants it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.recency import DECAY, Histories
from recbole_symcere.model.blend_options import kind_of, recent_among
from recbole_symcere.model.experts import Expert, ItemMap, basis_columns
from recbole_symcere.model.trend import Trend

__all__ = ["Blend", "deviation"]

_ROWS = 4_096  # users whose scores are made at once
_POWERS = 2  # of its decomposition
_SOME = 2_048  # items that tell how far an expert's scores of a user spread
_SEED = 0

_Floats = npt.NDArray[np.floating]


class Blend(nn.Module):
    """Scores of a model and of experts on one scale, as one dot product.

    With s_ui the model's score and x_k,ui those of the experts (`EXPERTS`)::

        y_ui = w_0 s_ui + sum_k w_k (sd_u(s) / sd_u(x_k)) x_k,ui

    where sd_u is the deviation over all items, so that w_k tells how much k counts. The w are no
    parameters: `Blending` chooses them on validation, and until then the model counts alone.

    As vectors, y has the model's columns, those of the experts "words", and one for each item that
    all other experts fill. Where users or items times items are more than 50 million, 128 to 1,024
    columns stand for those, see `basis_columns`: the leading directions of what they would hold
    (Halko et al., 2011).

    Args:
        names: of the experts, see `kind_of`.
        make: gives an expert of that name, called when it is first needed.
        known: the training interactions of all users.
        words: float32 [n_items, d_w] that the experts of words are made of.

    Attributes:
        names: "model" and the experts.
        known: as given, and
        words: likewise.
        weights: w [1 + K].
    """

    weights: Tensor
    words: Tensor | None

    def __init__(
        self,
        names: tuple[str, ...],
        make: Callable[[str], Expert],
        known: Histories,
        words: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.names = ["model", *names]
        start = torch.zeros(len(self.names))
        start[0] = 1
        self.register_buffer("weights", start)
        self.register_load_state_dict_pre_hook(_refuse_other_experts)  # type: ignore[no-untyped-call] # torch's own
        self.register_buffer("words", words, persistent=False)
        self._make, self.known = make, known
        self._made: dict[str, Expert] = {}

    def expert(self, name: str) -> Expert:
        """The expert of that name; one for all interactions and for recent ones."""
        kind = name.removeprefix("recent_")
        if kind not in self._made:
            self._made[kind] = self._make(kind)
        return self._made[kind]

    def weigh(self, weights: dict[str, float]) -> None:
        """Take weights by name; those that aren't named are 0."""
        self.weights.copy_(torch.tensor([weights.get(name, 0.0) for name in self.names]))

    @property
    def alone(self) -> bool:
        """Whether the model counts alone."""
        return not self.weights[1:].any()

    def known_of(self, users: npt.NDArray[np.int64]) -> Histories:
        """The training interactions of some users [b]."""
        return self.known.of(users)

    def kept(self) -> dict[str, Any]:
        """What a checkpoint holds of it, beside its weights, so that new users can be placed.

        Of experts that don't count it is nothing, so that none is made before weights are chosen.
        """
        found = {"blend_names": self.names, "blend_words": self.words, "blend_decay": DECAY}
        if self._weight("next"):
            found["blend_later"] = torch.from_numpy(self.known.later.data)
        if self._weight("trend"):
            trend = self.expert("trend")
            assert isinstance(trend, Trend)
            found["blend_trend"] = torch.from_numpy(trend.now.near)
        return found

    @property
    def recent_names(self) -> list[str]:
        """The experts for which later interactions count more."""
        return recent_among(self.names[1:])

    def scores(
        self, names: list[str], known: Histories, earlier: Histories | None = None
    ) -> list[_Floats]:
        """What some experts say of all items.

        Args:
            names: of the experts.
            known: what the users know.
            earlier: what experts of recent interactions shall know of it, if not all.

        Returns:
            [b, n_items] for each.
        """
        known_to = {True: earlier or known, False: known}
        return [
            self.expert(name).scores(self._rows(name, known_to[kind_of(name).recent]))
            for name in names
        ]

    def added(self, scores: Tensor, known: Histories) -> Tensor:
        """Y [b, n_items] from the model's scores s [b, n_items] of users who know ``known``."""
        if self.alone:
            return scores
        spread = _positive(scores[:, 1:].double().std(dim=1, correction=0).float()).cpu().numpy()
        found = self._rest(known, spread, self.names[1:])
        return self._weight("model") * scores + torch.from_numpy(found).to(scores)

    def forward(
        self,
        users: Tensor,
        items: Tensor,
        known: Histories | None = None,
        more_words: Tensor | None = None,
        basis: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Vectors whose dot product is y.

        Args:
            users: [b, d], and
            items: [n_items, d], whose dot product is s; item 0 is padding.
            known: what these users know; all training interactions if not given.
            more_words: [d_w] that is added to the words of what the users know.
            basis: the last columns of the items, where they are there already.
        """
        if self.alone:
            return users, items
        known = known or self.known
        spread = _positive(deviation(users, items)).cpu().numpy()
        columns, sides = [self.weights[0] * users], [items]
        if self._weight("words"):
            words = self.expert("words")
            if isinstance(words, ItemMap) and words.far is not None:
                sums = torch.from_numpy(np.asarray(known.flat @ words.near))
                if more_words is not None:
                    sums = sums + more_words
                far = torch.from_numpy(words.far)
                scale = torch.from_numpy(spread) / deviation(sums, far).clamp_min(1e-12)
                columns.append((self._weight("words") * scale[:, None] * sums).to(users))
                sides.append(far.to(items))
        rest = [name for name in self.names[1:] if name != "words" and self._weight(name)]
        if rest:
            given = None if basis is None else basis.cpu().numpy()
            found, side = self._in_columns(known, spread, rest, given)
            columns.append(torch.from_numpy(found).to(users))
            sides.append(torch.from_numpy(side).to(items))
        return torch.cat(columns, dim=1), torch.cat(sides, dim=1)

    def _rows(self, name: str, known: Histories) -> csr_matrix:
        return self.expert(name).rows(known, kind_of(name).recent)

    def _weight(self, name: str) -> float:
        return float(self.weights[self.names.index(name)]) if name in self.names else 0.0

    def _scaled(
        self, known: Histories, spread: _Floats, names: list[str]
    ) -> list[tuple[Expert, Any, _Floats]]:
        """Experts, what users know, and w_k sd_u(s) / sd_u(x_k) [b]."""
        found = []
        for name in names:
            weight = self._weight(name)
            if weight:
                one, rows = self.expert(name), self._rows(name, known)
                own = np.maximum(_spread(one, rows, known.flat.shape[1]), 1e-12)
                found.append((one, rows, (weight * spread / own).astype(np.float32)))
        return found

    def _rest(self, known: Histories, spread: _Floats, names: list[str]) -> _Floats:
        """What the experts add [b, n_items]."""
        total = np.zeros(known.flat.shape, dtype=np.float32)
        for start in range(0, len(total), _ROWS):
            some = slice(start, start + _ROWS)
            for one, rows, scale in self._scaled(known.of(some), spread[some], names):
                total[some] += scale[:, None] * one.scores(rows)
        return total

    def _in_columns(
        self, known: Histories, spread: _Floats, names: list[str], basis: _Floats | None
    ) -> tuple[_Floats, _Floats]:
        """What the experts add, as columns of users [b, r] and of items [n_items, r].

        The latter are ``basis`` if it is there; one column for each item is the identity.
        """
        n_users, n_items = known.flat.shape
        size = basis_columns(n_users, n_items) if basis is None else basis.shape[1]
        if size == n_items:
            identity = np.eye(n_items, dtype=np.float32) if basis is None else basis
            return self._rest(known, spread, names), identity
        scaled = self._scaled(known, spread, names)
        if basis is None:
            basis = _leading_directions(scaled, n_items, size)
        total = sum(scale[:, None] * one.times(rows, basis) for one, rows, scale in scaled)
        return np.asarray(total, dtype=np.float32), basis


def _leading_directions(
    scaled: list[tuple[Expert, Any, _Floats]], n_items: int, size: int
) -> _Floats:
    """Of what experts add, as columns [n_items, size] of the items."""
    q = np.random.RandomState(_SEED).normal(size=(n_items, size)).astype(np.float32)
    for _ in range(_POWERS):
        image = sum(scale[:, None] * one.times(rows, q) for one, rows, scale in scaled)
        back = sum(
            one.transposed_times(rows, scale[:, None] * image) for one, rows, scale in scaled
        )
        q, _ = np.linalg.qr(back)
    return q.astype(np.float32)


def _spread(one: Expert, rows: csr_matrix, n_items: int) -> _Floats:
    """sd_u of an expert's scores [b], of at most `_SOME` items where few scores are 0."""
    starts = range(0, rows.shape[0], _ROWS)
    if isinstance(one, ItemMap) and not isinstance(one.near, np.ndarray):
        near = one.near
        return np.concatenate([_sparse_spread(rows[n : n + _ROWS] @ near) for n in starts])
    some = np.arange(1, n_items)
    if len(some) > 2 * _SOME:
        some = np.linspace(1, n_items - 1, _SOME).astype(np.int64)
    return np.concatenate([one.scores(rows[n : n + _ROWS], some).std(axis=1) for n in starts])


def _sparse_spread(scores: csr_matrix) -> _Floats:
    """The deviation of each row [b], the first column left out; a sample might find zeros alone."""
    scores = csr_matrix(scores, dtype=np.float64)[:, 1:]
    n = max(scores.shape[1], 1)
    mean = np.asarray(scores.sum(axis=1)).ravel() / n
    square = np.asarray(scores.multiply(scores).sum(axis=1)).ravel() / n
    found: _Floats = np.sqrt(np.maximum(square - mean**2, 0)).astype(np.float32)
    return found


def _positive(spread: Tensor) -> Tensor:
    """Deviations, with 1 for a model that says nothing."""
    return torch.where(spread > 0, spread, torch.ones_like(spread))


def deviation(users: Tensor, items: Tensor) -> Tensor:
    """Standard deviation [n_users] of each user's scores of all items but the first."""
    centred = items[1:] - items[1:].mean(dim=0)
    covariance = centred.T @ centred / max(len(centred), 1)
    return ((users @ covariance) * users).sum(dim=1).clamp_min(0).sqrt()


def _refuse_other_experts(blend: Blend, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Stop at the weights of other experts."""
    kept = state.get(f"{prefix}weights")
    if kept is not None and len(kept) != len(blend.weights):
        raise InputError(
            f"The checkpoint has {len(kept)} weights of a blend, and these settings give "
            f"{len(blend.weights)}: {', '.join(blend.names)}. Its blend is another one, as those "
            "of runs before version 0.2 are. Train anew."
        )
