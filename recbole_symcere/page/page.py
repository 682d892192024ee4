"""What a page is made of: headings, paragraphs, tables, pictures, marked texts; and as Markdown.

Ids and reviews in a page are text, whatever marks they hold.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from recbole_symcere.page.markdown_text import as_start, cell, inline, line

__all__ = [
    "Entry",
    "Gallery",
    "Heading",
    "Marked",
    "Part",
    "Picture",
    "Piece",
    "Text",
    "TextTable",
    "as_markdown",
    "by_strength",
    "pictures_of",
]


_TITLE = re.compile(rb"<title>(.*?)</title>", re.DOTALL)


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
    """A table; the first column holds labels, and the note says what the columns are."""

    head: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG or PNG: the name of its file beside the page, its content, what it shows in words.

    The words stand under it unless the picture says them itself (``titled``).
    """

    name: str
    content: bytes
    caption: str
    titled: bool = False

    @property
    def file(self) -> bytes:
        """What its file holds: an SVG says in itself what it shows."""
        if not self.content.startswith(b"<svg"):
            return self.content
        at = self.content.index(b">") + 1
        title = f"<title>{html.escape(self.caption)}</title>".encode()
        return self.content[:at] + title + self.content[at:]

    @classmethod
    def read(cls, path: Path) -> "Picture":
        """A picture that a page left beside it."""
        content = path.read_bytes()
        found = _TITLE.search(content)
        caption = html.unescape(found[1].decode()) if found else path.stem
        return cls(path.name, _TITLE.sub(b"", content, count=1), caption)


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, as many as there is room for."""

    pictures: Sequence[Picture]


class Piece(NamedTuple):
    """A piece of a text; ``weight`` from -1 to 1 colours it, 0 leaves it plain."""

    text: str
    weight: float = 0.0


@dataclass(frozen=True)
class Marked:
    """A text whose pieces are coloured by weight, under a line that says what it is."""

    caption: str
    pieces: Sequence[Piece]


Part = Heading | Text | TextTable | Picture | Gallery | Marked


def pictures_of(parts: Sequence[Part]) -> list[Picture]:
    """Every picture of a page."""
    found: list[Picture] = []
    for part in parts:
        if isinstance(part, Picture):
            found.append(part)
        elif isinstance(part, Gallery):
            found += part.pictures
    return found


_STRONG = 0.25  # from this weight on a piece stands out where there are no colours


def as_markdown(parts: Sequence[Part]) -> str:
    """Markdown; the best value is bold, the second best in italics, strong words of a text bold."""
    lines: list[str] = []
    for part in parts:
        if isinstance(part, Heading):
            lines += [f"{'#' * part.level} {cell(part.text)}", ""]
        elif isinstance(part, Text):
            lines += [line(part.text), ""]
        elif isinstance(part, Picture | Gallery):
            for picture in pictures_of([part]):
                lines += [f"![{cell(picture.caption)}]({picture.name})", ""]
        elif isinstance(part, Marked):
            lines += [f"{line(part.caption)}:", "", f"> {_marked_words(part)}", ""]
        else:
            lines += [line(part.note), ""] if part.note else []
            lines += [*_markdown_table(part), ""]
    return "\n".join(lines)


def by_strength(part: Marked) -> Iterator[tuple[bool, str]]:
    """The text in runs of strong and of other pieces, for where there are no colours."""
    for strong, pieces in groupby(part.pieces, lambda piece: piece.weight >= _STRONG):
        yield strong, "".join(piece.text for piece in pieces)


def _marked_words(part: Marked) -> str:
    shown = ""
    for strong, text in by_strength(part):
        # as one text: an address that pieces share would pass them one by one
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
