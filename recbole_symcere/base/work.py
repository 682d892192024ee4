"""A piece of work that takes a while: how much of it is done, and how long the rest will take."""

import time
from collections.abc import Callable, Sequence

__all__ = ["Work"]


class Work:
    """A piece of work.

    Args:
        label: what it is, in a few words.
        total: how many there are; None where nobody knows.
        unit: of what, such as "texts".
        at_most: whether it may end before.
        weight: the whole work by which the time left is told; ``total`` if not given.
        beside: further lines for a terminal.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        unit: str = "",
        at_most: bool = False,
        weight: float | None = None,
        beside: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self.label, self.total, self.unit, self.at_most = label, total, unit, at_most
        self.beside, self.note = beside, ""
        self.done, self._before = 0, 0
        self.part = 0.0  # of the next one
        self._weight, self._weighed = weight, 0.0
        self.started = time.monotonic()

    def advance(self, n: int = 1, weight: float | None = None) -> None:
        """Count what is done; ``weight`` is its part of the whole weight."""
        self.done, self.part = self.done + n, 0.0
        self._weighed += n if weight is None else weight

    def skip(self, n: int) -> None:
        """Count what was done before this work began: it says nothing of the speed."""
        self.done, self._before = n, n
        self.started = time.monotonic()

    @property
    def share(self) -> float | None:
        """How much of it is done, 0 to 1."""
        if self._weight:
            return min(self._weighed / self._weight, 1.0)
        if not self.total:
            return None
        return min((self.done + self.part) / self.total, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """By what it took so far; None before anything is done."""
        share, seconds = self.share, time.monotonic() - self.started
        before = self._before / self.total if self.total else 0.0
        if share is None or share <= before or seconds < 1:
            return None
        return seconds * (1 - share) / (share - before)

    def words(self) -> tuple[str, str]:
        """What it is and how far it is."""
        told = []
        if self.total is not None:
            most = "at most " if self.at_most else ""
            told.append(f"{self.done:,} of {most}{self.total:,} {self.unit}".rstrip())
        elif self.done:
            told.append(f"{self.done:,} {self.unit}".rstrip())
        left = self.seconds_left
        time_left = "" if left is None else f", {'at most ' * self.at_most}{_clock(left)} left"
        told.append(_clock(time.monotonic() - self.started) + time_left)
        if self.note:
            told.append(self.note)
        return self.label, "  ".join(told)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
