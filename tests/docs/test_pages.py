"""The pages tell of everything there is, and of nothing that isn't there."""

import configparser
import re
import sys
from fnmatch import fnmatch
from functools import cache

import pytest
from pages import DOCS, PAGES, ROOT, Named, anchors, dead_links, named_options

import recbole_symcere
from recbole_symcere import loss
from recbole_symcere.base.options import defaults_of, hints_of
from recbole_symcere.cli import _COMMANDS
from recbole_symcere.convert.sources import SOURCES
from recbole_symcere.model.registry import MODELS, class_of
from recbole_symcere.plugin.config_patches import option_groups
from recbole_symcere.plugin.first_look import _keys_of_files
from recbole_symcere.plugin.run_options import RUN_GROUPS, FileOptions, JobOptions, ProcessOptions

sys.path.insert(0, str(DOCS / "_ext"))
import docstrings  # found on the path above
import help_text
import results

TOLD = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it tells of what was
EVERYWHERE = {"help", "version", "resume", "key"}
# commands that hand on any setting of a run
RUNNING = {"", "audit", "compare", "encode", "tune"}
EXPLAIN = ("anchor", "lime", "geometry", "recommendation")


def text_of(*parts):
    return DOCS.joinpath(*parts).read_text()


@cache
def options_of(command):
    """What `--help` of a command lists."""
    parts = help_text.parse(help_text.help_of(command.split()))
    return frozenset(option.name for part in parts for option in part.options)


@cache
def settings():
    groups = {group for model in MODELS for group in option_groups(class_of(model))}
    every = hints_of(*groups, *RUN_GROUPS, JobOptions, FileOptions, ProcessOptions)
    return frozenset({*every, *_keys_of_files(), "run_dir"})


def commands():
    converting = [f"convert {name}" for name in (*SOURCES, "stats", "attach")]
    return ["", *(name for name in _COMMANDS if name != "convert"), *converting]


def unknown(named):
    """Those of the named options that their command, or no command at all, has."""
    return [(command, key) for command, key in named if key not in allowed(command) | EVERYWHERE]


@cache
def everything():
    scripts = "".join(file.read_text() for file in ROOT.glob("benchmarks/*.py"))
    return settings().union(re.findall(r"--(\w+)", scripts), *map(options_of, commands()))


def allowed(command):
    """The options of a command, those of its own and the settings that it hands on."""
    words = (command or "").split()
    whole = " ".join(words[:2] if words[:1] in (["convert"], ["explain"]) else words[:1])
    if command is None or whole not in {*commands(), *(f"explain {kind}" for kind in EXPLAIN)}:
        return everything()
    return options_of(whole) | settings() if whole in RUNNING else options_of(whole)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert dead_links(page, page.read_text()) == []


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    (tmp_path / "there.md").write_text("# There it is\n\n```\n# no heading\n```\n")
    page.write_text(
        "# Here\n[a](there.md) [b](gone.md) [c](there.md#there-it-is) [d](there.md#nowhere)"
        " [e](#here) [f](#gone) [g](https://example.org) [h](there.md#no-heading)\n"
        "```{include} there.md\n```\n```{include} lost.md\n```\n"
    )
    assert dead_links(page, page.read_text()) == [
        "lost.md", "gone.md", "there.md#nowhere", "#gone", "there.md#no-heading",
    ]  # fmt: skip


@pytest.mark.parametrize("page", TOLD, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_an_option_that_is_not_there(page):
    assert unknown(named_options(page.read_text())) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("    recbole-symcere tune --model=SymCERE --num_sample=3", [("tune", "num_sample")]),
        ("    recbole-symcere --model=SymCERE --temprature=3", [("", "temprature")]),
        (
            "    recbole-symcere recommend --run=runs/a --temperature=3",
            [("recommend", "temperature")],
        ),
        (
            "    python run_recbole_symcere.py convert yelp --user_field=x",
            [("convert yelp", "user_field")],
        ),
        ("    recbole-symcere compare --models=A \\\n        --sedes=0,1", [("compare", "sedes")]),
        ("give `--blnd=all`, or `blend: all`", [(None, "blnd")]),
        ("`txt_mode: auto` does it", [(None, "txt_mode")]),
        ("`--no-such`", [(None, "no-such")]),
        ("    pip install --no-deps recbole; python benchmarks/growth.py --models=A", []),
        (
            "    recbole-symcere explain anchor --run=runs/a --retrain_seeds=3 # --not_this",
            [(None, "not_this")],
        ),
        ("a line -- with dashes --", []),
    ],
)
def test_a_misspelt_option_is_found(text, wrong):
    assert unknown(named_options(text)) == wrong


