"""Search spaces as files: YAML, and the format that RecBole's HyperTuning reads.

YAML, one key per tuned setting::

    learning_rate: {loguniform: [0.0001, 0.01]}   # real bounds
    n_layers: {int: [1, 4]}                       # 1, 2, 3, 4; logint spreads evenly in log
    dropout_prob: {uniform: [0.0, 0.5]}
    edge_dropout: {quniform: [0, 0.5, 0.1]}       # the multiples of 0.1
    embedding_size: [32, 64]                      # the same as {choice: [32, 64]}
    cross_modal_loss: [sincere, info_nce]
    intra_temperature: {uniform: [0.05, 0.5], when: {cross_modal_loss: sincere}}

``when`` names settings that come earlier in the file, or that the configuration fixes, with a value
or a list of values.

RecBole's files (``.hyper``, ``.test``, any other name) have lines such as ``learning_rate
loguniform -8,0``; there the bounds of loguniform are exponents of e. A line without its kind, as
RecBole has in a file of its own, is a choice.
"""

import functools
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.base.options import parse_value
from recbole_symcere.tune.parameter import KINDS, Parameter, number

__all__ = ["parameters_of", "read_parameters"]

_YAML_NAMES = {".yaml", ".yml", ".json"}
_EXAMPLES = {
    "choice": "a list such as [32, 64]",
    "quniform": "[low, high, step] such as [0, 1, 0.1]",
}
_BOUNDS = "[low, high] such as [1, 4]"
_HYPER_KINDS = ("choice", "uniform", "quniform", "loguniform")


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML carries no types
    """YAML without Python objects, where 1e-4 is a number and no key may come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As in SafeLoader, which would keep the last value of a repeated key in silence."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} comes twice", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return dict(super().construct_mapping(node, deep))


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read_parameters(path: Path) -> list[Parameter]:
    """The parameters that a file describes, in its order.

    Raises:
        InputError: for a file that can't be read or is no search space; the message names the
            file and the line or key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InputError(f"The search space {path} can't be read: {reason}.") from error
    if path.suffix.lower() not in _YAML_NAMES:
        return _read_hyper(path, text)
    try:
        content = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}{_place(error)}") from error
    return parameters_of(content, str(path))


def _place(error: Exception) -> str:
    """Where a YAML file is wrong and why, in one line."""
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"{where}: {problem or 'it is nested too deeply'}."


def parameters_of(content: Any, source: str) -> list[Parameter]:
    """The parameters that a dictionary describes, which is what a YAML file holds.

    Args:
        content: setting -> a list (a choice) or {kind: bounds or values, when: {...}}.
        source: the file name, for messages.

    Raises:
        InputError: as this module's text says; the message names ``source`` and the key.
    """
    if content is None or content == {}:
        return []
    if not isinstance(content, Mapping):
        raise InputError(
            f"{source} holds a {type(content).__name__}, but a search space is a dictionary such "
            "as learning_rate: {loguniform: [0.0001, 0.01]}."
        )
    found = []
    for name, entry in content.items():
        if not isinstance(name, str):
            raise InputError(f"{source}: the key {name!r} is no text, but it must name a setting.")
        found.append(_within(source, functools.partial(_parameter, name, entry)))
    return found


def _within(source: str, make: Callable[[], Parameter]) -> Parameter:
    try:
        return make()
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _parameter(name: str, entry: Any) -> Parameter:
    if isinstance(entry, list):
        return Parameter(name, "choice", tuple(entry))
    if not isinstance(entry, Mapping):
        raise InputError(
            f"{name} is {entry!r}, but it must be a list of values or one of "
            f"{', '.join(KINDS)}, as in {{uniform: [0, 1]}}. A value that isn't tuned belongs "
            f"on the command line: --{name}={entry}."
        )
    kinds = [key for key in entry if key != "when"]
    for key in kinds:
        if key not in KINDS:
            raise InputError(
                f"{name}: the kind is {key!r}, but it must be one of {', '.join(KINDS)}."
                f"{did_you_mean(str(key), [*KINDS, 'when'])}"
            )
    if len(kinds) != 1:
        given = ", ".join(kinds) or "none"
        raise InputError(f"{name} needs exactly one of {', '.join(KINDS)}; given: {given}.")
    when = _conditions(name, entry.get("when"))
    return _made(name, kinds[0], entry[kinds[0]], when)


def _made(name: str, kind: Any, given: Any, when: Mapping[str, tuple[Any, ...]]) -> Parameter:
    length = {"choice": None, "quniform": 3}.get(kind, 2)
    if not isinstance(given, list) or length not in {None, len(given)}:
        raise InputError(
            f"{name}: {kind} is {given!r}, but it must be {_EXAMPLES.get(kind, _BOUNDS)}."
        )
    if kind == "choice":
        return Parameter(name, kind, tuple(given), when=when)
    return Parameter(
        name, kind, low=given[0], high=given[1], q=dict(enumerate(given)).get(2), when=when
    )


def _conditions(name: str, when: Any) -> dict[str, tuple[Any, ...]]:
    if when is None:
        return {}
    if not isinstance(when, Mapping) or not all(isinstance(key, str) for key in when):
        raise InputError(
            f"{name}: when is {when!r}, but it must be a dictionary such as {{backbone: NGCF}}."
        )
    conditions = {key: tuple(v) if isinstance(v, list) else (v,) for key, v in when.items()}
    for key, values in conditions.items():
        if not values:
            raise InputError(f"{name}: when names no value of {key}; give at least one.")
    return conditions


def _read_hyper(path: Path, text: str) -> list[Parameter]:
    """RecBole's format; its own reader runs the values as Python code."""
    found: dict[str, Parameter] = {}
    for row, line in enumerate(text.splitlines(), start=1):
        words = line.strip().split(maxsplit=2)
        if not words or words[0].startswith("#"):
            continue
        place = f"{path}, line {row}"
        if words[0] in found:
            raise InputError(f"{place}: {words[0]} comes twice.")
        if len(words) > 1 and words[1][0] in "[(":  # `reg_weight ['[0,0]','[0.1,0]']`
            words = [words[0], "choice", " ".join(words[1:])]
        if len(words) < 3:
            raise InputError(
                f"{place} is {line.strip()!r}, but it must have a setting, a kind and the values, "
                "as in: embedding_size choice [64,128]."
            )
        found[words[0]] = _within(place, functools.partial(_hyper_parameter, *words))
    return list(found.values())


def _hyper_parameter(name: str, kind: str, text: str) -> Parameter:
    if kind not in _HYPER_KINDS:
        raise InputError(
            f"{name}: the kind is {kind!r}, but it must be one of {', '.join(_HYPER_KINDS)}."
            f"{did_you_mean(kind, _HYPER_KINDS)} YAML files have more kinds."
        )
    text = text.partition(" #")[0].strip()
    if kind == "choice":
        values = parse_value(text)
        if isinstance(values, list):  # RecBole's Config turns text into values, as '[64,64]'
            values = [parse_value(v) if isinstance(v, str) else v for v in values]
        return _made(name, kind, values, {})
    bounds: list[Any] = [part.strip() for part in text.strip("[]()").split(",")]
    if kind == "loguniform":
        bounds = [_exp(bound) for bound in bounds]
    return _made(name, kind, bounds, {})


def _exp(exponent: str) -> Any:
    power = number(exponent)
    if power is None:
        return exponent
    if not -700 < power < 700:
        raise InputError(
            f"the bound {exponent} is an exponent of e here, as always in RecBole's files, but "
            "e can't be raised to it; a YAML file takes real bounds."
        )
    return math.exp(power)
