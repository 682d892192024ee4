"""Item texts: metadata of Amazon's products and Yelp's businesses -> <name>.items.parquet.

Columns: item_id, title, brand, category, description and text, one row per item of the data set in
order of item_id, "" where nothing is known. ``text`` is "title brand category." with the category
path's first part (the data set's own name) left out, HTML removed, and "" from 2,000 characters on:
such titles are pieces of web pages. That is CollabContext's item text.
"""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.clean import clean_texts
from recbole_symcere.convert.encodings import decode_line
from recbole_symcere.convert.lines import LineBlocks, check_file
from recbole_symcere.convert.readers.yelp import member_lines

_COLUMNS = ("item_id", "title", "brand", "category", "description")
_LONGEST = 2_000
_MOST_BAD = 0.01

#: Source -> our column -> the metadata's keys, the first that is there.
_KEYS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "amazon2014": {
        "item_id": ("asin",), "title": ("title",), "brand": ("brand",),
        "category": ("categories",), "description": ("description",),
    },
    "amazon2018": {
        "item_id": ("asin",), "title": ("title",), "brand": ("brand",),
        "category": ("category",), "description": ("description",),
    },
    "amazon2023": {
        "item_id": ("parent_asin",), "title": ("title",), "brand": ("store",),
        "category": ("categories",), "description": ("description",),
    },
    "yelp": {
        "item_id": ("business_id",), "title": ("name",), "brand": (),
        "category": ("categories",), "description": (),
    },
}  # fmt: skip


def item_writer(source: str, path: Path) -> Callable[[Path, pl.Series], dict[str, Any]]:
    """Return a function that writes the texts of some items.

    Args:
        source: a source that has item texts.
        path: the metadata, plain, gzip or zstd; for Yelp also the archive.

    Returns:
        (file to write, sorted item ids) -> rows read and skipped, items with a text.

    Raises:
        InputError: if the file is missing or a folder.
    """
    check_file(path, "--meta")
    keys = _KEYS[source]

    def write(target: Path, ids: pl.Series) -> dict[str, Any]:
        lines = member_lines(path, "business.json") if source == "yelp" else LineBlocks(path)
        reader = _Metadata(lines, keys, frozenset(ids.to_list()))
        found = pl.DataFrame(list(reader), schema=dict.fromkeys(_COLUMNS, pl.String), orient="row")
        reader.check()
        found = found.unique("item_id", keep="first", maintain_order=True)
        # metadata in the order of the file would make the bytes depend on it
        joined = pl.DataFrame({"item_id": ids}).join(
            found, on="item_id", how="left", maintain_order="left"
        )
        table = _with_texts(joined.with_columns(pl.col(_COLUMNS).fill_null("")))
        # as the reviews: readers see plain strings
        arrow = table.to_arrow(compat_level=pl.CompatLevel.oldest())
        pq.write_table(arrow, target, compression="zstd", store_schema=False)
        return {
            "rows_read": reader.n_read,
            "rows_skipped": reader.n_bad,
            "items": int((table["text"] != "").sum()),
        }

    return write


class _Metadata:
    """Iterates over the metadata of wanted items; counts what it can't read."""

    def __init__(
        self, blocks: LineBlocks, keys: Mapping[str, tuple[str, ...]], wanted: frozenset[str]
    ) -> None:
        self._blocks = blocks
        self._keys = keys
        self._wanted = wanted
        self.n_read = self.n_bad = self.n_damaged = 0

    def __iter__(self) -> Iterator[list[str]]:
        for block in self._blocks:
            for line in io.BytesIO(block.data):
                text, valid = decode_line(line.strip())
                if not text:
                    continue
                self.n_read += 1
                self.n_damaged += not valid
                record = _parse(text)
                if record is None or not _first(record, self._keys["item_id"]):
                    self.n_bad += 1
                elif _first(record, self._keys["item_id"]) in self._wanted:
                    yield [_flat(_first(record, self._keys[name])) for name in _COLUMNS]

    def check(self) -> None:
        """Refuse metadata of which much can't be read."""
        if self.n_damaged > _MOST_BAD * self.n_read:
            raise InputError(
                f"--meta: {self.n_damaged} of {self.n_read} rows of {self._blocks.path.name} hold "
                "bytes that are not UTF-8; save the file as UTF-8"
            )
        if self.n_bad > _MOST_BAD * self.n_read:
            raise InputError(
                f"--meta: {self.n_bad} of {self.n_read} rows of {self._blocks.path.name} are no "
                f"object with {self._keys['item_id'][0]!r}; give the metadata file of this source"
            )


def _parse(line: str) -> dict[str, Any] | None:
    """Return the object in a line of JSON, or of Python as in the dump of 2014."""
    record: Any
    try:
        record = json.loads(line, strict=False)
    except (ValueError, RecursionError):
        try:
            record = ast.literal_eval(line)  # takes literals only and runs nothing
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    return record if isinstance(record, dict) else None


def _first(record: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((record[key] for key in keys if record.get(key)), "")


def _flat(value: Any) -> str:
    """Return a text, or the parts of a list joined; of a list of paths the first."""
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return _flat(value[0])
        return ", ".join(str(part) for part in value if isinstance(part, str | int | float))
    text = str(value) if isinstance(value, str | int | float) else ""
    return text.encode("utf-8", "replace").decode()


def _with_texts(items: pl.DataFrame) -> pl.DataFrame:
    for name in _COLUMNS[1:]:
        cleaned = clean_texts(items.select(text=name)).reviews["text"]
        items = items.with_columns(cleaned.alias(name))
    inner = pl.col("category").str.replace(r"^[^,]*(?:, ?|$)", "")
    joined = pl.concat_str("title", "brand", inner, separator=" ")
    one_line = joined.str.replace_all("  +", " ").str.strip_chars()
    text = (
        pl.when(one_line == "").then(pl.lit("")).otherwise(one_line.str.strip_chars_end(".") + ".")
    )
    return items.with_columns(text=text).with_columns(
        text=pl.when(pl.col("text").str.len_chars() < _LONGEST).then("text").otherwise(pl.lit(""))
    )
