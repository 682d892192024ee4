"""Words of many texts at once, against one text at a time."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recbole_symcere.base import word_counts
from recbole_symcere.base.word_counts import Vocabulary, n_words
from recbole_symcere.base.words import segment

PIECES = [
    *(
        "good",
        "Good",
        "don't",
        "l'hôtel",
        "rock'n'roll",
        "10/10",
        "房间很干净",
        "朝食も美味しかった",
    ),
    *("อากาศดีมาก", "wifi環境", " ", " ", ", ", "。", "\n", "'", "होटल"),
]
# characters of the first Unicode, of which polars and regex think alike
CHINESE = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
PLAIN = st.characters(max_codepoint=0x17F) | CHINESE
some_text = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(PLAIN, max_size=30)


def oracle(text, most=None):
    return Counter([word.key for word in segment(text)][:most])


@given(st.lists(some_text, max_size=8), st.none() | st.integers(1, 5))
@example(["房间很干净", "房间", "部屋は綺麗", "房间很干净"], None)  # one run, in two languages
@example(["部屋 は綺麗", "部屋 很"], None)
def test_each_text_has_the_words_of_segment(texts, most):
    vocabulary = Vocabulary()
    counts = vocabulary.count(texts, most)
    words = list(vocabulary.codes)
    assert counts.shape == (len(texts), len(words))
    for text, row in zip(texts, counts.toarray(), strict=True):
        found = {words[at]: int(row[at]) for at in np.flatnonzero(row)}
        assert found == dict(oracle(text, most))
    assert n_words(pl.Series(texts, dtype=pl.String)) == sum(oracle(text).total() for text in texts)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_texts_that_do_not_fit_in_one_chunk(monkeypatch, chunk):
    monkeypatch.setattr(word_counts, "_CHUNK", chunk)
    texts = ["a b a", "", "b c", "部屋は", "a", "c 朝食も", "b"]
    vocabulary = Vocabulary()
    counts = vocabulary.count(texts).toarray()
    for text, row in zip(texts, counts, strict=True):
        assert {w: row[c] for w, c in vocabulary.codes.items() if row[c]} == oracle(text)


# one word in Chinese and two in Japanese, and the other way round
@pytest.mark.parametrize("run", ["大変満足", "東京大学病院"])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_run_is_cut_by_the_language_of_its_own_text(run, turn):
    texts = [run, f"{run}、また来ます"]
    assert oracle(texts[0])[run] != oracle(texts[1])[run]
    vocabulary = Vocabulary()
    for text in texts[::turn]:  # one after the other: the words of one chunk are cut by language
        row = vocabulary.count([text]).toarray()[0]
        assert {w: row[c] for w, c in vocabulary.codes.items() if row[c]} == oracle(text)


def test_a_vocabulary_goes_on():
    vocabulary = Vocabulary()
    first = vocabulary.count(["red green"])
    second = vocabulary.count(["blue red"])
    assert first.shape == (1, 2)
    assert second.shape == (1, 3)
    assert second[0, vocabulary.codes["red"]] == first[0, vocabulary.codes["red"]] == 1
