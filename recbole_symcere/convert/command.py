"""The ``convert`` sub-command: options, and which part of the package does what."""

from __future__ import annotations

import argparse
import difflib
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_symcere.convert.presets import Preset, load_preset
from recbole_symcere.convert.sources import SOURCES, listing
from recbole_symcere.errors import InputError

if TYPE_CHECKING:
    from recbole_symcere.convert.choose import Filters
    from recbole_symcere.convert.pipeline import Items
    from recbole_symcere.convert.records import Reading

_PROGRAM = "run_recbole_symcere.py convert"
_FILTERS: Mapping[str, tuple[type, str]] = {
    "k_core": (int, "keep users and items with at least N reviews, repeated until stable"),
    "user_core": (int, "keep users with at least N reviews"),
    "sample_reviews": (float, "draw this share of the reviews before the cores, such as 0.35"),
    "sample_users": (int, "draw N users after the cores, with all their reviews that are left"),
    "sample_seed": (int, "seed of the draws (default: 2025)"),
    "max_chars": (int, "cut texts after N characters; 0 for no limit (default: 20000)"),
    "max_bad": (float, "largest share of unusable rows, 0 to 1 (default: 0.01)"),
}
_FLAGS: Mapping[str, str] = {
    "keep_repeats": "keep later reviews of the same user and item",
    "keep_anonymous": "keep reviews by names that many people share, such as 'A Google User'",
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
#: Options that not every source knows -> the sources that do.
_ONLY: Mapping[str, Iterable[str]] = {
    **dict.fromkeys((*_FIELDS, "input_format", "no_quotes", "rating_range"), ("generic",)),
    **dict.fromkeys(("columns", "encoding"), ("rakuten_travel",)),
    **dict.fromkeys(_DIALS, ("synthetic",)),
    "meta": [name for name, source in SOURCES.items() if source.has_items],
    "input": SOURCES.keys() - {"synthetic"},
}
_NOT_IN_MANIFEST = {"source", "list", "output_dir", "overwrite"}


def main(words: Sequence[str], presets: Path | None = None) -> int:
    """Run ``convert`` and its own sub-commands ``stats`` and ``attach``.

    Args:
        words: what follows ``convert`` on the command line.
        presets: folder of the data sets' yaml files.

    Returns:
        The exit code, 0.

    Raises:
        InputError: if an option or the input is wrong.
    """
    if words[:1] in (["stats"], ["attach"]):
        part = import_module(f"recbole_symcere.convert.{words[0]}_command")
        parser = argparse.ArgumentParser(prog=f"{_PROGRAM} {words[0]}")
        part.add_arguments(parser)
        return int(part.run(parser.parse_args(words[1:]), presets))
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, epilog="convert stats --help and convert attach --help tell of those two"
    )
    add_arguments(parser)
    return run(parser.parse_args(words), presets)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``convert SOURCE``.

    Args:
        parser: the sub-command's parser.
    """
    parser.add_argument("source", nargs="?", metavar="SOURCE", help=f"one of {', '.join(SOURCES)}")
    parser.add_argument("--list", action="store_true", help="list the sources and stop")
    parser.add_argument("--input", type=Path, metavar="FILE", help="the file to read")
    parser.add_argument("--meta", type=Path, metavar="FILE", help="a file of item texts")
    add_target(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing data set")
    for name, (kind, text) in _FILTERS.items():
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=text)
    parser.add_argument(
        "--copied_texts", choices=("keep", "merge"),
        help="what to do with one text under several items by one user at one time, as Amazon's "
        "variants: keep all (default) or merge them into the first",
    )  # fmt: skip
    for name, text in _FLAGS.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    add_generic(parser.add_argument_group("options of the source generic"))
    rakuten = parser.add_argument_group("options of the source rakuten_travel")
    rakuten.add_argument(
        "--columns", metavar="A,B,...",
        help="the file's columns in order: user_id, item_id, rating, timestamp, title and text "
        "where they are, - for others",
    )  # fmt: skip
    rakuten.add_argument("--encoding", help="auto (default), utf-8 or cp932 (Shift_JIS)")
    synthetic = parser.add_argument_group("options of the source synthetic")
    for name, (kind, text) in _DIALS.items():
        synthetic.add_argument(f"--{name}", type=kind, metavar="N", help=text)


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a data set."""
    parser.add_argument("--name", help="name of the data set")
    parser.add_argument(
        "--output_dir", type=Path, default=Path("dataset_atomic"), metavar="DIR",
        help="folder of the data sets (default: %(default)s)",
    )  # fmt: skip


