"""From a reading to a data set folder, in three passes, accounting for each step.

1. Blocks are read, checked and cleaned on threads, and spilled to disk.
2. On numbers alone: order, repeats, copies, cores, draws.
3. The rows that stay come back in their final order and are written.

Memory holds a few blocks and some tens of bytes per row, never all texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recbole_symcere.base.live_line import step
from recbole_symcere.convert.choose import Chosen, choose
from recbole_symcere.convert.clean import TextCounts
from recbole_symcere.convert.convert_options import Filters
from recbole_symcere.convert.inputs import Inputs, Reader, read_here, read_inputs
from recbole_symcere.convert.records import Reading, ReadReport
from recbole_symcere.convert.spill import Spill
from recbole_symcere.convert.writer import (
    UNKNOWN_ORDER,
    describe_file,
    new_data_set,
    write_manifest,
    write_tables,
)

# runs, tables and pages show it
_UNORDERED = "{name} has no times, so each run splits it at random, by its seed"
REJECTED_FILE = "rejected.jsonl"

#: Writes item texts for the items that stay: (file to write, ids of the items) -> the account.
ItemWriter = Callable[[Path, pl.Series], dict[str, Any]]


@dataclass(frozen=True)
class Items:
    """Where item texts come from.

    Attributes:
        path: the metadata file.
        write: writes them.
    """

    path: Path
    write: ItemWriter


@dataclass(frozen=True)
class Summary:
    """What a conversion did.

    Attributes:
        notice: what a person should see of the data, or None.
        report: rows read, kept and left out.
        texts: texts that each cleaning rule changed.
        chosen: what the filters did.
        filters: the filters in force.
        items: the account of the item texts; empty where there were none.
        files: the files written.
    """

    notice: str | None
    report: ReadReport
    texts: TextCounts
    chosen: Chosen
    filters: Filters
    items: dict[str, Any]
    files: tuple[Path, ...]


def convert(
    inputs: Inputs,
    filters: Filters,
    target: Path,
    command: str,
    items: Items | None = None,
    reader: Reader = read_here,
) -> Summary:
    """Clean, filter and write what files hold.

    Args:
        inputs: where reviews come from.
        filters: which reviews stay.
        target: the data set's folder, from `writer.check_target`.
        command: the command line for the manifest, without machine paths.
        items: where item texts come from, or None.
        reader: who reads the files.

    Returns:
        What was done.

    Raises:
        InputError: if the input cannot be read, too many rows are unusable, no review is left or
            the folder cannot be written.
    """
    with new_data_set(target) as folder, ThreadPoolExecutor(1) as background:
        with Spill(folder / "spill") as spill:
            report, texts = read_inputs(
                inputs, filters.max_bad, filters.max_chars, spill.add, reader
            )
            # reading keeps all cores busy; what follows leaves time for this
            described = [
                background.submit(describe_file, path, name=label)
                for path, label in _files(inputs, items).items()
            ]
            timed = "timestamp" not in report.absent
            notice = inputs.first.notice if timed else _UNORDERED.format(name=target.name)
            step("choosing")
            chosen = choose(spill.rows(), filters, timed)
            step(f"writing {target.name}")
            tables = spill.ordered(chosen.order)
            hashes = write_tables(folder, target.name, tables, report.absent)
        if items:
            step("reading item texts")
        written = _write_items(items, folder, target.name) if items else {}
        step("describing what was read")
        _write_extras(folder, inputs.first, report)
        manifest = {
            **_origin(inputs.first, command),
            "notice": notice,
            "order": "time" if timed else UNKNOWN_ORDER,
            "inputs": [future.result() for future in described],
            "filters": asdict(filters),
            "counts": {
                **chosen.size._asdict(),
                "empty_texts": chosen.empty_texts,
                "distinct_texts": chosen.distinct_texts,
            },
            "read_report": _account(report, texts, chosen, filters),
            **({"items": written} if items else {}),
        }
        write_manifest(folder, target.name, manifest, hashes)
    files = tuple(sorted(target.iterdir()))
    return Summary(notice, report, texts, chosen, filters, written, files)


def _files(inputs: Inputs, items: Items | None) -> dict[Path, str]:
    """File -> its name in the manifest."""
    named = inputs.files()
    if items:
        named.setdefault(items.path, items.path.name)
    return named


def _write_items(items: Items, folder: Path, name: str) -> dict[str, Any]:
    inter = pl.scan_parquet(folder / f"{name}.reviews.parquet")
    ids = inter.select(pl.col("item_id").unique()).collect(engine="streaming")["item_id"]
    return items.write(folder / f"{name}.items.parquet", ids.sort())


def _write_extras(folder: Path, reading: Reading, report: ReadReport) -> None:
    for name, content in reading.extra_files.items():
        (folder / name).write_bytes(content)
    if report.rejected:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in report.rejected)
        (folder / REJECTED_FILE).write_text("".join(lines), encoding="utf-8")


def _origin(reading: Reading, command: str) -> dict[str, Any]:
    return {
        "source": reading.source,
        "synthetic": reading.synthetic,
        "command": command,
    }


def _account(
    report: ReadReport, texts: TextCounts, chosen: Chosen, filters: Filters
) -> dict[str, Any]:
    """Return the report without values found: they would be pieces of somebody's reviews."""
    return {
        "rows_read": report.rows_read,
        "rows_kept": report.rows_kept,
        "skipped": [
            {
                "file": skipped.file,
                "reason": skipped.reason,
                "count": skipped.count,
                "first_lines": skipped.lines,
            }
            for skipped in report.skipped
        ],
        "notes": report.notes,
        "anonymous_removed": report.anonymous,
        "texts_damaged": report.damaged,
        **{f"texts_{rule}": count for rule, count in texts._asdict().items()},
        "repeats_found": chosen.repeats,
        "repeats_removed": 0 if filters.keep_repeats else chosen.repeats,
        "copied_texts": chosen.copied,
        "copies_removed": chosen.merged,
        "sampled_out": chosen.sampled_out,
        "removed_by_core": chosen.removed_by_core,
    }
