"""A page's headings, paragraphs and tables as a terminal shows them."""

from collections.abc import Sequence
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.text_table import MARKS_IN_WORDS, paragraph, text_width
from recbole_symcere.page.page import Heading, Marked, Part, Text, TextTable, by_strength

__all__ = ["as_data", "as_terminal", "first_screen"]

_RULES = {1: "=", 2: "-"}


def as_terminal(parts: Sequence[Part]) -> str:
    """Plain text for where `terminal.out` writes to; pictures are left out."""
    return "\n".join(block for part in parts if (block := _block(part)))


def _block(part: Part) -> str:
    width = terminal.width()
    if isinstance(part, Heading):
        rule = _RULES.get(part.level)
        text = paragraph(part.text, width)
        return f"{text}\n{rule * min(text_width(part.text), 60)}\n" if rule else f"{text}\n"
    if isinstance(part, Text):
        return paragraph(part.text, width) + "\n"
    if isinstance(part, Marked):
        words = "".join(
            f"*{text.strip()}* " if strong else text
            for strong, text in by_strength(part)
            if text.strip() or not strong
        )
        return f"{paragraph(part.caption, width)}:\n{paragraph(words, width)}\n"
    if isinstance(part, TextTable):
        marks = {
            (r, c): entry.mark
            for r, row in enumerate(part.rows)
            for c, entry in enumerate(row)
            if entry.mark
        }
        rows, ranked = [[e.text for e in row] for row in part.rows], "second" in marks.values()
        if not (ranked or terminal.has_styles()):
            marks = {}  # they only stress something
        legend = paragraph(MARKS_IN_WORDS, width) + "\n"
        told = legend * (ranked and not terminal.has_styles())
        note = paragraph(part.note, width) + "\n" if part.note else ""
        return note + terminal.table(part.head, rows, marks) + told
    return ""


def first_screen(parts: Sequence[Part]) -> list[Part]:
    """What stands before the second heading of level 2."""
    shown: list[Part] = []
    headings = 0
    for part in parts:
        headings += isinstance(part, Heading) and part.level == 2
        if headings > 1:
            break
        shown.append(part)
    return shown


def as_data(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The tables of a page for machines, each with the heading that it stands under."""
    found: list[dict[str, Any]] = []
    title = ""
    for part in parts:
        if isinstance(part, Heading):
            title = part.text
        elif isinstance(part, TextTable):
            rows = [[entry.text for entry in row] for row in part.rows]
            found.append({"title": title, "columns": [*part.head], "rows": rows})
    return found