def add_generic(group: argparse._ArgumentGroup) -> None:
    """Add the options of the source generic."""
    for name, column in _FIELDS.items():
        group.add_argument(
            f"--{name}", metavar="NAME", help=f"column or key with the {column} (default: {column})"
        )
    group.add_argument(
        "--input_format", choices=("csv", "tsv", "jsonl", "parquet"),
        help="format of the file (default: by its ending)",
    )  # fmt: skip
    group.add_argument(
        "--no_quotes", action="store_true", help="quote marks are ordinary characters (CSV, TSV)"
    )
    group.add_argument(
        "--rating_range", metavar="MIN,MAX", help="other ratings are unusable (default: any)"
    )


def run(args: argparse.Namespace, presets: Path | None = None) -> int:
    """Convert one source to one data set and print what was done.

    Args:
        args: the options of `add_arguments`.
        presets: folder of the data sets' yaml files.

    Returns:
        The exit code, 0.

    Raises:
        InputError: if an option or the input is wrong.
    """
    if args.list:
        say(listing())
        return 0
    _check_options(args)
    # polars and pyarrow are loaded here, so that `--help` and other sub-commands stay quick
    from recbole_symcere.convert.pipeline import convert
    from recbole_symcere.convert.summary import format_summary
    from recbole_symcere.convert.writer import check_target

    preset = load_preset(presets, args.name) if args.source != "synthetic" else None
    filters = _filters(args, preset)
    target = check_target(args.output_dir, args.name, args.overwrite)
    summary = convert(
        _read(args, filters), filters, target, command_line("convert", args), _items(args)
    )
    say(format_summary(summary, preset))
    return 0


def _filters(args: argparse.Namespace, preset: Preset | None) -> Filters:
    from recbole_symcere.convert.choose import Filters

    known = [*_FILTERS, *_FLAGS, "copied_texts"]
    given = _given(args, known)
    if preset is None:
        return Filters(**given)
    for name in preset.filters:
        if name not in known:
            raise InputError(
                f"{preset.file}: convert holds the unknown filter {name!r}; expected one of "
                f"{', '.join(known)}"
            )
    return Filters(**preset.beside(given), **given)


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
    for name in _given(args, _ONLY):
        if args.source not in _ONLY[name]:
            raise InputError(
                f"--{name}: the source {args.source} does not know this option; leave it out"
            )
    if args.input is None and args.source != "synthetic":
        raise InputError(f"--input: missing; name the file that {args.source} shall read")


def _read(args: argparse.Namespace, filters: Filters) -> Reading:
    if args.source == "synthetic":
        from recbole_symcere.convert.synthetic import generate
        from recbole_symcere.convert.synthetic_choice import Dials

        return generate(args.name, Dials(**_given(args, _DIALS)))
    anonymous = frozenset() if filters.keep_anonymous else SOURCES[args.source].anonymous
    reader = import_module(f"recbole_symcere.convert.readers.{args.source}")
    read = getattr(reader, f"read_{args.source}")
    options: list[Any] = []
    if args.source == "generic":
        options = [generic_options(args)]
    elif args.source == "rakuten_travel":
        options = [reader.RakutenOptions.of(**_given(args, ("columns", "encoding")))]
    reading: Reading = read(args.input, *options, anonymous=anonymous)
    return reading


def generic_options(args: argparse.Namespace) -> Any:
    """Return the `GenericOptions` that were given."""
    from recbole_symcere.convert.readers.generic import GenericOptions

    fields = {_FIELDS[name]: value for name, value in _given(args, _FIELDS).items()}
    return GenericOptions(
        fields, args.input_format, args.no_quotes, _range(getattr(args, "rating_range", None))
    )


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--rating_range: {text!r} is no range; expected two numbers such as 1,5"
        ) from None
    return low, high


def _items(args: argparse.Namespace) -> Items | None:
    if args.meta is None:
        return None
    from recbole_symcere.convert.items import item_writer
    from recbole_symcere.convert.pipeline import Items

    return Items(args.meta, item_writer(args.source, args.meta))


def _given(args: argparse.Namespace, names: Any) -> dict[str, Any]:
    """Return the options that were given, so that each default stands in one place only."""
    values = {name: getattr(args, name, None) for name in names}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def command_line(command: str, args: argparse.Namespace) -> str:
    """Spell out a command without anything that names this machine."""
    parts = [command, *([args.source] if "source" in args else [])]
    for name, value in _given(args, sorted(vars(args).keys() - _NOT_IN_MANIFEST)).items():
        shown = value.name if isinstance(value, Path) else value
        parts.append(f"--{name}" if value is True else f"--{name}={shown}")
    return shlex.join(parts)


def say(text: str) -> None:
    """Print to the user."""
    sys.stdout.write(text)
