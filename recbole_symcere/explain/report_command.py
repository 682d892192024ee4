"""The command ``report``."""

import json
from pathlib import Path
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.explain.explain_options import ReportOptions
from recbole_symcere.page.page import Entry, Heading, Part, Picture, Text, TextTable
from recbole_symcere.run.place_options import refuse_missing_run

__all__ = ["help_text", "run"]

_HELP = """\
report --run=RUN [--out=FILE] [--geometry=True]

Writes one HTML page of a finished run that needs no network and no other file: metrics, curves of
each loss term and metric, the run's explanations as far as they were made (explain --help), its
geometry, data set card, settings and environment.

"""

_SHOWN = ("anchor", "lime")  # geometry is computed here
_PAIRS = 500


def help_text() -> str:
    """What ``report --help`` says."""
    return _HELP + help_of(ReportOptions)


def run(pairs: dict[str, Any]) -> int:
    """Write the page.

    Args:
        pairs: the options as strings.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a run that isn't there or hasn't finished.
    """
    options = take_options(ReportOptions, pairs)
    refuse_unknown(pairs, "report", ReportOptions)
    refuse_missing_run(options.run)
    from recbole_symcere.base.files import write_bytes
    from recbole_symcere.explain.run_page import read_manifest, run_page
    from recbole_symcere.page.page import as_html
    from recbole_symcere.page.terminal_page import as_data, as_terminal, first_screen
    from recbole_symcere.plugin import checkpoint
    from recbole_symcere.run.agreement import check_results
    from recbole_symcere.run.log_lines import short_path
    from recbole_symcere.run.places import located
    from recbole_symcere.run.run_directory import BEST_CHECKPOINT, RunDirectory

    folder = RunDirectory(Path(options.run))
    settings, metrics = folder.read_config(), folder.read_metrics()
    if metrics is None:
        raise InputError(
            f"--run={options.run}: the run hasn't finished, it has no metrics.json. Let it go on: "
            f"--resume={options.run}."
        )
    best = folder.path / BEST_CHECKPOINT
    if best.is_file():
        check_results(folder, checkpoint.load(best))
    analyses = [part for kind in _SHOWN for part in _explained(folder.path / "explain" / kind)]
    if options.geometry:
        analyses += _geometry(options, best)
    there = located(settings, folder.path, options.places, metrics.get("data_fingerprint"))
    manifest = read_manifest(Path(there["data_path"]) / there["dataset"])
    parts = run_page(folder.path.name, settings, metrics, manifest, analyses)
    out = Path(options.out) if options.out else folder.path / "report.html"
    title = f"{metrics['model']} on {metrics['dataset']}"
    write_bytes(out, as_html(parts, title).encode())
    terminal.out(f"{as_terminal(first_screen(parts))}\nsee {short_path(out)}")
    terminal.document(page=str(out), tables=as_data(parts))
    return 0


def _explained(folder: Path) -> list[Part]:
    """What an explanation left behind: its tests, if it has any, and its pictures."""
    pictures: list[Part] = [
        Picture(path.name, path.read_bytes(), path.stem.replace("_", " "))
        for path in sorted(folder.glob("*.png"))
    ]
    if not pictures:
        return []
    return [Heading(f"Explanation: {folder.name}", 2), *_tests(folder), *pictures]


def _tests(folder: Path) -> list[Part]:
    file = folder / "anchor.json"
    if not file.is_file():
        return []
    words = {True: "yes", False: "no", None: "can't be judged"}
    try:
        numbers: Any = json.loads(file.read_text(encoding="utf-8"))
        rows = [[Entry(test["question"]), Entry(words[test["holds"]])] for test in numbers["tests"]]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{file} is damaged: {type(error).__name__}: {error}. Make it anew: explain anchor "
            f"--run={folder.parents[1]}."
        ) from None
    return [TextTable(["test", "holds"], rows)]


def _geometry(options: ReportOptions, checkpoint: Path) -> list[Part]:
    if not checkpoint.is_file():
        return []
    from recbole_symcere.explain.geometry import measure
    from recbole_symcere.explain.geometry_page import page

    title = Heading("Geometry of the vectors", 2)
    try:
        _, *rest = page(measure(options.run, _PAIRS, 0, options.places))
    except InputError as error:  # another kind of model, or changed data: the rest still stands
        return [title, Text(f"Not computed. {error}")]
    return [title, *(_lower(part) for part in rest)]


def _lower(part: Part) -> Part:
    """A heading one level further down."""
    return Heading(part.text, part.level + 1) if isinstance(part, Heading) else part
