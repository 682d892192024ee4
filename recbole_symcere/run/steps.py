"""A bound on the batches of a training, as a refit has one."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

__all__ = ["StepLimit"]


class StepLimit:
    """How many batches each phase of a training takes; the last epoch of a phase may be cut.

    Args:
        steps: a number for each phase; None for no bound.
    """

    def __init__(self, steps: list[int] | None) -> None:
        self._steps = steps

    def last_epoch(self, epochs: int, phase: int, begun: int, train_data: Any) -> int:
        """Where a phase ends: the number of its last epoch and 1.

        Args:
            epochs: where it would end without a bound.
            phase: counted from 0.
            begun: the phase's first epoch.
            train_data: RecBole's loader.
        """
        if self._steps is None or phase >= len(self._steps):
            return epochs
        return min(epochs, begun + math.ceil(self._steps[phase] / len(train_data)))

    def loader(self, train_data: Any, phase: int, epochs_before: int) -> Any:
        """The training loader, or as much of it as is left.

        Args:
            train_data: RecBole's loader.
            phase: counted from 0.
            epochs_before: of this phase.
        """
        if self._steps is None or phase >= len(self._steps):
            return train_data
        left = self._steps[phase] - epochs_before * len(train_data)
        return train_data if left >= len(train_data) else _First(train_data, left)


class _First:
    """The first batches of a loader."""

    def __init__(self, loader: Any, n: int) -> None:
        self._loader, self._n = loader, n

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(iter(self._loader), self._n)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
