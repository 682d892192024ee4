"""Popularity and EASE on the very split of a run, to stand beside it: what little effort gets.

Both come from the run's catalogue alone, with RecBole's ranking: all items but those of a user's
training and validation, and its order of equal scores.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix

from recbole_symcere.base.sorted_ids import among
from recbole_symcere.evaluate.best_items import topk_places
from recbole_symcere.evaluate.groups import ITEM_BINS, USER_BINS, bins, ndcg_by_item_bin
from recbole_symcere.evaluate.significance import Comparison, compare, holm
from recbole_symcere.page.figures import Estimate
from recbole_symcere.run.catalogue import Catalogue
from recbole_symcere.run.run_directory import RunDirectory

__all__ = [
    "Measured",
    "Tested",
    "estimate_of",
    "gains",
    "measure_run",
    "refusal",
    "test_mode",
    "tested",
    "yardsticks",
]

_Floats = npt.NDArray[np.float64]
_Scores = Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]

DEFAULT_REG = 250.0  # RecBole's own
_REGS = (10.0, 100.0, DEFAULT_REG, 1000.0)
_COST = 2e12  # cubed items: one inverse for 12,500, four for 7,900; a minute or two
_SCORES = 4e9  # of users times items, over all passes; a minute or two
_PASSES = 2  # over the test users: popularity's and EASE's
_USERS = 512  # whose scores are looked at at once
_ROUNDING = 5e-7  # of values between 0 and 1; single places of a list differ by far more


@dataclass(frozen=True)
class Measured:
    """What a model gets for each test user.

    Attributes:
        name: of the model.
        users: ids as in the file [n].
        columns: "ndcg@10", "hit@10" and NDCG in groups of items, such as "ndcg@10/rare" -> [n]; NaN
            for a user without held-out items of the group.
        groups: group of users -> whether each belongs to it [n].
        how: a sentence on the settings.
    """

    name: str
    users: Sequence[str]
    columns: Mapping[str, _Floats]
    groups: Mapping[str, npt.NDArray[np.bool_]]
    how: str = ""


class Tested(NamedTuple):
    """A run against a yardstick; the p-value corrected by Holm over the yardsticks."""

    against: Measured
    comparison: Comparison
    p_holm: float


def refusal(metrics: Mapping[str, Any], catalogue: Catalogue | None) -> str | None:
    """Why the yardsticks can't be measured as the run was; None if they can."""
    protocol = metrics["protocol"]
    if not metrics["test"]:
        return "the run holds nothing out to test on"
    if catalogue is None:
        return "the run was made by an earlier version, which kept no list of its interactions"
    if test_mode(metrics) != "full":
        return "the run ranks a sample of the items"
    if protocol.get("ranked_for") != "each user" or protocol.get("repeatable"):
        return "the run ranks otherwise than once for each user"
    if protocol.get("cold_items") or protocol.get("cold_users"):
        return "items or histories were held out of training"
    if protocol.get("repeated_when_held_out", "nothing") != "nothing" or _repeats(catalogue):
        return "pairs may be repeated when held out"  # then RecBole masks fewer of them
    return _too_long(catalogue)


def test_mode(metrics: Mapping[str, Any]) -> Any:
    """Which items were ranked for the test, by RecBole's name: "full" for all."""
    mode = metrics["protocol"].get("eval_args", {}).get("mode")
    return mode.get("test") if isinstance(mode, Mapping) else mode


def _too_long(catalogue: Catalogue) -> str | None:
    n_users, n_items = len(catalogue.users), len(catalogue.items)
    if n_items**3 > _COST:
        return f"EASE with {n_items - 1:,} items would take too long"
    if _PASSES * n_users * n_items > _SCORES:
        return f"scoring {n_items - 1:,} items for {n_users - 1:,} users would take too long"
    return None


def _repeats(catalogue: Catalogue) -> bool:
    """Whether a held-out pair stands in an earlier part, too."""
    pairs = catalogue.user * len(catalogue.items) + catalogue.item
    return any(
        among(pairs[catalogue.part == part], np.sort(pairs[catalogue.part < part])).any()
        for part in (1, 2)
    )


def measure_run(folder: RunDirectory, catalogue: Catalogue | None, k: int, name: str) -> Measured:
    """What per_user.parquet of a run holds.

    Raises:
        InputError: if it is damaged.
    """
    columns = {}
    for metric in (f"ndcg@{k}", f"hit@{k}", *(f"ndcg@{k}/{group}" for group in ITEM_BINS)):
        found = folder.read_per_user(metric)
        columns[metric] = np.array([*found.values()], dtype=np.float64)
    users = [*found]
    groups = {} if catalogue is None else _activity(catalogue, users)
    return Measured(name, users, columns, groups)


def yardsticks(catalogue: Catalogue, k: int, deepest: int) -> list[Measured]:
    """Popularity and EASE, its regularisation the best on validation of four where that is quick.

    Args:
        catalogue: of a run.
        k: length of the list.
        deepest: of RecBole's ``topk`` the largest, on which its order of equal scores depends.
    """
    split = _Split(catalogue, k, deepest)
    popularity = np.asarray(split.train.sum(axis=0), dtype=np.float32).ravel()
    found = [split.tested("Popularity", lambda users: np.tile(popularity, (len(users), 1)))]
    tried = split.regs()
    best = max(
        map(split.ease, tried),
        key=lambda one: split.validated(one.scores) if len(tried) > 1 else 0.0,
    )
    if len(tried) > 1:
        regs = ", ".join(f"{reg:g}" for reg in tried)
        how = f"regularisation {best.reg:g}, the best on validation of {regs}"
    else:
        how = f"RecBole's default regularisation {best.reg:g}, not chosen for these data"
    return [*found, split.tested("EASE", best.scores, how)]


