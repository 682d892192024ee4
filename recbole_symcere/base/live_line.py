"""What a command is doing just now: a bar on a terminal, a plain line every few seconds elsewhere.

All of it goes to stderr, from one thread of its own, so that long work needs no clock. Each piece
of work that has lasted a moment has a line.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from recbole_symcere.base import processes
from recbole_symcere.base.text_table import cut
from recbole_symcere.base.work import Work

__all__ = [
    "abandon",
    "begin",
    "columns",
    "end",
    "hand_over",
    "hush",
    "is_terminal",
    "paused",
    "showing",
    "step",
    "working",
]

_TICK = 0.25
_A_MISTAKE = 0.7  # seconds of a process in which most mistakes are found
_A_MOMENT = 0.8
_SILENT = 3.0  # seconds without a word, where no terminal is attached
_WIDEST_BAR = 30


class _Screen:
    """What is shown by this process."""

    def __init__(self) -> None:
        self.quiet = False
        self.reset()

    def reset(self) -> None:
        """Show nothing. A process that is forked has neither the thread nor the lines."""
        self.lock = threading.RLock()
        self.works: list[Work] = []
        self.command: Work | None = None
        self.title, self.title_at = "", 0.0
        self.drawn = 0  # lines on the terminal
        self.spoken = time.monotonic()
        self.thread: threading.Thread | None = None


_screen = _Screen()
os.register_at_fork(  # not while a line is written: the child would wait for stderr for ever
    before=lambda: _screen.lock.acquire(),
    after_in_parent=lambda: _screen.lock.release(),
    after_in_child=_screen.reset,
)


def hush(quiet: bool) -> bool:
    """Show no progress from here on, or show it again; whether it was hushed before."""
    with _screen.lock:
        before, _screen.quiet = _screen.quiet, quiet
    return before


def begin(title: str, label: str) -> None:
    """Begin a command: from here on it is never silent for five seconds, unless it is hushed.

    Args:
        title: what is said at first, if the command takes longer than a mistake is found in.
        label: what it does first.
    """
    with _screen.lock:
        _screen.title = title
        _screen.command = Work(label)
        _screen.title_at = time.monotonic() + max(_A_MISTAKE - _age(), 0.0)
        _start(_screen.command)
        _screen.spoken -= _age()  # a process may begin late where the machine is busy
        if _shown():
            _entitle()


def end() -> None:
    """End the command that `begin` began."""
    with _screen.lock:
        _erase()
        _screen.title, _screen.command = "", None
        _screen.works.clear()


def hand_over(label: str) -> bool:
    """Leave the terminal to other processes; whether this one was showing a command.

    Args:
        label: what begins now.
    """
    with _screen.lock:
        was_shown = _screen.command is not None and not _screen.quiet
        if was_shown:
            _say("\n".join(filter(None, (_screen.title, label))))
        end()
    return was_shown


def step(label: str) -> None:
    """Name what the command does from here on, beside `working`."""
    command = _screen.command
    if command is not None:
        command.label, command.started = label, time.monotonic()


@contextlib.contextmanager
def working(
    label: str,
    total: int | None = None,
    unit: str = "",
    *,
    at_most: bool = False,
    weight: float | None = None,
    beside: Callable[[], Sequence[str]] = lambda: (),
) -> Iterator[Work]:
    """Show a piece of work while the block lasts; see `Work`."""
    with showing(Work(label, total, unit, at_most, weight, beside)) as work:
        yield work


@contextlib.contextmanager
def showing(work: Work) -> Iterator[Work]:
    """`working` with a `Work` that is made already."""
    with _screen.lock:
        _start(work)
    try:
        yield work
    finally:
        with _screen.lock:
            if work in _screen.works:
                _screen.works.remove(work)
            _erase()


def _start(work: Work) -> None:
    _screen.works.append(work)
    if _shown() and (_screen.thread is None or not _screen.thread.is_alive()):
        _screen.spoken = time.monotonic()
        _screen.thread = threading.Thread(target=_tick, name="live line", daemon=True)
        _screen.thread.start()


def _shown() -> bool:
    """Whether progress is shown: a library shows it on a terminal alone, a command always."""
    if _screen.quiet or not processes.is_first():
        return False
    return _screen.command is not None or is_terminal(sys.stderr)


def _tick() -> None:
    while True:
        wait = _screen.title_at - time.monotonic() if _screen.title else _TICK
        time.sleep(min(max(wait, 0.0), _TICK))
        with _screen.lock, contextlib.suppress(OSError, ValueError):  # a terminal that hung up
            if not _screen.works:
                _screen.thread = None
                return
            now = time.monotonic()
            _entitle()
            if is_terminal(sys.stderr):
                _draw(_going_on(now))
            elif _screen.command and now - _screen.spoken >= _SILENT:
                _say("; ".join(": ".join(work.words()) for work in _going_on(now)))


def _entitle() -> None:
    """Say what the command is, once, and not before a mistake would be found."""
    if _screen.title and time.monotonic() >= _screen.title_at:
        _say(_screen.title)
        _screen.title = ""


def _age() -> float:
    """Seconds since this process was started; 0 where the system doesn't tell."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        begun = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - begun
    except (OSError, ValueError, AttributeError, IndexError):
        return 0.0


def _say(line: str) -> None:
    _erase()
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    _screen.spoken = time.monotonic()


def _going_on(now: float) -> list[Work]:
    """What has lasted a moment; the command as a whole where there is nothing else."""
    works = [work for work in _screen.works if work is not _screen.command]
    old = [work for work in works if now - work.started >= _A_MOMENT]
    return old or ([_screen.command] if _screen.command else [])


def _draw(works: Sequence[Work]) -> None:
    if not works:
        _erase()
        return
    width, height = columns(sys.stderr, 80) - 1, _rows(sys.stderr) - 1
    lines = [line for work in works for line in (_line(work, width), *work.beside())]
    lines = [cut(line, width) for line in lines[:height]]
    sys.stderr.write(_over() + "\n".join(lines))
    sys.stderr.flush()
    _screen.drawn = len(lines)


def _line(work: Work, width: int) -> str:
    label, told = work.words()
    room = min(width - len(label) - len(told) - 4, _WIDEST_BAR)
    share = work.share
    if share is None or room < 5:
        return f"{label}  {told}"
    full = int(share * room)
    blocks = "█░" if "utf" in (sys.stderr.encoding or "").lower() else "#."
    return f"{label}  {blocks[0] * full}{blocks[1] * (room - full)}  {told}"


def _over() -> str:
    """What puts the cursor where the drawn lines begin, and clears them."""
    up = f"\x1b[{_screen.drawn - 1}F" if _screen.drawn > 1 else "\r"
    return f"{up}\x1b[J" if _screen.drawn else ""


def _erase() -> None:
    if _screen.drawn:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(_over())
            sys.stderr.flush()
        _screen.drawn = 0


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Nothing is drawn while the block writes to the terminal."""
    with _screen.lock:
        _erase()
        try:
            yield
        finally:
            _screen.spoken = time.monotonic()


def abandon() -> None:
    """Leave the terminal in order where the process ends at once, from within a signal."""
    if _screen.drawn:
        with contextlib.suppress(OSError):
            os.write(2, _over().encode())


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at it, on a screen that can move its cursor."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def columns(stream: TextIO, otherwise: int = 0) -> int:
    """The width of the terminal that a stream writes to, in characters."""
    with contextlib.suppress(OSError, ValueError):
        if stream.isatty():
            return os.get_terminal_size(stream.fileno()).columns or 80
    return otherwise


def _rows(stream: TextIO) -> int:
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).lines or 24
    return 24
