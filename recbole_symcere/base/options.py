"""Settings and options as frozen dataclasses, each stated once, and the grammar of all commands.

`option` gives a field its default, its help and its bounds. `read_options` checks what a
configuration holds, `take_options` what stands on a command line, and `option_help` tells it. A
missing key, a wrong type and a value out of range are errors that name the key.
"""

import ast
import contextlib
import dataclasses
import math
import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from recbole_symcere.base.errors import InputError, UnknownKeyError, did_you_mean

__all__ = [
    "MISSING",
    "check_options",
    "default_of",
    "defaults_of",
    "hints_of",
    "option",
    "parse_as",
    "parse_pairs",
    "parse_value",
    "read_options",
    "refuse_unknown",
    "suggesting",
    "take_options",
    "type_of",
]

T = TypeVar("T")

_WORDS = {"true": True, "false": False, "none": None, "null": None, "~": None}
MISSING = dataclasses.MISSING
"""Stands for the default of an option that has to be given."""

_BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "above": (operator.gt, "more than"),
    "below": (operator.lt, "less than"),
}


def option(
    default: Any = MISSING,
    help: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A dataclass field with bounds: minimum <= value <= maximum, above < value < below.

    Args:
        default: its value where none is given; an option without one has to be given.
        help: what it means, in a few words, for ``--help``.
        minimum: bounds, of a number or of each in a list.
        maximum: see there.
        above: see there.
        below: see there.
    """
    bounds = {"minimum": minimum, "maximum": maximum, "above": above, "below": below}
    metadata = {
        "help": help,
        "bounds": {name: bound for name, bound in bounds.items() if bound is not None},
    }
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


# --- reading and checking ------------------------------------------------------------------------


def read_options(options: type[T], config: Any) -> T:
    """Build the dataclass ``options`` from the keys of ``config`` that bear its fields' names.

    Args:
        options: a frozen dataclass of bool, int, float, str, list, Literal or optional fields.
        config: RecBole's Config or a dictionary; what it lacks takes its default.

    Raises:
        InputError: for a missing key without a default, a wrong type or a value out of range.
    """
    hints = get_type_hints(options)
    values = {}
    for field in _fields(options):
        value = config[field.name] if field.name in config else default_of(field)
        if value is MISSING:
            raise InputError(f"The key {field.name!r} is missing from the configuration.")
        values[field.name] = _checked(field.name, value, hints[field.name])
        _check_bounds(field.name, values[field.name], field.metadata.get("bounds", {}))
    return options(**values)


def check_options(given: Any) -> None:
    """Stop if an instance of a dataclass holds a wrong type or a value out of range.

    Raises:
        InputError: naming the option.
    """
    hints = hints_of(type(given))
    for field in _fields(type(given)):
        value = _checked(field.name, getattr(given, field.name), hints[field.name])
        _check_bounds(field.name, value, field.metadata.get("bounds", {}))


def hints_of(*groups: type) -> dict[str, Any]:
    """Name -> type of all options of the dataclasses."""
    return {name: hint for group in groups for name, hint in get_type_hints(group).items()}


def defaults_of(*groups: type) -> dict[str, Any]:
    """Name -> default of all options that have one."""
    found = {field.name: default_of(field) for group in groups for field in _fields(group)}
    return {name: default for name, default in found.items() if default is not MISSING}


def _fields(options: type) -> tuple["dataclasses.Field[Any]", ...]:
    return dataclasses.fields(options)


def default_of(field: "dataclasses.Field[Any]") -> Any:
    """The default of an option, or `MISSING`."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def type_of(hint: Any) -> tuple[Any, bool]:
    """The type that is meant, and whether None may stand in its place."""
    if get_origin(hint) in {Union, types.UnionType}:
        kinds = [arg for arg in get_args(hint) if arg is not type(None)]
        return kinds[0], len(kinds) < len(get_args(hint))
    return hint, False


def _checked(key: str, value: Any, hint: Any) -> Any:
    """``value`` as a ``hint``; a whole number is accepted where a float is expected."""
    hint, optional = type_of(hint)
    if value is None and optional:
        return None
    if get_origin(hint) is Literal:
        return _checked_choice(key, value, get_args(hint))
    kind = get_origin(hint) or hint
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{key} is {value!r}, but it must be a finite number.")
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"{key} is {value!r}, but it must be of type {kind.__name__}.")
    if kind is list and not all(_is_a(x, get_args(hint)[0]) for x in value):
        names = get_args(hint)[0].__name__
        raise InputError(f"{key} is {value!r}, but it must be a list of {names}.")
    return value


