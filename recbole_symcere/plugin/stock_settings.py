"""The types and choices of the settings of RecBole's models, which RecBole doesn't check.

A setting has the type of its default in RecBole's yaml files, or the one that the comment beside it
tells where the default is written more narrowly (``dropout_prob: 0  # (float)``). A whole number
may stand where a float is meant; a float doesn't stand for a whole number, even where it is one.
Where the comment lists the values of a word, no other is taken. Defaults of nothing (``~``) say
nothing of a type, so those settings aren't checked.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.plugin.stock_models import recboles_file

__all__ = ["check_settings_of"]

_COMMENT = re.compile(r"(?m)^([\w-]+):[^#\n]*#([^\n]*)")
_TYPE = re.compile(r"\s*\((\w+)")
_CHOICES = re.compile(r"[Rr]ang(?:e|ing) in[\s`]*(\[[^\]]*\])")
_ONE_OR_MORE = "additional_feat_suffix"  # a word or a list of them
_WIDER = {(int, "float"): float, (int, "bool"): (bool, int)}


class _Told(NamedTuple):
    """What the comment beside a setting tells: its type's first word, and its values if listed."""

    kind: str = ""
    choices: tuple[str, ...] = ()


def check_settings_of(
    model: str, given: Mapping[str, Any], defaults: Mapping[str, Any], elsewhere: set[str]
) -> None:
    """Stop at a setting of another type than its default, or of a value that there isn't.

    Args:
        model: a model of RecBole's.
        given: what the user has set.
        defaults: RecBole's value of each setting.
        elsewhere: settings that are checked by options of ours.

    Raises:
        InputError: naming the setting, its value and what it must be.
    """
    told = _told(f"model/{model}.yaml")
    for key, value in given.items():
        default = defaults.get(key)
        if default is None or key in elsewhere or key == _ONE_OR_MORE:
            continue
        if value is None and (key not in told or default == "None"):
            continue  # switched off: an interval, a column
        of = told.get(key, _Told())
        _check(key, value, _WIDER.get((type(default), of.kind), type(default)))
        if isinstance(value, list):
            _check_parts(key, value, default)
        if default in of.choices and value not in of.choices:
            raise InputError(
                f"{key} is {value!r}, but it must be one of {', '.join(of.choices)}."
                f"{did_you_mean(str(value), of.choices)}"
            )


@cache
def _told(name: str) -> dict[str, _Told]:
    file = recboles_file(name)
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return {key: _read(comment) for key, comment in _COMMENT.findall(text)}


def _read(comment: str) -> _Told:
    kind, listed = _TYPE.match(comment), _CHOICES.search(comment)
    choices = re.findall(r"[\w-]+", listed[1]) if listed else ()  # some quoted, some not
    return _Told(kind[1] if kind else "", tuple(choices))


def _check(key: str, value: Any, kind: Any) -> None:
    if not _is_a(value, kind):
        name = kind[0].__name__ if isinstance(kind, tuple) else kind.__name__
        whole = isinstance(value, float) and kind is int and value.is_integer()
        said = f": write {int(value)}" if whole else ""
        raise InputError(f"{key} is {value!r}, but it must be of type {name}{said}.")


def _check_parts(key: str, value: list[Any], default: list[Any]) -> None:
    kinds = {type(item) for item in default}
    if len(kinds) == 1 and not all(_is_a(part, *kinds) for part in value):
        raise InputError(f"{key} is {value!r}, but it must be a list of {kinds.pop().__name__}.")


def _is_a(value: Any, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return any(_is_a(value, one) for one in kind)
    if kind is bool:
        return isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is str:  # an id or a name may look like a number
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and not isinstance(value, bool)
