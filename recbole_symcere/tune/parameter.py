"""One tuned setting: its values, how a random one is drawn, when it matters."""

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Literal, get_args

from recbole_symcere.base.errors import InputError

__all__ = ["KINDS", "Kind", "Parameter", "frozen", "number"]

Kind = Literal["choice", "uniform", "loguniform", "int", "logint", "quniform"]
KINDS: tuple[str, ...] = get_args(Kind)
_MOST_VALUES = 2**53  # beyond it a random float skips some of them


def frozen(value: Any) -> Any:
    """A hashable stand-in: equal for equal values, where True isn't 1 but 1.0 is.

    >>> frozen([1, True]) == frozen([1.0, True]), frozen(1) == frozen(True)
    (True, False)
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list | tuple):
        return ("list", *(frozen(x) for x in value))
    if isinstance(value, Mapping):
        return ("dict", frozenset((k, frozen(v)) for k, v in value.items()))
    return value


def number(value: Any) -> float | int | None:
    """``value`` as a finite number, also where it is text such as "1e-4"; else None."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return value if plain and abs(value) <= sys.float_info.max else None


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A setting and the values that a search may give it.

    Attributes:
        name: the key of the configuration.
        kind: "choice" of ``values``; "uniform" and "loguniform" between ``low`` and ``high``;
            "int" and "logint", whole numbers with both bounds included; "quniform", the multiples
            of ``q`` between the bounds, whole numbers if ``q`` is one.
        values: of a choice; each counts once, however often it is given.
        low: the lower bound, a real value (no exponent) for every kind.
        high: the upper bound, likewise.
        q: the step of "quniform".
        when: the parameter matters only if each key here has one of the values given for it;
            where it doesn't, it is absent from the configuration.

    Raises:
        InputError: for an unknown kind, no values, values that no configuration can hold, or
            bounds that are no numbers, the wrong way round or outside the kind's domain.
    """

    name: str
    kind: Kind
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    q: float | None = None
    when: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"{self.name}: the kind is {self.kind!r}, but it must be one of {', '.join(KINDS)}."
            )
        if self.kind == "choice":
            object.__setattr__(self, "values", _distinct(self.name, self.values))
        else:
            self._check_bounds()

    def _check_bounds(self) -> None:
        whole = self.kind in {"int", "logint"}
        for field in ("low", "high"):
            value = getattr(self, field)
            bound = number(value)
            if bound is None or (whole and bound != int(bound)):
                kind = "whole number" if whole else "number"
                raise InputError(
                    f"{self.name}: {self.kind} has the bound {value!r}, but it must be a {kind}."
                )
            object.__setattr__(self, field, int(bound) if whole else float(bound))
        if self.low >= self.high:
            raise InputError(
                f"{self.name}: {self.kind} goes from {self.low!r} to {self.high!r}, but the lower "
                "bound comes first and must be less than the upper one."
            )
        if whole and self.high - self.low > _MOST_VALUES:
            raise InputError(f"{self.name}: {self.low} to {self.high} are too many values.")
        least = {"loguniform": 0.0, "logint": 1}.get(self.kind)
        if least is not None and (self.low < least or self.low == 0):
            wanted = "at least 1" if whole else "more than 0"
            raise InputError(
                f"{self.name}: {self.kind} starts at {self.low!r}, but it must start at {wanted}; "
                "the bounds are real values, not exponents."
            )
        if self.kind == "quniform":
            self._check_step()

    def _check_step(self) -> None:
        step = number(self.q)
        if step is None or step <= 0:
            raise InputError(f"{self.name}: q is {self.q!r}, but it must be a number above 0.")
        object.__setattr__(self, "q", float(step))
        if not 0 < self._multiples().stop - self._multiples().start <= _MOST_VALUES:
            raise InputError(
                f"{self.name}: between {self.low!r} and {self.high!r} lies no multiple of "
                f"{step!r}, or too many."
            )

    def _multiples(self) -> range:
        """The k for which k q is within the bounds; in decimals, as 3 * 0.1 > 0.3 in floats."""
        step = Decimal(repr(self.q))
        first = (Decimal(repr(self.low)) / step).to_integral_value(ROUND_CEILING)
        last = (Decimal(repr(self.high)) / step).to_integral_value(ROUND_FLOOR)
        return range(int(first), int(last) + 1)

    def _multiple(self, k: int) -> float:
        value = float(Decimal(repr(self.q)) * k)
        return int(value) if float(self.q or 0).is_integer() else value

    @property
    def continuous(self) -> bool:
        """Whether the values can't be listed."""
        return self.kind in {"uniform", "loguniform"}

    @property
    def logarithmic(self) -> bool:
        """Whether the values spread evenly in their logarithm."""
        return self.kind in {"loguniform", "logint"}

    @property
    def count(self) -> int | None:
        """How many values there are; None for a continuous parameter."""
        if self.continuous:
            return None
        if self.kind == "choice":
            return len(self.values)
        return len(self._multiples() if self.kind == "quniform" else self._integers())

    def _integers(self) -> range:
        return range(int(self.low), int(self.high) + 1)

    def all_values(self) -> list[Any]:
        """Every value in its order; not for a continuous parameter.

        Raises:
            InputError: for a continuous parameter.
        """
        if self.continuous:
            raise InputError(f"{self.name} is {self.kind}: its values can't be listed.")
        if self.kind == "choice":
            return list(self.values)
        if self.kind == "quniform":
            return [self._multiple(k) for k in self._multiples()]
        return list(self._integers())

    def at(self, u: float) -> Any:
        """The value at the quantile ``u`` in [0, 1): a uniform ``u`` gives a random value."""
        if self.kind == "choice":
            return self.values[int(u * len(self.values))]
        if self.kind == "quniform":
            multiples = self._multiples()
            return self._multiple(multiples[int(u * len(multiples))])
        if self.kind == "int":
            return min(self._integers()[0] + int(u * len(self._integers())), int(self.high))
        if self.kind == "logint":  # the number n has the share between n - 1/2 and n + 1/2
            return self.clip(round(_between(u, self.low - 0.5, self.high + 0.5, logarithmic=True)))
        return self.clip(_between(u, self.low, self.high, self.logarithmic))

    def clip(self, value: Any) -> Any:
        """The number nearest to ``value`` that the parameter can take; choices stay as they are."""
        if self.kind == "choice":
            return value
        if self.kind == "quniform":
            multiples = self._multiples()
            k = round(value / float(self.q or 1))
            return self._multiple(min(max(k, multiples[0]), multiples[-1]))
        inside = min(max(value, self.low), self.high)
        return inside if self.continuous else round(inside)

    def allows(self, value: Any) -> bool:
        """Whether ``value`` is one of the values; False for a continuous parameter."""
        if self.kind == "choice":
            return frozen(value) in {frozen(x) for x in self.values}
        if self.continuous or number(value) is None or isinstance(value, str):
            return False
        return bool(self.clip(value) == value)

    def holds(self, value: Any) -> bool:
        """Whether ``value`` is one of the values, or between the bounds if they can't be listed."""
        if not self.continuous:
            return self.allows(value)
        plain = not isinstance(value, str) and number(value) is not None
        return plain and self.low <= value <= self.high

    def typed(self, value: Any) -> Any:
        """``value`` as a number where this is a numeric setting that a file gives as text."""
        read = None if self.kind == "choice" else number(value)
        return value if read is None else read

    def stored(self, value: Any) -> Any:
        """What Optuna keeps for a value that this can take, see `suggest`."""
        if self.kind != "choice" or _native(self.values):
            return value
        return [frozen(x) for x in self.values].index(frozen(value))

    def suggest(self, trial: Any) -> Any:
        """A value from an Optuna trial; choices that Optuna can't store go by their index."""
        if self.kind == "choice":
            if _native(self.values):
                return trial.suggest_categorical(self.name, list(self.values))
            return self.values[trial.suggest_categorical(self.name, range(len(self.values)))]
        if self.kind == "quniform":
            low, high = (float(self._multiple(self._multiples()[end])) for end in (0, -1))
            return self.clip(trial.suggest_float(self.name, low, high, step=self.q))
        suggested = trial.suggest_float if self.continuous else trial.suggest_int
        return suggested(self.name, self.low, self.high, log=self.logarithmic)

    def words(self) -> str:
        """The values in a few words, for a person."""
        if self.kind == "choice":
            return "one of " + ", ".join(map(str, self.values))
        text = f"{self.low:g} to {self.high:g}"
        if self.kind in {"int", "logint"}:
            text = f"{self.low} to {self.high}"
        if self.kind == "quniform":
            return f"{text} in steps of {self.q:g}"
        return text


def _between(u: float, low: float, high: float, logarithmic: bool) -> float:
    if logarithmic:
        return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    return low + u * (high - low)


def _distinct(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    if not values:
        raise InputError(f"{name}: the choice has no values; give at least one, as in [32, 64].")
    for value in values:
        if not _plain(value):
            raise InputError(
                f"{name}: the choice has the value {value!r} of type {type(value).__name__}, but "
                "a value must be text, a number, true, false, null, a list or a dictionary."
            )
    first: dict[Any, Any] = {}
    for value in values:
        first.setdefault(frozen(value), value)
    return tuple(first.values())


def _plain(value: Any) -> bool:
    """Whether a configuration file can hold ``value``."""
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    if isinstance(value, float) and math.isnan(value):
        return False
    return value is None or isinstance(value, bool | int | float | str)


def _native(values: Sequence[Any]) -> bool:
    """Whether Optuna can store the values and tell them apart (it takes 1 and True for one)."""
    if not all(x is None or isinstance(x, bool | int | float | str) for x in values):
        return False
    return len(set(values)) == len(values)
