"""What stands in docstrings, for the reference and for the pages of the models."""

import inspect
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["differences", "section_of", "setup", "with_sections", "without_substitutions"]

# "Differs from the paper: nothing" and lines under it that are indented
_SECTION = re.compile(r"^(Differs from the paper|Relations): +(?=\S)", re.MULTILINE)


def with_sections(lines: list[str]) -> list[str]:
    """A docstring whose short sections have their text below their name, as napoleon wants it."""
    text = _SECTION.sub(r"\1:\n    ", "\n".join(lines))
    return text.splitlines()


def section_of(documented: Any, name: str) -> str | None:
    """The text of a section of a docstring in one line, or None where there is no such section."""
    lines = with_sections((inspect.getdoc(documented) or "").splitlines())
    if f"{name}:" not in lines:
        return None
    found = []
    for line in lines[lines.index(f"{name}:") + 1 :]:
        if line and not line.startswith(" "):
            break
        found.append(line.strip())
    return " ".join(found).strip()


def differences(model: Any) -> str | None:
    """What a model's docstring tells of where it differs from its paper."""
    return section_of(model, "Differs from the paper")


def without_substitutions(lines: list[str]) -> list[str]:
    """A docstring whose |x| means a length, in formulas too, and not Sphinx's substitution."""
    literal, found = -1, []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal >= 0 and line.strip() and indent <= literal:
            literal = -1
        found.append(line if literal >= 0 else line.replace("|", r"\|"))
        if literal < 0 and line.endswith("::"):
            literal = indent
    return found


def _before_napoleon(
    _app: "Sphinx", _what: str, _name: str, _found: Any, _options: Any, lines: list[str]
) -> None:
    lines[:] = without_substitutions(with_sections(lines))


def setup(app: "Sphinx") -> dict[str, bool]:
    """Read docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", _before_napoleon, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
