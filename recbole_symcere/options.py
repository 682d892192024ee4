"""Settings as frozen dataclasses, read once from RecBole's Config and checked.

RecBole's ``config[key]`` answers None for a key that isn't there. Here a missing key, a wrong type
and a value out of range are errors that name the key.
"""

import dataclasses
import operator
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from recbole_symcere.errors import InputError, did_you_mean

__all__ = [
    "ControlOptions",
    "EncoderOptions",
    "RunOptions",
    "TextControl",
    "TextOptions",
    "option",
    "read_options",
    "refuse_sampled_negatives",
]

T = TypeVar("T")

TextControl = Literal["none", "shuffled", "constant", "random"]
"""What may stand in the place of the reviews."""


def option(
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A dataclass field with bounds: minimum <= value <= maximum, above < value < below."""
    bounds = {"minimum": minimum, "maximum": maximum, "above": above, "below": below}
    return dataclasses.field(metadata=bounds)


_BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "above": (operator.gt, "more than"),
    "below": (operator.lt, "less than"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """How a frozen text encoder reads a text; documented in properties/model/SymCERE.yaml."""

    text_encoder: str
    pooling: Literal["auto", "first", "mean", "last"]
    cache_dir: str
    max_length: int = option(minimum=2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextOptions(EncoderOptions):
    """How reviews become model input; the keys are documented in properties/model/SymCERE.yaml."""

    text_mode: Literal["auto", "lora", "frozen"]
    text_level: Literal["interaction", "item"]
    text_proj: Literal["linear", "fc_tanh", "mlp"]
    lora_target_modules: list[str] | None
    word_mask: float = option(minimum=0, maximum=1)
    masked_views: int = option(minimum=1)
    lora_rank: int = option(minimum=1)
    lora_alpha: int = option(minimum=1)
    lora_dropout: float = option(minimum=0, below=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlOptions:
    """What stands in the place of the reviews; see `recbole_symcere.data.text_control`."""

    text_control: TextControl | None
    text_control_seed: int = option(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(ControlOptions):
    """RecBole's settings of a run whose mistakes it would report late or not at all."""

    reproducibility: bool
    repeatable: bool
    use_gpu: bool
    show_progress: bool
    checkpoint_dir: str
    data_path: str
    runs_dir: str
    cache_dir: str
    metrics: list[str]
    valid_metric: str
    learner: Literal["adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam"]
    rm_dup_inter: Literal["first", "last"] | None
    clip_grad_norm: dict[str, Any] | None
    val_interval: dict[str, Any] | None
    load_col: dict[str, Any] | None
    benchmark_filename: list[str] | None
    state: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    topk: list[int] = option(minimum=1)
    epochs: int = option(minimum=1)
    train_batch_size: int = option(minimum=1)
    eval_batch_size: int = option(minimum=1)
    eval_step: int = option(minimum=0)
    stopping_step: int = option(minimum=0)
    learning_rate: float = option(above=0)
    weight_decay: float = option(minimum=0)
    seed: int = option(minimum=0, maximum=2**32 - 1)
    worker: int = option(minimum=0)
    metric_decimal_place: int = option(minimum=1)
    cold_items: float = option(minimum=0, below=1)
    cold_users: float = option(minimum=0, maximum=1)


def read_options(options: type[T], config: Any) -> T:
    """Build the dataclass ``options`` from the keys of ``config`` that bear its fields' names.

    Args:
        options: a frozen dataclass of bool, int, float, str, list, Literal or optional fields.
        config: RecBole's Config or a dictionary.

    Raises:
        InputError: for a missing key, a wrong type or a value out of range.
    """
    hints = get_type_hints(options)
    values = {}
    for field in dataclasses.fields(options):  # type: ignore[arg-type] # every T is a dataclass
        if field.name not in config:
            raise InputError(f"The key {field.name!r} is missing from the configuration.")
        values[field.name] = _checked(field.name, config[field.name], hints[field.name])
        _check_bounds(field.name, values[field.name], field.metadata)
    return options(**values)


def refuse_sampled_negatives(config: Any) -> None:
    """Stop if point-wise batches would mix random items with those that users chose.

    Raises:
        InputError: for a loss that takes every row of a batch for an interaction.
    """
    sampling = config["train_neg_sample_args"] or {}
    if sampling.get("distribution", "none") != "none":
        raise InputError(
            f"train_neg_sample_args is {sampling}, but {config['model']} would take a sampled item "
            "for one that the user chose. Leave it out, or set train_neg_sample_args: ~."
        )


def _checked(key: str, value: Any, hint: Any) -> Any:
    """``value`` as a ``hint``; a whole number is accepted where a float is expected."""
    if get_origin(hint) in {Union, types.UnionType}:
        if value is None and type(None) in get_args(hint):
            return None
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is Literal:
        return _checked_choice(key, value, get_args(hint))
    kind = get_origin(hint) or hint
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"{key} is {value!r}, but it must be of type {kind.__name__}.")
    if kind is list and not all(isinstance(x, get_args(hint)[0]) for x in value):
        names = get_args(hint)[0].__name__
        raise InputError(f"{key} is {value!r}, but it must be a list of {names}.")
    return value


def _checked_choice(key: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InputError(
            f"{key} is {value!r}, but it must be one of {', '.join(choices)}."
            f"{did_you_mean(str(value), choices)}"
        )
    return str(value)


def _check_bounds(key: str, value: Any, bounds: Mapping[str, float | None]) -> None:
    if value is None:
        return
    for number in value if isinstance(value, list) else [value]:
        for name, bound in bounds.items():
            holds, words = _BOUNDS[name]
            if bound is not None and not holds(number, bound):
                raise InputError(f"{key} is {value!r}, but it must be {words} {bound:g}.")
