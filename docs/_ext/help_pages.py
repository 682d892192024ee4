"""Directives that show what ``--help`` says: of the program, a command, a model, every run."""

from collections.abc import Sequence

from docutils import nodes
from help_text import Part, help_of, parse
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import paragraphs, section, table

from recbole_symcere.convert.sources import SOURCES
from recbole_symcere.model.registry import MODELS

__all__ = ["commands", "convert_commands", "setup"]


def commands() -> list[str]:
    """The commands that the program has, but for `convert`, whose sources have a page."""
    from recbole_symcere.cli import _COMMANDS

    return [name for name in _COMMANDS if name != "convert"]


def convert_commands() -> list[str]:
    """What follows `convert`."""
    return [*SOURCES, "stats", "attach"]


def _option_table(part: Part, written: str) -> nodes.table:
    rows = [
        [nodes.literal("", written.format(option.name)), option.text, _default(option.default)]
        for option in part.options
    ]
    return table(
        ["Option" if "--" in written else "Setting", "Meaning", "Default"], rows, "options"
    )


def _default(default: str) -> nodes.Node:
    return nodes.literal("", default) if default else nodes.Text("")


def _told(parts: Sequence[Part], usage: str, written: str = "--{}") -> list[nodes.Node]:
    found: list[nodes.Node] = []
    for part in parts:
        if part.options:
            found.append(_option_table(part, written))
        else:
            found += paragraphs(part.words, usage)
    return found


def _program() -> nodes.section:
    """What the program says before it tells of settings."""
    words = parse(help_of([]))[0].words.split("What every run reads")[0].strip("\n")
    return section("The program", "program", [nodes.literal_block(words, words, language="text")])


class RunSettings(SphinxDirective):
    """The settings of every run."""

    def run(self) -> list[nodes.Node]:
        """A table."""
        return [_option_table(part, "{}") for part in parse(help_of([])) if part.options]


class Commands(SphinxDirective):
    """A section for the program and each command."""

    def run(self) -> list[nodes.Node]:
        """Their help texts."""
        return [_program()] + [
            section(name, f"command-{name}", _told(parse(help_of([name])), name))
            for name in commands()
        ]


class ConvertHelp(SphinxDirective):
    """A section for what `convert` reads, and for its other uses."""

    def run(self) -> list[nodes.Node]:
        """Their help texts."""
        return [
            section(name, f"convert-{name}", _told(parse(help_of(["convert", name])), "convert"))
            for name in convert_commands()
        ]


class ModelSettings(SphinxDirective):
    """The settings that one of our models reads beside those of every run."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A table, with the model's own defaults."""
        model = self.arguments[0]
        if model not in MODELS:
            raise self.error(f"there is no model {model!r} of ours")
        parts = [part for part in parse(help_of([f"--model={model}"])) if part.options]
        return [_option_table(part, "{}") for part in parts]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("run-settings", RunSettings)
    app.add_directive("commands", Commands)
    app.add_directive("convert-help", ConvertHelp)
    app.add_directive("model-settings", ModelSettings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
