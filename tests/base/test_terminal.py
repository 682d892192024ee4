"""What is said where: results, what happens on the way, warnings, one document for machines."""

import json

import pytest

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.terminal import Mode, take_flags
from recbole_symcere.cli import main


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
