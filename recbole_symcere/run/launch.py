"""Starts the processes of a run, and ends all of them when one ends before its time.

This process itself trains nothing and loads no torch. It hears from each of its processes what came
out; a process that dies without a word is named, and the others don't wait for it.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing import connection
from typing import Any, NamedTuple

from recbole_symcere.base import live_line, terminal
from recbole_symcere.base.errors import InputError, ProcessEndedError
from recbole_symcere.base.interrupts import exit_status, take_signals
from recbole_symcere.base.processes import Place, is_lost, take
from recbole_symcere.base.storage import storage_cause
from recbole_symcere.plugin.run_options import ProcessOptions

__all__ = ["launch", "several"]

_START = "spawn"
_RECBOLES_PORT = 5678
_SECONDS_TO_END = 5.0
_SECONDS_TO_LEARN = 1.5  # which of several processes that end at once was the first to die


class _End(NamedTuple):
    """How a process ended.

    Attributes:
        kind: "done", "mistake", "diverged", "interrupted", "lost" (its connection to another one),
            "crashed", or "died" without a word.
        said: what it says of that.
        notes: how to go on.
    """

    kind: str
    said: str = ""
    notes: tuple[str, ...] = ()


def several(options: ProcessOptions) -> bool:
    """Whether a run has more than one process.

    Raises:
        InputError: if the numbers don't fit together.
    """
    world = options.all_processes
    if world < options.nproc + options.group_offset:
        raise InputError(
            f"world_size is {world}, but nproc {options.nproc} and group_offset "
            f"{options.group_offset} make at least {options.nproc + options.group_offset} "
            "processes. Give the number of all of them on all machines."
        )
    return world > 1


def launch(
    options: ProcessOptions,
    function: str,
    *arguments: Any,
    on_tell: Callable[[str, Any], None] = lambda *_: None,
    **named: Any,
) -> Any:
    """Run a function in several processes that work on one run, and wait for them.

    Args:
        options: how many, and where the others are.
        function: "module:name".
        arguments: of the function.
        on_tell: called in this process with what the first process of this machine announces.
        named: further arguments.

    Returns:
        What the first process of this machine returned.

    Raises:
        InputError: a mistake that a process found.
        ArithmeticError: if the run diverged.
        ProcessEndedError: if a process died; it names it and says how to go on.
        KeyboardInterrupt: if this process or one of them was interrupted.
    """
    crew = _Crew(options, on_tell)
    with _threads(options.nproc):
        crew.start(function, arguments, named)
    try:
        return crew.wait()
    except BaseException as error:
        crew.end()
        for note in crew.notes():
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
        raise


@contextlib.contextmanager
def _threads(nproc: int) -> Iterator[None]:
    """Let the processes share the cores: they read this when they load torch."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    os.environ.setdefault(name, str(max(1, cores // nproc)))
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


