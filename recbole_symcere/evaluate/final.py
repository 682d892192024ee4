"""The one evaluation on the test split: RecBole's metrics, and what no RecBole metric can say.

Beside the configured metrics every model gets the popularity of what it recommends, NDCG in bins of
item popularity and user activity, and, where items or histories were held out, the cold start.
"""

import contextlib
import copy
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.interaction import Interaction

from recbole_symcere.evaluate.collector import ListCollector
from recbole_symcere.evaluate.groups import (
    ITEM_BINS,
    USER_BINS,
    bins,
    group_means,
    ndcg_by_item_bin,
)
from recbole_symcere.evaluate.metrics import METRICS
from recbole_symcere.evaluate.per_user import PerUserEvaluator

__all__ = ["FinalResult", "evaluate_final"]

_log = logging.getLogger(__name__)

_USERS_LOOKED_AT = 64


class FinalResult(NamedTuple):
    """What the test split says of a model.

    Attributes:
        test: RecBole's result of the configured metrics; empty where nothing is held out for test.
        beyond: popularity, groups and cold start; empty unless all items are ranked.
        users: the test users' ids as in the file.
        n_test: [n_users] held-out items.
        columns: name -> [n_users]; none for metrics that aren't of single users, such as AUC.
    """

    test: dict[str, float]
    beyond: dict[str, Any]
    users: Any
    n_test: Any
    columns: dict[str, Any]


def evaluate_final(trainer: Any, train_data: Any, test_data: Any, load_best: bool) -> FinalResult:
    """Evaluate a trained model on the test split.

    Args:
        trainer: its trainer.
        train_data: the training loader.
        test_data: the test loader.
        load_best: whether to load the best epoch's weights first.
    """
    config = trainer.config
    if not len(test_data.dataset.inter_feat):
        return FinalResult({}, {}, None, None, {})
    full = isinstance(test_data, FullSortEvalDataLoader)
    extra = [metric.__name__ for metric in METRICS] if full else []
    with _computing(trainer, train_data, extra) as (evaluator, own):
        result = trainer.evaluate(test_data, load_best_model=load_best)
    mine = {name: result.pop(name) for name in [*result] if name.split("@")[0] in own}
    columns = dict(evaluator.per_user)
    if not columns or not hasattr(test_data, "uid_list"):
        return FinalResult(result, {}, None, None, {})
    users, dataset = np.asarray(test_data.uid_list), test_data.dataset
    beyond: dict[str, Any] = {}
    if full:
        train = train_data.dataset
        groups, more = _groups(config, columns, evaluator.ranked, train, test_data, users)
        beyond = {"popularity": {k: float(v) for k, v in mine.items()}, **groups}
        beyond |= _cold_start(trainer, train, config, columns, users)
        columns |= more
    tokens = dataset.id2token(dataset.uid_field, users)
    return FinalResult(result, beyond, tokens, test_data.uid2items_num[users], columns)


@contextlib.contextmanager
def _computing(trainer: Any, train_data: Any, extra: list[str]) -> Iterator[tuple[Any, set[str]]]:
    """Let the trainer compute further metrics; gives its evaluator and their lower-case names."""
    config = copy.copy(trainer.config)
    given = {name.lower() for name in config["metrics"]}
    added = [name for name in extra if name.lower() not in given]
    config.final_config_dict = {
        **config.final_config_dict,
        "metrics": [*config["metrics"], *added],
    }
    before = trainer.evaluator, trainer.eval_collector
    trainer.evaluator, trainer.eval_collector = PerUserEvaluator(config), ListCollector(config)
    trainer.eval_collector.data_collect(train_data)
    try:
        yield trainer.evaluator, {name.lower() for name in added}
    finally:
        trainer.evaluator, trainer.eval_collector = before


