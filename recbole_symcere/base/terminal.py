"""What a command says: its result and its progress to people, or one JSON document to machines.

Results and what a run tells go to stdout, progress and errors to stderr. ``--quiet`` leaves errors,
warnings and the result; ``--json`` prints one document on stdout and all else to stderr.
"""

import contextlib
import io
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

from recbole_symcere.base import live_line
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import parse_value
from recbole_symcere.base.text_table import Marks, folded, text_table

__all__ = [
    "FLAGS_HELP",
    "Mode",
    "document",
    "documented",
    "mode",
    "open_closed",
    "out",
    "speaking",
    "table",
    "take_flags",
    "tell",
    "warn",
]


T = TypeVar("T")

FLAGS_HELP = """
  --quiet             errors, warnings and the result alone
  --json              one JSON document on stdout, all else on stderr
"""


class Mode(NamedTuple):
    """How much is said, and how.

    Attributes:
        quiet: errors, warnings and the result alone.
        json: one JSON document on stdout.
    """

    quiet: bool = False
    json: bool = False


class _State:
    mode = Mode()
    document: dict[str, Any] = {}  # noqa: RUF012 # of the one command


def take_flags(words: Sequence[str]) -> tuple[Mode, list[str]]:
    """``--quiet`` and ``--json``, with or without a value, and the other words.

    Raises:
        InputError: for a value that is neither True nor False, or a flag that is given twice.
    """
    found: dict[str, bool] = {}
    rest: list[str] = []
    waiting = [*words]
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in Mode._fields:
            rest.append(word)
            continue
        if not equals and waiting and isinstance(parse_value(waiting[0]), bool):
            value = waiting.pop(0)
        flag = parse_value(value) if value else not equals
        if not isinstance(flag, bool):
            raise InputError(f"{name} is {value!r}, but it must be of type bool.")
        if name in found:
            raise InputError(f"--{name} is given twice.")
        found[name] = flag
    return Mode(**found), rest


def mode() -> Mode:
    """How much is said now."""
    return _State.mode


def open_closed() -> None:
    """Let what is said vanish where the process was started without stdout or stderr."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 # stays open
            setattr(sys, name, nowhere)


class _Beside(logging.Handler):
    """What is logged where no run listens: to stderr, beside the line that moves."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):
            _write(sys.stderr, self.format(record))


@contextlib.contextmanager
def speaking(how: Mode, title: str | None = None) -> Iterator[None]:
    """Say as much as ``how`` allows for the length of a block, and print the document at its end.

    Args:
        how: of a command.
        title: of a command that has the process for itself, and says what it is doing; None for
            one that is called as a function.
    """
    before = _State.mode
    _State.mode, _State.document = how, {}
    hushed = live_line.hush(how.quiet)
    if title is not None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal may lack letters
                stream.reconfigure(errors="replace")
        live_line.begin(title, "loading libraries")
        logging.lastResort = _Beside(logging.WARNING)
    try:
        yield
    finally:
        if title is not None:
            live_line.end()
        if how.json and _State.document:
            _write(sys.stdout, _as_json(_State.document))
        live_line.hush(hushed)
        _State.mode, _State.document = before, {}


def document(**parts: Any) -> None:
    """Add to the JSON document of the command."""
    _State.document |= parts


def documented(name: str, kind: Callable[[], T]) -> T:
    """A part of the document, made by ``kind`` where it isn't there yet."""
    found: T = _State.document.setdefault(name, kind())
    return found


def _as_json(content: Any) -> str:
    return json.dumps(_finite(content), indent=1, default=str, allow_nan=False)


def _finite(content: Any) -> Any:
    """With null for NaN and the infinities, which JSON lacks."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def out(text: str) -> None:
    """The result, which is what the command was given for."""
    if not _State.mode.json:
        _write(sys.stdout, text)
    elif not _State.mode.quiet:
        _write(sys.stderr, text)


def tell(text: str) -> None:
    """What happens on the way to it."""
    if not _State.mode.quiet:
        _write_folded(sys.stderr if _State.mode.json else sys.stdout, text)


def warn(text: str) -> None:
    """What makes a result doubtful."""
    _write_folded(sys.stderr if any(_State.mode) else sys.stdout, text)


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], marks: Marks | None = None, **how: Any
) -> str:
    """A table for where `out` writes to; see `text_table`."""
    return text_table(head, rows, width(), marks or {}, has_styles(), **how)


def width() -> int:
    """Of the terminal that `out` writes to; 0 where there is none."""
    return live_line.columns(_stream())


def has_styles() -> bool:
    """Whether `out` may use bold letters."""
    return live_line.is_terminal(_stream()) and not os.environ.get("NO_COLOR")


def _stream() -> TextIO:
    return sys.stderr if _State.mode.json else sys.stdout


def _write_folded(stream: TextIO, text: str) -> None:
    columns = live_line.columns(stream)
    lines = text.split("\n")
    _write(stream, "\n".join(folded(line, columns) for line in lines) if columns else text)


def _write(stream: TextIO, text: str) -> None:
    with live_line.paused():
        try:
            stream.write(text if text.endswith("\n") else f"{text}\n")
            stream.flush()
        except BrokenPipeError:  # whoever read it, such as head, has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
