"""Equations as MathML, by docutils' own converter, so that no page needs JavaScript for them."""

import html
import re
from typing import Any
from xml.etree import ElementTree as ET

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number

__all__ = ["setup", "to_mathml"]

_NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'
_ENTITY = re.compile(r"&(\w+);")
_ACCENTS = {"\N{MODIFIER LETTER CIRCUMFLEX ACCENT}", "~", "\N{MACRON}"}  # hat, tilde, bar
_BARS = {"|", "‖"}
_BRACES = {"{", "}"}


def to_mathml(tex: str, block: bool) -> str:
    """The `<math>` element of an equation.

    Raises:
        ExtensionError: if the converter doesn't know what it finds.
    """
    try:
        made = str(tex2mathml(tex, as_block=block))
    except (MathError, SyntaxError, ValueError, KeyError, IndexError) as error:
        raise ExtensionError(f"an equation can't be turned into MathML: {tex!r}: {error}") from None
    root = ET.fromstring(_ENTITY.sub(_as_character, made.replace(_NAMESPACE, "")))
    for node in root.iter():
        _mend(node)
    return ET.tostring(root, encoding="unicode")


def _as_character(entity: re.Match[str]) -> str:
    kept = entity[1] in {"lt", "gt", "amp"}
    return entity[0] if kept else html.unescape(entity[0])


def _mend(node: ET.Element) -> None:
    """What docutils 0.22 makes of an accent with an index, of bars and of braces."""
    if node.tag == "munderover" and node[2].text in _ACCENTS:
        base, index, accent = node
        node.tag, over = "msub", ET.Element("mover", accent="true")
        over.extend([base, accent])
        node[:] = [over, index]
    elif node.tag == "mo" and node.text in _BARS:
        node.attrib |= {"lspace": "0", "rspace": "0", "stretchy": "false"}
    elif node.tag == "mo" and node.text in _BRACES:
        node.set("stretchy", "false")


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(to_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    tex = node.astext().strip()
    if node["number"]:
        number = get_node_equation_number(writer, node)
        writer.body.append(f'<span class="eqno">({number})</span>')
    identity = f' id="{node["ids"][0]}"' if node.get("ids") else ""
    writer.body.append(f'<div class="equation"{identity}>')
    writer.body.append(to_mathml(tex, block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Make it the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
