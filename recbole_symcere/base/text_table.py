"""Tables and paragraphs as a terminal shows them: aligned, and no wider than it is."""

import unicodedata
from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType

__all__ = [
    "MARKS_IN_WORDS",
    "Marks",
    "cut",
    "folded",
    "paragraph",
    "plain",
    "text_table",
    "text_width",
    "wrapped",
]

_GAP = "  "
_PARAGRAPH = 100
_WIDEST = 60  # a column
_SIGNS = {"best": " *", "second": " +"}


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


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most ``width`` columns, broken between words where that can be."""
    lines, line = [], ""
    for word in plain(text).split(" "):
        longer = f"{line} {word}" if line else word
        if text_width(longer) <= width:
            line = longer
            continue
        lines += [line] if line else []
        line = word
        while text_width(line) > width > 1:  # Japanese has no blanks
            n = next(n for n in range(len(line), 0, -1) if text_width(line[:n]) <= width)
            lines.append(line[:n])
            line = line[n:]
    return [*lines, line]


def folded(line: str, width: int) -> str:
    """A line that is too long for a terminal, broken between words, with its inner blanks."""
    indent = len(line) - len(line.lstrip()) + 2
    lines = []
    while text_width(line) > width > 2 * indent:
        fits = next(n for n in range(len(line), 0, -1) if text_width(line[:n]) <= width)
        at = line.rfind(" ", indent, fits + 1)
        at = at if line[:at].strip() and at > 0 else fits
        lines.append(line[:at].rstrip())
        line = " " * indent + line[at:].lstrip()
    return "\n".join([*lines, line])


def paragraph(text: str, width: int = 0) -> str:
    """A text in lines of at most ``width`` columns, or 100 where no terminal says."""
    return "\n".join(wrapped(text, min(width or _PARAGRAPH, _PARAGRAPH)))


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

    A long cell is broken into lines; what is wider than the terminal continues below, with the
    first column again.

    Args:
        head: titles.
        rows: cells, as many in each as there are titles.
        width: columns of the terminal; 0 for any. Below 12 the table may be wider.
        marks: of cells.
        styled: whether a mark is a style, bold or underlined, and not a star or a plus.
        right: whether all columns but the first are aligned on the right.
    """
    texts = [[plain(cell) for cell in row] for row in (head, *rows)]
    signed = set() if styled else {column for _, column in marks}
    widths = _widths(texts, width, signed)
    cells = [[wrapped(text, widths[c]) for c, text in enumerate(row)] for row in texts]
    left = {0, *(c for row in cells[1:] for c, lines in enumerate(row) if len(lines) > 1)}

    def shown(n: int, column: int, k: int) -> str:
        lines, mark = cells[n][column], marks.get((n - 1, column), "")
        part = lines[k] if k < len(lines) else ""
        part = _padded(part, widths[column], right and column not in left)
        if column in signed:
            return part + (_SIGNS.get(mark, "  ") if k == len(lines) - 1 else "  ")
        return _styled(part, mark)

    blocks = []
    for columns in _fitting([w + 2 * (c in signed) for c, w in enumerate(widths)], width):
        rule = _GAP.join("-" * widths[c] + "  " * (c in signed) for c in columns)
        lines = [
            _GAP.join(shown(n, c, k) for c in columns).rstrip()
            for n, row in enumerate(cells)
            for k in range(max(len(row[c]) for c in columns))
        ]
        lines.insert(max(len(cells[0][c]) for c in columns), rule.rstrip())
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _widths(texts: Sequence[Sequence[str]], width: int, signed: Container[int]) -> list[int]:
    """Of the columns: as wide as they need, unless that is much, or more than a terminal has."""
    widths = [min(max(map(text_width, column)), _WIDEST) for column in zip(*texts, strict=True)]
    if width:
        widths[0] = min(widths[0], width // 2 if len(widths) > 1 else width)
        rest = width - widths[0] - len(_GAP)
        for column in range(1, len(widths)):
            room = max(rest - 2 * (column in signed), 1)
            widths[column] = min(widths[column], room)
    return widths


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
    blank = " " * (width - text_width(text))
    return blank + text if right else text + blank
