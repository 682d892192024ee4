"""The messages that docs/troubleshooting.md quotes are those of the code."""

import ast
import re
from pathlib import Path

import pytest
from docs.material import DOCS
from docs.tutorial import blocks_of

PACKAGE = DOCS.parent / "recbole_symcere"
PAGE = DOCS / "troubleshooting.md"
LEAST = 20  # constant characters of a message, so that a template of variables alone fits nothing
VARIABLE = "\0"


def template(node) -> str:
    """The text that an expression makes, with a NUL for what isn't known before it runs."""
    if isinstance(node, ast.Constant):
        said = node.value if isinstance(node.value, str) else VARIABLE
        return re.sub(r"%(?:s|d|\.\d+f)", VARIABLE, said).replace("%%", "%")
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return VARIABLE


def texts(node):
    """The texts below a node, the pieces of one text not each for itself."""
    if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
        yield template(node)
    pieces = isinstance(node, ast.JoinedStr)
    for child in ast.iter_child_nodes(node):
        if not (pieces and isinstance(child, ast.Constant)):
            yield from texts(child)


def beginnings(text: str):
    """A text up to the end of each of its sentences."""
    return {text, *(text[: end.end()] for end in re.finditer(r"[.;:](?=\s)", text))}


def templates():
    """All texts of the package and their beginnings, as the pieces between what varies."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")]
    found = {begun for tree in trees for text in texts(tree) for begun in beginnings(text)}
    known = {text.strip() for text in found if len(text.replace(VARIABLE, "")) >= LEAST}
    return [re.split(f"{VARIABLE}+", text) for text in known]


def fits(message: str, pieces) -> bool:
    """Whether a message has these pieces in this order, the outer ones at its ends."""
    if len(pieces) == 1:
        return message == pieces[0]
    first, *middle, last = pieces
    if not (message.startswith(first) and message.endswith(last)):
        return False
    place, end = len(first), len(message) - len(last)
    for piece in middle:
        place = message.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return place <= end


def is_said(message: str, known) -> bool:
    """Whether a message is one that the package makes, or whole sentences at its beginning."""
    return any(fits(message, pieces) for pieces in known)


def quoted():
    blocks = [b for b in blocks_of(PAGE.read_text()) if b.kind == "text"]
    return [" ".join(b.text.split()) for b in blocks if not b.mark.startswith("of ")]


@pytest.fixture(scope="module")
def known():
    return templates()


@pytest.mark.parametrize("message", quoted(), ids=lambda text: text[:40])
def test_a_quoted_message_is_said_somewhere(message, known):
    assert is_said(message, known)


def test_other_messages_are_not_said(known):
    assert len(quoted()) > 40
    for wrong in (
        "learning_rate can't change when a run goes on; only epochs can.",
        "There is no modell named 'SymCER'. Did you mean 'SymCERE'? Ours: SymCERE",
        "The loss isn't finite. Training stopped.",
        "This needs Ray: pip install 'ray[tune]'. Or not.",
    ):
        assert not is_said(wrong, known)


def test_every_heading_has_a_message():
    parts = Path(PAGE).read_text().split("\n### ")[1:]
    assert all("```text" in part for part in parts)
