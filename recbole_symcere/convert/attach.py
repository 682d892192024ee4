"""Reviews onto an existing RecBole data set: one review file per ``.inter`` file, row by row.

An interaction gets the review of its user and item; where there are several, the one with its time,
else the first by time and place in the file. All is held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow.parquet as pq

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import replacing, write_bytes
from recbole_symcere.convert.atomic_files import read_inter, reviews_path_of
from recbole_symcere.convert.clean import TextCounts
from recbole_symcere.convert.inputs import Inputs, read_inputs
from recbole_symcere.convert.records import ReadReport
from recbole_symcere.convert.stats import inter_files
from recbole_symcere.convert.times import parse_times
from recbole_symcere.convert.writer import ATTACHED, REVIEWS_SCHEMA, describe_file
from recbole_symcere.version import __version__

_PAIR = ["user_id", "item_id"]


class Fields(NamedTuple):
    """Names of the columns of the ``.inter`` files."""

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"


@dataclass(frozen=True)
class Matched:
    """How the interactions of one file found their reviews.

    Attributes:
        file: the ``.inter`` file.
        interactions: its rows.
        by_time: rows that got the review of their user, item and time.
        by_pair: rows that got a review of their user and item, times being different or unknown.
        without: rows without a review; they got an empty one.
    """

    file: str
    interactions: int
    by_time: int
    by_pair: int
    without: int


@dataclass(frozen=True)
class Attached:
    """What was done.

    Attributes:
        report: the reviews read.
        texts: texts that each cleaning rule changed.
        parts: one entry per ``.inter`` file.
        unmatched: reviews of pairs that no file has.
        unused: reviews of pairs that are there, but with another review.
        files: the files written.
    """

    report: ReadReport
    texts: TextCounts
    parts: tuple[Matched, ...]
    unmatched: int
    unused: int
    files: tuple[Path, ...]


def attach(
    folder: Path,
    inputs: Inputs,
    fields: Fields,
    max_bad: float,
    max_chars: int,
    overwrite: bool,
    command: str,
) -> Attached:
    """Write a review file beside each ``.inter`` file, which stays as it is.

    Args:
        folder: the data set's folder.
        inputs: the reviews.
        fields: names of the columns of the ``.inter`` files.
        max_bad: largest share of unusable review rows.
        max_chars: most characters of a text; 0 for no limit.
        overwrite: whether existing review files may be replaced.
        command: the command line for the manifest.

    Returns:
        What was done.

    Raises:
        InputError: if there is no such data set, a file cannot be read or written, or review files
            exist.
    """
    paths = inter_files(folder)
    for path in map(reviews_path_of, paths):
        if path.exists() and not overwrite:
            raise InputError(
                f"--name: {path} exists; replace it with --overwrite=True, or name another data set"
            )
    reviews, report, texts = _reviews(inputs, max_bad, max_chars)
    found = [_match(read_inter(path, *fields), reviews) for path in paths]
    parts = tuple(_count(path, table) for path, table in zip(paths, found, strict=True))
    if not sum(part.by_time + part.by_pair for part in parts):
        raise InputError(
            f"{report.title}: no review is of a user and item of {folder}; its first interaction "
            f"is of {found[0]['user_id'].head(1).to_list()} and "
            f"{found[0]['item_id'].head(1).to_list()}, the first review of "
            f"{reviews['user_id'].head(1).to_list()} and {reviews['item_id'].head(1).to_list()}; "
            "check --user_field and --item_field"
        )
    used = pl.concat([table["review"] for table in found]).drop_nulls().n_unique()
    pairs = pl.concat([table.select(_PAIR) for table in found])
    unmatched = len(reviews.join(pairs, on=_PAIR, how="anti"))
    files = _write(paths, found, {
        "command": command,
        "inputs": [
            describe_file(path, name=label)
            for path, label in (*inputs.files().items(), *((path, path.name) for path in paths))
        ],
        "texts": texts._asdict(),
        "parts": [asdict(part) for part in parts],
        "reviews_unmatched": unmatched,
        "reviews_unused": len(reviews) - unmatched - used,
    })  # fmt: skip
    return Attached(report, texts, parts, unmatched, len(reviews) - unmatched - used, files)


def _reviews(
    inputs: Inputs, max_bad: float, max_chars: int
) -> tuple[pl.DataFrame, ReadReport, TextCounts]:
    """Return all reviews by user, item, time and line, numbered."""
    tables: list[pl.DataFrame] = []
    report, texts = read_inputs(inputs, max_bad, max_chars, tables.append)
    ordered = pl.concat(tables).with_row_index("line").sort(*_PAIR, "timestamp", "line")
    return ordered.select(*_PAIR, "timestamp", "text").with_row_index("review"), report, texts


def _match(inter: pl.DataFrame, reviews: pl.DataFrame) -> pl.DataFrame:
    """Return the interactions in their order with ``review``, ``text`` and ``by_time``."""
    inter = inter.with_columns(timestamp=parse_times(inter["timestamp"]).seconds)
    timed = [*_PAIR, "timestamp"]
    exact = reviews.unique(timed, keep="first", maintain_order=True)
    first = reviews.unique(_PAIR, keep="first", maintain_order=True)
    return (
        inter.join(exact, on=timed, how="left", maintain_order="left")
        .join(
            first.select(*_PAIR, first="review", first_text="text"),
            on=_PAIR,
            how="left",
            maintain_order="left",
        )
        .select(
            *_PAIR,
            by_time=pl.col("review").is_not_null(),
            review=pl.coalesce("review", "first"),
            text=pl.coalesce("text", "first_text", pl.lit("")),
        )
    )


def _count(path: Path, table: pl.DataFrame) -> Matched:
    by_time, without = int(table["by_time"].sum()), table["review"].null_count()
    return Matched(path.name, len(table), by_time, len(table) - by_time - without, without)


def _write(
    paths: list[Path], tables: list[pl.DataFrame], account: Mapping[str, Any]
) -> tuple[Path, ...]:
    targets = [reviews_path_of(path) for path in paths]
    try:
        for target, table in zip(targets, tables, strict=True):
            arrow = (
                table.select(REVIEWS_SCHEMA.names)
                .fill_null("")
                .to_arrow(compat_level=pl.CompatLevel.oldest())
            )
            with replacing(target) as aside:
                pq.write_table(arrow, aside, compression="zstd", store_schema=False)
        manifest = {
            "converter_version": __version__,
            **account,
            "outputs": [describe_file(target) for target in targets],
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        write_bytes(targets[0].with_name(ATTACHED), text.encode())
    except OSError as error:
        raise InputError(
            f"--output_dir: {targets[0].parent} cannot be written ({error.strerror or error}); "
            "check the free space and the permissions"
        ) from error
    return (*targets, targets[0].with_name(ATTACHED))
