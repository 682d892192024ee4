"""What is done to reviews whatever they come from: texts, repeats, order."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

# What [\s\p{Cc}]+ would change; a lone space is no match, which makes this ten times as fast.
_NOT_SINGLE = r"[\s\p{Cc}]{2,}|[^\S ]|\p{Cc}"


class CleanTexts(NamedTuple):
    """Reviews with clean texts, and how many texts each rule changed."""

    reviews: pl.DataFrame
    n_single_line: int
    n_composed: int


class FirstReviews(NamedTuple):
    """Reviews with one row per user and item, and how many rows that removed."""

    reviews: pl.DataFrame
    n_removed: int


def clean_texts(reviews: pl.DataFrame) -> CleanTexts:
    """Make every text one line in Unicode normal form C.

    Each run of white space and control characters (tabs, line breaks, NULs) becomes one space;
    spaces at the ends go.

    Args:
        reviews: table in `records.SCHEMA`.

    Returns:
        The same rows, and the number of texts that each of the two rules changed.
    """
    text = reviews["text"]
    single = text.str.replace_all(_NOT_SINGLE, " ").str.strip_chars(" ")
    # ASCII is in form C already, and looking at it is most of the time that this would take
    not_ascii = (single.str.len_bytes() != single.str.len_chars()).arg_true()
    composed = single.clone().scatter(not_ascii, single.gather(not_ascii).str.normalize("NFC"))
    return CleanTexts(
        reviews.with_columns(text=composed),
        int((text != single).sum()),
        int((single != composed).sum()),
    )


def in_order(reviews: pl.DataFrame) -> pl.DataFrame:
    """Sort by user id, time and source line, so that the order of a dump decides only ties."""
    return reviews.sort("user_id", "timestamp", "source_line")


def keep_first(reviews: pl.DataFrame) -> FirstReviews:
    """Keep the first review of every user and item, by time and then by source line.

    Args:
        reviews: table in `records.SCHEMA`.

    Returns:
        The reviews `in_order`, and the number removed.
    """
    first = in_order(reviews).unique(["user_id", "item_id"], keep="first", maintain_order=True)
    return FirstReviews(first, len(reviews) - len(first))
