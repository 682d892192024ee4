"""What changes in RecBole's own metrics: the time that they take, never a value."""

from types import ModuleType
from typing import Any

__all__ = ["change_metrics"]


def change_metrics(module: ModuleType) -> None:
    """Look up all recommended items at once.

    RecBole looks up one after the other; TailPercentage walks through a list for each, which takes
    longer than the ranking itself where there are many items.
    """
    import numpy as np

    def counted(count_items: dict[int, int]) -> Any:
        return np.array([[*count_items], [*count_items.values()]], np.int64)

    def get_pop(self: Any, item_matrix: Any, item_count: dict[int, int]) -> Any:  # noqa: ARG001
        items, counts = counted(item_count)
        of_item = np.zeros(max(item_matrix.max(), items.max(initial=0)) + 1, item_matrix.dtype)
        of_item[items] = counts
        return of_item[item_matrix]

    def get_tail(self: Any, item_matrix: Any, count_items: dict[int, int]) -> Any:
        items, counts = counted(count_items)
        if self.tail > 1:
            tail = items[counts <= self.tail]
        else:
            tail = items[np.lexsort((items, counts))][: max(int(len(items) * self.tail), 1)]
        return np.isin(item_matrix, tail).astype(item_matrix.dtype)

    module.AveragePopularity.get_pop = get_pop
    module.TailPercentage.get_tail = get_tail
