"""Statistics of contributions, against loops."""

import math
import statistics
from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from recbole_symcere.explain.anchor_stats import (
    by_kind,
    item_bootstrap,
    match,
    shuffled_labels,
    superiority,
    word_table,
)
from recbole_symcere.explain.kinds import KINDS, word_kinds


@pytest.fixture
def entries():
    rng = np.random.default_rng(0)
    return rng.integers(0, 3, 200), rng.integers(0, 12, 200), rng.normal(0.3, 1, 200)


def test_the_bootstrap_draws_items_with_all_their_reviews(entries):
    kind, item, values = entries
    found = item_bootstrap(*by_kind(kind, item, values, 3), lambda m: m[:, :1] - m[:, 1:2], 4000, 1)
    difference, low, high = found[0].value, *found[0].interval
    assert difference == pytest.approx(values[kind == 0].mean() - values[kind == 1].mean())
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(item == i) for i in rng.integers(0, 12, 12)])
        a, b = (values[rows][kind[rows] == k].mean() for k in (0, 1))
        drawn.append(a - b)
    assert np.allclose(np.quantile(drawn, [0.025, 0.975]), [low, high], atol=0.03)


def test_reviews_of_one_item_count_as_one():
    # the same value 50 times for each of 6 items is no more certain than once
    item = np.repeat(np.arange(6), 50)
    values = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 50)
    many = item_bootstrap(*by_kind(item * 0, item, values, 1), lambda m: m, 2000, 0)[0].interval
    one = item_bootstrap(
        *by_kind(np.zeros(6, int), np.arange(6), np.arange(6.0), 1), lambda m: m, 2000, 0
    )[0].interval
    assert many == pytest.approx(one)
    assert many.high - many.low > 2
    table = word_table(item * 0, item, values, 1)
    assert table.error[0] == pytest.approx(np.arange(6.0).std(ddof=1) / 6**0.5)


def test_a_group_that_a_draw_lacks_is_left_out():
    kind, item = np.array([0, 0, 1]), np.array([0, 1, 1])
    found = item_bootstrap(*by_kind(kind, item, [1.0, 3.0, 5.0], 2), lambda m: m, 500, 0)
    assert [e.value for e in found] == [2.0, 5.0]
    assert found[1].interval == (5.0, 5.0)


def test_words_are_tested_with_items_as_clusters(entries):
    word, item, values = entries
    table = word_table(word, item, values, 4)  # the fourth word is nowhere
    p_values = []
    for w in range(3):
        items = np.unique(item[word == w])
        mean = values[word == w].mean()
        spread = sum((values[(word == w) & (item == i)] - mean).sum() ** 2 for i in items)
        error = np.sqrt(spread * len(items) / (len(items) - 1)) / (word == w).sum()
        p = 2 * scipy.stats.t.sf(abs(mean / error), len(items) - 1)
        found = (table.mean[w], table.error[w], table.p_value[w], table.items[w], table.reviews[w])
        assert found == pytest.approx((mean, error, p, len(items), (word == w).sum()))
        p_values.append(p)
    assert min(table.p_holm[:3]) == pytest.approx(min(3 * min(p_values), 1))
    assert np.isnan([table.mean[3], table.error[3], table.p_holm[3]]).all()


def test_superiority_counts_pairs():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 6, 30), rng.integers(0, 5, 20)
    pairs = [(x > y) + 0.5 * (x == y) for x in a for y in b]
    assert superiority(a, b) == pytest.approx(np.mean(pairs))
    assert np.isnan(superiority([], b))


def test_matching_takes_the_nearest_within_the_caliper():
    pool = np.array([[0.0, 0.0], [1.0, 1.0], [9.0, 9.0]])
    left, right = match(np.array([[0.9, 1.0], [0.1, 0.0], [30.0, 30.0]]), pool)
    assert left.tolist() == [0, 1]
    assert right.tolist() == [1, 0]
    assert len(match(np.zeros((0, 2)), pool)[0]) == 0


def test_matching_passes_over_a_nearer_word_that_is_beyond_the_caliper():
    rng = np.random.default_rng(0)
    wanted, pool = rng.normal(size=(300, 2)), rng.normal(size=(20, 2))
    columns = [[row[n] for row in (*wanted.tolist(), *pool.tolist())] for n in (0, 1)]
    sd = [statistics.pstdev(column) for column in columns]
    expected, passed_over = [], 0
    for n, one in enumerate(wanted.tolist()):
        apart = [[abs(one[c] - other[c]) / sd[c] for c in (0, 1)] for other in pool.tolist()]
        order = sorted(range(len(apart)), key=lambda i, apart=apart: math.hypot(*apart[i]))
        near = [i for i in order if max(apart[i]) <= 0.5]
        expected += [(n, near[0])] if near else []
        passed_over += bool(near) and near[0] != order[0]
    assert passed_over
    assert [*zip(*(side.tolist() for side in match(wanted, pool)), strict=True)] == expected


