"""A page on a terminal: aligned, without the marks of Markdown and without orders to it."""

from recbole_symcere.base import live_line, terminal
from recbole_symcere.page.page import Entry, Heading, Marked, Picture, Piece, Text, TextTable
from recbole_symcere.page.terminal_page import as_data, as_terminal, first_screen

PARTS = [
    Heading("A | comparison_of", 1),
    Text("Some text. " * 20),
    Heading("Metrics", 2),
    TextTable(
        ["model", "NDCG@10"],
        [[Entry("a_b|c"), Entry("0.5", "best")], [Entry("\x1b[31mred"), Entry("0.25", "second")]],
    ),
    Picture("x.png", b"", "a picture"),
    Heading("More", 2),
    Marked("a review", [Piece("very ", 0.0), Piece("good", 0.9), Piece(" food", 0.1)]),
]


def test_a_page_in_a_pipe():
    shown = as_terminal(PARTS)
    assert shown.startswith("A | comparison_of\n=================\n\nSome text.")
    assert max(map(len, shown.splitlines())) <= 100
    assert (
        "Metrics\n-------\n\n"
        "model    NDCG@10\n-------  -------\na_b|c        0.5 *\n[31mred     0.25 +\n"
        "* is the best value of a column, + the second best\n"
    ) in shown
    assert "a review:\nvery *good* food\n" in shown
    assert not {"\\", "\x1b"} & set(shown)


def test_a_page_on_a_terminal_has_styles_unless_colours_are_unwanted(monkeypatch):
    monkeypatch.setattr(live_line, "is_terminal", lambda _: True)
    monkeypatch.setattr(live_line, "columns", lambda *_: 40)
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = as_terminal(PARTS)
    assert "\x1b[1m0.5\x1b[0m" in shown
    assert "second best" not in shown
    monkeypatch.setenv("NO_COLOR", "1")
    shown = as_terminal(PARTS)
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 40
    assert terminal.width() == 40


def test_the_first_screen_and_the_tables_for_machines():
    assert first_screen(PARTS) == PARTS[:5]
    assert as_data(PARTS) == [
        {
            "title": "Metrics",
            "columns": ["model", "NDCG@10"],
            "rows": [["a_b|c", "0.5"], ["\x1b[31mred", "0.25"]],
        }
    ]
