"""What ``--help`` says, taken apart: its words and its options. Needs no Sphinx."""

import contextlib
import io
import re
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from recbole_symcere.cli import main

__all__ = ["Option", "Part", "help_of", "parse"]

_OPTION = re.compile(r"^  --(?P<name>\w+)(?: +(?P<text>\S.*))?$")
_MORE = re.compile(r"^ {10,}(?P<text>\S.*)$")
_DEFAULT = re.compile(r"^(?P<text>.*) \(default: (?P<default>.*)\)$", re.DOTALL)


class Option(NamedTuple):
    """An option or a setting: its name, what it means, and its default as it is written."""

    name: str
    text: str
    default: str


class Part(NamedTuple):
    """Words or options that follow each other; one of the two is empty."""

    words: str
    options: tuple[Option, ...]


def help_of(words: Sequence[str]) -> str:
    """What the program prints for these words and ``--help``, as the installed command does."""
    said, argv = io.StringIO(), sys.argv
    sys.argv = ["recbole-symcere"]
    try:
        with contextlib.redirect_stdout(said):
            status = main([*words, "--help"])
    finally:
        sys.argv = argv
    if status:
        raise ValueError(f"{' '.join(words)} --help ends with status {status}")
    return said.getvalue()


def parse(text: str) -> list[Part]:
    """The parts of a help text in order."""
    parts: list[Part] = []
    for options, lines in _runs(text.splitlines()):
        if options:
            parts.append(Part("", tuple(_options(lines))))
        elif words := "\n".join(lines).strip("\n"):
            parts.append(Part(words, ()))
    return parts


def _runs(lines: Sequence[str]) -> Iterator[tuple[bool, list[str]]]:
    """Lines that are options, with those that go on with them, and lines that aren't."""
    within, run = False, [*lines[:0]]
    for line in lines:
        starts = bool(_OPTION.match(line))
        belongs = starts or (within and bool(_MORE.match(line)))
        if belongs != within and run:
            yield within, run
            run = []
        within = belongs
        run.append(line)
    if run:
        yield within, run


def _options(lines: Sequence[str]) -> Iterator[Option]:
    name, text = "", ""
    for line in lines:
        started = _OPTION.match(line)
        if started:
            if name:
                yield _option(name, text)
            name, text = started["name"], started["text"] or ""
        else:
            text = f"{text} {line.strip()}".strip()
    yield _option(name, text)


def _option(name: str, text: str) -> Option:
    told = _DEFAULT.match(text)
    return Option(name, told["text"], told["default"]) if told else Option(name, text, "")
