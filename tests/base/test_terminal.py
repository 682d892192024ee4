"""What is said where: results, what happens on the way, warnings, one document for machines."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_symcere import cli
from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.terminal import Mode, take_flags
from recbole_symcere.cli import main
from recbole_symcere.version import __version__


@pytest.mark.parametrize(
    ("words", "mode", "rest"),
    [
        (["--model=A"], Mode(), ["--model=A"]),
        (["--quiet", "tune", "--json"], Mode(quiet=True, json=True), ["tune"]),
        (["--quiet=True", "--json=no"], None, None),
        (["--json", "True", "--a", "b"], Mode(json=True), ["--a", "b"]),
        (["--json=False", "--quiet", "--a"], Mode(quiet=True), ["--a"]),
        (["--quiet_not=1"], Mode(), ["--quiet_not=1"]),
    ],
)
def test_the_flags_stand_anywhere_and_may_have_a_value(words, mode, rest):
    if mode is None:
        with pytest.raises(InputError, match="json is 'no', but it must be of type bool"):
            take_flags(words)
        return
    assert take_flags(words) == (mode, rest)


def test_a_flag_is_given_once(capsys):
    assert main(["--json", "--json=True"]) == 2
    assert capsys.readouterr().err == "error: --json is given twice.\n"
    assert main(["serve", "--json", "--run=x"]) == 2
    assert "serve has no --json" in capsys.readouterr().err


def said(capsys, mode):
    with terminal.speaking(mode):
        terminal.tell("on the way")
        terminal.warn("careful")
        terminal.out("the result")
        terminal.document(a=1, b="宿泊")
    found = capsys.readouterr()
    return found.out, found.err


def test_what_goes_where(capsys):
    assert said(capsys, Mode()) == ("on the way\ncareful\nthe result\n", "")
    assert said(capsys, Mode(quiet=True)) == ("the result\n", "careful\n")
    for quiet, err in ((False, "on the way\ncareful\nthe result\n"), (True, "careful\n")):
        out, found = said(capsys, Mode(quiet, json=True))
        assert json.loads(out) == {"a": 1, "b": "宿泊"}
        assert out.isascii()
        assert found == err
    assert terminal.mode() == Mode()  # as before


def test_a_mistake_is_in_the_document_too(capsys):
    assert main(["nothing", "--json"]) == 2
    found = capsys.readouterr()
    assert "There is no command 'nothing'" in json.loads(found.out)["error"]
    assert found.err.startswith("error: There is no command")


def test_an_error_that_nobody_expects_is_in_the_document_too(capsys, monkeypatch):
    def harmed(_):
        raise ZeroDivisionError("by nothing")  # an ArithmeticError is known: a diverged run

    def broken(_):
        raise LookupError("no such thing")

    monkeypatch.setattr(cli, "_run", broken)
    with pytest.raises(LookupError):
        main(["anything", "--json"])
    assert json.loads(capsys.readouterr().out) == {"error": "LookupError('no such thing')"}
    monkeypatch.setattr(cli, "_run", harmed)
    assert main(["anything", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "by nothing"}


def test_the_document_is_json_where_a_number_is_none(capsys):
    def refuse(word):
        raise AssertionError(word)

    with terminal.speaking(Mode(json=True)):
        terminal.document(a=float("nan"), b={"c": [1.5, float("inf")], "d": (-float("inf"), "x")})
    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found == {"a": None, "b": {"c": [1.5, None], "d": [None, "x"]}}


def test_the_version_is_a_document_too(capsys):
    assert main(["--version", "--json", "--quiet"]) == 0
    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == ({"version": __version__}, "")
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"recbole_symcere {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "status"), [("--version", 0), ("--help", 0), ("--json --version", 0), ("nothing", 2)]
)
@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_stops_nothing(words, status, closed):
    code = "import sys; from recbole_symcere.cli import main; sys.exit(main())"
    script = f'exec "$0" -c "$1" {words} {closed}>&-'
    found = subprocess.run(
        ["sh", "-c", script, sys.executable, code],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == status
    assert "Traceback" not in found.stderr
