"""Tables as a terminal shows them."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from recbole_symcere.base.text_table import cut, folded, paragraph, text_table, text_width

HEAD = ["model", "NDCG@10", "p"]
ROWS = [["SymCERE", "0.0461", ".01"], ["a_b*c|d", "0.1", "-"]]


def test_columns_are_aligned_and_nothing_is_escaped():
    assert text_table(HEAD, ROWS) == (
        "model    NDCG@10    p\n"
        "-------  -------  ---\n"
        "SymCERE   0.0461  .01\n"
        "a_b*c|d      0.1    -\n"
    )


def test_what_is_wider_than_the_terminal_continues_below():
    assert text_table(HEAD, ROWS, width=17) == (
        "model    NDCG@10\n-------  -------\nSymCERE   0.0461\na_b*c|d      0.1\n\n"
        "model      p\n-------  ---\nSymCERE  .01\na_b*c|d    -\n"
    )


def test_a_long_cell_is_broken_and_nothing_is_lost():
    question = "Objective words contribute more than subjective ones of all kinds."
    rows = [[question, "yes"], ["宿泊施設の感想" * 6, "no"]]
    table = text_table(["test", "holds"], rows, 40)
    assert table.splitlines() == [
        "test                  holds",
        "--------------------  -----",
        "Objective words         yes",
        "contribute more than",
        "subjective ones of",
        "all kinds.",
        "宿泊施設の感想宿泊施     no",
        "設の感想宿泊施設の感",
        "想宿泊施設の感想宿泊",
        "施設の感想宿泊施設の",
        "感想",
    ]


def test_marks_are_styles_or_signs():
    marks = {(0, 1): "best", (1, 1): "second"}
    plain = text_table(HEAD, ROWS, marks=marks).splitlines()
    assert [line[:18] for line in plain[2:]] == ["SymCERE   0.0461 *", "a_b*c|d      0.1 +"]
    styled = text_table(HEAD, ROWS, marks=marks, styled=True)
    assert "\x1b[1m0.0461\x1b[0m" in styled
    assert "\x1b[4m0.1\x1b[0m" in styled
    assert re.sub(r"\x1b\[\d+m", "", styled) == text_table(HEAD, ROWS)


def test_a_line_is_broken_between_words():
    line = "  epoch   1  loss 0.5 (a 0.25, b 0.25)  valid 0.125 *"
    assert folded(line, 80) == line
    assert folded(line, 30) == "  epoch   1  loss 0.5 (a 0.25,\n    b 0.25)  valid 0.125 *"
    assert folded("x" * 30, 20) == "x" * 20 + "\n  " + "x" * 10
    assert folded("宿泊施設の感想です。", 12) == "宿泊施設の感\n  想です。"


def test_wide_letters_take_two_columns():
    assert (text_width("宿泊ab"), text_width("e\u0301")) == (6, 1)
    assert cut("宿泊施設の感想", 9) == "宿泊施..."
    lines = text_table(["a", "b"], [["宿泊", "1"], ["xy", "2"]]).splitlines()
    assert [text_width(line) for line in lines] == [7, 7, 7, 7]


@example(12, [["abcdefgh", "xx yyyyyy", "zzzzzzz", "u"]], {(0, 1): "best", (0, 2): "second"})
@given(
    st.integers(12, 120),
    st.lists(st.lists(st.text(max_size=40), min_size=4, max_size=4), max_size=4),
    st.sampled_from([{}, {(0, 1): "best", (0, 2): "second", (1, 3): "best"}]),
)
def test_no_line_is_wider_than_a_terminal_of_12_columns_or_more(width, rows, marks):
    table = text_table(["name", "first", "second", "third"], rows, width, marks)
    assert max(map(text_width, table.split("\n"))) <= width


def test_a_paragraph_is_as_wide_as_the_terminal_but_no_wider_than_one_reads():
    text = "word " * 60
    assert max(map(len, paragraph(text, 40).split("\n"))) <= 40
    assert 90 < max(map(len, paragraph(text).split("\n"))) <= 100
