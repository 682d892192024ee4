"""Progress as somebody sees it: in a terminal of its own, and in a pipe."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.silence import listen
from recbole_symcere.base import live_line, terminal
from recbole_symcere.base.terminal import Mode
from recbole_symcere.base.work import Work

ROOT = Path(__file__).parents[2]
BEGIN = """
import os, sys, threading, time
from recbole_symcere.base import live_line, terminal
from recbole_symcere.base.terminal import Mode
live_line._TICK, live_line._A_MISTAKE, live_line._A_MOMENT, live_line._SILENT = 0.08, 0.3, 0.3, 1.1
"""  # in a hurry
SLOW = (
    BEGIN
    + """
with terminal.speaking(Mode("quiet" in sys.argv), "the title"):
    live_line.step("reading 宿泊")
    time.sleep(FIRST)
    with live_line.working("encoding", 20, "texts") as work:
        for n in range(20):
            work.advance()
            time.sleep(THEN / 20)
    terminal.out("the result 宿泊")
"""
)


def slow(first, then):
    return SLOW.replace("FIRST", str(first)).replace("THEN", str(then))


def hear(code, *words, terminal=None, **env):
    full = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **env}
    return listen([sys.executable, "-c", code, *words], terminal, full, timeout=60)


def screen(text, columns=1000):
    """What a terminal shows in the end: carriage returns and the sequences that are used."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[\d*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
        if piece == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\r":
            column = 0
        elif piece.endswith("F"):
            row, column = row - int(piece[2:-1]), 0
        elif piece.endswith("J"):
            lines[row:] = [lines[row][:column]]
        else:
            assert piece[0] != "\x1b", piece
            lines[row] = lines[row][:column] + piece
            column = len(lines[row])
            assert column < columns, lines[row]
    return lines


def test_a_pipe_gets_plain_lines_and_no_pause_of_five_seconds():
    heard = hear(slow(1.9, 0))
    assert (heard.status, heard.out) == (0, "the result 宿泊\n")
    title, line = heard.err.splitlines()
    assert title == "the title"
    assert re.fullmatch(r"reading 宿泊: 0:0[12]", line)
    assert not {"\r", "\x1b"} & set(heard.err)
    late = 2.0  # seconds, of a busy machine
    assert heard.pause < 1.1 + late
    assert live_line._SILENT + late <= 5


@pytest.mark.parametrize("columns", [40, 60])
def test_a_terminal_gets_a_bar_that_is_gone_in_the_end(columns):
    heard = hear(slow(0.1, 0.6), terminal=(columns, 24), NO_COLOR="1")
    assert heard.status == 0
    assert "█" in heard.out or columns == 40  # where it has no room
    assert "of 20 texts" in heard.out
    assert "\x1b[?" not in heard.out  # the cursor stays as it is
    assert screen(heard.out, columns) == ["the title", "the result 宿泊", ""]


def test_letters_that_a_terminal_lacks_stop_nothing():
    heard = hear(slow(0, 0.6), terminal=(80, 24), PYTHONIOENCODING="ascii")
    assert heard.status == 0
    assert "encoding  ###" in heard.out
    assert heard.out.isascii()


def test_quiet_is_quiet():
    heard = hear(slow(0.2, 0.4), "quiet", terminal=(80, 24))
    assert heard.out == "the result 宿泊\r\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_is_quiet_without_a_title_too(monkeypatch, quiet):
    """As in the processes that a command starts, and in a command called as a function."""
    monkeypatch.setattr(live_line, "_A_MOMENT", 0)
    monkeypatch.setattr(live_line, "_TICK", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with terminal.speaking(Mode(quiet)), live_line.working("encoding"):
        time.sleep(0.1)
    assert ("encoding" in sys.stderr.getvalue()) is not quiet
    with live_line.working("after it"):
        time.sleep(0.1)
    assert "after it" in sys.stderr.getvalue()


def test_a_library_says_nothing_in_a_pipe_and_a_fork_has_no_line_of_its_own():
    code = (
        BEGIN
        + """
live_line._TICK, live_line._A_MOMENT, live_line._SILENT = 0.25, 0.1, 0.1
with live_line.working("a"):
    time.sleep(0.4)
live_line.begin("", "b")
with live_line.working("c", 4, "things") as work:
    work.advance()
    time.sleep(0.4)
if os.fork() == 0:
    time.sleep(0.1)
    with live_line.paused():
        os._exit(threading.active_count())
print(os.waitstatus_to_exitcode(os.wait()[1]))
live_line.end()
"""
    )
    heard = hear(code)
    assert heard.out == "1\n"
    assert heard.err.splitlines()[0] == "c: 1 of 4 things  0:00"
    assert "a:" not in heard.err


def test_an_interrupt_leaves_the_terminal_in_order():
    code = (
        BEGIN
        + f"""
from recbole_symcere import cli

def slow(words):
    threading.Timer(0.6, os.kill, (os.getpid(), {int(signal.SIGINT)})).start()
    with live_line.working("long", 1000, "things") as work:
        for _ in range(1000):
            time.sleep(0.01)
            work.advance()

cli._run = slow
sys.argv = ["recbole-symcere", "convert", "--name=a"]
sys.exit(cli.main())
"""
    )
    heard = hear(code, terminal=(80, 24))
    assert heard.status == 128 + signal.SIGINT
    assert screen(heard.out)[1:] == [
        "", "interrupted; nothing was written; start the conversion again", "",
    ]  # fmt: skip


def test_who_has_read_enough_gets_no_error():
    code = (
        BEGIN
        + """
with terminal.speaking(Mode(), "title"):
    for n in range(9999):
        terminal.out("a line")
"""
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{sys.executable} -c '{code}' | head -n 1"
    found = subprocess.run(command, shell=True, env=env, capture_output=True, text=True)
    assert found.stdout == "a line\n"
    assert found.stderr in {"", "title\n"}


def test_a_mistake_that_is_found_at_once_has_no_title():
    code = "import sys; from recbole_symcere.cli import main; sys.argv = ['x', 'nothing']; "
    code += "from recbole_symcere.base import live_line; live_line._A_MISTAKE = 60; main()"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: There is no command 'nothing'")


def test_the_time_left_is_that_of_what_is_done_now(monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    work = Work("training", 40, "epochs", at_most=True)
    work.skip(20)
    now = 110.0
    work.advance(5)
    assert (work.share, work.seconds_left) == (25 / 40, 30.0)
    assert work.words() == ("training", "25 of at most 40 epochs  0:10, at most 0:30 left")
    weighed = Work("encoding", 3, "texts", weight=100)
    now = 120.0
    weighed.advance(1, 80)  # the longest comes first
    assert (weighed.share, weighed.seconds_left) == (0.8, pytest.approx(2.5))