def test_options_are_read_with_their_command():
    text = "`x` recbole-symcere convert generic --input=a --name b\n`--k=3`"
    assert named_options(text) == [
        Named("convert generic", "input"), Named("convert generic", "name"), Named(None, "k"),
    ]  # fmt: skip


@pytest.mark.parametrize("command", commands())
def test_help_is_taken_apart(command):
    said = help_text.help_of(command.split())
    options = [option for part in help_text.parse(said) for option in part.options]
    assert options
    assert len(options) == len(re.findall(r"^  --\w", said, re.MULTILINE))
    told = re.sub(r"\s+", " ", said)
    for option in options:
        default = f" (default: {option.default})" if option.default else ""
        assert re.sub(r"\s+", " ", f"--{option.name} {option.text}{default}") in told


@pytest.mark.parametrize("model", MODELS)
def test_the_settings_of_a_model_are_those_that_it_states(model):
    parts = help_text.parse(help_text.help_of([f"--model={model}"]))
    told = {option.name: option.default for part in parts for option in part.options}
    groups = option_groups(class_of(model))
    assert set(hints_of(*groups)) <= set(told)
    stated = {key: value for key, value in defaults_of(*groups).items() if value is not None}
    unlike = [key for key, value in stated.items() if told[key] != str(value)]
    written = (ROOT / "properties" / "model" / f"{model}.yaml").read_text()
    parent = (ROOT / "properties" / "model" / "SymCERE.yaml").read_text()
    for key in unlike:  # lists are written without brackets; the rest is what a yaml file says
        listed = isinstance(stated[key], list)
        assert listed or f"{key}:" in written + parent, key


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_is_told_of(command):
    """In the reference, which is made of all of them, and in the words of some other page."""
    reference = "convert.md" if command == "convert" else "commands.md"
    assert re.search(r"^```\{(commands|convert-help)\}", text_of("reference", reference), re.M)
    used = re.compile(rf"(recbole-symcere|run_recbole_symcere\.py) {command}\b|`{command}\b")
    pages = [page for page in DOCS.rglob("*.md") if page.parent.name != "reference"]
    assert any(used.search(page.read_text()) for page in pages)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_its_page(model):
    page = text_of("models", f"{model.lower()}.md")
    assert page.startswith(f"# {model}\n")
    for directive in ("model-settings", "model-results", "model-differences"):
        assert f"```{{{directive}}} {model}\n" in page
    assert "## Equations" in page
    assert f"models/{model.lower()}\n" in text_of("index.md")
    assert f"({model.lower()}.md)" in text_of("models", "index.md")


def test_every_public_name_has_its_entry():
    reference = text_of("reference", "api.md")
    entries = set(
        re.findall(r"^\.\. auto\w+:: (?:\w+\.)*(\w+)(?:\(.*\))?$", reference, re.MULTILINE)
    )
    entries |= set(re.findall(r"`recbole_symcere\.(\w+)`", reference))
    types = {"Orientation", "Reduction"}
    assert set(recbole_symcere.__all__) | set(loss.__all__) - types | set(MODELS) <= entries


def test_every_page_is_in_the_navigation():
    pages = [page for page in PAGES if page.is_relative_to(DOCS)]
    listed = {
        str((page.parent / line).relative_to(DOCS))
        for page in pages
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL)
        for line in block.splitlines()
        if line and not line.startswith(":")
    }
    names = {str(page.relative_to(DOCS).with_suffix("")) for page in pages} - {"index"}
    assert [name for name in names if not any(fnmatch(name, one) for one in listed)] == []


