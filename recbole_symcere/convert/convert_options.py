"""What ``convert`` and its own commands can be told; light, so that ``--help`` is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from recbole_symcere.base.options import check_options, option

__all__ = [
    "AttachOptions",
    "ClusterOptions",
    "Dials",
    "FieldOptions",
    "Filters",
    "InputOptions",
    "LayoutOptions",
    "MetaOptions",
    "OverwriteOptions",
    "TableOptions",
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

    input: str = option(
        help="the file to read; several as a.csv,b.csv or by a pattern in quotes such as "
        "'part-*.csv.gz', read one after the other"
    )


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Who reads."""

    ray_address: str | None = option(
        None,
        "a Ray cluster, auto or host:port, each of whose cores reads one file at a time; all nodes "
        "see the files under one path. This machine alone if not given",
    )


@dataclass(frozen=True, kw_only=True)
class MetaOptions:
    """What is read beside the reviews."""

    meta: str | None = option(None, "a file of item texts")


@dataclass(frozen=True, kw_only=True)
class TextLimits:
    """What is cut or refused of the texts read."""

    max_chars: int = option(20_000, "cut texts after N characters; 0 for no limit", minimum=0)
    max_bad: float = option(
        0.01,
        "largest share of unusable rows, and of texts with lost characters, before it is an error",
        minimum=0,
        maximum=1,
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
class TableOptions:
    """How a file of the user's own is read, whatever it is needed for."""

    user_field: str | None = option(None, "column or key with the user_id, if it is another")
    item_field: str | None = option(None, "... with the item_id")
    time_field: str | None = option(None, "... with the timestamp")
    text_field: str | None = option(None, "... with the text")
    date_format: str | None = option(
        None,
        "form of the times: a pattern such as %d.%m.%Y or '%m/%d/%Y %I:%M %p', or seconds, "
        "milliseconds, microseconds, nanoseconds. Understood without it: numbers in one of these "
        "units since 1970; 2018-07-07, 2018/7/7 and 20180707; 2018-07-07 22:09, 22:09:11 and "
        "22:09:11.5, with a T too; Z, UTC, +02:00 or +0200 after them; Jul 7, 2018, July 7, 2018, "
        "7 Jul 2018 and 7-Jul-2018. Without a zone a time is UTC",
    )
    input_format: Literal["csv", "tsv", "jsonl", "parquet"] | None = option(
        None, "format of the file; by its ending if not given"
    )
    delimiter: str | None = option(
        None,
        "what stands between the fields (CSV, TSV): one character, or comma, semicolon, tab, pipe, "
        "space; guessed from the first lines if not given",
    )
    columns: str | None = option(
        None,
        "the columns of a file without a header line (CSV, TSV) in order: user_id, item_id, "
        "rating, timestamp, text, and - for others",
    )
    no_quotes: bool = option(False, "quote marks are ordinary characters (CSV, TSV)")
    encoding: str = option(
        "auto",
        "of the file, such as cp1252, gb18030 or utf-16; auto is UTF-8, and where the bytes are "
        "none a guess, which is told",
    )


@dataclass(frozen=True, kw_only=True)
class FieldOptions(TableOptions):
    """How a file of reviews is read."""

    rating_field: str | None = option(None, "column or key with the rating, if it is another")
    implicit: bool = option(
        False, "whether to do without ratings: none is read, and the data set has none"
    )
    rating_map: str | None = option(
        None,
        "ratings that are no numbers: yes:1,no:0 or fresh:1,rotten:0 says what each word is, upper "
        "or lower case; fraction reads 3/5 as 0.6, fraction:5 reads 3/5 as 3 and 8/10 as 4. Other "
        "values are unusable",
    )
    decimal: str = option(".", "decimal mark of the ratings, a point or a comma (--decimal=,)")
    rating_range: str | None = option(
        None, "MIN,MAX: other ratings are unusable; any is usable if not given"
    )
    order: Literal["time", "unknown"] = option(
        "time",
        "unknown: do without times; the data set has none, and its runs split at random",
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