def _is_a(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _checked_choice(key: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InputError(
            f"{key} is {value!r}, but it must be one of {', '.join(choices)}."
            f"{did_you_mean(str(value), choices)}"
        )
    return str(value)


def _check_bounds(key: str, value: Any, bounds: Mapping[str, float]) -> None:
    if value is None:
        return
    for number in value if isinstance(value, list) else [value]:
        for name, bound in bounds.items():
            holds, words = _BOUNDS[name]
            if not holds(number, bound):
                raise InputError(f"{key} is {value!r}, but it must be {words} {bound:g}.")


# --- the command line ----------------------------------------------------------------------------


def parse_pairs(words: Sequence[str]) -> dict[str, str]:
    """``--key=value`` and ``--key value`` as a dictionary of strings.

    Raises:
        InputError: for a word that is neither, a key without a value or with an empty one, which an
            unset variable of a shell gives, and a key given twice.
    """
    pairs: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) < 3:  # two dashes and a letter
            raise InputError(f"{word!r} isn't understood. Settings are written --key=value.")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise InputError(
                    f"--{key} needs a value: --{key}=VALUE; for yes or no --{key}=True or False."
                )
            value = rest.pop(0)
        if not value:
            raise InputError(f"--{key} is empty. Write --{key}=VALUE, or leave it out.")
        if key in pairs:
            raise InputError(f"--{key} is given twice: {pairs[key]!r} and {value!r}.")
        pairs[key] = value
    return pairs


def take_options(options: type[T], pairs: dict[str, Any]) -> T:
    """Take the options of a command out of ``pairs``; what is left are settings of its runs.

    A string is read by the type of its option: text stays what it is, a list is written ``a,b`` or
    ``[a, b]``, and none, null and ~ stand for nothing where nothing is allowed.

    Raises:
        InputError: for a missing option, a wrong type, a value out of range, or a list of nothing
            but commas and blanks.
    """
    hints, values = get_type_hints(options), {}
    for field in _fields(options):
        if field.name in pairs:
            value = pairs.pop(field.name)
            if isinstance(value, str):
                read = parse_as(value, hints[field.name])
                if read == [] and value.strip() != "[]":
                    raise InputError(
                        f"{field.name} is {value!r}, which names nothing. Write "
                        f"--{field.name}=A,B, or leave it out."
                    )
                value = read
            values[field.name] = value
        elif default_of(field) is MISSING:
            raise InputError(f"--{field.name}=... is missing: {field.metadata['help']}.")
    return read_options(options, values)


def refuse_unknown(pairs: Mapping[str, Any], command: str, *groups: type) -> None:
    """Stop at the first of ``pairs``, which are no options of the command.

    Raises:
        InputError: with the closest option that the command has.
    """
    for key in pairs:
        known = hints_of(*groups)
        raise InputError(
            f"{command} has no option --{key}.{did_you_mean(key, known)} {command} --help shows "
            "what there is."
        )


@contextlib.contextmanager
def suggesting(*groups: type) -> Iterator[None]:
    """Let a misspelt key be taken for an option of the command at hand before any setting."""
    try:
        yield
    except UnknownKeyError as error:
        hint = did_you_mean(error.key, hints_of(*groups))
        if not hint:
            raise
        raise UnknownKeyError(error.key, hint) from None


def parse_as(text: str, hint: Any) -> Any:
    """The value that a string stands for where a ``hint`` is expected; `take_options` says how."""
    hint, optional = type_of(hint)
    if optional and _WORDS.get(text.strip().lower(), text) is None:
        return None
    kind = get_origin(hint) or hint
    if kind is str or kind is Literal:
        return text
    if kind is list:
        words = (word.strip().strip("'\"") for word in text.strip().strip("[]").split(","))
        return [parse_as(word, get_args(hint)[0]) for word in words if word]
    return parse_value(text)


def parse_value(text: str) -> Any:
    """The value that a string from a command line or a dictionary stands for.

    Python literals (numbers, lists, dictionaries, quoted strings), YAML lists and dictionaries with
    bare words, and the words true, false, null and none in any case. Everything else stays a
    string. RecBole would run the string as Python code instead.

    >>> parse_value("1e-3"), parse_value("[10,20]"), parse_value("[NDCG, Hit]"), parse_value("1-2")
    (0.001, [10, 20], ['NDCG', 'Hit'], '1-2')
    """
    stripped = text.strip()
    if stripped.lower() in _WORDS:
        return _WORDS[stripped.lower()]
    try:
        value = ast.literal_eval(stripped)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        value = _parse_yaml_collection(stripped, text)
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, bool | int | float | str | list | dict | None) else text


def _parse_yaml_collection(stripped: str, text: str) -> Any:
    if stripped[:1] not in {"[", "{"}:
        return text
    try:
        return yaml.safe_load(stripped)
    except yaml.YAMLError:
        return text
