"""Equations as MathML, by docutils' own converter, so that no page needs JavaScript for them."""

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number

__all__ = ["setup", "to_mathml"]


def to_mathml(tex: str, block: bool) -> str:
    """The `<math>` element of an equation.

    Raises:
        ExtensionError: if the converter doesn't know what it finds.
    """
    try:
        return str(tex2mathml(tex, as_block=block))
    except (MathError, SyntaxError, ValueError, KeyError, IndexError) as error:
        raise ExtensionError(f"an equation can't be turned into MathML: {tex!r}: {error}") from None


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(to_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    tex = node.astext().strip()
    if node["number"]:
        number = get_node_equation_number(writer, node)
        writer.body.append(f'<span class="eqno">({number})</span>')
    identity = f' id="{node["ids"][0]}"' if node.get("ids") else ""
    # it is wider than a telephone's screen, and scrolls by the keyboard too
    writer.body.append(f'<div class="equation"{identity} tabindex="0">')
    writer.body.append(to_mathml(tex, block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Make it the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
