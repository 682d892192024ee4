"""A page as HTML that needs no other file and no network.

Its style and its pictures stand in it, and it tells the browser to load nothing else. Every command
that writes pages has them from here, and the served page has the same colours.
"""

import base64
import html
import re
import string
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import PurePath

from recbole_symcere.page.page import (
    Entry,
    Gallery,
    Heading,
    Marked,
    Part,
    Picture,
    Piece,
    Text,
    TextTable,
)

__all__ = ["STYLE", "as_html"]


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


STYLE = _read("style.css")
"""Colours, font and marks of every page, the served ones too."""

_PAGE = string.Template(
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    "<title>$title</title>\n<style>$style</style>\n</head>\n<body>\n"
    '<a class="skip" href="#content">to the content</a>\n<main id="content">\n$body\n</main>\n'
    "</body>\n</html>\n"
)
_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
_NUMBER = re.compile(r"[<(]?\s*[-+±]?\s*\.?\d")
_FEWEST = 3  # sections from which on a page begins with a list of them
_FAINTEST = 0.01  # weight of a word that isn't coloured
_FULL = 0.7  # opacity of the strongest word
_RAISES, _LOWERS = "31, 127, 196", "213, 94, 0"  # blue and orange: told apart by every eye


def as_html(parts: Sequence[Part], title: str) -> str:
    """A page that needs no other file; the best value is bold, the second best underlined.

    A piece of a marked text is blue where its weight is positive and orange where it is negative,
    as strongly as the weight.
    """
    sections = [part for part in parts if isinstance(part, Heading) and part.level == 2]
    names = {id(part): f"part-{n}" for n, part in enumerate(sections, 1)}
    shown = []
    for n, part in enumerate(parts):
        shown.append(_html_part(part, names))
        if n == 0 and len(sections) >= _FEWEST:
            shown.append(_contents(sections))
    style = STYLE + _read("report.css")
    return _PAGE.substitute(title=html.escape(title), style=style, body="\n".join(shown))


def _contents(sections: Sequence[Heading]) -> str:
    items = "".join(
        f'<li><a href="#part-{n}">{html.escape(part.text)}</a></li>'
        for n, part in enumerate(sections, 1)
    )
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'


def _html_part(part: Part, names: dict[int, str]) -> str:
    if isinstance(part, Heading):
        name = f' id="{names[id(part)]}"' if id(part) in names else ""
        return f"<h{part.level}{name}>{html.escape(part.text)}</h{part.level}>"
    if isinstance(part, Text):
        return f"<p>{html.escape(part.text)}</p>"
    if isinstance(part, Picture):
        return _html_picture(part)
    if isinstance(part, Gallery):
        return f'<div class="gallery">{"".join(map(_html_picture, part.pictures))}</div>'
    if isinstance(part, Marked):
        words = "".join(_html_piece(piece) for piece in part.pieces)
        caption = html.escape(part.caption)
        return f'<p class="caption">{caption}</p>\n<p class="review">{words}</p>'
    return "\n".join(_html_table(part))


def _html_picture(picture: Picture) -> str:
    kind = PurePath(picture.name).suffix
    data = base64.b64encode(picture.file).decode()
    caption = html.escape(picture.caption)
    flat = "" if kind == ".svg" else ' class="flat"'
    under = "" if picture.titled else f"<figcaption>{caption}</figcaption>"
    return (
        f'<figure><img{flat} src="data:{_TYPES.get(kind, "image/png")};base64,{data}" '
        f'alt="{caption}">{under}</figure>'
    )


def _html_table(table: TextTable) -> Iterator[str]:
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.head)
    kinds = [' class="words"' if _has_words(column) else "" for column in columns]
    head = "".join(
        f'<th scope="col"{kind}>{html.escape(title)}</th>'
        for title, kind in zip(table.head, kinds, strict=True)
    )
    name = html.escape(table.head[0] or "table")
    # a region that scrolls must be reachable without a mouse
    yield f'<div class="wide" role="region" aria-label="table: {name}" tabindex="0"><table>'
    yield f"<thead><tr>{head}</tr></thead>\n<tbody>"
    for first, *rest in table.rows:
        cells = "".join(
            f"<td{kind}>{_html_cell(entry)}</td>"
            for entry, kind in zip(rest, kinds[1:], strict=True)
        )
        yield f'<tr><th scope="row">{_html_cell(first)}</th>{cells}</tr>'
    yield "</tbody>\n</table></div>"
    if table.note:
        yield f'<p class="note">{html.escape(table.note)}</p>'


def _has_words(column: Sequence[Entry]) -> bool:
    """Whether a column holds words, to be read from the left, and not numbers alone."""
    texts = [entry.text for entry in column if entry.text not in {"", "-"}]
    return any(not _NUMBER.match(text) or len(text) > 60 for text in texts)


def _html_piece(piece: Piece) -> str:
    text, share = html.escape(piece.text), min(abs(piece.weight), 1.0)
    if share < _FAINTEST:
        return text
    colour = _RAISES if piece.weight > 0 else _LOWERS
    return f'<mark style="background: rgba({colour}, {_FULL * share:.3f})">{text}</mark>'


def _html_cell(entry: Entry) -> str:
    tag = {"best": "strong", "second": "u"}.get(entry.mark)
    text = html.escape(entry.text)
    return f"<{tag}>{text}</{tag}>" if tag else text