def _groups(
    config: Any, columns: dict[str, Any], ranked: Any, train: Any, test_data: Any, users: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """NDCG by item popularity and user activity, and the per-user columns behind it."""
    items = np.bincount(train.inter_feat[train.iid_field].numpy(), minlength=train.item_num)
    n_train = np.bincount(train.inter_feat[train.uid_field].numpy(), minlength=train.user_num)
    bin_of_item = bins(items, items, len(ITEM_BINS))
    active = bins(n_train[1:], np.ones(len(n_train) - 1), len(USER_BINS))[users - 1]
    positives = [np.asarray(test_data.uid2positive_item[user]) for user in users]
    more: dict[str, Any] = {"n_train": n_train[users]}
    by_item: dict[str, dict[str, float]] = {name: {} for name in ITEM_BINS}
    for k in config["topk"]:
        values = ndcg_by_item_bin(ranked, positives, bin_of_item, len(ITEM_BINS), k)
        for name, column in zip(ITEM_BINS, values.T, strict=True):
            more[f"ndcg@{k}/{name}"] = column
            there = ~np.isnan(column)
            if there.any():
                by_item[name] |= {
                    "users": int(there.sum()),
                    f"ndcg@{k}": float(column[there].mean()),
                }
    by_user = group_means(
        _accuracy(config, columns), {name: active == n for n, name in enumerate(USER_BINS)}
    )
    return {"by_item_popularity": by_item, "by_user_activity": by_user}, more


def _accuracy(config: Any, columns: dict[str, Any]) -> dict[str, Any]:
    configured = {name.lower() for name in config["metrics"]}
    return {name: values for name, values in columns.items() if name.split("@")[0] in configured}


def _cold_start(
    trainer: Any, train: Any, config: Any, columns: dict[str, Any], users: Any
) -> dict[str, Any]:
    """Metrics of shortened users, and of held-out items ranked among themselves."""
    cold = getattr(train, "cold", None)
    if cold is None:
        return {}
    beyond: dict[str, Any] = {}
    if cold.users:
        members = {str(kept): np.isin(users, group) for kept, group in cold.users.items()}
        beyond["by_training_interactions"] = group_means(_accuracy(config, columns), members)
    if cold.interactions is not None:
        loader = _cold_items_loader(config, cold, train)
        with _scoring_cold_items(trainer.model):
            result = {}
            if _tells_apart(trainer.model, loader, cold.items):
                result = trainer.evaluate(loader, load_best_model=False)
        beyond["cold_items"] = {
            "items": len(cold.items),
            "users": len(loader.uid_list),
            **{name: float(value) for name, value in result.items()},
        }
    return beyond


@torch.no_grad()
def _tells_apart(model: Any, loader: Any, items: np.ndarray) -> bool:
    """Whether items without training get different scores; else their order would be chance."""
    users = loader.uid_list[:_USERS_LOOKED_AT]
    batch = Interaction({loader.uid_field: users}).to(model.device)
    try:
        scores = model.full_sort_predict(batch).view(len(batch), -1)[:, items]
    except NotImplementedError:  # scored pair by pair
        return True
    spread = scores.amax(dim=1) - scores.amin(dim=1)
    if (spread > 1e-6 * scores.abs().amax(dim=1)).any():
        return True
    _log.warning(
        "All items without training interactions have the same score, so cold items can't be "
        "ranked. A model that reads item texts needs one of them in <name>.items.parquet."
    )
    return False


def _cold_items_loader(config: Any, cold: Any, train: Any) -> Any:
    """RecBole's loader over the held-out interactions, all other items masked."""
    warm = set(range(1, train.item_num)) - set(cold.items.tolist())
    used = np.empty(train.user_num, dtype=object)  # the loader also reads used[None]
    used[:] = [warm] * train.user_num
    sampler = SimpleNamespace(used_ids=used)
    return FullSortEvalDataLoader(config, cold.interactions, sampler)


@contextlib.contextmanager
def _scoring_cold_items(model: Any) -> Iterator[None]:
    """A model may score items that it has never seen in another way: `full_sort_predict_cold`."""
    if not hasattr(model, "full_sort_predict_cold"):
        yield
        return
    model.full_sort_predict = model.full_sort_predict_cold
    try:
        yield
    finally:
        del model.full_sort_predict
