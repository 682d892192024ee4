"""The ``convert`` sub-command: options, and the summary that it prints."""

from __future__ import annotations

import argparse
import difflib
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_symcere.errors import InputError

if TYPE_CHECKING:
    from recbole_symcere.convert.pipeline import Summary
    from recbole_symcere.convert.records import Reading

#: Source -> what it reads, for ``--list``.
SOURCES: Mapping[str, str] = {
    "amazon2014": "Amazon reviews of 2014: JSON lines, plain or gzip",
    "generic": "CSV, TSV, JSON lines (plain or gzip) or Parquet with one review per row",
    "synthetic": "reviews generated with a known truth",
}

_FILTERS: Mapping[str, tuple[type, str]] = {
    "k_core": (int, "keep users and items with at least N reviews, repeated until stable"),
    "user_core": (int, "keep users with at least N reviews"),
    "max_skipped": (float, "largest share of unusable rows, 0 to 1 (default: 0.01)"),
}
_FIELDS: Mapping[str, str] = {
    "user_field": "user_id",
    "item_field": "item_id",
    "rating_field": "rating",
    "time_field": "timestamp",
    "text_field": "text",
}
_DIALS: Mapping[str, tuple[type, str]] = {
    "n_users": (int, "number of users"),
    "n_items": (int, "number of items"),
    "n_reviews": (int, "number of reviews"),
    "preference_strength": (float, "how much attributes decide a choice; 0 for not at all"),
    "popularity_skew": (float, "exponent of the popularity's Zipf law; 0 for none"),
    "attribute_words": (float, "mean number of attribute words in a review"),
    "sentiment_words": (float, "mean number of sentiment words in a review"),
    "seed": (int, "seed of the random generator"),
}
_GENERIC_ONLY = (*_FIELDS, "input_format", "no_quotes")
_NOT_IN_MANIFEST = {"source", "list", "output_dir", "overwrite"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``convert``.

    Args:
        parser: the sub-command's parser.
    """
    parser.add_argument("source", nargs="?", metavar="SOURCE", help=f"one of {', '.join(SOURCES)}")
    parser.add_argument("--list", action="store_true", help="list the sources and stop")
    parser.add_argument("--input", type=Path, metavar="FILE", help="the file to read")
    parser.add_argument("--name", help="name of the data set")
    parser.add_argument(
        "--output_dir", type=Path, default=Path("dataset_atomic"), metavar="DIR",
        help="folder of the data sets (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an existing data set")
    for name, (kind, text) in _FILTERS.items():
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=text)
    parser.add_argument(
        "--keep_repeats", action="store_true",
        help="keep later reviews of the same user and item",
    )  # fmt: skip
    generic = parser.add_argument_group("options of the source generic")
    for name, column in _FIELDS.items():
        generic.add_argument(
            f"--{name}", metavar="NAME", help=f"column or key with the {column} (default: {column})"
        )
    generic.add_argument(
        "--input_format", choices=("csv", "tsv", "jsonl", "parquet"),
        help="format of the file (default: by its ending)",
    )  # fmt: skip
    generic.add_argument(
        "--no_quotes", action="store_true", help="quote marks are ordinary characters (CSV, TSV)"
    )
    synthetic = parser.add_argument_group("options of the source synthetic")
    for name, (kind, text) in _DIALS.items():
        synthetic.add_argument(f"--{name}", type=kind, metavar="N", help=text)


def run(args: argparse.Namespace) -> int:
    """Convert one source to one data set and print what was done.

    Args:
        args: the options of `add_arguments`.

    Returns:
        The exit code, 0.

    Raises:
        InputError: if an option or the input is wrong.
    """
    if args.list:
        _say("".join(f"{name:12}{text}\n" for name, text in SOURCES.items()))
        return 0
    # polars and pyarrow are loaded here, so that `--help` and other sub-commands stay quick
    from recbole_symcere.convert.pipeline import Filters, convert
    from recbole_symcere.convert.writer import check_target

    _check_options(args)
    filters = Filters(**_given(args, [*_FILTERS, "keep_repeats"]))
    target = check_target(args.output_dir, args.name, args.overwrite)
    summary = convert(_read(args), filters, target, _command_line(args))
    _say(format_summary(summary))
    return 0


def format_summary(summary: Summary) -> str:
    """Describe a conversion in a few lines for a person.

    Args:
        summary: what was done.

    Returns:
        Text that ends with a line break.
    """
    report, before, counts = summary.reading.report, summary.before_core, summary.counts
    n_skipped = report.rows_read - report.rows_kept
    density = counts.reviews / (counts.users * counts.items)
    removed = before.reviews - counts.reviews
    first, last = (datetime.fromtimestamp(t, UTC) for t in (summary.first_time, summary.last_time))
    size = sum(path.stat().st_size for path in summary.files)
    lines = [
        f"read {report.file}",
        f"  rows         {report.rows_read:,} read, {report.rows_kept:,} kept, "
        f"{n_skipped:,} skipped",
        *(f"  skipped      {skipped.describe()}" for skipped in report.skipped),
        *(f"  note         {note}" for note in report.notes),
        f"  texts        {summary.n_single_line:,} with white space or control characters tidied, "
        f"{summary.n_composed:,} brought to Unicode NFC",
        f"  repeats      {summary.n_repeats:,} later reviews of the same user and item removed",
        f"  k-core       {before.users:,} users, {before.items:,} items, {before.reviews:,} reviews"
        f" before; {removed:,} reviews removed",
        f"wrote {summary.files[0].parent}",
        f"  size         {counts.users:,} users, {counts.items:,} items, "
        f"{counts.reviews:,} reviews, density {density:.4%}",
        f"  texts        {counts.empty_texts:,} empty, {counts.distinct_texts:,} distinct",
        f"  times        {first:%Y-%m-%d} to {last:%Y-%m-%d}",
        f"  files        {', '.join(path.name for path in summary.files)} ({size / 1e6:.1f} MB)",
    ]
    if summary.reading.notice:
        lines.append(f"note: {summary.reading.notice}")
    return "\n".join(lines) + "\n"


def _check_options(args: argparse.Namespace) -> None:
    """Refuse a missing or unknown source, missing options and options of another source."""
    known = f"expected one of {', '.join(SOURCES)}; see 'convert --list'"
    if args.source is None:
        raise InputError(f"convert: no source is named; {known}")
    if args.source not in SOURCES:
        close = difflib.get_close_matches(args.source, SOURCES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise InputError(f"convert: there is no source {args.source!r}; {hint}{known}")
    if not args.name:
        raise InputError("--name: missing; name the data set, such as --name=my_reviews")
    foreign = [] if args.source == "generic" else list(_given(args, _GENERIC_ONLY))
    if args.source == "synthetic":
        foreign += ["input"] if args.input else []
    else:
        foreign += _given(args, _DIALS)
        if args.input is None:
            raise InputError(f"--input: missing; name the file that {args.source} shall read")
    if foreign:
        raise InputError(
            f"--{foreign[0]}: the source {args.source} does not know this option; leave it out"
        )


def _read(args: argparse.Namespace) -> Reading:
    if args.source == "synthetic":
        from recbole_symcere.convert.synthetic import generate
        from recbole_symcere.convert.synthetic_choice import Dials

        return generate(args.name, Dials(**_given(args, _DIALS)))
    if args.source == "amazon2014":
        from recbole_symcere.convert.amazon2014 import read_amazon2014

        return read_amazon2014(args.input)
    from recbole_symcere.convert.generic import GenericOptions, read_generic

    fields = {_FIELDS[name]: value for name, value in _given(args, _FIELDS).items()}
    return read_generic(args.input, GenericOptions(fields, args.input_format, args.no_quotes))


def _given(args: argparse.Namespace, names: Any) -> dict[str, Any]:
    """Return the options that were given, so that each default stands in one place only."""
    values = {name: getattr(args, name) for name in names}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def _command_line(args: argparse.Namespace) -> str:
    """Spell out the conversion without anything that names this machine."""
    parts = ["convert", args.source]
    for name, value in _given(args, sorted(vars(args).keys() - _NOT_IN_MANIFEST)).items():
        shown = value.name if isinstance(value, Path) else value
        parts.append(f"--{name}" if value is True else f"--{name}={shown}")
    return shlex.join(parts)


def _say(text: str) -> None:
    sys.stdout.write(text)
