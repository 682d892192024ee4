import random
import unicodedata

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.convert.clean import clean_texts, in_order, keep_first
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
    assert cleaned.n_single_line == 5
    assert cleaned.n_composed == 0


def test_texts_are_composed_and_joined_emoji_stay_whole():
    family = "\U0001f468\u200d\U0001f469"
    cleaned = clean_texts(with_text("cafe\u0301", family))
    assert cleaned.reviews["text"].to_list() == ["caf\u00e9", family]
    assert (cleaned.n_single_line, cleaned.n_composed) == (0, 1)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_clean_text_is_one_line_in_nfc_and_stays_as_it_is(text):
    cleaned = clean_texts(with_text(text)).reviews
    result = cleaned["text"][0]
    assert result == unicodedata.normalize("NFC", result)
    assert len(result.splitlines()) <= 1
    assert "\t" not in result
    assert result == result.strip(" ")
    assert clean_texts(cleaned).reviews["text"][0] == result


def test_the_first_review_of_a_pair_stays_by_time_then_by_line():
    kept = keep_first(
        reviews(
            [
                ("u", "i", 1.0, 20, "later", 1),
                ("u", "i", 2.0, 10, "same time, later line", 3),
                ("u", "i", 3.0, 10, "first", 2),
                ("u", "j", 4.0, 5, "other item", 4),
                ("v", "i", 5.0, 30, "other user", 5),
            ]
        )
    )
    assert kept.n_removed == 2
    assert kept.reviews["text"].to_list() == ["other item", "first", "other user"]


@given(st.integers(0, 10**6))
def test_the_order_does_not_depend_on_the_order_of_the_dump(seed):
    rows = [(f"u{n % 3}", f"i{n % 4}", 1.0, n, f"t{n}") for n in range(24)]
    shuffled = random.Random(seed).sample(rows, len(rows))
    one, other = (
        keep_first(reviews([(*row, line) for line, row in enumerate(order)])).reviews
        for order in (rows, shuffled)
    )
    assert one.drop("source_line").equals(other.drop("source_line"))
    assert len(one) == 12


def test_the_order_is_user_time_line():
    rows = [("b", "i", 1.0, 1, "", 1), ("a", "i", 1.0, 2, "", 2), ("a", "j", 1.0, 2, "", 3)]
    rows.append(("a", "k", 1.0, 1, "", 4))
    assert in_order(reviews(rows[::-1]))["source_line"].to_list() == [4, 2, 3, 1]
