"""Which languages texts are in: an estimate from scripts and stop words, good enough for a mix."""

from __future__ import annotations

import re

import polars as pl

_SCRIPTS = {
    "Japanese": r"[\p{Hiragana}\p{Katakana}]",
    "Korean": r"\p{Hangul}",
    "Russian or another in Cyrillic": r"\p{Cyrillic}",
    "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}",
    "Hebrew": r"\p{Hebrew}",
    "Thai": r"\p{Thai}",
    "Chinese": r"\p{Han}",
}
_STOP_WORDS = {
    "English": "the and is was it this that for with you of my are not have very but so great good "
    "i we our to in at had were they",
    "German": "der die das und ist nicht ich ein eine mit sehr auch auf war wir sich zu",
    "French": "le les des est une je pas pour avec mais tr\u00e8s nous dans et du ce",
    "Spanish": "el los que es una muy por con pero para lo las y del nos m\u00e1s",
    "Italian": "il che di \u00e8 una per non con molto sono della ma e ho ottimo",
    "Portuguese": "o que \u00e9 um uma muito n\u00e3o com para mas os do da bom",
    "Dutch": "de het een en van niet is zeer maar met ik voor wij was op",
}
UNKNOWN = "unknown"


def language_mix(texts: pl.Series) -> dict[str, float]:
    """Estimate the share of each language.

    Args:
        texts: String column; empty ones don't count.

    Returns:
        Language -> share, largest first; empty where there is no text.
    """
    texts = texts.filter(texts != "")
    if not len(texts):
        return {}
    shares = languages(texts).value_counts(sort=True)
    return {name: count / len(texts) for name, count in sorted(
        shares.rows(), key=lambda row: (-row[1], row[0])
    )}  # fmt: skip


def languages(texts: pl.Series) -> pl.Series:
    """Estimate the language of each text.

    A text is in the language of its script; a Latin one in that whose stop words it has most of;
    one without any is "unknown" (often a single word).

    Args:
        texts: String column.

    Returns:
        String column of equal length, named "language".
    """
    text = pl.col("text")
    counts = {name: text.str.count_matches(pattern) for name, pattern in _SCRIPTS.items()}
    # a few kana make a text Japanese although most of its characters are Han
    counts["Japanese"] = counts["Japanese"] * 10
    words = {
        name: text.str.count_matches(rf"(?i)\b(?:{'|'.join(map(re.escape, stops.split()))})\b")
        for name, stops in _STOP_WORDS.items()
    }
    length = text.str.len_chars()
    by_script = _largest(counts)
    many = pl.max_horizontal(*counts.values()) * 5 >= length
    language = pl.when(many).then(by_script).otherwise(_largest(words))
    return pl.DataFrame(texts.alias("text")).select(language=language).to_series()


def _largest(counts: dict[str, pl.Expr]) -> pl.Expr:
    most = pl.max_horizontal(*counts.values())
    named = pl.coalesce(
        *(pl.when((count == most) & (count > 0)).then(pl.lit(n)) for n, count in counts.items())
    )
    return named.fill_null(UNKNOWN)
