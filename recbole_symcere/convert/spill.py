"""Reviews on disk, numbers in memory: how a source of any size is filtered and put in order.

`Spill` writes each batch to a file as it comes and remembers per row only a user code, an item
code, a time, a hash and the size of the text. `Spill.ordered` then hands out chosen rows in any
order: where they are too many for memory, it deals them into files of neighbouring places and sorts
one such file at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from recbole_symcere.convert.parallel import ordered_map

# of text: sorted at once, and dealt out at once; several of each are in work at a time
_BUCKET_BYTES = 16 << 20
_GROUP_BYTES = 48 << 20
# each is an open file, of which a process may have about a thousand
_MOST_BUCKETS = 400
# texts up to here are sorted without another trip to the disk, at about three times their size
_IN_MEMORY = 128 << 20
_EMPTY = np.uint64(0)
# of the columns kept in memory: user, item, time, hash and size of the text
_KINDS = (np.uint32, np.uint32, np.uint32, np.uint64, np.uint32)


class Rows(NamedTuple):
    """What is known of every row without its text, in the order of the source.

    Attributes:
        users: (rows,) user numbers; a smaller number is a smaller id.
        items: (rows,) item numbers, likewise.
        times: (rows,) UTC seconds, which fit 32 bits until 2106; 0 where there are none.
        texts: (rows,) uint64, equal for equal texts; 0 for an empty one.
    """

    users: NDArray[np.uint32]
    items: NDArray[np.uint32]
    times: NDArray[np.uint32]
    texts: NDArray[np.uint64]

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Rows:
        """Return some of the rows."""
        return Rows(self.users[rows], self.items[rows], self.times[rows], self.texts[rows])


class _Span(NamedTuple):
    """Neighbouring places, the last one excluded."""

    start: int
    end: int


class Spill:
    """Rows of `records.SCHEMA` in a folder; a context that makes the folder and removes it.

    Args:
        folder: a folder that does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._sinks: dict[str, _Sink] = {}
        self._ids = {name: pl.Categories.random() for name in ("user_id", "item_id")}
        # polars forgets the categories when no series knows them any more
        self._known = [pl.Series([], dtype=pl.Categorical(ids)) for ids in self._ids.values()]
        self._parts: list[list[NDArray[Any]]] = [[] for _ in _KINDS]
        self._sizes = np.empty(0, dtype=np.uint32)

    def add(self, reviews: pl.DataFrame) -> None:
        """Append a table."""
        users, items = (
            reviews[name].cast(pl.Categorical(self._ids[name])).to_physical()
            for name in ("user_id", "item_id")
        )
        text = reviews["text"]
        hashes = text.hash().set(text == "", int(_EMPTY))
        times = reviews["timestamp"].cast(pl.UInt32).fill_null(0)
        columns = (users, items, times, hashes, text.str.len_bytes())
        for parts, column in zip(self._parts, columns, strict=True):
            parts.append(column.to_numpy())
        self._write("read", reviews.select(users, items, "rating", "timestamp", "text"))

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def rows(self) -> Rows:
        """Return what is known of the rows added; none can be added afterwards."""
        self._close()
        users, items, times, texts, self._sizes = (
            # the parts go as their whole comes: both of all columns would be much at once
            np.concatenate([np.empty(0, kind), *self._parts.pop(0)])
            for kind in _KINDS
        )
        return Rows(_ranked(self._ids["user_id"], users), _ranked(self._ids["item_id"], items),
                    times, texts)  # fmt: skip

    def ordered(self, order: NDArray[np.integer]) -> Iterator[pl.DataFrame]:
        """Yield rows with their ids, in tables of bounded size.

        Args:
            order: (kept,) row numbers in the order wanted.

        Yields:
            Tables with user_id, item_id, rating, timestamp and text.
        """
        place = np.full(len(self._sizes), -1, dtype=np.int64)
        place[order] = np.arange(len(order))
        ends = np.cumsum(self._sizes[order], dtype=np.int64)
        spans = _spans(ends)
        groups = _groups(self._folder / "read", place)
        if not len(ends) or ends[-1] <= _IN_MEMORY:
            parts = _cut(pl.concat(itertools.chain(*groups), rechunk=True), spans) if spans else []
        else:
            parts = self._dealt(groups, spans)
        names = {name: ids.to_series() for name, ids in self._ids.items()}

        def with_ids(part: Callable[[], pl.DataFrame]) -> pl.DataFrame:
            frame = part()
            return frame.select(
                *(ids.gather(frame[name]).alias(name) for name, ids in names.items()),
                *("rating", "timestamp", "text"),
            )

        yield from ordered_map(with_ids, parts)

    def _dealt(
        self, groups: Iterator[list[pl.DataFrame]], spans: list[_Span]
    ) -> list[Callable[[], pl.DataFrame]]:
        """Write the rows of each span to a file of its own; return what reads and sorts them."""
        paths = [self._folder / f"bucket{number}" for number in range(len(spans))]
        bounds = pl.Series([0, *(span.end for span in spans)])
        for frame in ordered_map(_by_place, groups):
            cuts = frame["place"].search_sorted(bounds).to_list()
            for path, (start, end) in zip(paths, itertools.pairwise(cuts), strict=True):
                if start < end:
                    self._write(path.name, frame[start:end])
        (self._folder / "read").unlink()
        self._close()
        return [partial(_sorted_bucket, path) for path in paths]

    def _write(self, name: str, frame: pl.DataFrame) -> None:
        if name not in self._sinks:
            self._sinks[name] = _Sink(self._folder / name)
        self._sinks[name].write(frame)

    def _close(self) -> None:
        for sink in self._sinks.values():
            sink.close()
        self._sinks = {}


