"""``convert attach``: reviews onto an existing RecBole data set."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_symcere.convert.command import (
    add_generic,
    add_target,
    command_line,
    generic_options,
    say,
)
from recbole_symcere.errors import InputError

if TYPE_CHECKING:
    from recbole_symcere.convert.attach import Attached


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    Args:
        parser: the sub-command's parser.
    """
    parser.add_argument("--input", type=Path, metavar="FILE", help="the reviews")
    add_target(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace existing review files")
    parser.add_argument(
        "--inter_fields", metavar="USER,ITEM,TIME", default="user_id,item_id,timestamp",
        help="columns of the .inter files (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max_bad", type=float, default=0.01, metavar="N",
        help="largest share of unusable review rows, 0 to 1 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max_chars", type=int, default=20_000, metavar="N",
        help="cut texts after N characters; 0 for no limit (default: %(default)s)",
    )  # fmt: skip
    add_generic(parser.add_argument_group("the reviews' columns, as for the source generic"))


def run(args: argparse.Namespace, presets: Path | None = None) -> int:  # noqa: ARG001 # as stats
    """Attach reviews and print what was done.

    Args:
        args: the options.
        presets: not used.

    Returns:
        The exit code, 0.

    Raises:
        InputError: if an option, the data set or the reviews are wrong.
    """
    for name in ("input", "name"):
        if getattr(args, name) is None:
            raise InputError(f"--{name}: missing; convert attach needs --input and --name")
    from recbole_symcere.convert.attach import Fields, attach
    from recbole_symcere.convert.readers.generic import read_generic

    fields = Fields(*args.inter_fields.split(",")[:3])
    options = dataclasses.replace(
        generic_options(args), optional=frozenset({"rating", "timestamp"})
    )
    attached = attach(
        args.output_dir / args.name,
        read_generic(args.input, options),
        fields,
        args.max_bad,
        args.max_chars,
        args.overwrite,
        command_line("convert attach", args),
    )
    say(_summary(attached))
    return 0


def _summary(attached: Attached) -> str:
    report = attached.report
    lines = [
        f"read {report.file}",
        f"  rows         {report.rows_read:,} read, {report.rows_kept:,} kept",
        *(f"  skipped      {skipped.describe()}" for skipped in report.skipped),
        *(f"  note         {note}" for note in report.notes),
        f"  unmatched    {attached.unmatched:,} reviews of pairs that no interaction has",
        f"  unused       {attached.unused:,} more reviews of a pair than it has interactions",
    ]
    lines += (
        f"{part.file}: {part.interactions:,} interactions, {part.by_time:,} matched by time, "
        f"{part.by_pair:,} by user and item, {part.without:,} without a review"
        for part in attached.parts
    )
    lines += [f"wrote {', '.join(path.name for path in attached.files)}", ""]
    return "\n".join(lines)
