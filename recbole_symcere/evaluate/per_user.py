"""RecBole's metrics before they are averaged over users."""

from typing import Any

import numpy as np
from recbole.evaluator import Evaluator

__all__ = ["PerUserEvaluator"]


class PerUserEvaluator(Evaluator):  # type: ignore[misc] # RecBole has no types
    """RecBole's Evaluator that also keeps each user's values.

    A top-k metric hands an array [n_users, max(topk)] to `topk_result`, which averages it over
    users. That array is kept, so the kept values average to RecBole's own number by construction.

    Attributes:
        per_user: metric name such as "ndcg@10" -> float64 array [n_users], in the order of the
            evaluation loader's users; of the last call of `evaluate`. Metrics that aren't averages
            over users, such as coverage, aren't in it.
        ranked: item ids [n_users, max(topk)] that were recommended, best first, if any metric
            asked for them.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.per_user: dict[str, np.ndarray] = {}
        self.ranked: np.ndarray | None = None
        for metric in self.metric_class.values():
            if hasattr(metric, "topk_result") and hasattr(metric, "metric_info"):
                metric.topk_result = self._keeping(metric.topk_result, metric.topk)

    def _keeping(self, topk_result: Any, topk: list[int]) -> Any:
        def kept(metric: str, value: Any) -> Any:
            if np.ndim(value) == 2:  # users by ranks; coverage metrics are flat
                for k in topk:
                    self.per_user[f"{metric}@{k}"] = np.asarray(value, dtype=np.float64)[:, k - 1]
            return topk_result(metric, value)

        return kept

    def evaluate(self, dataobject: Any) -> Any:
        """RecBole's `evaluate`; fills `per_user` and `ranked`."""
        self.per_user = {}
        if "rec.items" in dataobject:
            self.ranked = dataobject.get("rec.items").numpy()
        return super().evaluate(dataobject)
