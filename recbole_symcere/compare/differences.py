"""Values of users and seeds, row against row: paired by both, and tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from recbole_symcere.compare.execute import Done
from recbole_symcere.evaluate.significance import Comparison, compare, holm
from recbole_symcere.run.run_directory import RunDirectory

__all__ = ["Tested", "UserValues", "paired", "read_values", "tests_of"]

_Floats = npt.NDArray[np.float64]
_T = TypeVar("_T")


@dataclass(frozen=True)
class UserValues:
    """A metric of a row's users.

    Attributes:
        users: ids of those that every seed has.
        seeds: of the finished runs.
        table: values [n_users, n_seeds].
    """

    users: tuple[str, ...]
    seeds: tuple[int, ...]
    table: _Floats

    def of(self, users: Sequence[str], seeds: Sequence[int]) -> _Floats:
        """The values of some of its users and seeds, in the order given."""
        columns = [self.seeds.index(seed) for seed in seeds]
        if tuple(users) == self.users:
            return self.table[:, columns]
        place = {user: n for n, user in enumerate(self.users)}
        return self.table[np.ix_([place[user] for user in users], columns)]


class Tested(NamedTuple):
    """A comparison, and its p-value corrected by Holm over all of them."""

    comparison: Comparison
    p_holm: float


def read_values(runs: Sequence[Done], metric: str) -> UserValues:
    """What the finished runs of a row keep of each user.

    Raises:
        InputError: if a run's file is damaged.
    """
    found = {
        run.seed: RunDirectory(run.folder).read_per_user(metric)
        for run in runs
        if run.error is None
    }
    if not found:
        return UserValues((), (), np.empty((0, 0)))
    users = _common([tuple(values) for values in found.values()])
    table = [[values[user] for user in users] for values in found.values()]
    return UserValues(users, tuple(found), np.array(table, dtype=np.float64).T)


def paired(first: UserValues, second: UserValues) -> tuple[_Floats, _Floats] | None:
    """Values of both rows [n_users, n_seeds], for the users and seeds that both have.

    Returns:
        The two, or None for fewer than two common seeds: one would be one draw.
    """
    seeds = _common([first.seeds, second.seeds])
    if len(seeds) < 2:
        return None
    users = _common([first.users, second.users])
    return first.of(users, seeds), second.of(users, seeds)


def tests_of(rows: Mapping[str, UserValues], reference: str) -> dict[str, Tested]:
    """Every row of two or more common seeds against the reference; Holm's correction is over them.

    Raises:
        ValueError: for fewer than two users that all of these rows have.
    """
    base = rows[reference]
    seeds = {label: _common([of.seeds, base.seeds]) for label, of in rows.items()}
    labels = [label for label in rows if label != reference and len(seeds[label]) > 1]
    users = _common([rows[label].users for label in [reference, *labels]])
    found = compare([rows[n].of(users, seeds[n]) - base.of(users, seeds[n]) for n in labels])
    adjusted = holm([comparison.p_value for comparison in found])
    return dict(zip(labels, map(Tested, found, adjusted), strict=True))


def _common(groups: Sequence[tuple[_T, ...]]) -> tuple[_T, ...]:
    """What all have, in the order of the first."""
    if all(group == groups[0] for group in groups):
        return groups[0]
    shared = set(groups[0]).intersection(*groups[1:])
    return tuple(x for x in groups[0] if x in shared)
