"""How long a command says nothing: its first word and its longest pause, on a terminal and without.

    python benchmarks/silence.py [--pty] COMMAND...

prints what the command says with the second in which it does, and then three figures.
"""

import fcntl
import itertools
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Heard(NamedTuple):
    """What a command said.

    Attributes:
        status: its exit status.
        out: of stdout; with a terminal of both streams.
        err: of stderr.
        first: seconds until the first byte; infinite where there was none.
        pause: the longest pause between two bytes, and until the first and after the last, seconds.
        said: (second, bytes) of each piece.
    """

    status: int
    out: str
    err: str
    first: float
    pause: float
    said: list[tuple[float, bytes]]


def listen(
    command: Sequence[str],
    terminal: tuple[int, int] | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> Heard:
    """Run a command and note when it says something.

    Args:
        command: words.
        terminal: columns and lines of a terminal of its own; None for pipes.
        env: the environment; this process's, if not given.
        timeout: seconds after which it is ended.
    """
    inner: list[int] = []
    if terminal:
        outer, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", *terminal[::-1], 0, 0))
        pipes, inner = {outer: "out"}, [end]
        streams = {"stdout": end, "stderr": end}
    else:
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        pipes, inner = {out: "out", err: "err"}, [out_end, err_end]
        streams = {"stdout": out_end, "stderr": err_end}
    begun = time.monotonic()
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, **streams)
    for end in inner:
        os.close(end)
    told: dict[str, bytes] = {"out": b"", "err": b""}
    said: list[tuple[float, bytes]] = []
    while pipes:
        ready, _, _ = select.select([*pipes], [], [], 0.05)
        for pipe in ready:
            try:
                piece = os.read(pipe, 65536)
            except OSError:  # a terminal without a process
                piece = b""
            if piece:
                said.append((time.monotonic() - begun, piece))
                told[pipes[pipe]] += piece
            else:
                os.close(pipe)
                del pipes[pipe]
        if time.monotonic() - begun > timeout:
            process.kill()
    status = process.wait()
    times = [0.0, *(second for second, _ in said)]
    pause = max((b - a for a, b in itertools.pairwise(times)), default=0.0)
    first = times[1] if said else float("inf")
    out, err = (told[name].decode(errors="replace") for name in ("out", "err"))
    return Heard(status, out, err, first, pause, said)


if __name__ == "__main__":
    words = sys.argv[1:]
    heard = listen([w for w in words if w != "--pty"], (100, 30) if words[0] == "--pty" else None)
    for second, piece in heard.said:
        for line in piece.decode(errors="replace").splitlines():
            print(f"{second:7.2f}  {line}")
    print(f"status {heard.status}, first word after {heard.first:.2f} s, ", end="")
    print(f"longest pause {heard.pause:.2f} s")