class _Sink:
    """Appends tables to an Arrow file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer: Any = None

    def write(self, frame: pl.DataFrame) -> None:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        # after a full disk the end can't be written either, and the file is dropped anyway
        with contextlib.suppress(OSError):
            if self._writer is not None:
                self._writer.close()
        with contextlib.suppress(OSError):
            self._file.close()


def _read(path: Path) -> Iterator[pl.DataFrame]:
    if not path.exists():  # there were no rows
        return
    with path.open("rb") as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            yield pl.DataFrame(pl.from_arrow(batch))


def _groups(path: Path, place: NDArray[np.int64]) -> Iterator[list[pl.DataFrame]]:
    """Yield the rows that have a place, with it, in groups of about `_GROUP_BYTES`."""
    held: list[pl.DataFrame] = []
    size = start = 0
    for frame in _read(path):
        places = pl.Series("place", place[start : start + len(frame)])
        start += len(frame)
        held.append(frame.with_columns(places).filter(pl.col("place") >= 0))
        size += int(held[-1]["text"].str.len_bytes().sum())
        if size >= _GROUP_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def _by_place(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).sort("place")


def _sorted_bucket(path: Path) -> pl.DataFrame:
    frame = _by_place(list(_read(path)))
    path.unlink()
    return frame


def _cut(frame: pl.DataFrame, spans: list[_Span]) -> list[Callable[[], pl.DataFrame]]:
    rows = frame["place"].arg_sort()
    return [partial(frame.__getitem__, rows[span.start : span.end]) for span in spans]


def _spans(ends: NDArray[np.int64]) -> list[_Span]:
    """Cut places into runs of about `_BUCKET_BYTES` of text, given the bytes up to each place."""
    total = int(ends[-1]) if len(ends) else 0
    size = max(_BUCKET_BYTES, total // _MOST_BUCKETS + 1)
    starts = np.searchsorted(ends, np.arange(1, total // size + 1) * size, side="right")
    bounds = itertools.pairwise([0, *starts.tolist(), len(ends)])
    return [_Span(start, end) for start, end in bounds if start < end]


def _ranked(ids: pl.Categories, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Number the codes in the order of the ids they stand for."""
    order = ids.to_series().cast(pl.String).arg_sort().to_numpy()
    ranks = np.empty(len(order), dtype=np.uint32)
    ranks[order] = np.arange(len(order), dtype=np.uint32)
    ranked: NDArray[np.uint32] = ranks[codes]
    return ranked
