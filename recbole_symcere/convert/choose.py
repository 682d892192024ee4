"""Which reviews stay, and in which order: decided on numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_options import Filters
from recbole_symcere.convert.kcore import filter_core
from recbole_symcere.convert.spill import Rows

# rows looked at in one go
_SLICE = 1_000_000


class Size(NamedTuple):
    """Numbers of users, items and reviews."""

    users: int
    items: int
    reviews: int


class Chosen(NamedTuple):
    """The reviews that stay.

    Attributes:
        order: (kept,) row numbers by user id, time and source line.
        repeats: later reviews of a user and item, removed unless they were to be kept.
        copied: reviews whose text the user has under an earlier item at the same time.
        merged: how many of these were removed.
        sampled_out: reviews that were not drawn.
        before_core: size before the cores.
        removed_by_core: reviews that the cores removed.
        distinct_texts: number of different texts that stay.
        empty_texts: number of empty texts that stay.
        size: size of what stays.
        pairs: different pairs of a user and an item, among all reviews.
        times: earliest and latest UTC second, or None where there are no times.
    """

    order: NDArray[np.uint32]
    repeats: int
    copied: int
    merged: int
    sampled_out: int
    before_core: Size
    removed_by_core: int
    distinct_texts: int
    empty_texts: int
    size: Size
    pairs: int
    times: tuple[int, int] | None


def choose(rows: Rows, filters: Filters, timed: bool = True) -> Chosen:
    """Order the rows by (user, time, source line), or (user, item, source line), and filter them.

    The first of repeated pairs stays, then copied texts are merged, reviews drawn, cores taken and
    users drawn. Draws are made over rows and users in order of their ids, so the order of the dump
    decides only ties in time.

    Args:
        rows: all rows, in the order of the source.
        filters: what stays.
        timed: whether there are times.

    Returns:
        The rows that stay, and the account of the others.

    Raises:
        InputError: if nothing stays.
    """
    rng = np.random.default_rng(filters.sample_seed)
    order = _order(rows.users, rows.times if timed else rows.items)
    rows = rows.take(order)
    first = _is_first(rows.users, rows.items)
    repeats = int((~first).sum())
    stay = np.ones_like(first) if filters.keep_repeats else first
    copied = _is_copy(rows, first)
    if filters.copied_texts == "merge":
        stay = stay & ~copied
    n_merged = int((copied & first).sum()) if filters.copied_texts == "merge" else 0
    drawn = stay & (rng.random(len(stay)) < filters.sample_reviews)
    sampled_out = int(stay.sum() - drawn.sum())
    order, rows = order[drawn], rows.take(drawn)
    before = _size(rows)
    core = filter_core(rows.users, rows.items, filters.k_core, filters.user_core)
    order, rows = order[core], rows.take(core)
    n_before_draw = len(order)
    if filters.sample_users:
        of_users = _drawn_users(rows.users, filters.sample_users, rng)
        order, rows = order[of_users], rows.take(of_users)
    sampled_out += n_before_draw - len(order)
    if not len(order):
        raise InputError("--sample_reviews: no review was drawn; choose a larger share")
    return Chosen(
        order,
        repeats,
        int(copied.sum()),
        n_merged,
        sampled_out,
        before,
        before.reviews - n_before_draw,
        _count_distinct(rows.texts),
        int((rows.texts == 0).sum()),
        _size(rows),
        int(first.sum()),
        (int(rows.times.min()), int(rows.times.max())) if timed else None,
    )


def _order(users: NDArray[np.uint32], then: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the row numbers by user, what comes then and place in the source."""
    key = users.astype(np.uint64) << np.uint64(32) | then
    return np.argsort(key, kind="stable").astype(np.uint32)


def _size(rows: Rows) -> Size:
    users, items = (int(np.count_nonzero(np.bincount(ids))) for ids in (rows.users, rows.items))
    return Size(users, items, len(rows.users))


def _is_first(users: NDArray[np.uint32], items: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Mark the first row of each user and item, of rows in order of users."""
    marks = np.zeros(len(users), dtype=bool)
    for part in _parts(users):
        pairs = users[part].astype(np.uint64) << np.uint64(32) | items[part]
        marks[part][np.unique(pairs, return_index=True)[1]] = True
    return marks


def _parts(users: NDArray[np.uint32]) -> Iterator[slice]:
    """Cut rows in order of users into slices of whole users: what is kept of all takes memory."""
    start = 0
    while start < len(users):
        last = users[min(start + _SLICE, len(users)) - 1]
        end = int(np.searchsorted(users, last, side="right"))
        yield slice(start, end)
        start = end


def _is_copy(rows: Rows, first: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark rows whose text their user has in an earlier row of the same time.

    Args:
        rows: in order of user and time.
        first: the rows that are looked at: a repeat of a pair is no original, and no copy.
    """
    marks = np.zeros(len(rows.users), dtype=bool)
    for part in _parts(rows.users):
        users, _, times, texts = rows.take(part)
        begins = np.ones(len(users), dtype=bool)
        begins[1:] = (users[1:] != users[:-1]) | (times[1:] != times[:-1])
        # few rows share their moment with a neighbour
        some = ~begins
        some[:-1] |= some[1:]
        some &= first[part] & (texts != 0)
        at, moments, texts = np.flatnonzero(some), np.cumsum(begins)[some], texts[some]
        order = np.lexsort((texts, moments))  # stable, so the first of equal ones stays the first
        later, before = order[1:], order[:-1]
        same = (moments[later] == moments[before]) & (texts[later] == texts[before])
        marks[part][at[later[same]]] = True
    return marks


def _count_distinct(values: NDArray[np.uint64]) -> int:
    """Count different values; a set of them would take several times their memory."""
    ordered = np.sort(values)
    return int(len(ordered) > 0) + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def _drawn_users(
    users: NDArray[np.integer], n_users: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Mark the rows of ``n_users`` random users, or all where there are no more."""
    present = np.unique(users)
    if n_users >= len(present):
        return np.ones(len(users), dtype=bool)
    drawn = np.zeros(int(present[-1]) + 1, dtype=bool)
    drawn[rng.choice(present, n_users, replace=False)] = True
    marks: NDArray[np.bool_] = drawn[users]
    return marks
