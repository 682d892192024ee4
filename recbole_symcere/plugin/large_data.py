"""RecBole's splitting, sampling and evaluation loader without a Python object per interaction.

They give what RecBole's own give. The split serves all models, the others ours; a stock model keeps
RecBole's, but draws items by their popularity in training alone.
"""

from collections.abc import Callable
from functools import wraps
from logging import getLogger
from types import ModuleType
from typing import Any

from recbole_symcere.model.registry import is_ours

__all__ = ["change_full_loader", "change_samplers", "change_split"]


def change_split(module: ModuleType) -> None:
    """Let `Dataset.split_by_ratio` share out the rows of all groups at once."""
    dataset = module.Dataset
    dataset.split_by_ratio = _at_once(dataset.split_by_ratio)


def _at_once(split_by_ratio: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(split_by_ratio)
    def split(self: Any, ratios: list[float], group_by: str | None = None) -> list[Any]:
        import numpy as np
        from recbole.data.interaction import Interaction

        if group_by is None or not len(self.inter_feat):
            parts: list[Any] = split_by_ratio(self, ratios, group_by)
            return parts
        groups = self.inter_feat[group_by].numpy()
        n, size = len(groups), groups.max() + 1
        first = np.full(size, n)
        first[groups[::-1]] = np.arange(n)[::-1]  # the last one that is written is the first
        seen = np.argsort(first, kind="stable")  # groups in the order of their first rows
        rank = np.empty(size, dtype=np.int64)
        rank[seen] = np.arange(size)
        rows = np.argsort(rank[groups], kind="stable")
        sizes = np.bincount(groups, minlength=size)[seen]
        within = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        each, place = np.unique(sizes, return_inverse=True)
        shares = [ratio / sum(ratios) for ratio in ratios]
        ends = np.array([self._calcu_split_ids(tot=int(one), ratios=shares) for one in each])
        part = sum(within >= np.repeat(end[place], sizes) for end in ends.T.astype(np.int64))
        self._drop_unused_col()
        feat = self.inter_feat
        return [
            self.copy(Interaction({name: feat[name][chosen] for name in feat.columns}))
            for chosen in (rows[part == number] for number in range(len(ratios)))
        ]

    return split


def change_samplers(module: ModuleType) -> None:
    """Let `recbole.data.utils` make a `PairSampler` for a model of ours.

    With ``distribution: popularity`` items of any model are drawn by their training interactions;
    RecBole counts those of validation and test, too, so that negatives tell of them.
    """
    stock, create = module.Sampler, module.create_samplers

    def candidates(self: Any) -> list[int]:
        part = self.datasets[0] if hasattr(self, "datasets") else self.dataset.training_part
        return list(part.inter_feat[self.iid_field].numpy())

    def create_samplers(config: Any, dataset: Any, built_datasets: list[Any]) -> Any:
        dataset.training_part = built_datasets[0]
        return create(config, dataset, built_datasets)

    stock._get_candidates_list = module.RepeatableSampler._get_candidates_list = candidates
    module.create_samplers = create_samplers  # type: ignore[attr-defined]

    def sampler(phases: Any, datasets: Any, *rest: Any, **options: Any) -> Any:
        if not is_ours(datasets[0].config["model"]):
            return stock(phases, datasets, *rest, **options)
        from recbole_symcere.data.known_pairs import PairSampler

        return PairSampler(phases, datasets, *rest, **options)

    module.Sampler = sampler  # type: ignore[attr-defined]


def change_full_loader(module: ModuleType) -> None:
    """Let the loader over all items hold known and held-out items in one array each."""
    loader = module.FullSortEvalDataLoader
    loader.__init__ = _with_lists(loader, loader.__init__)


def _with_lists(loader: Any, init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def initialised(
        self: Any, config: Any, dataset: Any, sampler: Any, shuffle: bool = False
    ) -> None:
        import torch
        from recbole.data.interaction import Interaction

        from recbole_symcere.base.sorted_ids import among, distinct
        from recbole_symcere.data.known_pairs import ItemLists, KnownPairs

        used = getattr(sampler, "used_ids", None)
        if not isinstance(used, KnownPairs):  # another sampler, and so another model's
            init(self, config, dataset, sampler, shuffle)
            return
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.logger, self.is_sequential = getLogger(), False
        dataset.sort(by=self.uid_field, ascending=True)
        of_row, items = (dataset.inter_feat[f].numpy() for f in (self.uid_field, self.iid_field))
        users, n_users, n_items = distinct(of_row), dataset.user_num, dataset.item_num
        held_out = distinct(of_row * n_items + items)
        known = used.keys[among(used.keys // n_items, users) & ~among(used.keys, held_out)]
        self.uid2positive_item = ItemLists(held_out, users, n_users, n_items)
        self.uid2history_item = ItemLists(known, users, n_users, n_items)
        self.uid2items_num = self.uid2positive_item.lengths
        self.uid_list = torch.from_numpy(users)
        self.user_df = dataset.join(Interaction({self.uid_field: self.uid_list}))
        self.sample_size = len(users)
        super(loader, self).__init__(config, dataset, sampler, shuffle=False)

    return initialised
