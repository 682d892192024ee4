"""What is done to texts whatever they come from; every rule counts the texts it changed."""

from __future__ import annotations

import html
import itertools
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

# What [\s\p{Cc}]+ would change; a lone space is no match, which makes this ten times as fast.
_NOT_SINGLE = r"[\s\p{Cc}]{2,}|[^\S ]|\p{Cc}"
# a comment has an end, or a text of nothing but "<!--" would take forever
_TAG = re.compile(r"<(?:/?[A-Za-z][^<>]*|!--.{0,500}?--)>", re.DOTALL)
_MOST_PASSES = 30
_BLANK, _LAST_PRINTED = 0x20, 0x7E  # what is outside is a control character or no ASCII


class TextCounts(NamedTuple):
    """How many texts each rule changed."""

    html_removed: int = 0
    tidied: int = 0
    made_nfc: int = 0
    cut: int = 0

    def plus(self, other: TextCounts) -> TextCounts:
        """Return the sums."""
        return TextCounts(*(a + b for a, b in zip(self, other, strict=True)))


class CleanTexts(NamedTuple):
    """Reviews with clean texts, and how many texts each rule changed."""

    reviews: pl.DataFrame
    counts: TextCounts


def clean_texts(reviews: pl.DataFrame, max_chars: int = 0) -> CleanTexts:
    """Make every text one line of plain text in Unicode normal form C.

    In this order: HTML entities become their characters and tags a space, until none is left; each
    run of white space and control characters (tabs, line breaks, NULs) becomes one space, none at
    the ends; normal form C; the text is cut after ``max_chars`` characters.

    Args:
        reviews: table with a column ``text``.
        max_chars: most characters of a text; 0 for no limit.

    Returns:
        The same rows, and the number of texts that each of the rules changed.
    """
    text = reviews["text"]
    at = np.flatnonzero(_may_change(text, max_chars))
    if not len(at):
        return CleanTexts(reviews, TextCounts())
    cleaned, counts = _cleaned(text.gather(at), max_chars)
    return CleanTexts(reviews.with_columns(text=text.clone().scatter(at, cleaned)), counts)


def _may_change(text: pl.Series, max_chars: int) -> NDArray[np.bool_]:
    """Mark at least the texts that a rule changes, at a fraction of what the rules take."""
    marks: NDArray[np.bool_] = (
        text.str.contains(r"[&<]") | text.str.contains("  ", literal=True)
    ).to_numpy()
    array = text.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, ends, content = array.buffers()
    bounds = np.frombuffer(ends, np.int64)[array.offset :][: len(text) + 1]
    filled = np.flatnonzero(np.diff(bounds))
    if not len(filled):
        return marks
    octets = np.frombuffer(content, np.uint8)[: bounds[-1]]
    starts = bounds[filled]
    found = np.minimum.reduceat(octets, starts) < _BLANK
    found |= np.maximum.reduceat(octets, starts) > _LAST_PRINTED
    found |= (octets[starts] == _BLANK) | (octets[bounds[filled + 1] - 1] == _BLANK)
    if max_chars:
        found |= np.diff(bounds)[filled] > max_chars
    marks = marks.copy()
    marks[filled] |= found
    return marks


def _cleaned(text: pl.Series, max_chars: int) -> tuple[pl.Series, TextCounts]:
    plain = _changed(text, text.str.contains(r"[&<]"), _plain)
    single = plain.str.replace_all(_NOT_SINGLE, " ").str.strip_chars(" ")
    # ASCII is in form C already, and looking at it is most of the time that this would take
    composed = _changed(
        single,
        single.str.len_bytes() != single.str.len_chars(),
        lambda texts: texts.str.normalize("NFC"),
    )
    cut = composed.str.slice(0, max_chars).str.strip_chars_end(" ") if max_chars else composed
    steps = [text, plain, single, composed, cut]
    return cut, TextCounts(*(int((a != b).sum()) for a, b in itertools.pairwise(steps)))


def _changed(
    text: pl.Series, where: pl.Series, function: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """Apply a function to the marked texts only."""
    at = where.arg_true()
    return text.clone().scatter(at, function(text.gather(at))) if len(at) else text


def _plain(text: pl.Series) -> pl.Series:
    return pl.Series([_without_html(value) for value in text.to_list()], dtype=pl.String)


def _without_html(text: str) -> str:
    """Undo entities and remove tags until nothing changes: dumps hold &amp;amp;#34; too.

    What is nested deeper than `_MOST_PASSES` is no markup of a person and stays.
    """
    for _ in range(_MOST_PASSES):
        # an entity may end in a character that normal form C would turn into its semicolon
        plain = _TAG.sub(" ", html.unescape(text))
        if "&" in plain:
            plain = unicodedata.normalize("NFC", plain)
        if plain == text or not ("&" in plain or "<" in plain):
            return plain
        text = plain
    return text
