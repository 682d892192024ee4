"""Any text in Markdown, so that it shows as it is: no link, no picture, no HTML, no mark.

Ids and reviews are other people's texts. What CommonMark gives a meaning, and what GitHub's tables,
strikes, formulas and autolinks do, gets a backslash before it. GitHub alone still makes an e-mail
address a ``mailto:`` link, which loads nothing.
"""

import re

__all__ = ["as_start", "cell", "inline", "line"]

_MARKS = re.compile(
    r"""
    [\\`*_\[\]()!&<|~$\#]
    | (?<=mailto):
    | /(?=/)  # of an address: http://, //
    | (?<=www)\.  # ... without a scheme
    | \.(?=[^\W\d_])  # ... or without both, such as example.com
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BLOCK = re.compile(r"^(?=>|[+-](?: |$)|--)|^\d{1,9}(?=\.(?: |$))")
"""Up to the mark that makes a line a quotation, a rule or an item of a list."""


def inline(text: str) -> str:
    """Text in the middle of a line, with its spaces."""
    return _MARKS.sub(r"\\\g<0>", text)


def cell(text: str) -> str:
    """Text in the middle of a line; its white space becomes single spaces."""
    return " ".join(inline(text).split())


def line(text: str) -> str:
    """Text that a line begins with; its white space becomes single spaces."""
    return as_start(cell(text))


def as_start(markdown: str) -> str:
    """Markdown of one line that begins no quotation, rule or list."""
    return _BLOCK.sub(r"\g<0>\\", markdown)
