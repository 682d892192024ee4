"""The text of ``--help``, from where each option is stated."""

import dataclasses
import math
import textwrap
from collections.abc import Container, Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from recbole_symcere.base.options import MISSING, default_of, hints_of, type_of

__all__ = ["help_of"]

_WIDTH = 98
_NAME_WIDTH = 22


def help_of(
    *groups: type,
    defaults: Mapping[str, Any] | None = None,
    names: Container[str] | None = None,
) -> str:
    """A line for each option: its name, what it means, its choices or bounds, its default.

    Args:
        groups: dataclasses of options.
        defaults: those that take the place of an option's own.
        names: of the options to tell of; None for all.
    """
    told: Mapping[str, Any] = defaults or {}
    lines: dict[str, str] = {}
    for group in groups:
        hints = hints_of(group)
        for field in dataclasses.fields(group):
            if names is not None and field.name not in names:
                continue
            default = told.get(field.name, default_of(field))
            lines.setdefault(field.name, _lines_of(field, hints[field.name], default))
    return "".join(lines.values())


def _lines_of(field: "dataclasses.Field[Any]", hint: Any, default: Any) -> str:
    kind, _ = type_of(hint)
    about = [field.metadata["help"]]
    if get_origin(kind) is Literal:
        about.append(f"one of {', '.join(get_args(kind))}")
    text = "; ".join([*about, *_range(field.metadata["bounds"])])
    if default is not MISSING and default not in (None, "", []):
        text += f" (default: {_shown(default)})"
    name, wrapped = (
        f"  --{field.name} ",
        textwrap.wrap(text, _WIDTH - _NAME_WIDTH, break_on_hyphens=False),
    )
    if len(name) > _NAME_WIDTH:
        return "".join(f"{line}\n" for line in [name.rstrip(), *_indented(wrapped)])
    first, *rest = wrapped
    return "".join(f"{line}\n" for line in [name.ljust(_NAME_WIDTH) + first, *_indented(rest)])


def _range(bounds: Mapping[str, float]) -> list[str]:
    """Bounds that aren't plain from what a number counts, as "0 to 1" or "more than 0"."""
    low, high = bounds.get("minimum"), bounds.get("maximum")
    above, below = bounds.get("above"), bounds.get("below", math.inf)
    told = [] if above is None else [f"more than {above:g}"]
    if low is not None and high is not None:
        told.append(f"{low:.10g} to {high:.10g}")
    elif high is not None:
        told.append(f"at most {high:g}")
    return told if below == math.inf else [*told, f"less than {below:g}"]


def _indented(lines: Iterable[str]) -> list[str]:
    return [" " * _NAME_WIDTH + line for line in lines]


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
