"""A page that every reader can use: its structure, its colours, and nothing from elsewhere."""

import html.parser
import re
from itertools import pairwise

import pytest

from recbole_symcere.page.html_page import STYLE, as_html
from recbole_symcere.page.page import (
    Entry,
    Gallery,
    Heading,
    Marked,
    Picture,
    Piece,
    Text,
    TextTable,
    as_markdown,
    pictures_of,
)

VOID = {"meta", "img"}


class Outline(html.parser.HTMLParser):
    """The elements of a page in their order, and whether each is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.texts = [], [], {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def of(self, *tags):
        return [attrs for tag, attrs in self.found if tag in tags]


def check_structure(text):
    """What holds for every page, whoever wrote it."""
    page = Outline(text)
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    names = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(set(names)) == len(names)
    assert all(attrs["href"][1:] in names for attrs in page.of("a"))
    assert all(attrs["alt"].strip() for attrs in page.of("img"))
    assert all(attrs.get("scope") in {"col", "row"} for attrs in page.of("th"))
    regions = [a for a in page.of("div") if a.get("class") == "wide"]
    assert len(regions) == len(page.of("table"))
    assert all(a["tabindex"] == "0" and a["aria-label"] and a["role"] == "region" for a in regions)
    assert not page.of("script", "link", "iframe", "object", "form")
    assert all(attrs["src"].startswith("data:image/") for attrs in page.of("img"))
    assert not re.search(r"https?:|@import|url\(", text)
    assert not re.search(r"\son\w+=", text)
    assert len(text.encode()) < 2_000_000
    return page


TABLE = TextTable(
    ["model", "NDCG@10", "words"],
    [
        [Entry("A"), Entry("0.1000", "best"), Entry("good, bad")],
        [Entry("B"), Entry("-"), Entry("-")],
    ],
    "NDCG@10: from 0 to 1.",
)
PARTS = [
    Heading("A page", 1),
    Text("What it says."),
    *(part for n in range(3) for part in (Heading(f"Part {n}", 2), TABLE)),
    Heading("More", 3),
    Gallery([Picture("a.svg", b"<svg/>", "a plot"), Picture("b.png", b"png", "b", titled=True)]),
    Marked("a review", [Piece("good", 0.5)]),
]


def test_the_structure_of_a_page():
    text = as_html(PARTS, "T")
    page = check_structure(text)
    assert [a["href"] for a in page.of("a")] == ["#content", "#part-1", "#part-2", "#part-3"]
    assert [a["src"].partition(";")[0] for a in page.of("img")] == [
        *("data:image/svg+xml", "data:image/png"),
    ]
    assert page.texts["figcaption"] == ["a plot"]
    assert not Outline(as_html(PARTS[:3], "T")).of("nav")


def test_columns_of_words_are_read_from_the_left_and_the_note_stands_by_its_table():
    text = as_html([TABLE], "T")
    assert '<th scope="col" class="words">words</th>' in text
    assert '<td class="words">good, bad</td>' in text
    assert '<th scope="col">NDCG@10</th>' in text
    assert text.index("</table>") < text.index('<p class="note">NDCG@10: from 0 to 1.</p>')
    assert as_markdown([TABLE]).startswith("NDCG@10: from 0 to 1.\n\n| model |")


def test_a_picture_says_in_its_file_what_it_shows(tmp_path):
    picture = Picture("a.svg", b'<svg width="1"><g/></svg>', "a <b> & c")
    assert picture.file == b'<svg width="1"><title>a &lt;b&gt; &amp; c</title><g/></svg>'
    (tmp_path / "a.svg").write_bytes(picture.file)
    assert Picture.read(tmp_path / "a.svg") == picture
    assert Picture("b.png", b"png", "x").file == b"png"
    (tmp_path / "old.svg").write_bytes(b"<svg/>")
    assert Picture.read(tmp_path / "old.svg").caption == "old"


def test_pictures_of_a_page_are_found_wherever_they_stand():
    lone = Picture("c.svg", b"", "c")
    assert [one.name for one in pictures_of([*PARTS, lone])] == ["a.svg", "b.png", "c.svg"]


SCRIPT = '<script>alert(1)</script><img src=x onerror="alert(1)">'


def test_a_planted_script_is_text_wherever_it_stands():
    parts = [
        Heading(SCRIPT, 1),
        *(Heading(f"{n} {SCRIPT}", 2) for n in range(3)),
        Text(SCRIPT),
        Marked(SCRIPT, [Piece(SCRIPT, 0.5), Piece(SCRIPT)]),
        TextTable([SCRIPT, SCRIPT], [[Entry(SCRIPT), Entry(SCRIPT, "best")]], SCRIPT),
        Gallery([Picture(f"{SCRIPT}.svg", b"", SCRIPT)]),
    ]
    text = as_html(parts, SCRIPT)
    page = Outline(text)
    assert not page.of("script")
    assert len(page.of("img")) == 1
    assert not any("onerror" in attrs for _, attrs in page.found)
    assert "".join(page.texts["h1"]) == SCRIPT


def opacities(weights):
    text = as_html([Marked("", [Piece(f"w{n}", weight) for n, weight in enumerate(weights)])], "T")
    return [float(x) for x in re.findall(r"rgba\([^)]*, ([\d.]+)\)", text)]


def test_the_colour_of_a_word_is_as_strong_as_its_pull():
    found = opacities([0.02, 0.2, 0.4, 0.8, 1.0, 3.0])
    assert found == sorted(found)
    assert found[2] == pytest.approx(2 * found[1])
    assert found[3] == pytest.approx(4 * found[1])
    assert found[4] == found[5] < 1  # the text must be read through it
    assert opacities([-0.2]) == opacities([0.2])
    assert opacities([0.0, 0.001]) == []
    text = as_html([Marked("", [Piece("a", 0.5), Piece("b", -0.5)])], "T")
    assert len(set(re.findall(r"rgba\((\d+, \d+, \d+),", text))) == 2


def test_light_and_dark_and_print():
    text = as_html(PARTS, "T")
    assert "color-scheme: light dark" in text
    assert text.count("@media print") == 2
    assert STYLE in text
    assert "position: sticky; left: 0" in text  # the names' column
    assert "overflow-x: auto" in text


def test_the_served_page_has_the_same_colours():
    web_page = pytest.importorskip("recbole_symcere.serve.web_page")
    style, kind = web_page.FILES["/page.css"]
    assert kind == "text/css"
    assert style.startswith(STYLE)
    assert "--ground:" not in style.removeprefix(STYLE)
