"""The options of each explanation, read from ``--key=value`` and checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from recbole_symcere.errors import InputError, did_you_mean
from recbole_symcere.options import option, read_options
from recbole_symcere.settings import parse_value

__all__ = [
    "AnchorOptions",
    "GeometryOptions",
    "LimeOptions",
    "RecommendationOptions",
    "ReportOptions",
    "take",
]

T = TypeVar("T")
_TEXT = {"run", "out", "user", "item"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnchorOptions:
    """What `explain anchor` does.

    Attributes:
        run: folders of runs, separated by commas.
        out: where the page goes; None for explain/anchor in the (first) run's folder.
        n: training reviews that are explained, drawn at random; None for all.
        n_control: reviews for the random encoder.
        n_gradients: reviews for integrated gradients; 0 leaves them out.
        n_retrieval: reviews for the deletion of words without retraining; 0 leaves it out.
        retrain_seeds: seeds with which the model is trained anew without the words; 0 for none.
        bootstrap: draws of items.
        permutations: shuffled pairings of reviews and interactions.
        seed: of everything random here.
    """

    run: str
    out: str | None = None
    n: int | None = option(minimum=2)
    n_control: int = option(minimum=2)
    n_gradients: int = option(minimum=0)
    n_retrieval: int = option(minimum=0)
    retrain_seeds: int = option(minimum=0)
    bootstrap: int = option(minimum=100)
    permutations: int = option(minimum=19)
    seed: int = option(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimeOptions:
    """What `explain lime` does.

    Attributes:
        run: the run's folder.
        out: where the page goes; None for explain/lime in the run's folder.
        n: training reviews that are explained, drawn at random.
        n_samples: texts that LIME draws for a review; the package's own default is 5000.
        repeats: how often a review is explained, each time with another seed.
        seed: of the reviews and of LIME's draws.
    """

    run: str
    out: str | None = None
    n: int = option(minimum=1)
    n_samples: int = option(minimum=10)
    repeats: int = option(minimum=1)
    seed: int = option(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeometryOptions:
    """What `explain geometry` does.

    Attributes:
        run: the run's folder.
        out: where the page goes; None for explain/geometry in the run's folder.
        n: reviews and pairs that are drawn at random.
        seed: of the draws.
    """

    run: str
    out: str | None = None
    n: int = option(minimum=10)
    seed: int = option(minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecommendationOptions:
    """What `explain recommendation` does.

    Attributes:
        run: the run's folder.
        user: the user's id as in the file.
        item: the item's id as in the file.
        out: where the page goes; None for explain/recommendation in the run's folder.
        k: interactions of each side that are told.
    """

    run: str
    user: str
    item: str
    out: str | None = None
    k: int = option(minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What `report` does.

    Attributes:
        run: the run's folder.
        out: the file; None for report.html in the run's folder.
        geometry: whether to compute what needs the run's vectors.
    """

    run: str
    out: str | None = None
    geometry: bool


_DEFAULTS: Mapping[type, Mapping[str, Any]] = {
    AnchorOptions: {
        "out": None,
        "n": None,
        "n_control": 500,
        "n_gradients": 100,
        "n_retrieval": 1000,
        "retrain_seeds": 0,
        "bootstrap": 2000,
        "permutations": 199,
        "seed": 0,
    },
    GeometryOptions: {"out": None, "n": 2000, "seed": 0},
    RecommendationOptions: {"out": None, "k": 5},
    ReportOptions: {"out": None, "geometry": True},
    LimeOptions: {"out": None, "n": 200, "n_samples": 1000, "repeats": 2, "seed": 0},
}


def take(options: type[T], pairs: Mapping[str, str]) -> T:
    """The options in ``pairs``, with their defaults.

    Raises:
        InputError: for a missing or unknown option, and a wrong type or value.
    """
    defaults = _DEFAULTS[options]
    known = {field.name for field in dataclasses.fields(options)}  # type: ignore[arg-type] # a T is one
    for key in pairs:
        if key not in known:
            raise InputError(f"There is no option --{key}.{did_you_mean(key, known)}")
    for key in sorted(known - defaults.keys() - pairs.keys()):
        raise InputError(f"--{key}=... is missing. --help shows what it means.")
    values = {k: v if k in _TEXT else parse_value(v) for k, v in pairs.items()}
    return read_options(options, {**defaults, **values})
