"""The types of the settings of RecBole's models, which RecBole doesn't check.

A setting has the type of its default in RecBole's yaml files, or the one that the comment beside it
tells where the default is written more narrowly (``dropout_prob: 0  # (float)``). A whole number
may stand where a float is meant; a float doesn't stand for a whole number, even where it is one.
Defaults of nothing (``~``) say nothing of a type, so those settings aren't checked.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin.stock_models import recboles_file

__all__ = ["check_types"]

_NOTE = re.compile(r"(?m)^([\w-]+):[^#\n]*#\s*\((\w+)")
_WIDER = {(int, "float"): float, (int, "bool"): (bool, int)}


def check_types(
    model: str, given: Mapping[str, Any], defaults: Mapping[str, Any], elsewhere: set[str]
) -> None:
    """Stop at a setting of another type than its default.

    Args:
        model: a model of RecBole's.
        given: what the user has set.
        defaults: RecBole's value of each setting.
        elsewhere: settings that are checked by options of ours.

    Raises:
        InputError: naming the setting, its value and the type.
    """
    notes = _notes(f"model/{model}.yaml")
    for key, value in given.items():
        default = defaults.get(key)
        if default is None or key in elsewhere:
            continue
        own = key in notes
        if value is None and (not own or default == "None"):
            continue  # switched off: an interval, a column
        kind = _WIDER.get((type(default), notes.get(key, "")), type(default))
        _check(key, value, kind)
        if isinstance(default, list) and default and isinstance(value, list):
            for part in value:
                _check_part(key, value, part, default)


@cache
def _notes(name: str) -> dict[str, str]:
    """Setting -> the first word of what its comment calls its type."""
    file = recboles_file(name)
    return dict(_NOTE.findall(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _check(key: str, value: Any, kind: Any) -> None:
    if not _is_a(value, kind):
        name = kind[0].__name__ if isinstance(kind, tuple) else kind.__name__
        whole = isinstance(value, float) and kind is int and value.is_integer()
        said = f": write {int(value)}" if whole else ""
        raise InputError(f"{key} is {value!r}, but it must be of type {name}{said}.")


def _check_part(key: str, value: list[Any], part: Any, default: list[Any]) -> None:
    kinds = {type(item) for item in default}
    if len(kinds) == 1 and not _is_a(part, *kinds):
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