class _Ease(NamedTuple):
    reg: float
    scores: _Scores


class _Split:
    """The interactions of a run, and what a model gets on them."""

    def __init__(self, catalogue: Catalogue, k: int, deepest: int) -> None:
        self._catalogue, self._k = catalogue, k
        self._deepest = min(deepest, len(catalogue.items) - 1)
        self.train, self._valid, self._test = (self._part([part]) for part in range(3))
        self._seen = self._part([0, 1])
        popularity = np.asarray(self.train.sum(axis=0)).ravel()
        self._bin_of_item = bins(popularity, popularity, len(ITEM_BINS))

    def _part(self, parts: Sequence[int]) -> csr_matrix:
        """The interactions of some parts [n_users, n_items], each once."""
        there = np.isin(self._catalogue.part, parts)
        users, items = self._catalogue.user[there], self._catalogue.item[there]
        shape = (len(self._catalogue.users), len(self._catalogue.items))
        found = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
        found.data[:] = 1
        return found

    def regs(self) -> tuple[float, ...]:
        """The regularisations to choose from; one where a choice can't be made or takes long."""
        n_users, n_items = self.train.shape
        passes = _PASSES + len(_REGS)  # each is looked at on validation
        affordable = len(_REGS) * n_items**3 <= _COST and passes * n_users * n_items <= _SCORES
        return _REGS if self._valid.nnz and affordable else (DEFAULT_REG,)

    @cached_property
    def _gram(self) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = (self.train.T @ self.train).toarray()
        return found

    def ease(self, reg: float) -> _Ease:
        """EASE as RecBole computes it (Steck, WWW 2019)."""
        gram = self._gram.copy()
        gram[np.diag_indices_from(gram)] += reg
        inverse = np.linalg.inv(gram)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        return _Ease(reg, lambda users: self.train[users] @ weights)

    def validated(self, scores: _Scores) -> float:
        """Mean NDCG of the validation users."""
        users = np.flatnonzero(np.diff(self._valid.indptr))
        none = np.zeros(self.train.shape[1], np.int64)
        ranked = self._ranked(scores, users, self.train)
        held_out = self._held_out(self._valid, users)
        return float(ndcg_by_item_bin(ranked, held_out, none, 1, self._k).mean())

    def tested(self, name: str, scores: _Scores, how: str = "") -> Measured:
        users = np.flatnonzero(np.diff(self._test.indptr))
        ranked = self._ranked(scores, users, self._seen)
        held_out, k = self._held_out(self._test, users), self._k
        none = np.zeros(self.train.shape[1], np.int64)
        by_bin = ndcg_by_item_bin(ranked, held_out, self._bin_of_item, len(ITEM_BINS), k)
        hits = [np.isin(row[:k], right).any() for row, right in zip(ranked, held_out, strict=True)]
        columns = {
            f"ndcg@{k}": ndcg_by_item_bin(ranked, held_out, none, 1, k)[:, 0],
            f"hit@{k}": np.array(hits, dtype=np.float64),
            **{f"ndcg@{k}/{group}": by_bin[:, n] for n, group in enumerate(ITEM_BINS)},
        }
        names = self._catalogue.users.take(users).to_pylist()
        return Measured(name, names, columns, _activity(self._catalogue, names), how)

    def _held_out(self, part: csr_matrix, users: npt.NDArray[np.int64]) -> list[Any]:
        return [part.indices[part.indptr[user] : part.indptr[user + 1]] for user in users]

    def _ranked(self, scores: _Scores, users: npt.NDArray[np.int64], masked: csr_matrix) -> Any:
        found = []
        for start in range(0, len(users), _USERS):
            some = users[start : start + _USERS]
            of_some = torch.from_numpy(np.ascontiguousarray(scores(some), dtype=np.float32))
            of_some[masked[some].nonzero()] = -torch.inf
            of_some[:, 0] = -torch.inf  # padding
            found.append(topk_places(of_some, self._deepest).numpy())
        return np.concatenate(found) if found else np.empty((0, self._deepest), np.int64)


def _activity(catalogue: Catalogue, users: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
    """Users with few, some and many training interactions, cut as a run's own groups are."""
    n_train = np.bincount(catalogue.user[catalogue.part == 0], minlength=len(catalogue.users))[1:]
    of_user = dict(
        zip(
            catalogue.users.to_pylist()[1:],
            bins(n_train, np.ones(len(n_train)), len(USER_BINS)).tolist(),
            strict=True,
        )
    )
    active = np.array([of_user[user] for user in users])
    return {name: active == n for n, name in enumerate(USER_BINS)}


def tested(run: Measured, others: Sequence[Measured], metric: str) -> list[Tested]:
    """The run against each of the others, user by user."""
    found = compare([gains(run, other, metric) for other in others])
    adjusted = holm([one.p_value for one in found])
    return [Tested(*row) for row in zip(others, found, adjusted, strict=True)]


def gains(run: Measured, other: Measured, metric: str) -> _Floats:
    """What a run gets more than another, for each user of the run [n]; rounding is no gain.

    Raises:
        KeyError: if the other lacks a user.
    """
    values = dict(zip(other.users, other.columns[metric].tolist(), strict=True))
    found = run.columns[metric] - np.array([values[user] for user in run.users])
    return np.where(np.abs(found) < _ROUNDING, 0.0, found)


def estimate_of(values: _Floats) -> Estimate | None:
    """Mean over users with a 95 % interval, by the normal law; None for fewer than two users."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return None
    mean, error = float(known.mean()), float(known.std(ddof=1)) / len(known) ** 0.5
    return Estimate(mean, max(mean - 1.96 * error, 0.0), mean + 1.96 * error)
