import time
import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.convert.clean import clean_texts
from recbole_symcere.convert.records import SCHEMA


def reviews(rows):
    return pl.DataFrame(rows, schema=dict(SCHEMA), orient="row")


def with_text(*texts):
    return reviews([(f"u{n}", "i", 1.0, n, text, n + 1) for n, text in enumerate(texts)])


def test_texts_become_one_line():
    cleaned = clean_texts(
        with_text("a\tb\r\nc", " a ", "a\x00b", "a  b", "a\u2028b\x85c\u00a0d", "", "plain")
    )
    assert cleaned.reviews["text"].to_list() == ["a b c", "a", "a b", "a b", "a b c d", "", "plain"]
    assert cleaned.counts.tidied == 5
    assert cleaned.counts.made_nfc == 0


def test_texts_are_composed_and_joined_emoji_stay_whole():
    family = "\U0001f468\u200d\U0001f469"
    cleaned = clean_texts(with_text("cafe\u0301", family))
    assert cleaned.reviews["text"].to_list() == ["caf\u00e9", family]
    assert (cleaned.counts.tidied, cleaned.counts.made_nfc) == (0, 1)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_clean_text_is_one_line_in_nfc_and_stays_as_it_is(text):
    cleaned = clean_texts(with_text(text)).reviews
    result = cleaned["text"][0]
    assert result == unicodedata.normalize("NFC", result)
    assert len(result.splitlines()) <= 1
    assert "\t" not in result
    assert result == result.strip(" ")
    assert clean_texts(cleaned).reviews["text"][0] == result


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("it&#39;s &quot;so&quot; &amp; on", 'it\'s "so" & on'),
        ("a<br />b<BR>c", "a b c"),
        ('see <a data-hook="x" href="y">this</a>!', "see this !"),
        ("&amp;amp;#34;", '"'),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
        ("I <3 it, 5 < 6 > 4", "I <3 it, 5 < 6 > 4"),
        ("AT&T and R&D", "AT&T and R&D"),
        ("a<!-- hidden\n-->b", "a b"),
    ],
)
def test_html_goes(dirty, clean):
    cleaned = clean_texts(with_text(dirty, "plain"))
    assert cleaned.reviews["text"].to_list() == [clean, "plain"]
    assert cleaned.counts.html_removed == int(dirty != clean)


@given(st.text(st.sampled_from("&<>;#lgtam3 b/\u037e\u0338e\u0301\t!-"), max_size=30))
def test_cleaning_twice_changes_nothing(text):
    once = clean_texts(with_text(text)).reviews
    assert clean_texts(once).reviews["text"][0] == once["text"][0]


@pytest.mark.parametrize(
    "piece",
    ["<!--", "&amp;", "amp;", "<a", "<", "&#38;", "&lt;", "<a " * 50 + ">" * 50, "&", "\0 "],
)
def test_no_text_takes_forever(piece):
    start = time.process_time()
    clean_texts(with_text("&" + piece * (500_000 // len(piece))), 20_000)
    assert time.process_time() - start < 10


def test_long_texts_are_cut_and_counted():
    cleaned = clean_texts(with_text("abc def", "\U0001f600" * 9, "short"), max_chars=4)
    assert cleaned.reviews["text"].to_list() == ["abc", "\U0001f600" * 4, "shor"]
    assert cleaned.counts.cut == 3
    assert clean_texts(with_text("abc def")).counts.cut == 0
