"""Order, repeats, copies and cores against plain Python."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert import choose as choose_module
from recbole_symcere.convert import spill
from recbole_symcere.convert.choose import choose
from recbole_symcere.convert.convert_options import Filters
from recbole_symcere.convert.records import SCHEMA
from recbole_symcere.convert.spill import Rows, Spill

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["b", "a", "ä", "B", "user 10", "user 9"]),
        st.sampled_from(["x", "y", "é", "10", "9"]),
        st.integers(0, 3),
        st.sampled_from(["", "fine", "good", "fine "]),
    ),
    max_size=30,
)


def oracle(rows, k_core=0, user_core=0, keep_repeats=False, copied_texts="keep"):
    """What stays, in order, as (user, item, time, text, line); written without the package."""
    table = [(u.encode(), t, line, i, text) for line, (u, i, t, text) in enumerate(rows)]
    table.sort()  # UTF-8 bytes of the user, time, line
    kept, pairs, texts = [], set(), set()
    for user, time, line, item, text in table:
        is_copy = text != "" and (user, time, text) in texts
        if (user, item) not in pairs:
            texts.add((user, time, text))
        repeated = (user, item) in pairs
        pairs.add((user, item))
        if (repeated and not keep_repeats) or (
            is_copy and not repeated and copied_texts == "merge"
        ):
            continue
        kept.append((user.decode(), item, time, text, line))
    while True:
        users, items = (Counter(row[n] for row in kept) for n in (0, 1))
        enough = [
            row
            for row in kept
            if users[row[0]] >= max(k_core, user_core) and items[row[1]] >= k_core
        ]
        if len(enough) == len(kept):
            return kept
        kept = enough


def frame(rows):
    return pl.DataFrame(
        [(u, i, 4.0, t, text, line) for line, (u, i, t, text) in enumerate(rows)],
        schema=dict(SCHEMA),
        orient="row",
    )


def result(folder, rows, n_batches=1, **settings):
    """The rows that stay, by way of the disk."""
    with Spill(folder / "spill") as store:
        for part in np.array_split(np.arange(len(rows)), n_batches):
            store.add(frame(rows)[part.tolist()] if len(part) else frame([]))
        chosen = choose(store.rows(), Filters(**settings))
        tables = list(store.ordered(chosen.order))
    assert not (folder / "spill").exists()
    return chosen, pl.concat(tables)


@given(
    rows=ROWS,
    k_core=st.integers(0, 3),
    user_core=st.integers(0, 3),
    keep_repeats=st.booleans(),
    copied_texts=st.sampled_from(["keep", "merge"]),
    n_batches=st.integers(1, 3),
)
@settings(deadline=None)
def test_what_stays_and_in_which_order(tmp_path_factory, rows, n_batches, **limits):
    folder = tmp_path_factory.mktemp("s")
    expected = oracle(rows, **limits)
    if not expected:
        with pytest.raises(InputError):
            result(folder, rows, n_batches, **limits)
        return
    chosen, table = result(folder, rows, n_batches, **limits)
    assert table.select("user_id", "item_id", "timestamp", "text").rows() == [
        row[:4] for row in expected
    ]
    assert chosen.order.tolist() == [row[4] for row in expected]
    assert chosen.size == (
        len({row[0] for row in expected}), len({row[1] for row in expected}), len(expected),
    )  # fmt: skip
    assert chosen.repeats == len(rows) - len({row[:2] for row in rows})
    assert chosen.empty_texts == sum(row[3] == "" for row in expected)
    assert chosen.distinct_texts == len({row[3] for row in expected})
    if limits["copied_texts"] == "merge":
        assert chosen.merged == chosen.copied
    else:
        assert chosen.merged == 0


@pytest.mark.parametrize("size", [1, 50, 400])
@pytest.mark.parametrize("in_memory", [0, 1 << 30])
def test_many_small_files_give_the_same_order(tmp_path, monkeypatch, size, in_memory):
    monkeypatch.setattr(spill, "_BUCKET_BYTES", size)
    monkeypatch.setattr(spill, "_GROUP_BYTES", 2 * size)
    monkeypatch.setattr(spill, "_IN_MEMORY", in_memory)
    rng = np.random.default_rng(0)
    rows = [
        (f"u{rng.integers(20)}", f"i{n}", int(rng.integers(5)), "x" * int(rng.integers(9)))
        for n in range(300)
    ]
    _, table = result(tmp_path, rows, n_batches=7)
    assert table.select("user_id", "item_id", "timestamp", "text").rows() == [
        row[:4] for row in oracle(rows)
    ]


def many(n_users=40, n_items=12):
    return [
        (f"u{u:02}", f"i{i}", u + i, f"{u} {i}")
        for u in range(n_users)
        for i in range(n_items)
        if (u + i) % 3
    ]


def test_users_are_drawn_with_all_their_reviews(tmp_path):
    rows = many()
    chosen, table = result(tmp_path, rows, user_core=5, sample_users=7)
    users = set(table["user_id"])
    assert len(users) == 7
    assert len(table) == sum(row[0] in users for row in rows)
    assert chosen.sampled_out == len(rows) - len(table)
    again = result(tmp_path, rows[::-1], user_core=5, sample_users=7)[1]
    assert again.equals(table)
    other = result(tmp_path, rows, user_core=5, sample_users=7, sample_seed=1)[1]
    assert set(other["user_id"]) != users
    everybody = result(tmp_path, rows, sample_users=4000)[1]
    assert len(everybody) == len(rows)


def test_a_share_of_the_reviews_is_drawn_before_the_core(tmp_path):
    rows = many()
    chosen, table = result(tmp_path, rows, sample_reviews=0.5, k_core=3)
    assert 0.4 * len(rows) < chosen.before_core.reviews < 0.6 * len(rows)
    counts = table["user_id"].value_counts()["count"]
    assert counts.min() >= 3
    assert result(tmp_path, rows[::-1], sample_reviews=0.5, k_core=3)[1].equals(table)


def test_a_draw_that_leaves_nothing_says_so():
    one = np.zeros(1, dtype=np.uint32)
    with pytest.raises(InputError, match="--sample_reviews: no review was drawn"):
        choose(Rows(one, one, one, one.astype(np.uint64)), Filters(sample_reviews=1e-9))


def test_one_text_under_many_items_is_counted_and_merged_on_request(tmp_path):
    rows = [
        ("u", "red", 5, "nice shirt"), ("u", "blue", 5, "nice shirt"), ("u", "blue", 5, "again"),
        ("u", "green", 6, "nice shirt"), ("v", "red", 5, "nice shirt"), ("u", "hat", 5, ""),
        ("u", "cap", 5, ""),
    ]  # fmt: skip
    kept = result(tmp_path, rows)[0]
    assert (kept.copied, kept.merged, kept.size.reviews) == (1, 0, 6)
    merged, table = result(tmp_path, rows, copied_texts="merge")
    assert (merged.copied, merged.merged, merged.size.reviews) == (1, 1, 5)
    assert ("u", "red") in table.select("user_id", "item_id").rows()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_users": -1}, "sample_users is -1, but it must be at least 0"),
        ({"sample_reviews": 0}, "sample_reviews is 0.0, but it must be more than 0"),
        ({"max_chars": -5}, "max_chars is -5, but it must be at least 0"),
        ({"max_bad": 2}, "max_bad is 2.0, but it must be at most 1"),
    ],
)
def test_filters_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Filters(**settings)


def test_the_manifest_can_hold_every_count(tmp_path):
    chosen = result(tmp_path, many())[0]
    json.dumps(list(chosen[1:]))


@pytest.mark.parametrize("size", [1, 3, 7, 10**6])
def test_looking_at_slices_of_users_changes_nothing(tmp_path, monkeypatch, size):
    monkeypatch.setattr(choose_module, "_SLICE", size)
    rng = np.random.default_rng(1)
    rows = [
        (f"u{rng.integers(4)}", f"i{rng.integers(9)}", int(rng.integers(2)), rng.choice(["", "a"]))
        for _ in range(60)
    ]
    chosen, table = result(tmp_path, rows, copied_texts="merge")
    assert table.select("user_id", "item_id", "timestamp", "text").rows() == [
        row[:4] for row in oracle(rows, copied_texts="merge")
    ]
    assert chosen.copied > 0
    assert chosen.pairs == len({row[:2] for row in rows})


def test_more_text_than_files_may_be_open_makes_larger_files(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "_BUCKET_BYTES", 1)
    monkeypatch.setattr(spill, "_MOST_BUCKETS", 5)
    monkeypatch.setattr(spill, "_IN_MEMORY", 0)
    rows = [(f"u{n:03}", "i", n, "text") for n in range(300)]
    with Spill(tmp_path / "spill") as store:
        store.add(frame(rows))
        chosen = choose(store.rows(), Filters())
        tables = list(store.ordered(chosen.order))
    assert 3 <= len(tables) <= 5
    assert pl.concat(tables)["user_id"].to_list() == [row[0] for row in rows]


def test_without_times_users_and_items_order_the_rows_whatever_the_file_does(tmp_path):
    rows = [(f"u{n % 3}", f"i{n % 5}", None, f"{n}") for n in range(15)]
    orders = []
    for seed in range(3):
        mixed = [rows[n] for n in np.random.default_rng(seed).permutation(15)]
        with Spill(tmp_path / "spill") as store:
            store.add(frame(mixed))
            chosen = choose(store.rows(), Filters(), timed=False)
            orders.append(pl.concat(store.ordered(chosen.order)).drop("rating").rows())
        assert chosen.times is None
    assert orders[0] == orders[1] == orders[2]
    assert [row[:2] for row in orders[0]] == sorted(row[:2] for row in rows)
    assert {row[2] for row in orders[0]} == {None}