def test_differences_are_read_from_a_docstring():
    class Own:
        """A model.

        Differs from the paper: it is a mean
            and not a sum.

        Raises:
            Nothing.
        """

    class Bare:
        """A model."""

    assert docstrings.differences(Own) == "it is a mean and not a sum."
    assert docstrings.differences(Bare) is None
    assert docstrings.without_substitutions(["|x| is::", "", "    |x|", "", "and |y|"]) == [
        r"\|x\| is::", "", "    |x|", "", r"and \|y\|",
    ]  # fmt: skip


def test_results_are_those_of_the_tables():
    found = {(row.dataset, row.row): row for row in results.results_of("SymCEREPlus", "today")}
    assert len(found) == 14
    row = found["Magazine Subscriptions", "SymCEREPlus, as given"]
    assert row.ndcg == "0.2275 ± 0.0030"
    assert row.against == "+0.0106 [-0.0017, +0.0229] to CollabContext, blended"
    assert row.p_holm == "1.0000"
    sets = [row.dataset for row in results.results_of("CollabContext", "today")]
    assert sets[::2] == sets[1::2]  # as it is and blended
    assert sets[::2] == [
        *("Magazine Subscriptions", "Gift Cards", "Digital Music", "Food.com"),
        *("Musical Instruments", "film critics", "TripAdvisor"),
    ]
    assert len(results.results_of("AlphaRec", "today")) == 7
    assert {row.dataset for row in results.results_of("DGCLR", "0.1")} == {
        "Musical Instruments", "TripAdvisor",
    }  # fmt: skip
    assert results.results_of("NoModel", "today") == []
    sets, rows = results.summary()
    assert sets[0] == "Magazine Subscriptions"
    pop = ["0.1259", "0.1277", "0.0945", "0.0419", "0.0499", "0.0259", "0.0207"]
    assert rows[0] == ["Pop", *pop]
    assert all(len(row) == 8 and all(row) for row in rows)  # every one on every set


def test_the_table_of_the_readme_is_that_of_the_results():
    told = {}
    for line in (ROOT / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 8 and re.fullmatch(r"\**\.\d{4}\**", cells[1]):
            told[cells[0].removesuffix(", no training")] = cells[1:]
    _, rows = results.summary()
    wanted = {row: [cell[1:6] for cell in cells] for row, *cells in rows}
    assert {row: [cell.strip("*") for cell in cells] for row, cells in told.items()} == wanted
    for place in range(7):
        best = max(cells[place] for cells in wanted.values())
        bold = {row for row, cells in told.items() if cells[place].startswith("**")}
        assert bold == {row for row, cells in wanted.items() if cells[place] == best}


def test_the_figure_of_the_first_page_has_the_rows_of_the_table():
    """But those that it holds them against, which may be the best of themselves."""
    _, rows = results.summary()
    shown = {one.row: one for one in results.over_best_unblended()}
    assert {"SymCEREPlus, as given", "SymCEREPlus", "Stack", "LightGCN"} <= {*shown}
    assert {*shown} <= {row for row, *_ in rows}
    assert all(one.low < one.change < one.high for one in shown.values())
    assert f"{shown['SymCEREPlus, as given'].change:.1f} %" in (ROOT / "README.md").read_text()


def test_the_extra_names_what_is_pinned():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extra = {re.split("[=>]", name)[0] for name in setup["options.extras_require"]["docs"].split()}
    pins = re.findall(r"^([\w-]+)==", text_of("requirements.txt"), re.MULTILINE)
    assert extra == {name.lower() for name in pins}


def test_equations_become_mathml():
    pytest.importorskip("sphinx", reason="the site's packages aren't installed: make docs")
    import mathml

    hat = re.sub(r"\s+", "", mathml.to_mathml(r"|\hat{g}_r|", block=False))
    assert '<msub><moveraccent="true"><mi>g</mi>' in hat.replace("'", '"')
    assert "munderover" not in hat
    for page in DOCS.rglob("*.md"):
        for block, inline in re.findall(r"\$\$(.*?)\$\$|\$([^$\n]+)\$", page.read_text(), re.S):
            tex = (block or inline).replace(r"\|", "|").strip()
            assert mathml.to_mathml(tex, block=bool(block)).startswith("<math"), tex


def test_headings_have_anchors():
    assert anchors("# A `b` c, d's\n## 2 x\n") == {"a-b-c-ds", "2-x"}
