"""The command ``convert`` and its own, ``convert stats`` and ``convert attach``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.base.live_line import step
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import hints_of, parse_pairs, refuse_unknown, take_options
from recbole_symcere.convert.convert_options import (
    AttachOptions,
    ClusterOptions,
    Dials,
    FieldOptions,
    Filters,
    InputOptions,
    LayoutOptions,
    MetaOptions,
    OverwriteOptions,
    TableOptions,
    TargetOptions,
    TextLimits,
)
from recbole_symcere.convert.presets import Preset, load_preset
from recbole_symcere.convert.sources import SOURCES, listing, reader_of

if TYPE_CHECKING:
    from recbole_symcere.convert.attach import Attached
    from recbole_symcere.convert.inputs import Inputs, Reader
    from recbole_symcere.convert.pipeline import Items

_COMMON = (TargetOptions, OverwriteOptions, Filters)
_ATTACH = (InputOptions, TargetOptions, OverwriteOptions, AttachOptions, TableOptions, TextLimits)
_NOT_IN_MANIFEST = {"output_dir", "overwrite", "ray_address"}

_HELP = """\
convert SOURCE --input=FILE --name=NAME [--key=value ...]   a dump becomes a data set
convert SOURCE --help                                       what that source takes
convert stats --name=NAME [--output_dir=DIR]                a data set's figures
convert attach --input=FILE --name=NAME [--key=value ...]   reviews onto a RecBole data set

The sources, where to get them, and on which terms:

"""
_STATS_HELP = """\
convert stats --name=NAME [--output_dir=DIR]

Counts a data set and prints its figures beside Table 1 of the paper.

"""
_ATTACH_HELP = """\
convert attach --input=FILE --name=NAME [--key=value ...]

Writes the review file for a RecBole data set that is there already; its .inter files stay as they
are. A review goes to the interaction of its user and item, among several to the one of its time.

