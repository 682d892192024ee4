"""Which encoding a file is in (named, UTF-8 or guessed from its bytes), and the way to UTF-8."""

from __future__ import annotations

import codecs
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from encodings.aliases import aliases

import regex

from recbole_symcere.base.errors import InputError, did_you_mean

AUTO = "auto"

#: What is tried where bytes are not UTF-8; of two that fit equally well the first is taken.
GUESSES = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "gb18030", "big5",
    "cp932", "euc_jp", "cp949", "koi8_r",
)  # fmt: skip

# what files under these names really hold
_WIDER = {
    "shift_jis": "cp932", "gbk": "gb18030", "gb2312": "gb18030", "euc_kr": "cp949", "utf_8": "utf-8"
}  # fmt: skip
# Python's names of what is no way to write a text
_NO_TEXTS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_SAMPLE = 64 << 10
_INVALID = "{} lines held bytes that are not {encoding}; replaced by U+FFFD"
# the share of characters that make no sense, up to which a guess is taken: first the usual one
_MOST_MESS = (0.2, 0.6)
# how much a language that is recognised weighs against such characters
_LANGUAGE = 0.3
# what comes of the wrong table: no character, a narrow kana, a sign between two letters, a capital
# behind a small letter
_ODD = regex.compile(
    r"(?V1)[\p{Cn}\p{Co}\u0080-\u009f\ufffd\uff61-\uff9f]"
    r"|(?<=\p{L})[[\u00a1-\u00bf\u00d7\u00f7\u2020\u2021\u2030\u2122]"
    r"--[\u00aa\u00ab\u00b0\u00b7\u00ba\u00bb]](?=\p{L})"
    r"|(?<=[\p{Ll}--[a-z]])[\p{Lu}--[A-Z]]"
)


def codec_of(name: str) -> str:
    """Python's name of an encoding, or `AUTO`.

    Raises:
        InputError: if there is no such encoding of texts.
    """
    wanted = name.strip().lower()
    if wanted == AUTO:
        return AUTO
    try:
        found = codecs.lookup(wanted)
    except (LookupError, ValueError):
        found = None
    if found is None or found.name in _NO_TEXTS or not getattr(found, "_is_text_encoding", True):
        raise InputError(
            f"--encoding: {name!r} is no encoding that Python knows.{did_you_mean(wanted, aliases)}"
            " Expected auto or a name such as utf-8, cp1252, gb18030, cp932 or utf-16."
        )
    codec = found.name.replace("-", "_")
    return _WIDER.get(codec, codec)


class Recoder:
    """Brings the lines of one file to UTF-8.

    Args:
        encoding: of the file, as `codec_of` gives it. With `AUTO` the first lines that are not
            ASCII decide: UTF-8 where most of their characters are, else what fits best.
        guesses: what may be guessed.
    """

    def __init__(self, encoding: str = "utf-8", guesses: Sequence[str] = GUESSES) -> None:
        self._encoding = encoding
        self._guesses = guesses
        self._notes: Counter[str] = Counter()

    def chunks(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on the file's parts, so recoded that a line ends at a byte 10, without a mark.

        Args:
            parts: of the file; the first has four bytes at least unless the file has less.
        """
        parts = iter(parts)
        first = next(parts, b"")
        codec = next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)
        if codec is not None and self._encoding in {AUTO, "utf-8"}:
            self._notes[f"the file is {codec.upper()}; read as such"] = 1
        elif self._encoding != AUTO and "\n".encode(self._encoding) != b"\n":
            codec = self._encoding
        else:
            yield first.removeprefix(codecs.BOM_UTF8)
            yield from parts
            return
        self._encoding = "utf-8"
        decoder = codecs.getincrementaldecoder(codec)(errors="replace")
        # the codec drops the mark itself, unless its name says the order of the bytes
        yield _bytes_of(decoder.decode(first)).removeprefix(codecs.BOM_UTF8)
        for part in parts:
            yield _bytes_of(decoder.decode(part))
        yield _bytes_of(decoder.decode(b"", final=True))

    def lines(self, data: bytes) -> tuple[bytes, Counter[str]]:
        """Return whole lines as UTF-8, and what is to be said of them.

        Lines that are UTF-8 by name or by guess are not touched, so they may hold other bytes.
        """
        if self._encoding == AUTO and not data.isascii():
            self._encoding = guessed(data, self._guesses)
            if self._encoding != "utf-8":
                self._notes[
                    f"the file is not UTF-8; read as {self._encoding}, which its bytes look like; "
                    "--encoding names another"
                ] = 1
        notes, self._notes = self._notes, Counter()
        if self._encoding in {AUTO, "utf-8"}:
            return data, notes
        try:
            return _bytes_of(data.decode(self._encoding)), notes
        except UnicodeDecodeError:
            found = [decode_line(line, self._encoding) for line in data.splitlines(keepends=True)]
        notes.update(invalid_note(sum(not valid for _, valid in found), self._encoding))
        return _bytes_of("".join(text for text, _ in found)), notes


def guessed(data: bytes, guesses: Sequence[str] = GUESSES) -> str:
    """Say what bytes are most likely in; UTF-8 where nothing fits.

    Args:
        data: lines, of which those that are not ASCII tell.
        guesses: what it may be beside UTF-8.
    """
    sample = _telling(data)
    text = sample.decode(errors="replace")
    n_lost = text.count("\ufffd")
    if n_lost <= len(re.findall(r"[^\0-\x7f\ufffd]", text)):
        return "utf-8"
    if len(guesses) == 1:
        return guesses[0]
    from charset_normalizer import from_bytes

    for mess in _MOST_MESS:
        found = from_bytes(sample, cp_isolation=list(guesses), threshold=mess)
        fits = [
            (_oddness(str(match)), round(match.chaos - _LANGUAGE * match.coherence, 2), place)
            for match in found
            for place, name in enumerate(guesses)
            if name in match.could_be_from_charset  # all that give this text
        ]
        if fits:
            return guesses[min(fits)[-1]]
    return "utf-8"


def _oddness(text: str) -> float:
    """Return the share of characters beyond ASCII that no person writes in their place."""
    beyond = sum(not character.isascii() for character in text)
    return round(len(_ODD.findall(text)) / max(beyond, 1), 2)


def _telling(data: bytes) -> bytes:
    """Some lines that are not ASCII, each once: what is repeated would drown the rest."""
    lines = dict.fromkeys(line for line in data.splitlines() if not line.isascii())
    sizes = itertools.accumulate(len(line) for line in lines)
    return b"\n".join(line for line, size in zip(lines, sizes, strict=True)
                      if size <= max(_SAMPLE, len(next(iter(lines)))))  # fmt: skip


def decode_line(line: bytes, encoding: str = "utf-8") -> tuple[str, bool]:
    """Return a line as text, and whether all of its bytes fit the encoding."""
    try:
        return line.decode(encoding), True
    except UnicodeDecodeError:
        return line.decode(encoding, errors="replace"), False


def invalid_note(count: int, encoding: str = "utf-8") -> Counter[str]:
    """Return the remark for ``count`` lines with bytes that don't fit, if there are any."""
    name = "UTF-8" if encoding == "utf-8" else encoding
    return Counter({_INVALID.replace("{encoding}", name): count} if count else {})


def _bytes_of(text: str) -> bytes:
    # a codec such as UTF-7 can spell half of a character
    return text.encode(errors="replace")
