"""The popularity of recommendations as RecBole metrics, which can stand in ``metrics``.

RecBole's own AveragePopularity, TailPercentage, GiniIndex and ItemCoverage count the padding id as
an item, leave never-trained items out of the tail and loop over every recommended item in Python.
Importing this module adds ARP, APLT, Novelty, Gini and Coverage to RecBole's tables.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from recbole.evaluator import register
from recbole.evaluator.base_metric import AbstractMetric, TopkMetric
from recbole.utils import EvaluatorType

from recbole_symcere.evaluate.popularity import (
    average_popularity,
    coverage,
    gini,
    novelty,
    tail_share,
)

__all__ = ["METRICS"]

_Ids = npt.NDArray[np.integer[Any]]
_Floats = npt.NDArray[np.float64]


def _counts(data: Any) -> npt.NDArray[np.int64]:
    counts = np.zeros(data.get("data.num_items"), dtype=np.int64)
    counted = data.get("data.count_items")
    counts[[*counted]] = [*counted.values()]
    return counts


class _PerUser(TopkMetric):  # type: ignore[misc] # RecBole has no types
    """A mean of a value of each user's list, over users who have one: NaN is none."""

    metric_need = ("rec.items", "data.num_items", "data.num_users", "data.count_items")

    def calculate_metric(self, dataobject: Any) -> dict[str, float]:
        """RecBole's interface: the metric's values by name."""
        ranked = dataobject.get("rec.items").numpy()
        values = self.of_lists(ranked, _counts(dataobject), dataobject.get("data.num_users") - 1)
        result: dict[str, float] = self.topk_result(type(self).__name__.lower(), values)
        return result

    def topk_result(self, metric: str, value: _Floats) -> dict[str, float]:
        """RecBole's interface, which takes each user's values."""
        means = np.nanmean(value, axis=0, keepdims=True)
        result: dict[str, float] = super().topk_result(metric, means)
        return result

    def of_lists(self, ranked: _Ids, counts: _Ids, n_users: int) -> _Floats:
        """[n_users, K] values at each k."""
        raise NotImplementedError


class ARP(_PerUser):
    """`average_popularity`."""

    smaller = True

    def of_lists(self, ranked: _Ids, counts: _Ids, n_users: int) -> _Floats:  # noqa: ARG002
        """[n_users, K]."""
        return average_popularity(ranked, counts)


class APLT(_PerUser):
    """`tail_share`."""

    def of_lists(self, ranked: _Ids, counts: _Ids, n_users: int) -> _Floats:  # noqa: ARG002
        """[n_users, K]."""
        return tail_share(ranked, counts)


class Novelty(_PerUser):
    """`novelty`."""

    def of_lists(self, ranked: _Ids, counts: _Ids, n_users: int) -> _Floats:
        """[n_users, K]."""
        return novelty(ranked, counts, n_users)


class _OfAllLists(AbstractMetric):  # type: ignore[misc] # RecBole has no types
    """A value of all users' lists together."""

    metric_type = EvaluatorType.RANKING
    metric_need = ("rec.items", "data.num_items")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.topk = config["topk"]

    def calculate_metric(self, dataobject: Any) -> dict[str, float]:
        """RecBole's interface: the metric's values by name."""
        ranked, n_items = dataobject.get("rec.items").numpy(), dataobject.get("data.num_items") - 1
        name = type(self).__name__.lower()
        return {
            f"{name}@{k}": round(self.of_lists(ranked[:, :k], n_items), self.decimal_place)
            for k in self.topk
        }

    def of_lists(self, ranked: _Ids, n_items: int) -> float:
        """The value of the lists [n_users, k]."""
        raise NotImplementedError


class Gini(_OfAllLists):
    """`gini`."""

    smaller = True

    def of_lists(self, ranked: _Ids, n_items: int) -> float:
        """One value."""
        return gini(ranked, n_items)


class Coverage(_OfAllLists):
    """`coverage`."""

    def of_lists(self, ranked: _Ids, n_items: int) -> float:
        """One value."""
        return coverage(ranked, n_items)


METRICS: tuple[type[Any], ...] = (ARP, APLT, Novelty, Gini, Coverage)
"""What is added to RecBole's metrics."""

for _metric in METRICS:  # four tables by lower-case name, shared by reference
    _name = _metric.__name__.lower()
    register.metrics_dict[_name] = _metric
    register.metric_information[_name] = _metric.metric_need
    register.metric_types[_name] = _metric.metric_type
    if _metric.smaller and _name not in register.smaller_metrics:
        register.smaller_metrics.append(_name)
