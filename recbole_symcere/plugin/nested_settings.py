"""Settings that are dictionaries: what is given merges into what holds, and its keys are checked.

RecBole puts a given dictionary in the place of the whole one, and fills what it lacks from defaults
of its own; keys that it doesn't know pass without a word.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from recbole_symcere.base.errors import InputError, did_you_mean

__all__ = ["NESTED", "check_nested", "merged"]

_MODE = re.compile(r"full|labeled|(uni|pop)[1-9]\d*")
_LEAVE_OUT = ("valid_and_test", "valid_only", "test_only")


def merged(layers: Iterable[Any]) -> Any:
    """The dictionaries of a setting, each merged into those before it; others take their place."""
    result: Any = None
    for layer in layers:
        both = isinstance(result, Mapping) and isinstance(layer, Mapping)
        result = {**result, **layer} if both else layer
    return dict(result) if isinstance(result, Mapping) else result


def check_nested(settings: Mapping[str, Any]) -> None:
    """Stop at a key or value inside a setting that means nothing.

    Raises:
        InputError: naming the setting, the key, and the closest one that there is.
    """
    for name, check in NESTED.items():
        value = settings.get(name)
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise InputError(f"{name} is {value!r}, but it must be a dictionary.")
        check(name, value)


def _known(name: str, given: Mapping[str, Any], keys: Iterable[str]) -> None:
    for key in given:
        if key not in keys:
            raise InputError(
                f"{name} has {key!r}, but its keys are {', '.join(keys)}."
                f"{did_you_mean(str(key), keys)}"
            )


def _one_of(name: str, value: Any, choices: Iterable[Any]) -> None:
    if value not in choices:
        words = [str(choice) for choice in choices if choice is not None]
        raise InputError(
            f"{name} is {value!r}, but it must be one of {', '.join(words)}."
            f"{did_you_mean(str(value), words)}"
        )


def _eval_args(name: str, given: Mapping[str, Any]) -> None:
    _known(name, given, ("split", "order", "group_by", "mode"))
    if "order" in given:
        _one_of(f"{name}'s order", given["order"], ("TO", "RO"))
    if "group_by" in given:
        _one_of(f"{name}'s group_by", given["group_by"], ("user", "none", "None", None))
    if "split" in given:
        _split(f"{name}'s split", given["split"])
    modes = given.get("mode", "full")
    if isinstance(modes, Mapping):
        _known(f"{name}'s mode", modes, ("valid", "test"))
    for mode in modes.values() if isinstance(modes, Mapping) else [modes]:
        if not isinstance(mode, str) or not _MODE.fullmatch(mode):
            raise InputError(
                f"{name}'s mode is {mode!r}, but it must be full, labeled, or uniN or popN with a "
                "number of sampled items, such as uni100."
            )


def _split(name: str, given: Any) -> None:
    if not isinstance(given, Mapping) or len(given) != 1:
        raise InputError(
            f"{name} is {given!r}, but it must be one strategy, such as {{RS: [0.8, 0.1, 0.1]}} or "
            "{LS: valid_and_test}."
        )
    _known(name, given, ("RS", "LS", "TS"))
    ((strategy, value),) = given.items()
    if strategy == "LS":
        _one_of(f"{name}'s LS", value, _LEAVE_OUT)
        return
    shares = value if isinstance(value, list | tuple) else []
    numbers = [isinstance(x, int | float) and not isinstance(x, bool) and x >= 0 for x in shares]
    if len(shares) != 3 or not all(numbers) or not shares[0] > 0:
        raise InputError(
            f"{name}'s {strategy} is {value!r}, but it must be the shares of training, validation "
            "and test, such as [0.8, 0.1, 0.1]; the first must be more than 0."
        )


def _train_neg_sample_args(name: str, given: Mapping[str, Any]) -> None:
    _known(name, given, ("distribution", "sample_num", "alpha", "dynamic", "candidate_num"))
    if "distribution" in given:
        _one_of(
            f"{name}'s distribution", given["distribution"],
            ("uniform", "popularity", "none", "None", None),
        )  # fmt: skip
    if given.get("distribution") in {"none", "None", None} and "distribution" in given:
        return
    kinds: dict[str, tuple[Callable[[Any], bool], str]] = {
        "sample_num": (lambda x: _whole(x) and x >= 1, "a whole number of at least 1"),
        "candidate_num": (lambda x: _whole(x) and x >= 0, "a whole number of at least 0"),
        "alpha": (lambda x: _whole(x) or isinstance(x, float), "a number"),
        "dynamic": (lambda x: isinstance(x, bool), "True or False"),
    }
    for key, (holds, words) in kinds.items():
        if key in given and not holds(given[key]):
            raise InputError(f"{name}'s {key} is {given[key]!r}, but it must be {words}.")
    if given.get("dynamic") and not given.get("candidate_num"):
        raise InputError(
            f"{name} is dynamic, which draws the best of several items, but its candidate_num is "
            f"{given.get('candidate_num', 0)}. Give 2 or more."
        )


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _load_col(name: str, given: Mapping[str, Any]) -> None:
    for key, columns in given.items():
        listed = isinstance(columns, list) and all(isinstance(column, str) for column in columns)
        if columns is not None and columns != "*" and not listed:
            raise InputError(
                f"{name}'s {key} is {columns!r}, but it must be a list of columns of the .{key} "
                "file."
            )


def _clip_grad_norm(name: str, given: Mapping[str, Any]) -> None:
    _known(name, given, ("max_norm", "norm_type", "error_if_nonfinite", "foreach"))
    limit = given.get("max_norm")
    if not isinstance(limit, int | float) or isinstance(limit, bool) or not limit > 0:
        raise InputError(f"{name}'s max_norm is {limit!r}, but it must be a number above 0.")


NESTED: dict[str, Callable[[str, Mapping[str, Any]], None]] = {
    "eval_args": _eval_args,
    "train_neg_sample_args": _train_neg_sample_args,
    "load_col": _load_col,
    "clip_grad_norm": _clip_grad_norm,
}
"""The settings, and what checks each; which files and columns there are the data decide."""
