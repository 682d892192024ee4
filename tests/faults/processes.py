"""Our commands in processes of their own, which can be killed.

A fork server imports everything once, so that a process starts in a moment.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

__all__ = ["Command", "at_once"]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["faults.processes", "recbole_symcere.cli", "recbole_symcere.run.quick_start", "peft"]
)


def _run(words, folder, log, barrier):
    from recbole_symcere.cli import main

    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if barrier is not None:
        barrier.wait()
    sys.exit(main(words))


class Command:
    """A command that runs in a process of its own.

    Args:
        words: its command line.
        folder: where it stands.
        log: what it writes is appended here.
    """

    def __init__(self, words, folder, log, barrier=None):
        self.log = Path(log)
        self._process = _CONTEXT.Process(target=_run, args=(words, folder, log, barrier))
        self._process.start()

    def wait(self, seconds=300):
        """Its exit code."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"hangs:\n{self.log.read_text()}"
        return self._process.exitcode

    def kill_after(self, seconds, how=signal.SIGKILL):
        """Whether it was still alive then."""
        self._process.join(seconds)
        alive = self._process.is_alive()
        if alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, how)
        self._process.join()
        return alive


def at_once(commands, folder, logs):
    """Start commands at one instant, and their exit codes."""
    barrier = _CONTEXT.Barrier(len(commands))
    started = [
        Command(words, folder, log, barrier) for words, log in zip(commands, logs, strict=True)
    ]
    return [command.wait() for command in started]


def seconds_of(words, folder, log):
    """How long a command takes, which must succeed."""
    began = time.perf_counter()
    code = Command(words, folder, log).wait()
    assert code == 0, Path(log).read_text()
    return time.perf_counter() - began
