"""Tables and paragraphs as a terminal shows them: aligned, and no wider than it is."""

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType

__all__ = ["MARKS_IN_WORDS", "Marks", "cut", "paragraph", "plain", "text_table", "text_width"]

_GAP = "  "
_PARAGRAPH = 100


def plain(text: str) -> str:
    """A text of others on one line, without what a terminal would take for an order."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def text_width(text: str) -> int:
    """Columns that a text takes on a terminal: two for a wide character, none for an accent."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(bool(unicodedata.combining(letter)) for letter in text)


def cut(text: str, width: int) -> str:
    """A text of at most ``width`` columns; what is cut ends in dots."""
    if text_width(text) <= width:
        return text
    kept = text
    while kept and text_width(kept) > max(width - 3, 0):
        kept = kept[:-1]
    return kept + "..."[:width]


def paragraph(text: str, width: int = 0) -> str:
    """A text in lines of at most ``width`` columns, or 100 where no terminal says."""
    return textwrap.fill(plain(text), min(width or _PARAGRAPH, _PARAGRAPH), break_on_hyphens=False)


Marks = Mapping[tuple[int, int], str]
"""Row and column of a cell, from 0, -> "best" or "second"."""

MARKS_IN_WORDS = "* is the best value of a column, + the second best"
"""Of a table without styles."""


def text_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int = 0,
    marks: Marks = MappingProxyType({}),
    styled: bool = False,
    right: bool = True,
) -> str:
    """A table with aligned columns.

    What is wider than the terminal continues below, with the first column again.

    Args:
        head: titles.
        rows: cells, as many in each as there are titles.
        width: columns of the terminal; 0 for any.
        marks: of cells.
        styled: whether a mark is a style, bold or underlined, and not a star or a plus.
        right: whether all columns but the first are aligned on the right.
    """
    texts = [[plain(cell) for cell in row] for row in (head, *rows)]
    marked = set() if styled else {column for _, column in marks}
    for n, row in enumerate(texts):
        for column in marked:
            row[column] += {"best": " *", "second": " +"}.get(marks.get((n - 1, column), ""), "  ")
    widths = [max(text_width(row[n]) for row in texts) for n in range(len(head))]
    if width:
        widths[0] = min(widths[0], width // 2 if len(widths) > 1 else width)
        rest = max(width - widths[0] - len(_GAP), 1)
        widths[1:] = [min(wanted, rest) for wanted in widths[1:]]
    blocks = []
    for columns in _fitting(widths, width):
        lines = []
        for n, row in enumerate(texts):
            cells = [_padded(row[c], widths[c], right and c > 0) for c in columns]
            if styled:
                cells = [
                    _styled(cell, marks.get((n - 1, c), ""))
                    for cell, c in zip(cells, columns, strict=True)
                ]
            lines.append(_GAP.join(cells).rstrip())
        lines.insert(1, _GAP.join("-" * widths[c] for c in columns))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _styled(cell: str, mark: str) -> str:
    style = {"best": "1", "second": "4"}.get(mark)
    text = cell.strip()
    return cell.replace(text, f"\x1b[{style}m{text}\x1b[0m") if style and text else cell


def _fitting(widths: Sequence[int], width: int) -> list[list[int]]:
    """The columns of each part of a table: the first one, and as many others as fit."""
    parts = [[0]]
    for column in range(1, len(widths)):
        taken = sum(widths[c] + len(_GAP) for c in parts[-1])
        if width and taken + widths[column] > width and len(parts[-1]) > 1:
            parts.append([0])
        parts[-1].append(column)
    return parts


def _padded(text: str, width: int, right: bool) -> str:
    text = cut(text, width)
    blank = " " * (width - text_width(text))
    return blank + text if right else text + blank
