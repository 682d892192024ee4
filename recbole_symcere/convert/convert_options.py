"""What ``convert`` and its own commands can be told; light, so that ``--help`` is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from recbole_symcere.base.options import check_options, option

__all__ = [
    "AttachOptions",
    "Dials",
    "FieldOptions",
    "Filters",
    "InputOptions",
    "LayoutOptions",
    "MetaOptions",
    "OverwriteOptions",
    "TargetOptions",
    "TextLimits",
]


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """Which data set is meant."""

    name: str = option(help="name of the data set")
    output_dir: str = option("dataset_atomic", "folder of the data sets")


@dataclass(frozen=True, kw_only=True)
class OverwriteOptions:
    """Whether something may be replaced."""

    overwrite: bool = option(False, "whether what is there already may be replaced")


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """What is read."""

    input: str = option(help="the file to read")


@dataclass(frozen=True, kw_only=True)
class MetaOptions:
    """What is read beside the reviews."""

    meta: str | None = option(None, "a file of item texts")


@dataclass(frozen=True, kw_only=True)
class TextLimits:
    """What is cut or refused of the texts read."""

    max_chars: int = option(20_000, "cut texts after N characters; 0 for no limit", minimum=0)
    max_bad: float = option(
        0.01, "largest share of unusable rows before it is an error", minimum=0, maximum=1
    )


@dataclass(frozen=True, kw_only=True)
class Filters(TextLimits):
    """Which reviews stay.

    Raises:
        InputError: if a value is out of range.
    """

    k_core: int = option(
        0, "keep users and items with at least N reviews, repeated until stable", minimum=0
    )
    user_core: int = option(0, "keep users with at least N reviews", minimum=0)
    keep_repeats: bool = option(False, "keep later reviews of the same user and item")
    copied_texts: Literal["keep", "merge"] = option(
        "keep",
        "one text under several items by one user at one time, as Amazon's variants: keep all, or "
        "merge them into the first",
    )
    sample_reviews: float = option(
        1.0, "draw this share of the reviews before the cores, such as 0.35", above=0, maximum=1
    )
    sample_users: int = option(
        0, "draw N users after the cores, with all their reviews that are left", minimum=0
    )
    sample_seed: int = option(2025, "of the draws", minimum=0)
    keep_anonymous: bool = option(
        False, "keep reviews by names that many people share, such as 'A Google User'"
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class FieldOptions:
    """How a file of the user's own is read."""

    user_field: str | None = option(None, "column or key with the user_id, if it is another")
    item_field: str | None = option(None, "... with the item_id")
    rating_field: str | None = option(None, "... with the rating")
    time_field: str | None = option(None, "... with the timestamp")
    text_field: str | None = option(None, "... with the text")
    input_format: Literal["csv", "tsv", "jsonl", "parquet"] | None = option(
        None, "format of the file; by its ending if not given"
    )
    no_quotes: bool = option(False, "quote marks are ordinary characters (CSV, TSV)")
    rating_range: str | None = option(
        None, "MIN,MAX: other ratings are unusable; any is usable if not given"
    )


@dataclass(frozen=True, kw_only=True)
class LayoutOptions:
    """How a delivery of Rakuten Travel is read."""

    columns: str | None = option(
        None,
        "the file's columns in order: user_id, item_id, rating, timestamp, title and text where "
        "they are, - for others",
    )
    encoding: str = option("auto", "auto, utf-8 or cp932 (Shift_JIS)")


@dataclass(frozen=True, kw_only=True)
class AttachOptions:
    """How reviews are brought to a data set that is there already."""

    inter_fields: list[str] = option(
        ["user_id", "item_id", "timestamp"], "columns of the .inter files: USER,ITEM,TIME"
    )


@dataclass(frozen=True, kw_only=True)
class Dials:
    """Settings of the generator.

    Raises:
        InputError: if a value is out of range.
    """

    n_users: int = option(802, "number of users")
    n_items: int = option(1274, "number of items")
    n_reviews: int = option(11_879, "number of reviews")
    preference_strength: float = option(
        1.5,
        "weight of the attribute match in a choice, in log odds per standard deviation of the "
        "match; 0 makes attributes irrelevant",
        minimum=0,
        below=math.inf,
    )
    popularity_skew: float = option(
        0.95, "exponent of the popularity's Zipf law; 0 for none", minimum=0, below=math.inf
    )
    attribute_words: float = option(
        3.0,
        "mean number of attribute words in a review, before the limit of 1 to 6",
        minimum=0,
        below=math.inf,
    )
    sentiment_words: float = option(
        1.0,
        "mean number of sentiment words in a review, before the limit of 3",
        minimum=0,
        below=math.inf,
    )
    seed: int = option(2025, "of the random generator", minimum=0)

    def __post_init__(self) -> None:
        check_options(self)
