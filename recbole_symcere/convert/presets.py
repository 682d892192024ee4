"""What properties/dataset/<name>.yaml says about converting the data set of that name.

The mapping ``convert:`` there holds source, place and file of the raw reviews, the filters, and
what the paper's Table 1 says of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.fast_yaml import read_yaml

_KEYS = {"source", "place", "file", "filters", "table1", "note"}
_CORES = {"k_core", "user_core"}


@dataclass(frozen=True)
class Preset:
    """How a data set of the papers is made.

    Attributes:
        file: the yaml's name, for messages.
        filters: option -> value, for options that the command line does not give.
        table1: column -> number of the paper's Table 1; what is not known is left out.
        note: a remark for the reader of the figures.
    """

    file: str
    filters: Mapping[str, Any] = field(default_factory=dict)
    table1: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def beside(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the filters that hold beside the given ones: a given core replaces every core."""
        dropped = set(given) | (_CORES if _CORES & given.keys() else set())
        return {name: value for name, value in self.filters.items() if name not in dropped}


def load_preset(folder: Path | None, name: str) -> Preset | None:
    """Return the preset of a data set, or None where there is none.

    Args:
        folder: where the yaml files are.
        name: name of the data set.

    Raises:
        InputError: if the file's ``convert:`` holds an unknown key.
    """
    path = folder / f"{name}.yaml" if folder else None
    if path is None or not path.is_file():
        return None
    settings = read_yaml(path.read_text(encoding="utf-8")) or {}
    convert = settings.get("convert")
    if convert is None:
        return None
    unknown = sorted(convert.keys() - _KEYS)
    if unknown:
        raise InputError(
            f"{path}: convert holds the unknown key {unknown[0]!r}; expected {', '.join(_KEYS)}"
        )
    return Preset(
        path.name,
        convert.get("filters") or {},
        convert.get("table1") or {},
        convert.get("note") or "",
    )