class _Crew:
    """The processes of this machine."""

    def __init__(self, options: ProcessOptions, on_tell: Callable[[str, Any], None]) -> None:
        self._options, self._on_tell = options, on_tell
        self._members: list[Any] = []
        self._pipes: dict[Any, int] = {}
        self._ends: dict[int, _End] = {}
        self._results: dict[int, Any] = {}

    def start(self, function: str, arguments: Any, named: Any) -> None:
        o = self._options
        context: Any = multiprocessing.get_context(_START)
        alone = o.all_processes == o.nproc
        how = terminal.mode(), live_line.hand_over(f"starting {o.nproc} processes")
        port = o.port or (_free_port(o.ip) if alone else _RECBOLES_PORT)
        if o.group_offset:  # the first process, which tells of the run, is elsewhere
            terminal.tell(f"working with the processes that meet at {o.ip}:{port}")
        for local in range(o.nproc):
            place = {
                **{"rank": local + o.group_offset, "world_size": o.all_processes},
                **{"local_rank": local, "nproc": o.nproc, "ip": o.ip, "port": port},
            }
            ours, theirs = context.Pipe(duplex=True)
            member = context.Process(
                target=_work,
                args=(theirs, place, how, function, arguments, named),
                name=f"rank{local}",
            )
            member.start()
            theirs.close()
            self._members.append(member)
            self._pipes[ours] = local

    def wait(self) -> Any:
        """What the first returned, once all have ended well."""
        deadline = None
        while True:
            running = [m for m in self._members if m.is_alive()]
            bad = [n for n, end in self._all_ends().items() if end.kind != "done"]
            if bad and deadline is None:
                deadline = time.monotonic() + _SECONDS_TO_LEARN
            if (deadline and time.monotonic() > deadline) or (bad and not running):
                raise self._reason(bad)
            if not running:
                self._hear(0)
                if all(n in self._results for n in range(len(self._members))):
                    return self._results[0]
            self._hear(0.2 if deadline else 60.0)

    def _hear(self, seconds: float) -> None:
        """Take in what the processes say, or notice that one has ended."""
        alive = [m.sentinel for m in self._members if m.is_alive()]
        for ready in connection.wait([*self._pipes, *alive], seconds):
            pipe: Any = ready
            local = self._pipes.get(pipe)
            if local is None:
                continue
            try:
                kind, value = pipe.recv()
            except (EOFError, OSError):
                del self._pipes[pipe]
                continue
            if kind == "result":
                self._results[local] = value
            elif kind == "end":
                self._ends[local] = _End(*value)
            elif local == 0:
                self._on_tell(kind, value)
                pipe.send(None)

    def _all_ends(self) -> dict[int, _End]:
        """How processes ended so far, those that said nothing too."""
        ends = dict(self._ends)
        for local, member in enumerate(self._members):
            if not member.is_alive() and local not in ends and local not in self._results:
                # it may have said something just before
                pipes = (pipe for pipe, number in self._pipes.items() if number == local)
                if not any(pipe.poll() for pipe in pipes):
                    ends[local] = _End("died", _how(member.exitcode))
        return ends

    def _reason(self, bad: list[int]) -> BaseException:
        ends = self._all_ends()
        order = ("mistake", "diverged", "died", "crashed", "interrupted", "lost")
        local = min(bad, key=lambda n: (order.index(ends[n].kind), n))
        end = ends[local]
        error: BaseException
        if end.kind == "mistake":
            error = InputError(end.said)
        elif end.kind == "diverged":
            error = ArithmeticError(end.said)
        elif end.kind == "interrupted":
            error = KeyboardInterrupt()
        else:
            world, number = self._options.all_processes, local + self._options.group_offset
            error = ProcessEndedError(
                f"process {number} of {world} (0 to {world - 1}) {end.said}, so that the others "
                "were ended too."
            )
        for note in end.notes:
            error.add_note(note)
        return error

    def notes(self) -> list[str]:
        """What the processes say of how to go on."""
        return [note for end in self._ends.values() for note in end.notes]

    def end(self) -> None:
        """End those that are left; what they write is whole or not there."""
        for member in self._members:
            if member.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member.pid, signal.SIGTERM)
        until = time.monotonic() + _SECONDS_TO_END
        while any(m.is_alive() for m in self._members) and time.monotonic() < until:
            self._hear(0.1)
        for member in self._members:
            if member.is_alive():
                member.kill()
            member.join()
        self._hear(0)


def _free_port(ip: str) -> int:
    with socket.socket() as probe:
        probe.bind((ip if ip == "localhost" else "", 0))
        return int(probe.getsockname()[1])


def _how(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"ended with status {exitcode}"
    name = signal.Signals(-exitcode).name
    why = ", as happens where memory is short" if name == "SIGKILL" else ""
    return f"was ended by {name}{why}"


# --- in each process ------------------------------------------------------------------------------


def _work(
    pipe: Any,
    place: dict[str, Any],
    how: tuple[terminal.Mode, bool],
    function: str,
    arguments: Any,
    named: Any,
) -> None:
    """Run the function as one of several processes and say how it ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    take_signals()
    heard = threading.Lock()

    def tell(kind: str, value: Any) -> None:
        if place["local_rank"]:
            return
        with heard:
            pipe.send((kind, value))
            pipe.recv()

    here = Place(**place, tell=tell)
    take(here)
    if here.local_rank:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    module, _, name = function.partition(":")
    status = 0
    try:
        with terminal.speaking(how[0], "" if how[1] else None):
            result = getattr(import_module(module), name)(*arguments, **named)
        pipe.send(("result", result))
    except BaseException as error:  # noqa: BLE001 # all of it is told
        end = _end_of(error, here)
        status = 1
        with contextlib.suppress(OSError):
            pipe.send(("end", tuple(end)))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    pipe.close()
    os._exit(status)  # the others may be gone: no good-byes


def _end_of(error: BaseException, here: Place) -> _End:
    notes = tuple(getattr(error, "__notes__", ()))
    if isinstance(error, KeyboardInterrupt):
        return _End("interrupted", str(exit_status()), notes)
    if isinstance(error, InputError):
        return _End("mistake", str(error), notes)
    if isinstance(error, ArithmeticError):
        return _End("diverged", str(error), notes)
    cause = storage_cause(error)
    if cause is not None:
        return _End("mistake", str(cause), (*notes, *getattr(cause, "__notes__", ())))
    said = " ".join(f"{type(error).__name__}: {error}".split())
    if is_lost(error):
        return _End("lost", f"lost another one ({said[:200]})", notes)
    sys.stderr.write(f"process {here.rank}:\n{''.join(traceback.format_exception(error))}")
    return _End("crashed", f"ended with {said[:300]}", notes)


def _end_with_parent() -> None:
    """End when the process that started this one is gone, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
