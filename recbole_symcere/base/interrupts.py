"""Signals that end a command: SIGINT (Ctrl-C), SIGTERM and SIGHUP, all alike."""

import contextlib
import os
import signal
import sys
from types import FrameType

from recbole_symcere.base.live_line import abandon

__all__ = ["end_at_once", "exit_status", "take_signals"]


_received: list[int] = []  # by this process; a library may raise another error in ours' place


def take_signals() -> None:
    """Let the first signal raise KeyboardInterrupt, and a further one end the process at once.

    That loses nothing: whatever is written is whole or not there. A SIGHUP that is ignored, as
    under nohup, stays so.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise)


def _raise(number: int, _: FrameType | None) -> None:
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(other) != signal.SIG_IGN:
            signal.signal(other, _end)
    _received.append(number)
    raise KeyboardInterrupt


def _end(number: int, _: FrameType | None) -> None:
    abandon()
    os._exit(128 + number)


def exit_status() -> int:
    """What a shell expects of an interrupted process: 130, or by the signal 143 or 129."""
    return 128 + int(_received[0] if _received else signal.SIGINT)


def end_at_once(status: int) -> None:
    """End the process without what Python does at its end, where threads may be waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a terminal that hung up
            stream.flush()
    os._exit(status)
