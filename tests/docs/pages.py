"""The pages as text: what they link to, and which options they name."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("examples/*/README.md"),
     *ROOT.glob("benchmarks/results/*.md")]
)  # fmt: skip
PAGES = [page for page in PAGES if "_build" not in page.parts]

_LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\((?P<target>[^)\s]+)\)")
_INCLUDE = re.compile(r"^```\{include\} (?P<target>\S+)", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])--(?P<key>[A-Za-z_]\w*(?:-\w+)*)")
_SETTING = re.compile(r"`(?P<key>[a-z_]{3,}): [^`\n]*`")
_PROGRAM = re.compile(r"(?:recbole-symcere|run_recbole_symcere\.py)(?P<rest>(?:\\\n|[^\n`#])*)")
_OTHERS = re.compile(r"\b(pip|pytest|hf|git|ray|benchmarks/\S+|after/run\.py|docker|jupyter)\b")
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)


class Named(NamedTuple):
    """An option or a setting that a text names: the command, if one is told, and the key."""

    command: str | None
    key: str


def slug(heading):
    """The anchor of a heading, as GitHub and MyST make it."""
    words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", words))


def anchors(text):
    return {slug(line.lstrip("#")) for line in _FENCE.sub("", text).splitlines() if line[:1] == "#"}


def dead_links(page, text):
    """Links and inclusions of a page whose file or heading isn't there."""
    targets = [m["target"] for m in _LINK.finditer(_FENCE.sub("", text))]
    dead = [
        m["target"] for m in _INCLUDE.finditer(text) if not (page.parent / m["target"]).is_file()
    ]
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (
            anchor and file.suffix == ".md" and anchor not in anchors(file.read_text())
        ):
            dead.append(target)
    return dead


def named_options(text):
    """The options in a text that are of this program, with their command where it is told."""
    found, rest = [], text
    for call in _PROGRAM.finditer(text):
        words = call["rest"].replace("\\\n", " ").split()
        command = []
        for word in words[:2]:
            if not re.fullmatch(r"[a-z_0-9]+", word):
                break
            command.append(word)
        found += [Named(" ".join(command), m["key"]) for m in _OPTION.finditer(call["rest"])]
        rest = rest.replace(call[0], "", 1)
    for line in rest.splitlines():
        if not _OTHERS.search(line):
            found += [Named(None, m["key"]) for m in _OPTION.finditer(line)]
        found += [Named(None, m["key"]) for m in _SETTING.finditer(line)]
    return found