def texts_of(rng, n_items=50, per_item=12):
    """Each item has its own word, "great" and "awful" follow the rating, fillers follow nothing."""
    texts, items, ratings = [], [], []
    for item in range(n_items):
        for _ in range(per_item):
            rating = float(rng.integers(1, 6))
            words = [f"thing{item % 10}"] if rng.random() < 0.6 else []
            words += ["great" if rating > 3 else "awful"] if rng.random() < 0.5 else []
            words += list(rng.choice(["room", "day", "the", "place", "way"], 3, replace=False))
            texts.append(" ".join(words))
            items.append(item)
            ratings.append(rating)
    return texts, np.array(items), np.array(ratings)


def test_kinds_are_what_was_planted():
    texts, items, ratings = texts_of(np.random.default_rng(0))
    texts[20] += " einzigartig"
    texts[:12] = [f"{text} погода" for text in texts[:12]]
    texts[400:412] = [f"{text} погода" for text in texts[400:412]]
    for row in range(0, 600, 50):
        texts[row] = "el vino estaba muy bueno y la casa es muy buena"
    found = word_kinds(texts, items, ratings)
    kind = {word: KINDS[k] for word, k in zip(found.words, found.kind, strict=True)}
    assert {kind[f"thing{n}"] for n in range(10)} == {"objective"}
    assert kind["great"] == kind["awful"] == "subjective"
    assert kind["the"] == "stop-word"
    assert kind["room"] == kind["day"] == "unsorted"
    assert kind["einzigartig"] == "rare"
    assert kind["vino"] == kind["casa"] == "other language"
    assert found.language == "English"
    place = found.words.index("great")
    assert found.reviews[place] == sum("great" in text for text in texts)
    assert found.stars[place] > 1 > 0 > found.stars[found.words.index("awful")]
    unknown = KINDS.index("rare")
    assert found.of(["the", "unheard", "great"]).tolist() == [KINDS.index("stop-word"), unknown, 1]


def test_a_word_of_sentiment_that_failed_the_test_is_no_stop_word():
    texts, items, ratings = texts_of(np.random.default_rng(0))
    rng = np.random.default_rng(4)
    for row, rating in enumerate(ratings):  # it follows the rating, but by little
        if rng.random() < 0.3 + 0.02 * rating:
            texts[row] += " lovely"
    found = word_kinds(texts, items, ratings)
    place = found.words.index("lovely")
    assert found.reviews[place] > 6  # 1 % of the reviews
    assert 0 < found.stars[place] < 0.3
    assert KINDS[found.kind[place]] == "unsorted"


def test_labels_are_dealt_anew_to_the_words_of_two_kinds():
    rng = np.random.default_rng(3)
    word, item = rng.integers(0, 9, 300), rng.integers(0, 20, 300)
    values = rng.normal(0, 1, 300) + (word < 3) - 9.0 * (word == 8)
    table = word_table(word, item, values, 10)  # the tenth word is nowhere
    first = np.isin(np.arange(10), [0, 1, 2, 9])
    second = np.isin(np.arange(10), [3, 4, 5, 6])  # 7 and 8 are of neither kind
    found = shuffled_labels(table, first, second, 4000, 0)
    possible = {
        round(
            values[np.isin(word, a)].mean()
            - values[np.isin(word, list({*range(7)} - {*a}))].mean(),
            9,
        )
        for a in combinations(range(7), 3)
    }
    assert {round(value, 9) for value in found} == possible
    true = values[word < 3].mean() - values[(word > 2) & (word < 7)].mean()
    assert np.mean(np.array(found) >= true - 1e-9) == pytest.approx(1 / 35, abs=0.01)
    assert shuffled_labels(table, first, second & ~second, 10, 0) == []


def test_kinds_of_shuffled_data_are_none():
    texts, items, ratings = texts_of(np.random.default_rng(1))
    rng = np.random.default_rng(2)
    found = word_kinds(texts, rng.permutation(items), rng.permutation(ratings))
    assert not np.isin(found.kind, [KINDS.index("objective"), KINDS.index("subjective")]).any()


def test_a_rating_that_the_item_explains_is_no_sentiment():
    # items with the word are better; within an item it says nothing
    items = np.repeat(np.arange(10), 40)
    ratings = np.where(items < 5, 5.0, 2.0) + np.tile([0.0, 0.5], 200)
    texts = [
        ("garden " if item < 5 and n % 4 < 2 else "") + "room day" for n, item in enumerate(items)
    ]
    found = word_kinds(texts, items, ratings)
    assert KINDS[found.kind[found.words.index("garden")]] == "objective"
