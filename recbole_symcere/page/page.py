"""A page as headings, paragraphs, tables, pictures and marked texts; in Markdown and in HTML.

The HTML needs no other file and no network: its style, and its pictures, stand in it, and it tells
the browser to load nothing else. Ids and reviews in a page are text, whatever marks they hold.
"""

import base64
import html
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from recbole_symcere.page.markdown_text import as_start, cell, inline, line

__all__ = [
    "Entry",
    "Heading",
    "Marked",
    "Part",
    "Picture",
    "Piece",
    "Text",
    "TextTable",
    "as_html",
    "as_markdown",
]


class Entry(NamedTuple):
    """A cell: its text, and "best", "second" or no mark."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading of the given level."""

    text: str
    level: int


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class TextTable:
    """A table; the first column holds labels."""

    head: Sequence[str]
    rows: Sequence[Sequence[Entry]]


@dataclass(frozen=True)
class Picture:
    """A PNG: the name of the file beside the page, its content, and what it shows in words."""

    name: str
    content: bytes
    caption: str


class Piece(NamedTuple):
    """A piece of a text; ``weight`` from -1 to 1 colours it, 0 leaves it plain."""

    text: str
    weight: float = 0.0


@dataclass(frozen=True)
class Marked:
    """A text whose pieces are coloured by weight, under a line that says what it is."""

    caption: str
    pieces: Sequence[Piece]


Part = Heading | Text | TextTable | Picture | Marked

_STRONG = 0.25  # from this weight on Markdown, which has no colours, makes a piece bold


def as_markdown(parts: Sequence[Part]) -> str:
    """Markdown; the best value is bold, the second best in italics, strong words of a text bold."""
    lines: list[str] = []
    for part in parts:
        if isinstance(part, Heading):
            lines += [f"{'#' * part.level} {cell(part.text)}", ""]
        elif isinstance(part, Text):
            lines += [line(part.text), ""]
        elif isinstance(part, Picture):
            lines += [f"![{cell(part.caption)}]({part.name})", ""]
        elif isinstance(part, Marked):
            lines += [f"{line(part.caption)}:", "", f"> {_marked_words(part)}", ""]
        else:
            lines += [*_markdown_table(part), ""]
    return "\n".join(lines)


def _marked_words(part: Marked) -> str:
    shown = ""
    for strong, pieces in groupby(part.pieces, lambda piece: piece.weight >= _STRONG):
        # as one text: an address that pieces share would pass them one by one
        text = "".join(piece.text for piece in pieces)
        shown += f"**{cell(text)}**" if strong else inline(text)
    return as_start(" ".join(shown.split()))


def _markdown_table(table: TextTable) -> Iterator[str]:
    yield "| " + " | ".join(map(cell, table.head)) + " |"
    yield "| --- |" + " ---: |" * (len(table.head) - 1)
    for row in table.rows:
        yield "| " + " | ".join(map(_markdown_cell, row)) + " |"


def _markdown_cell(entry: Entry) -> str:
    around = {"best": "**", "second": "_"}.get(entry.mark, "")
    return f"{around}{cell(entry.text)}{around}"


_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
p { max-width: 50rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid currentColor; vertical-align: bottom; white-space: normal; }
tbody tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
tbody th { font-weight: normal; white-space: normal; min-width: 8rem; }
td:last-child { white-space: normal; min-width: 8rem; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; background: white; }
figcaption { opacity: .75; max-width: 50rem; }
mark { color: inherit; border-radius: .2em; }
"""
_PAGE = string.Template(
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    "<title>$title</title>\n<style>$style</style>\n</head>\n<body>\n$body\n</body>\n</html>\n"
)


def as_html(parts: Sequence[Part], title: str) -> str:
    """A page that needs no other file; the best value is bold, the second best underlined.

    A piece of a marked text is green where its weight is positive and red where it is negative.
    """
    body = "\n".join(_html_part(part) for part in parts)
    return _PAGE.substitute(title=html.escape(title), style=_STYLE, body=body)


def _html_part(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{html.escape(part.text)}</h{part.level}>"
    if isinstance(part, Text):
        return f"<p>{html.escape(part.text)}</p>"
    if isinstance(part, Picture):
        data = base64.b64encode(part.content).decode()
        caption = html.escape(part.caption)
        return (
            f'<figure><img src="data:image/png;base64,{data}" alt="{caption}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    if isinstance(part, Marked):
        words = "".join(_html_piece(piece) for piece in part.pieces)
        return f"<p><em>{html.escape(part.caption)}</em><br>{words}</p>"
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in part.head)
    rows = "\n".join(_html_row(row) for row in part.rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _html_piece(piece: Piece) -> str:
    text, share = html.escape(piece.text), min(abs(piece.weight), 1.0)
    if share < 0.01:
        return text
    colour = "26, 150, 65" if piece.weight > 0 else "215, 48, 39"
    return f'<mark style="background: rgba({colour}, {0.75 * share:.2f})">{text}</mark>'


def _html_row(row: Sequence[Entry]) -> str:
    first, *rest = row
    cells = "".join(f"<td>{_html_cell(entry)}</td>" for entry in rest)
    return f'<tr><th scope="row">{_html_cell(first)}</th>{cells}</tr>'


def _html_cell(entry: Entry) -> str:
    tag = {"best": "strong", "second": "u"}.get(entry.mark)
    text = html.escape(entry.text)
    return f"<{tag}>{text}</{tag}>" if tag else text
