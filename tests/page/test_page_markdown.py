"""Other people's texts in pages: whatever they hold, it shows as text and loads nothing."""

import html.parser
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from recbole_symcere.page.html_page import as_html
from recbole_symcere.page.page import (
    Entry,
    Heading,
    Marked,
    Picture,
    Piece,
    Text,
    TextTable,
    as_markdown,
)
from recbole_symcere.tune.trial_table import TrialRecord, write_markdown

DANGEROUS = (
    "![x](http://e/x.png)", "[a](http://e)", "[a]: http://e", "[a][a]", "![a]", "[^1]", "[x]",
    '<img src="http://e/x.png">', "<http://e>", "<!-- ", "<b>", "&#33;", "&lt;", "&amp", "http://",
    "http://e.com/x", "HTTPS://e.com", "ftp://e.de", "//e.com", "www.", "www.e.com", "www.1.x",
    "e.com", "mailto:a@e.com", "mailto:a@b", "a@e.com", "`x`", "```", "~~x~~", "**", "__", "*",
    "_", "|", "# ", "#", "> ", "- ", "+ ", "1. ", "1) ", "---", "- - -", "===", "    x", "\t", "\n",
    "\n\n", "\\", "$x$", "R&D", "(", ")", "!", "com", ".", "/", ":", "é", "。", "x", " ",
)  # fmt: skip
texts = st.lists(
    st.one_of(
        st.sampled_from(DANGEROUS),
        st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
    ),
    max_size=8,
).map("".join)
# GFM's tables and strikes, and its autolinks and more: example.com without www.
RENDERER = MarkdownIt("gfm-like")
LOADS = {"link_open", "image", "html_inline", "html_block"}
GFM_AUTOLINK = r"(?i)www\.|(https?|ftp)://"  # of its specification, 6.9
MEANS = {"code_inline", "code_block", "fence", "em_open", "strong_open", "s_open", "hr",
         "bullet_list_open", "ordered_list_open", "lheading_open"}  # fmt: skip


def tokens(markdown):
    return [
        token for block in RENDERER.parse(markdown) for token in (block, *(block.children or ()))
    ]


def kinds(markdown):
    return {token.type for token in tokens(markdown)}


def shown(markdown):
    """The text that a reader sees, as single words."""
    return " ".join(
        "".join(t.content for t in block.children if t.type in {"text", "text_special"})
        for block in RENDERER.parse(markdown)
        if block.children is not None
    ).split()


def every_part(text):
    return [
        Heading(text, 2),
        Text(text),
        Marked(text, [Piece(text)]),
        TextTable([text, text], [[Entry(text), Entry(text)]]),
    ]


@given(texts)
@example("1. x")
@example("x #")
@example("[a]: x")  # defines what the same text elsewhere refers to
@example(r"\![x](y) \[a](y) \\<b>")
@example("".join(DANGEROUS))
@example(" ".join(DANGEROUS))
def test_no_text_means_anything_in_markdown(text):
    markdown = as_markdown(every_part(text))
    assert not kinds(markdown) & (LOADS | MEANS)
    assert not re.search(GFM_AUTOLINK, markdown)
    words = text.split()
    assert shown(as_markdown([Heading(text, 1)])) == words
    assert shown(as_markdown([Text(text)])) == words
    assert shown(as_markdown([Marked("c", [Piece(text)])])) == ["c:", *words]
    table = as_markdown([TextTable(["a", "b"], [[Entry("x"), Entry(text)]])])
    assert shown(table) == ["a", "b", "x", *words]
    assert [t.type for t in RENDERER.parse(table)].count("td_open") == 2


@given(st.lists(st.tuples(texts, st.sampled_from([0.0, 0.1, 1.0])), max_size=5), texts)
@example([("http:/", 0.0), ("/e.com", 0.1)], "")
@example([("www", 0.1), (".e.com", 0.0), ("e.", 1.0), ("com", 1.0)], "")
def test_pieces_and_marks_join_to_no_link(pieces, text):
    marked = Marked("", [Piece(*piece) for piece in pieces])
    picture = Picture("p.png", b"", text)
    table = TextTable(["a", "b"], [[Entry(text, "second"), Entry(text, "best")]])
    assert not kinds(as_markdown([marked, table])) & LOADS
    images = [t for t in tokens(as_markdown([picture])) if t.type in LOADS]
    assert [t.type for t in images] == ["image"]
    assert images[0].attrs["src"] == "p.png"
    assert not {t.type for t in images[0].children or ()} & LOADS


@given(texts.filter(str.strip))
@example("![x](http://e/x.png) www.e.com")
def test_a_search_writes_no_link_either(text):
    trials = [
        TrialRecord(0, "finished", {text: text, "lr": 1}, score=0.5, epochs=1, seconds=1.0),
        TrialRecord(1, "failed", {text: text}, error=text),
    ]
    write_markdown("trials.md", trials, "NDCG@10", "max")
    assert not kinds(Path("trials.md").read_text(encoding="utf-8")) & LOADS


def test_the_renderer_sees_what_is_not_escaped():
    for text in ("![x](http://e/x.png)", "[a](http://e)", "<img src=x>", "http://e.com", "e.com"):
        assert kinds(text) & LOADS


@pytest.mark.parametrize("text", ["NDCG@10 of 0.05, -3", "well-known: at 12:30", "a/b", "é. Ü"])
def test_plain_text_stays_as_it_is(text):
    assert as_markdown([Text(text)]) == f"{text}\n"


class Loads(html.parser.HTMLParser):
    """What a page has that isn't text: its tags, and addresses in their attributes."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [
            value for key, value in attrs if key in {"src", "href", "srcset", "action", "data"}
        ]
        self.addresses += [v for k, v in attrs if k == "style" and re.search("url|import|//", v)]


@given(texts)
@example('"><img src=http://e/x.png onerror="x')
@example("</style></title><script src=http://e></script>$body${style}")
def test_a_page_loads_nothing_whatever_is_in_it(text):
    pieces = [Piece(text), Piece(text, 0.5), Piece(text, -0.5)]
    table = TextTable([text], [[Entry(text, "best")], [Entry(text, "second")]])
    parts = [*every_part(text), Marked(text, pieces), Picture(text, b"png", text), table]
    page = Loads()
    page.feed(as_html(parts, text))
    assert page.tags <= {
        *("html", "head", "meta", "title", "style", "body", "main", "a", "h2", "p", "mark", "div"),
        *("table", "thead", "tbody", "tr", "th", "td", "strong", "u", "figure", "img"),
        "figcaption",
    }
    assert page.addresses == ["#content", "data:image/png;base64,cG5n"]


def test_a_page_tells_the_browser_to_load_nothing():
    assert "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in as_html(
        [], "T"
    )
