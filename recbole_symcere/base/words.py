"""Words of a text in any language, and the text without some of them.

Scripts that put spaces between words are cut as Unicode says (UAX 29, rule WB5-WB13): a run of
letters, marks and digits, with an apostrophe inside. Japanese, Chinese and Thai have no spaces;
BudouX, a small model of phrases, cuts them. Its Japanese phrases end in particles, so these are cut
off, and a change of script begins a word.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple
from unicodedata import normalize

import regex

__all__ = ["KANA", "RUN", "SPACELESS", "Word", "distinct_words", "script_of", "segment", "without"]

RUN = regex.compile(r"[\p{L}\p{M}\p{N}_]+(?:['\u2019][\p{L}\p{M}\p{N}_]+)*")
# the second half of don't, we'll; in l'hotel and dell'arte the second half is a word of its own
_SUFFIX = regex.compile(r"['\u2019](?=[\p{L}\p{M}\p{N}_]{3})")
KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
SPACELESS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\u30fc]+")
_THAI = regex.compile(r"\p{Thai}")
_JAPANESE_PART = regex.compile(r"[\p{Katakana}\u30fc]+|[\p{Han}\p{Hiragana}\u3005]+|.")
# particles and copulas after a noun; the first alternative needs no noun before it
_ENDING = regex.compile(
    r"(?<=.)(?:(?:でした|です|から|まで|より|けど|のに|ので|のは|のが|のを|とは|には|では|にも|でも|へは"
    r")|(?<=[\p{Han}\p{Katakana}\u30fc\p{Latin}\p{N}])[はがをにでともへのやか])$"
)
_SCRIPT = regex.compile(
    r"(?P<Japanese>[\p{Hiragana}\p{Katakana}])|(?P<Han>\p{Han})|(?P<Latin>\p{Latin})|"
    r"(?P<Cyrillic>\p{Cyrillic})|(?P<Greek>\p{Greek})|(?P<Hangul>\p{Hangul})|(?P<Arabic>\p{Arabic})|"
    r"(?P<Hebrew>\p{Hebrew})|(?P<Thai>\p{Thai})|(?P<Devanagari>\p{Devanagari})|(?P<other>\p{L})"
)


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        start: its first character.
        end: one past its last.
        key: the word itself, case folded and in compatibility form (NFKC).
    """

    start: int
    end: int
    key: str


def segment(text: str, japanese: bool | None = None) -> list[Word]:
    """The words of a text in their order; what lies between them is no word.

    Args:
        text: the text, or a `RUN` of it.
        japanese: whether it is in Japanese, by default whether it has kana.

    Example:
        >>> [word.key for word in segment("I don't like L'Hôtel, 10/10.")]
        ['i', "don't", 'like', 'l', 'hôtel', '10', '10']
        >>> [word.key for word in segment("朝食も美味しかったです。")]
        ['朝食', 'も', '美味しかった', 'です']
    """
    if japanese is None:
        japanese = bool(KANA.search(text))
    words = []
    for run in RUN.finditer(text):
        for start, end in _pieces(run.group(), japanese):
            begin, stop = run.start() + start, run.start() + end
            words.append(Word(begin, stop, normalize("NFKC", text[begin:stop]).casefold()))
    return words


def distinct_words(text: str) -> dict[str, list[tuple[int, int]]]:
    """Each word of a text -> where it stands, in order of first appearance."""
    places: dict[str, list[tuple[int, int]]] = {}
    for start, end, key in segment(text):
        places.setdefault(key, []).append((start, end))
    return places


def without(text: str, places: Sequence[tuple[int, int]]) -> str:
    """The text with those pieces deleted, each with a space where two would meet.

    Example:
        >>> without("good food, good price", [(0, 4), (11, 15)])
        'food, price'
    """
    kept, at = [], 0
    for start, end in sorted(places):
        kept.append(text[at:start])
        before, after = text[start - 1 : start], text[end : end + 1]
        at = end + (after.isspace() and (not before or before.isspace()))
    return "".join([*kept, text[at:]])


def script_of(word: str) -> str:
    """The script of a word's first letter; "" where it has none, such as a number.

    Kanji alone are Han: they may be Japanese or Chinese.

    Example:
        >>> [script_of(word) for word in ("food", "еда", "ホテル", "100")]
        ['Latin', 'Cyrillic', 'Japanese', '']
    """
    found = _SCRIPT.search(word)
    return str(found.lastgroup) if found else ""


def _pieces(run: str, japanese: bool) -> Iterator[tuple[int, int]]:
    """Words of a run of letters, as places in it."""
    at = 0
    for part in SPACELESS.finditer(run):
        yield from _spaced(run, at, part.start())
        yield from _spaceless(part.group(), part.start(), japanese)
        at = part.end()
    yield from _spaced(run, at, len(run))


def _spaced(run: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for cut in _SUFFIX.finditer(run, start, end):
        if cut.start() > start:
            yield start, cut.start()
        start = cut.end()
    if end > start:
        yield start, end


def _spaceless(run: str, at: int, japanese: bool) -> Iterator[tuple[int, int]]:
    language = "th" if _THAI.search(run) else "ja" if japanese else "zh-hans"
    for phrase in _parser(language).parse(run):
        for part in _japanese(phrase) if language == "ja" else (phrase,):
            yield at, at + len(part)
            at += len(part)


def _japanese(phrase: str) -> list[str]:
    words = []
    for part in _JAPANESE_PART.findall(phrase):
        endings: list[str] = []
        while (found := _ENDING.search(part)) is not None:
            part = part[: found.start()]
            endings.insert(0, found.group())
        words += [part, *endings]
    return words


@cache
def _parser(language: str) -> Any:
    import budoux

    return {
        "ja": budoux.load_default_japanese_parser,
        "zh-hans": budoux.load_default_simplified_chinese_parser,
        "th": budoux.load_default_thai_parser,
    }[language]()
