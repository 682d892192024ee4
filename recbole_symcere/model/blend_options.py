"""The settings of a blend, and what its experts' names say; loads neither torch nor RecBole."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option

__all__ = ["EXPERTS", "BlendOptions", "Kind", "kind_of", "recent_among"]

EXPERTS = (
    "popularity",
    "words",
    "words_20",
    "knn_10",
    "knn_100",
    "ease_10",
    "ease_100",
    "ease_1000",
    "svd_8",
    "next",
    "trend",
)
"""What ``blend: [all]`` stands for; see `kind_of` for what each name says."""

_NAME = re.compile(
    r"(?P<recent>recent_)?(?P<what>popularity|words|knn|ease|svd|next|trend)(?:_(?P<number>\d+))?"
)


class Kind(NamedTuple):
    """What the name of an expert says.

    Attributes:
        what: popularity, words, knn, ease, svd, next or trend.
        number: neighbours of knn, and of words if not all count; EASE's regularisation; directions
            of svd.
        recent: whether a user's later interactions count more, as they always do for next and, of
            all users, for trend.
    """

    what: str
    number: int | None
    recent: bool


def kind_of(name: str) -> Kind:
    """What a name says: ``knn_100``, ``ease_10``, ``words_20``, ``recent_ease_100``, ``words``.

    Raises:
        InputError: for a name that is none.
    """
    found = _NAME.fullmatch(str(name))
    if found:
        what, number, recent = found["what"], found["number"], bool(found["recent"])
        plain = not (number or recent)
        needed = {"words": True, "popularity": plain, "next": plain, "trend": plain}
        if needed.get(what, number) and number not in {"0", ""}:
            return Kind(what, int(number) if number else None, recent or what in {"next", "trend"})
    raise InputError(
        f"blend names {name!r}; expected all, or names such as popularity, words, words_20 (the 20 "
        "nearest items), knn_100 (likewise), ease_10 (L2 regularisation 10), svd_8 (8 "
        "directions), next and trend; all but popularity, next and trend also with recent_ before "
        "them."
    )


def recent_among(names: Iterable[str]) -> list[str]:
    """The experts for which later interactions count more."""
    return [name for name in names if kind_of(name).recent]


@dataclass(frozen=True)
class BlendOptions:
    """What is added to the scores of a model, whichever it is."""

    blend: list[str] | None = option(
        None,
        "experts without training whose scores are added to the model's, weighed on validation: "
        f"all ({', '.join(EXPERTS)}) or some of these; ~ for none",
    )
    blend_ease_exact: int = option(
        10_000,
        "items up to which EASE's weights come from the exact inverse, in 12 bytes for each pair "
        "of items; above it is made of the leading directions of the interactions",
        minimum=0,
    )
    own_item_text: bool = option(
        True,
        "whether an item's own text, of <dataset>.items.parquet, counts beside its reviews in "
        "word neighbours and SymCEREPlus's profiles, or only where it has no training review",
    )
    refit_blend: dict[str, Any] | None = option(
        None, "set by refit: the blend's weights by name, instead of a choice"
    )

    @property
    def experts(self) -> tuple[str, ...]:
        """The experts' names."""
        return EXPERTS if self.blend == ["all"] else tuple(self.blend or ())

    def __post_init__(self) -> None:
        """Refuse names of no expert."""
        for name in self.experts:
            kind_of(name)
            if self.experts.count(name) > 1:
                raise InputError(f"blend names {name} twice.")
        for name, weight in (self.refit_blend or {}).items():
            if name != "model":
                kind_of(name)
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number:
                raise InputError(f"refit_blend is {self.refit_blend}, but {name} needs a number.")