"""


#: From the address of a cluster to what reads files there, for the length of a block.
Cluster = Callable[[str], AbstractContextManager["Reader"]]


def main(words: Sequence[str], presets: Path | None = None, cluster: Cluster | None = None) -> int:
    """Run ``convert`` and its own commands ``stats`` and ``attach``.

    Args:
        words: what follows ``convert`` on the command line.
        presets: folder of the data sets' yaml files.
        cluster: reads files on a Ray cluster; None where there can be none.

    Returns:
        The exit status, 0.

    Raises:
        InputError: if an option or the input is wrong.
    """
    first, rest = (words[0], words[1:]) if words else ("--help", ())
    if first in {"-h", "--help"}:
        terminal.out(_HELP + listing())
        return 0
    commands: Mapping[str, Callable[[dict[str, Any]], None]] = {
        "stats": lambda pairs: _stats(pairs, presets),
        "attach": _attach,
        **{source: _converter(source, presets, cluster) for source in SOURCES},
    }
    if first not in commands:
        raise InputError(
            f"convert: there is no source {first!r}.{did_you_mean(first, commands)} "
            f"Expected one of {', '.join(SOURCES)}; convert --help tells of them."
        )
    if any(word in {"-h", "--help"} for word in rest):
        terminal.out(_help_of(first) + terminal.FLAGS_HELP)
        return 0
    commands[first](parse_pairs(rest))
    return 0


def _help_of(command: str) -> str:
    if command == "stats":
        return _STATS_HELP + help_of(TargetOptions)
    if command == "attach":
        return _ATTACH_HELP + help_of(*_ATTACH)
    given = "" if InputOptions not in SOURCES[command].options else "--input=FILE "
    return (
        f"convert {command} {given}--name=NAME [--key=value ...]\n\n{listing([command])}\n"
        f"{help_of(*_groups(command))}"
    )


def _groups(source: str) -> tuple[type, ...]:
    own = SOURCES[source].options
    return (*own, *_COMMON, *((ClusterOptions,) if InputOptions in own else ()))


def _converter(
    source: str, presets: Path | None, cluster: Cluster | None
) -> Callable[[dict[str, Any]], None]:
    return lambda pairs: _convert(source, pairs, presets, cluster)


def _convert(
    source: str, pairs: dict[str, Any], presets: Path | None, cluster: Cluster | None
) -> None:
    """Convert one source to one data set and print what was done."""
    command = _command_line(f"convert {source}", pairs)
    target = take_options(TargetOptions, pairs)
    overwrite = take_options(OverwriteOptions, pairs).overwrite
    options: dict[type, Any] = {
        group: take_options(group, pairs) for group in _groups(source) if group not in _COMMON
    }
    preset = load_preset(presets, target.name) if source != "synthetic" else None
    filters = _filters(pairs, preset)
    refuse_unknown(pairs, f"convert {source}", *_groups(source))
    # polars and pyarrow are loaded here, so that `--help` and other commands stay quick
    from recbole_symcere.convert.pipeline import convert
    from recbole_symcere.convert.summary import format_summary
    from recbole_symcere.convert.writer import check_target

    folder = check_target(Path(target.output_dir), target.name, overwrite)
    inputs = _inputs(source, target.name, options, filters)
    with _reader(options.get(ClusterOptions), cluster) as reader:
        summary = convert(inputs, filters, folder, command, _items(source, options), reader)
    terminal.out(format_summary(summary, preset))
    terminal.document(folder=str(folder), files=[str(path) for path in summary.files])
    terminal.document(manifest=json.loads((folder / "manifest.json").read_text(encoding="utf-8")))


def _reader(
    options: ClusterOptions | None, cluster: Cluster | None
) -> AbstractContextManager[Reader]:
    from recbole_symcere.convert.inputs import read_here

    if options is None or options.ray_address is None:
        return nullcontext(read_here)
    if cluster is None:
        raise InputError("--ray_address: nothing here can reach a cluster; leave it out")
    return cluster(options.ray_address)


def _filters(pairs: dict[str, Any], preset: Preset | None) -> Filters:
    """The filters that were given, beside those of a data set that is known by its name."""
    known = hints_of(Filters)
    given = {name: pairs[name] for name in known.keys() & pairs.keys()}
    if preset is not None:
        for name in preset.filters:
            if name not in known:
                raise InputError(
                    f"{preset.file}: convert holds the unknown filter {name!r}; expected one of "
                    f"{', '.join(known)}"
                )
        pairs |= preset.beside(given)
    return take_options(Filters, pairs)


def _inputs(source: str, name: str, options: Mapping[type, Any], filters: Filters) -> Inputs:
    from recbole_symcere.convert.inputs import Inputs, input_paths

    if Dials in options:
        from recbole_symcere.convert.synthetic import generate

        made = generate(name, options[Dials])
        return Inputs([made], [made.file])
    anonymous = frozenset() if filters.keep_anonymous else SOURCES[source].anonymous
    own = [value for group in (FieldOptions, LayoutOptions) if (value := options.get(group))]
    read = reader_of(source)
    paths = input_paths(options[InputOptions].input)
    return Inputs.of(paths, lambda path: read(path, *own, anonymous=anonymous))


def _items(source: str, options: Mapping[type, Any]) -> Items | None:
    meta = options[MetaOptions].meta if MetaOptions in options else None
    if meta is None:
        return None
    from recbole_symcere.convert.item_texts import item_writer
    from recbole_symcere.convert.pipeline import Items

    return Items(Path(meta), item_writer(source, Path(meta)))


def _stats(pairs: dict[str, Any], presets: Path | None) -> None:
    """Count a data set and print it beside Table 1 of the paper."""
    target = take_options(TargetOptions, pairs)
    refuse_unknown(pairs, "convert stats", TargetOptions)
    from recbole_symcere.convert.stats import count_stats, format_stats

    step(f"counting {target.name}")
    stats = count_stats(Path(target.output_dir) / target.name)
    terminal.out(format_stats(target.name, stats, load_preset(presets, target.name)))
    terminal.document(name=target.name, **asdict(stats), density=stats.density)


def _attach(pairs: dict[str, Any]) -> None:
    """Write review files for an existing data set and print what was done."""
    command = _command_line("convert attach", pairs)
    told: dict[type, Any] = {group: take_options(group, pairs) for group in _ATTACH}
    refuse_unknown(pairs, "convert attach", *_ATTACH)
    from recbole_symcere.convert.attach import Fields, attach
    from recbole_symcere.convert.inputs import Inputs, input_paths

    target, limits, read = told[TargetOptions], told[TextLimits], reader_of("generic")
    # an interaction needs its review's time only where a pair has several
    options, lacking = FieldOptions(**vars(told[TableOptions]), implicit=True), {"timestamp"}
    attached = attach(
        Path(target.output_dir) / target.name,
        Inputs.of(
            input_paths(told[InputOptions].input), lambda path: read(path, options, lacking=lacking)
        ),
        Fields(*told[AttachOptions].inter_fields[:3]),
        limits.max_bad,
        limits.max_chars,
        told[OverwriteOptions].overwrite,
        command,
    )
    terminal.out(_told(attached))
    terminal.document(files=[str(path) for path in attached.files], unmatched=attached.unmatched)
    terminal.document(unused=attached.unused, parts=[asdict(part) for part in attached.parts])


def _told(attached: Attached) -> str:
    report = attached.report
    lines = [
        *report.listed(),
        f"  rows         {report.rows_read:,} read, {report.rows_kept:,} kept",
        *(f"  skipped      {line}" for line in report.described()),
        *(f"  note         {note}" for note in report.noted()),
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


def _command_line(command: str, pairs: Mapping[str, Any]) -> str:
    """Spell out a command without anything that names this machine."""
    files = hints_of(InputOptions, MetaOptions)
    shown = {
        name: _without_folders(value) if name in files else value
        for name, value in sorted(pairs.items())
        if name not in _NOT_IN_MANIFEST
    }
    return shlex.join([*command.split(), *(f"--{name}={value}" for name, value in shown.items())])


def _without_folders(files: str) -> str:
    return files if Path(files).name == files else ",".join(Path(x).name for x in files.split(","))
