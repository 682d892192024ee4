"""What ``compare`` was asked for, beside the settings of its runs."""

import dataclasses
from typing import Any, Literal, get_args

from recbole_symcere.errors import InputError
from recbole_symcere.options import TextControl, option, read_options
from recbole_symcere.settings import parse_value

__all__ = ["CompareOptions", "take_options"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What to compare.

    Attributes:
        models: names; a row each.
        datasets: names; a table each.
        seeds: a run each.
        out: the folder of runs and tables.
        tune: trials of a search per model and data set; 0 takes the settings as they are.
        preset: rows and layout of the paper's Table 2 or 3.
        text_control: controls of which every model with text gets a row.
        untuned: models that get a row at their own settings too, beside the tuned one.
        proposed: the models that are compared with the best of the others; None for those whose
            names begin with SymCERE.
        significance: whether to test differences between models.
        jobs: runs at a time. With several, wall times are those of a shared machine.
    """

    models: list[str]
    datasets: list[str]
    seeds: list[int]
    out: str
    preset: Literal["table2", "table3"] | None
    text_control: list[str]
    untuned: list[str]
    proposed: list[str] | None
    significance: bool
    tune: int = option(minimum=0)
    jobs: int = option(minimum=1)


_LISTS = {"models", "datasets", "seeds", "text_control", "untuned", "proposed"}
_DEFAULTS: dict[str, Any] = {
    "models": [],
    "datasets": [],
    "seeds": [],
    "preset": None,
    "text_control": [],
    "untuned": [],
    "proposed": None,
    "significance": True,
    "tune": 0,
    "jobs": 1,
}
_CONTROLS = get_args(TextControl)


def take_options(pairs: dict[str, Any]) -> CompareOptions:
    """Take the options out of ``pairs``; what is left are settings of the runs.

    Raises:
        InputError: for what is missing, given twice or of a wrong type; the message names it.
    """
    values = dict(_DEFAULTS)
    for name in [*_DEFAULTS, "out"]:
        if name in pairs:
            values[name] = _read(name, pairs.pop(name))
    _refuse_missing(values, pairs)
    options = read_options(CompareOptions, values)
    _refuse_repeats(options)
    return options


def _read(name: str, value: Any) -> Any:
    if not isinstance(value, str) or name == "out":
        return value
    if name not in _LISTS:
        return parse_value(value)
    words = [word.strip() for word in value.strip("[]").split(",") if word.strip()]
    return [parse_value(word) for word in words] if name == "seeds" else words


def _refuse_missing(values: dict[str, Any], pairs: dict[str, Any]) -> None:
    if not values.get("out"):
        raise InputError("No folder is given for the results. Name one with --out=DIR.")
    for name in ("datasets", "seeds"):
        if not values[name]:
            raise InputError(f"No {name} are given. Name them with --{name}=A,B.")
    if not values["models"] and not values["preset"]:
        raise InputError("No models are given. Name them with --models=A,B, or give a --preset.")
    if "run_dir" in pairs:
        raise InputError("compare has no --run_dir; its runs lie below the folder of --out=DIR.")
    for name in ("model", "dataset", "seed"):
        if name in pairs:
            raise InputError(f"compare has no --{name}; its runs are named by --{name}s=A,B.")


def _refuse_repeats(options: CompareOptions) -> None:
    for name in _LISTS:
        given = getattr(options, name) or []
        for value in given:
            if given.count(value) > 1:
                raise InputError(f"{name} names {value} twice.")
    for seed in options.seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise InputError(f"seeds has {seed!r}, but a seed is a whole number from 0 to 2^32.")
    for control in options.text_control:
        if control not in _CONTROLS:
            raise InputError(
                f"text_control has {control!r}, but it must be one of {', '.join(_CONTROLS)}."
            )
