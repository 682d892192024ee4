"""``convert stats``: prints the figures of a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from recbole_symcere.convert.command import add_target, say
from recbole_symcere.convert.presets import load_preset
from recbole_symcere.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    Args:
        parser: the sub-command's parser.
    """
    add_target(parser)


def run(args: argparse.Namespace, presets: Path | None = None) -> int:
    """Count a data set and print it beside Table 1 of the paper.

    Args:
        args: the options.
        presets: folder of the data sets' yaml files.

    Returns:
        The exit code, 0.

    Raises:
        InputError: if there is no such data set.
    """
    if not args.name:
        raise InputError("--name: missing; name the data set, such as --name=yelp")
    from recbole_symcere.convert.stats import count_stats, format_stats

    stats = count_stats(args.output_dir / args.name)
    say(format_stats(args.name, stats, load_preset(presets, args.name)))
    return 0
