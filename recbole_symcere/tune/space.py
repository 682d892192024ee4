"""Search spaces: which settings a search varies, and the configurations that it may try."""

import copy
import dataclasses
import functools
import itertools
import math
import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.tune.parameter import Parameter, frozen
from recbole_symcere.tune.space_checks import check_conditions, check_keys
from recbole_symcere.tune.space_file import parameters_of, read_parameters

__all__ = ["Parameter", "SearchSpace"]

_LARGEST_GRID = 100_000
_DRAWS_WITHOUT_NEWS = 1000
_LONGEST_LIST = 1000
_STRATA = 12
_BELOW_1 = math.nextafter(1.0, 0.0)
_OTHER = object()  # any value that no condition names


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """The settings that a search varies.

    A parameter with conditions (``when``) is in a configuration only where they hold. Conditions
    on keys outside the space are settled by ``bind``.

    Attributes:
        parameters: in the order of the file; conditions look backwards.
        source: the file's name, for messages.

    Raises:
        InputError: for an empty space, a name that comes twice, or a condition on the parameter
            itself, on a later one, or that no value of the other parameter can meet.
    """

    parameters: tuple[Parameter, ...]
    source: str = "the search space"

    def __post_init__(self) -> None:
        check_conditions(self.parameters, self.source)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SearchSpace":
        """Read a YAML file or one of RecBole's; the formats are described in ``space_file``.

        Raises:
            InputError: for a mistake in the file; the message names it and the line or key.
        """
        return cls(tuple(read_parameters(Path(path))), str(path))

    @classmethod
    def of(cls, content: Mapping[str, Any], source: str = "the search space") -> "SearchSpace":
        """The space that a dictionary describes, as a YAML file would.

        >>> SearchSpace.of({"n_layers": {"int": [1, 3]}}).grid()
        [{'n_layers': 1}, {'n_layers': 2}, {'n_layers': 3}]
        """
        return cls(tuple(parameters_of(content, source)), source)

    @property
    def names(self) -> list[str]:
        """The tuned keys."""
        return [parameter.name for parameter in self.parameters]

    def check(self, known_keys: Iterable[str], given: Iterable[str] = ()) -> None:
        """Compare the keys with those of the model and with the command line.

        Args:
            known_keys: the keys that mean something to the model.
            given: the keys that the user has fixed.

        Raises:
            InputError: for a key (tuned or in a condition) that the model doesn't have, a key
                that is tuned and given, or one that decides what a score means.
        """
        check_keys(self.parameters, self.source, set(known_keys), set(given))

    def bind(self, settings: Mapping[str, Any]) -> "SearchSpace":
        """Settle the conditions on keys that aren't tuned.

        Args:
            settings: the configuration's fixed values; only keys that conditions name are read.

        Returns:
            The space without those conditions, and without the parameters whose conditions fail
            or hang on a parameter that has gone.

        Raises:
            InputError: if no parameter is left.
        """
        kept: dict[str, Parameter] = {}
        names = self.names
        for parameter in self.parameters:
            outside = {k: v for k, v in parameter.when.items() if k not in names}
            inside = {k: v for k, v in parameter.when.items() if k in names}
            met = all(k in settings and _among(settings[k], v) for k, v in outside.items())
            if met and all(key in kept for key in inside):
                kept[parameter.name] = dataclasses.replace(parameter, when=inside)
        if not kept:
            raise InputError(
                f"{self.source}: with this configuration no condition (when) holds, so that "
                "nothing is left to tune."
            )
        return SearchSpace(tuple(kept.values()), self.source)

    def _walk(self, value_of: Callable[[Parameter], Any]) -> dict[str, Any]:
        """One configuration, with the value that ``value_of`` gives for each active parameter."""
        config: dict[str, Any] = {}
        for parameter in self.parameters:
            if self._active(parameter, config):
                config[parameter.name] = copy.deepcopy(value_of(parameter))
        return config

    def _active(self, parameter: Parameter, config: Mapping[str, Any]) -> bool:
        for key, values in parameter.when.items():
            if key not in self.names:
                raise InputError(
                    f"{self.source}: {parameter.name} has a condition on {key}, which is neither "
                    "tuned in this file nor fixed in the configuration."
                )
            if key not in config or not _among(config[key], values):
                return False
        return True

    def own_values(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that leaves every setting as it is, inside the space or not.

        Args:
            settings: of the model without a search.
        """
        return self._walk(lambda parameter: parameter.typed(settings[parameter.name]))

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether each value of a configuration is one that its parameter can take."""
        return all(p.holds(config[p.name]) for p in self.parameters if p.name in config)

    def stored(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What Optuna keeps of a configuration that the space holds."""
        return {p.name: p.stored(config[p.name]) for p in self.parameters if p.name in config}

    def configurations(
        self, n: int, seed: int, first: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """``n`` random configurations; the first k of them don't depend on ``n``.

        No two are equal. Where the space is finite and has fewer than ``n``, all come, once each.
        Of 12 draws in a row every twelfth of a parameter's quantiles gets one (a Latin hypercube;
        McKay, Beckman & Conover 1979), so that few draws see its whole range.

        Args:
            n: how many.
            seed: of the draws.
            first: a configuration that comes before the drawn ones, inside the space or not.
        """
        drawn = self._drawn(seed)
        if first is not None:
            own = frozen(first)
            rest = (config for config in drawn if frozen(config) != own)
            drawn = itertools.chain([copy.deepcopy(dict(first))], rest)
        return list(itertools.islice(drawn, n))

    def _drawn(self, seed: int) -> Iterator[dict[str, Any]]:
        seen: set[Any] = set()
        size, failures, attempt = self.size, 0, 0
        while size is None or len(seen) < size:
            config = self._walk(functools.partial(_random_value, seed, attempt))
            attempt += 1
            failures = failures + 1 if frozen(config) in seen else 0
            if 0 < failures < _DRAWS_WITHOUT_NEWS:
                continue
            if failures and size is not None and size <= _LARGEST_GRID:
                yield from self._left(seen, seed)  # too rare to be drawn
                return
            seen.add(frozen(config))
            yield config

    def _left(self, seen: set[Any], seed: int) -> list[dict[str, Any]]:
        left = [config for config in self.grid() if frozen(config) not in seen]
        random.Random(f"{seed}").shuffle(left)
        return left

    def grid(self) -> list[dict[str, Any]]:
        """All combinations, the last parameter varying fastest; no two are equal.

        Raises:
            InputError: for a continuous parameter, or more combinations than can be tried.
        """
        for parameter in self.parameters:
            if parameter.continuous:
                raise InputError(
                    f"{self.source}: {parameter.name} is {parameter.kind}, but a grid needs "
                    "values that can be listed; make it a choice, or search at random."
                )
        if self.size is not None and self.size > _LARGEST_GRID:
            raise InputError(
                f"{self.source}: the grid has {self.size:,} combinations, more than the "
                f"{_LARGEST_GRID:,} that are possible; tune fewer settings, or search at random."
            )
        configs: list[dict[str, Any]] = [{}]
        for parameter in self.parameters:
            configs = [
                {**config, **more}
                for config in configs
                for more in (
                    [{parameter.name: value} for value in parameter.all_values()]
                    if self._active(parameter, config)
                    else [{}]
                )
            ]
        return [copy.deepcopy(config) for config in configs]

    @property
    def size(self) -> int | None:
        """How many configurations there are; None if a continuous parameter can be active."""
        named: dict[str, dict[Any, Any]] = {}
        for parameter in self.parameters:
            for key, values in parameter.when.items():
                named.setdefault(key, {}).update({frozen(v): v for v in values})
        # parameters that conditions name are followed value by value, all others are multiplied
        branches: list[tuple[dict[str, Any], int]] = [({}, 1)]
        for parameter in self.parameters:
            grown: list[tuple[dict[str, Any], int]] = []
            for config, ways in branches:
                if not self._active(parameter, config):
                    grown.append((config, ways))
                elif (count := parameter.count) is None:
                    return None
                else:
                    chosen = list(named.get(parameter.name, {}).values())
                    grown += [({**config, parameter.name: value}, ways) for value in chosen]
                    if count > len(chosen):
                        other = {**config, parameter.name: _OTHER} if chosen else config
                        grown.append((other, ways * (count - len(chosen))))
            branches = grown
        return sum(ways for _, ways in branches)

    def suggest(self, trial: Any) -> dict[str, Any]:
        """A configuration from an Optuna trial ("define by run")."""
        return self._walk(lambda parameter: parameter.suggest(trial))

    def _mutable(self) -> list[Parameter]:
        conditions = {key for parameter in self.parameters for key in parameter.when}
        return [p for p in self.parameters if not p.when and p.name not in conditions]

    def mutations(self) -> dict[str, list[Any] | Callable[[], Any]]:
        """What Ray's PopulationBasedTraining may change while a trial runs.

        Parameters with conditions stay, and so do those that conditions name: a change would
        leave a configuration that isn't in the space. Ray also multiplies numbers by 0.8 or 1.2;
        ``clip`` as ``custom_explore_fn`` brings them back between their bounds.
        """
        found: dict[str, list[Any] | Callable[[], Any]] = {}
        for parameter in self._mutable():
            listed = parameter.count is not None and parameter.count <= _LONGEST_LIST
            found[parameter.name] = (
                parameter.all_values() if listed else functools.partial(_any_value, parameter)
            )
        return found

    def mutable_numbers(self) -> list[str]:
        """The settings that may change while weights stay: the continuous ones of `mutations`."""
        return [parameter.name for parameter in self._mutable() if parameter.continuous]

    def clip(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """``config`` with each tuned number moved to the nearest one that the space allows."""
        by_name = {parameter.name: parameter for parameter in self.parameters}
        return {k: by_name[k].clip(v) if k in by_name else v for k, v in config.items()}

    def describe(self) -> str:
        """A table for a person: each setting, its kind, its values and when it matters."""
        names = self.names
        if all(key in names for p in self.parameters for key in p.when):
            size = self.size
            count = "infinitely many configurations" if size is None else f"{size:,} configurations"
        else:
            count = "some depending on the configuration"
        rows = [(p.name, p.kind, p.words() + _condition_words(p)) for p in self.parameters]
        widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
        lines = [f"{self.source}: {len(rows)} setting{'s' * (len(rows) > 1)}, {count}"]
        lines += [f"  {n:<{widths[0]}}  {kind:<{widths[1]}}  {text}" for n, kind, text in rows]
        return "\n".join(lines)


def _among(value: Any, values: Iterable[Any]) -> bool:
    return frozen(value) in {frozen(x) for x in values}


def _random_value(seed: int, attempt: int, parameter: Parameter) -> Any:
    # generators of their own: neither n nor another parameter shifts what is drawn here
    block, place = divmod(attempt, _STRATA)
    shuffled = random.Random(f"{seed}/{block}/{parameter.name}/order")
    order = sorted(range(_STRATA), key=lambda _: shuffled.random())
    within = random.Random(f"{seed}/{attempt}/{parameter.name}").random()
    return parameter.at(min((order[place] + within) / _STRATA, _BELOW_1))


def _any_value(parameter: Parameter) -> Any:
    return parameter.at(random.random())


def _condition_words(parameter: Parameter) -> str:
    words = [f"{k} is {' or '.join(map(str, values))}" for k, values in parameter.when.items()]
    return f"  (when {' and '.join(words)})" if words else ""
