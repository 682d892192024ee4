"""Ratings as text -> numbers: a decimal comma, words, and fractions such as 3/5."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from recbole_symcere.base.errors import InputError

_FRACTION = "fraction"
_PARTS = r"^(\d+(?:[.,]\d+)?)\s*/\s*(\d+(?:[.,]\d+)?)$"


@dataclass(frozen=True)
class RatingForm:
    """How a column of ratings is written.

    Attributes:
        words: word in lower case -> number; where there are any, nothing else is a rating.
        of: what a whole is worth where ratings are fractions; None where they are not.
        decimal: the decimal mark.
        hint: what a user can do about other forms, for the message.
    """

    words: Mapping[str, float] = field(default_factory=dict)
    of: float | None = None
    decimal: str = "."
    hint: str = ""

    @property
    def expected(self) -> str:
        """What a rating looks like, in words."""
        if self.words:
            return f"{' or '.join(self.words)}, as --rating_map says"
        if self.of is not None:
            return "a fraction such as 3/5, as --rating_map says"
        return f"a number such as 4 or 4{self.decimal}5{self.hint}"

    @property
    def note(self) -> str:
        """What is to be said of a column that was read so; nothing of plain numbers."""
        if self.words:
            pairs = ", ".join(f"{word} is {value:g}" for word, value in self.words.items())
            return f"ratings are words: {pairs}"
        if self.of is not None:
            return f"ratings are fractions: 3/5 is {3 / 5 * self.of:g}"
        return f"the decimal mark of the ratings is {self.decimal!r}" if self.decimal != "." else ""

    def parse(self, texts: pl.Series) -> pl.Series:
        """Return Float64 ratings of a String column, null or not finite for what is none."""
        stripped = texts.str.strip_chars()
        if self.words:
            return stripped.str.to_lowercase().replace_strict(
                list(self.words), list(self.words.values()), default=None, return_dtype=pl.Float64
            )
        if self.of is not None:
            parts = stripped.str.extract_groups(_PARTS)
            over, under = (self._numbers(parts.struct.field(name)) for name in ("1", "2"))
            return over / under * self.of
        return self._numbers(stripped)

    def _numbers(self, texts: pl.Series) -> pl.Series:
        if self.decimal == ",":
            # a point would be the mark of thousands
            texts = texts.set(texts.str.contains(".", literal=True), None)
            texts = texts.str.replace(",", ".", literal=True)
        return texts.cast(pl.Float64, strict=False)


def rating_form(rating_map: str | None, decimal: str, hint: str = "") -> RatingForm:
    """Read ``--rating_map`` and ``--decimal``.

    Raises:
        InputError: if the map is neither pairs of a word and a number nor a fraction, or the mark
            neither a point nor a comma.
    """
    if decimal not in {".", ","}:
        raise InputError(f"--decimal: {decimal!r} is no decimal mark; expected . or ,")
    if rating_map is None:
        return RatingForm(decimal=decimal, hint=hint if decimal == "." else "")
    kind, _, whole = rating_map.strip().partition(":")
    if kind == _FRACTION:
        return RatingForm(of=_number(whole, rating_map) if whole else 1.0, decimal=decimal)
    words = {}
    for pair in rating_map.split(","):
        word, colon, value = pair.rpartition(":")
        word = word.strip().lower()
        if not colon or not word or word in words:
            raise _no_map(rating_map)
        words[word] = _number(value, rating_map)
    if decimal != ".":
        raise InputError("--decimal: words have no decimal mark; leave it out, or --rating_map")
    return RatingForm(words, decimal=decimal)


def _number(text: str, rating_map: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _no_map(rating_map) from None
    if not math.isfinite(value):
        raise _no_map(rating_map)
    return value


def _no_map(rating_map: str) -> InputError:
    return InputError(
        f"--rating_map: {rating_map!r} isn't understood; expected one number for each word such as "
        "yes:1,no:0, or fraction, or fraction:5"
    )
