"""Tables and sections as docutils has them, from plain text."""

from collections.abc import Sequence

from docutils import nodes

__all__ = ["paragraphs", "section", "table"]


def table(
    header: Sequence[str], rows: Sequence[Sequence[str | nodes.Node]], kind: str = ""
) -> nodes.table:
    """A table of a header and rows of as many cells.

    Args:
        header: names of the columns.
        rows: text or nodes.
        kind: a class of the table, for the style sheet.
    """
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    head, body = nodes.thead(), nodes.tbody()
    head += _row(header)
    body += [_row(row) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=["generated", *[kind] * bool(kind)])


def _row(cells: Sequence[str | nodes.Node]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        content = nodes.Text(cell) if isinstance(cell, str) else cell
        # --key isn't to become a dash
        row += nodes.entry("", nodes.paragraph("", "", content, support_smartquotes=False))
    return row


def section(title: str, name: str, content: Sequence[nodes.Node]) -> nodes.section:
    """A section with a name that pages can point to."""
    made = nodes.section(ids=[nodes.make_id(name)], names=[name])
    made += [nodes.title("", title), *content]
    return made


def paragraphs(words: str, usage: str) -> list[nodes.Node]:
    """Words of a help text: paragraphs, and as they are written where columns count.

    Args:
        words: the text.
        usage: a line that starts with it is a command to type.
    """
    found: list[nodes.Node] = []
    for block in words.split("\n\n"):
        lines = block.splitlines()
        typed = any(line.startswith((usage, " ")) or "  " in line.strip() for line in lines)
        if typed:
            found.append(nodes.literal_block(block, block, language="text"))
        else:
            said = " ".join(line.strip() for line in lines)
            found.append(nodes.paragraph("", said, support_smartquotes=False))
    return found
