"""Words of texts in many languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.base.words import distinct_words, segment, without


def keys(text):
    return [word.key for word in segment(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great, GREAT food!", ["great", "great", "food"]),
        ("we'll say it isn't 4/5", ["we'll", "say", "it", "isn't", "4", "5"]),
        ("¿La habitación? ¡Pequeña!", ["la", "habitación", "pequeña"]),
        ("l'hôtel dell\u2019arte", ["l", "hôtel", "dell", "arte"]),
        ("房间很干净,早餐也很好吃", ["房间", "很", "干净", "早餐", "也", "很", "好", "吃"]),
        ("服务员态度非常好", ["服务员", "态度", "非常", "好"]),
        ("部屋は綺麗で、朝食も", ["部屋", "は", "綺麗", "で", "朝食", "も"]),
        ("美味しかったです", ["美味しかった", "です"]),
        ("コスパ最高のホテル。", ["コスパ", "最高", "の", "ホテル"]),
        ("wifi環境", ["wifi", "環境"]),
        ("スタッフの対応が丁寧", ["スタッフ", "の", "対応", "が", "丁寧"]),
        ("อากาศดีมาก", ["อากาศ", "ดี", "มาก"]),
        ("होटल अच्छा था", ["होटल", "अच्छा", "था"]),  # vowel signs are marks, not letters
        ("방이 깨끗하고", ["방이", "깨끗하고"]),
        ("", []),
        ("... !!!", []),
    ],
)  # fmt: skip
def test_words_of(text, expected):
    assert keys(text) == expected


@given(st.text(max_size=60))
def test_words_stand_in_the_text_one_after_another(text):
    at = 0
    for word in segment(text):
        assert at <= word.start < word.end <= len(text)
        at = word.end


@given(st.lists(st.sampled_from(["red", "blue", "green", "Red", "x"]), max_size=12), st.data())
def test_a_deleted_word_is_gone_and_the_others_stay(words, data):
    text = " ".join(words)
    places = distinct_words(text)
    for word in places:
        left = keys(without(text, places[word]))
        assert left == [w.lower() for w in words if w.lower() != word]
    assert without(text, []) == text


def test_no_space_is_left_double():
    text = "good food, and good price"
    assert without(text, distinct_words(text)["good"]) == "food, and price"
    assert without(text, distinct_words(text)["food"]) == "good , and good price"
    assert without("朝食も良い", distinct_words("朝食も良い")["も"]) == "朝食良い"
