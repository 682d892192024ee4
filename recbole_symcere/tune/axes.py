"""Where a setting's values lie on an axis of a plot, from 0 at its foot to 1."""

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from recbole_symcere.tune.parameter import Parameter, frozen
from recbole_symcere.tune.trial_table import TrialRecord

__all__ = ["ABSENT", "Axis", "axis_of", "label"]

ABSENT = -0.14  # where a trial without the setting is drawn
_FEW = 6  # as many different numbers as are drawn like categories
_WIDE = 30  # from this ratio of largest to smallest on, numbers are drawn on a log scale


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis for one setting.

    Attributes:
        name: the setting.
        categories: the values that are drawn at equal distances; empty for a numeric axis.
        low: the number at 0.
        high: the number at 1.
        logarithmic: whether the numbers between are spread by their logarithm.
    """

    name: str
    categories: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    logarithmic: bool = False

    def position(self, value: Any) -> float:
        """Where ``value`` lies; 0.5 where there is but one value.

        A 0 has no logarithm: a logarithmic axis has it at its lower end.
        """
        if self.categories:
            place = [frozen(x) for x in self.categories].index(frozen(value))
            return place / (len(self.categories) - 1) if len(self.categories) > 1 else 0.5
        low, high, value = (self._scaled(x) for x in (self.low, self.high, value))
        return (value - low) / (high - low) if high > low else 0.5

    def place(self, config: Mapping[str, Any]) -> float:
        """Where the configuration's value lies, ``ABSENT`` if it has none."""
        return self.position(config[self.name]) if self.name in config else ABSENT

    def _scaled(self, number: float) -> float:
        return math.log10(max(number, self.low)) if self.logarithmic else number

    def ticks(self) -> list[tuple[float, str]]:
        """Positions and labels, at most a dozen."""
        if self.categories:
            step = math.ceil(len(self.categories) / 12)
            return [(self.position(x), label(x)) for x in self.categories[::step]]
        if self.high == self.low:
            return [(0.5, label(self.low))]
        numbers = [self.low, *self._round_numbers(), self.high]
        return [(self.position(x), label(x)) for x in numbers]

    def _round_numbers(self) -> list[float]:
        """Round numbers between the ends, none so close to one that labels would overlap."""
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            steps = (1,) if last - first > 2 else (1, 3)
            found = [m * 10.0**e for e in range(first, last + 1) for m in steps]
        else:
            rough = (self.high - self.low) / 4
            unit = 10.0 ** math.floor(math.log10(rough))
            step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough * 0.999)
            first, last = math.ceil(self.low / step), math.floor(self.high / step)
            found = [k * step for k in range(first, last + 1)]
        return [x for x in found if 0.08 < self.position(x) < 0.92]


def label(value: Any, longest: int = 14) -> str:
    """A short text for a value that matplotlib prints as it is."""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    return text.replace("$", r"\$")  # else it would begin a formula


def axis_of(name: str, trials: Sequence[TrialRecord], parameter: Parameter | None = None) -> Axis:
    """The axis for a setting: its search space if that is known, else what the trials show."""
    values = [trial.config[name] for trial in trials if name in trial.config]
    if parameter is not None and parameter.kind == "choice":
        return Axis(name, _categories([*parameter.values, *values]))
    if not all(map(_number, values)):
        return Axis(name, _categories(values))
    if parameter is not None:
        counted = [x for x in values if x > 0] if parameter.logarithmic else values
        low, high = min([parameter.low, *counted]), max([parameter.high, *counted])
        return Axis(name, (), low, high, parameter.logarithmic)
    if len(set(values)) <= _FEW and all(isinstance(x, numbers.Integral) for x in values):
        return Axis(name, _categories(values))
    low, high = min(values), max(values)
    return Axis(name, (), low, high, low > 0 and high / low >= _WIDE)


def _number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _categories(values: Sequence[Any]) -> tuple[Any, ...]:
    """The different values: numbers by size, others as they come."""
    different: dict[Any, Any] = {}
    for value in values:
        different.setdefault(frozen(value), value)
    found = list(different.values())
    return tuple(sorted(found) if all(map(_number, found)) else found)
