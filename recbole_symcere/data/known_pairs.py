"""Which items each user knows, as two sorted arrays instead of a Python set per user.

RecBole keeps a set per user and split for sampling, and a tensor per user and split for evaluation:
at ten million interactions these take several times the room of the data themselves.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recbole.sampler import Sampler

from recbole_symcere.base.sorted_ids import among, distinct

__all__ = ["ItemLists", "KnownPairs", "PairSampler"]

_Ids = npt.NDArray[np.int64]


class KnownPairs:
    """Distinct pairs of a user and an item.

    Args:
        keys: user * n_items + item, in any order, possibly repeated.
        n_items: number of item ids, padding included.
        n_users: number of user ids.
    """

    def __init__(self, keys: _Ids, n_items: int, n_users: int) -> None:
        self.keys, self.n_items, self._n_users = distinct(keys), n_items, n_users

    def __len__(self) -> int:
        return self._n_users

    def __getitem__(self, user: Any) -> Any:
        """The set of a user's items, or a list of sets for several users, as RecBole reads them."""
        if np.ndim(user):
            return [self[one] for one in user]
        if not 0 <= user < self._n_users:
            raise IndexError(f"user is {user}, expected 0 to {self._n_users - 1}")
        ends = np.searchsorted(self.keys, [user * self.n_items, (user + 1) * self.n_items])
        return set((self.keys[slice(*ends)] % self.n_items).tolist())

    def contain(self, users: _Ids, items: _Ids) -> npt.NDArray[np.bool_]:
        """Whether each user knows the item beside it [n]."""
        return among(users * self.n_items + items, self.keys)


class PairSampler(Sampler):  # type: ignore[misc] # RecBole has no types
    """RecBole's sampler, which draws the same items without a loop over them."""

    def get_used_ids(self) -> dict[str, KnownPairs]:
        """Phase -> the pairs of it and of the phases before.

        Raises:
            ValueError: as RecBole, if a user knows all items.
        """
        used, keys = {}, np.array([], dtype=np.int64)
        for phase, dataset in zip(self.phases, self.datasets, strict=True):
            users, items = (dataset.inter_feat[f].numpy() for f in (self.uid_field, self.iid_field))
            used[phase] = KnownPairs(
                np.concatenate([keys, users * self.item_num + items]), self.item_num, self.user_num
            )
            keys = used[phase].keys
        most = np.bincount(keys // self.item_num).max() if len(keys) else 0
        if most + 1 == self.item_num:
            raise ValueError(
                "Some users have interacted with all items, which we can not sample negative "
                "items for them. Please set `user_inter_num_interval` to filter those users."
            )
        return used

    def sample_by_key_ids(self, key_ids: Sequence[int], num: int) -> torch.Tensor:
        """As RecBole's: ``num`` items for each user that the user doesn't know."""
        users = np.tile(np.asarray(key_ids), num)
        values = np.zeros(len(users), dtype=np.int64)
        again = np.arange(len(users))
        while len(again):
            values[again] = self.sampling(len(again))
            again = again[self.used_ids.contain(users[again], values[again])]
        return torch.from_numpy(values)


class ItemLists:
    """The items of each user as tensors, made when they are asked for; None for other users.

    Args:
        keys: sorted distinct user * n_items + item.
        users: that have a list, which may be empty.
        n_users: number of user ids, padding included.
        n_items: of item ids.
    """

    def __init__(self, keys: _Ids, users: _Ids, n_users: int, n_items: int) -> None:
        self._items = torch.from_numpy(keys % n_items)
        self._ends = np.searchsorted(keys, np.arange(n_users + 1) * n_items)
        self._has = np.zeros(n_users, dtype=bool)
        self._has[users] = True
        self._instead: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self._has)

    @property
    def lengths(self) -> _Ids:
        """Number of items of each user [n_users]."""
        found: _Ids = np.diff(self._ends)
        return found

    def __getitem__(self, user: Any) -> Any:
        """The tensor of a user, or a list of tensors for several."""
        if np.ndim(user):
            return [self[one] for one in np.asarray(user).tolist()]
        if int(user) in self._instead:
            return self._instead[int(user)]
        start, end = self._ends[user], self._ends[user + 1]
        return self._items[start:end] if self._has[user] else None

    def __setitem__(self, user: int, items: torch.Tensor) -> None:
        self._instead[int(user)] = items
