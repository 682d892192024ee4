"""The command ``report``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.explain.explain_options import ReportOptions
from recbole_symcere.page.page import Entry, Gallery, Heading, Part, Picture, Text, TextTable
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.run.run_directory import BEST_CHECKPOINT, RunDirectory

if TYPE_CHECKING:
    from recbole_symcere.explain.run_page import Beside
    from recbole_symcere.explain.yardsticks import Measured

__all__ = ["help_text", "run"]

_HELP = """\
report --run=RUN[,RUN...] [--out=FILE] [--baselines=True] [--geometry=True]

Writes one HTML page of a finished run that needs no network and no other file: how it stands
against popularity and EASE on the same split and whether that is more than chance, metrics, groups
of items and users, curves of each loss term and metric, the run's explanations as far as they were
made (explain --help), its geometry, data set, settings and environment. Of several runs it writes
a page that puts them side by side: settings that differ, metrics with tests, curves and costs.

"""

_SHOWN = ("anchor", "lime")  # geometry is computed here
_PAIRS = 500
_SIMPLE = ("Pop", "EASE")  # models that the yardsticks are, too


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
    names = list(dict.fromkeys(name.strip() for name in options.run.split(",") if name.strip()))
    if not names:
        raise InputError("--run= names no run. Name a run's folder, such as runs/ID.")
    for name in names:
        refuse_missing_run(name)
    from recbole_symcere.base.files import write_bytes
    from recbole_symcere.page.html_page import as_html
    from recbole_symcere.page.terminal_page import as_data, as_terminal, first_screen
    from recbole_symcere.run.log_lines import short_path

    step("reading the run" if len(names) == 1 else "reading the runs")
    if len(names) == 1:
        parts, title = _of_one(names[0], options)
    else:
        parts, title = _of_several(names), "Runs side by side"
    default = Path(names[0]) / ("report.html" if len(names) == 1 else "runs.html")
    out = Path(options.out) if options.out else default
    write_bytes(out, as_html(parts, title).encode())
    terminal.out(f"{as_terminal(first_screen(parts))}\nsee {short_path(out)}")
    terminal.document(page=str(out), tables=as_data(parts))
    return 0


def _finished(name: str) -> tuple[RunDirectory, dict[str, Any], dict[str, Any]]:
    """A run's folder, settings and metrics.

    Raises:
        InputError: if it hasn't finished, or its files don't belong together.
    """
    from recbole_symcere.plugin import checkpoint
    from recbole_symcere.run.agreement import check_results

    folder = RunDirectory(Path(name))
    settings, metrics = folder.read_config(), folder.read_metrics()
    if metrics is None:
        raise InputError(
            f"--run={name}: the run hasn't finished, it has no metrics.json. Let it go on: "
            f"--resume={name}."
        )
    best = folder.path / BEST_CHECKPOINT
    if best.is_file():
        check_results(folder, checkpoint.load(best))
    return folder, settings, metrics


def _of_one(name: str, options: ReportOptions) -> tuple[list[Part], str]:
    from recbole_symcere.explain.data_page import data_parts
    from recbole_symcere.explain.run_page import read_manifest, run_page
    from recbole_symcere.run.catalogue import read_catalogue
    from recbole_symcere.run.places import located

    folder, settings, metrics = _finished(name)
    catalogue = read_catalogue(folder.path, metrics)
    analyses = [part for kind in _SHOWN for part in _explained(folder.path / "explain" / kind)]
    if options.geometry:
        analyses += _geometry(name, options, folder.path / BEST_CHECKPOINT)
    there = located(settings, folder.path, options.places, metrics.get("data_fingerprint"))
    place = Path(there["data_path"]) / there["dataset"]
    manifest = read_manifest(place)
    reviews = sorted(place.glob("*.reviews.parquet"))
    told = ((manifest or {}).get("notice"), metrics.get("notice"))
    notices = [*dict.fromkeys(line for text in told for line in str(text or "").splitlines())]
    beside = _beside(folder, metrics, catalogue, options.baselines)
    step("drawing")
    parts = run_page(
        folder.path.name,
        settings,
        metrics,
        notices,
        beside,
        data_parts(metrics, manifest, catalogue, reviews),
        analyses,
    )
    return parts, f"{metrics['model']} on {metrics['dataset']}"


def _of_several(names: list[str]) -> list[Part]:
    from recbole_symcere.explain.runs_page import runs_page
    from recbole_symcere.explain.side_by_side import OneRun
    from recbole_symcere.run.catalogue import read_catalogue

    last = [Path(name).absolute().name for name in names]
    shown = last if len(set(last)) == len(last) else names
    runs = []
    for name, path in zip(shown, names, strict=True):
        folder, settings, metrics = _finished(path)
        catalogue = read_catalogue(folder.path, metrics)
        runs.append(OneRun(name, settings, metrics, _users(folder, metrics, None), catalogue))
    step("drawing")
    return runs_page(runs)


def _users(folder: RunDirectory, metrics: dict[str, Any], catalogue: Any) -> "Measured | None":
    """What each test user gets from the run; None where its metrics don't tell."""
    from recbole_symcere.explain.yardsticks import measure_run

    k = _length(metrics)
    by_user = metrics["protocol"].get("ranked_for", "each user") == "each user"
    known = {f"ndcg@{k}", f"hit@{k}"} <= metrics["test"].keys() and metrics.get("beyond")
    if not by_user or not known:
        return None
    model = str(metrics["model"])
    name = f"this run ({model})" if model in _SIMPLE else model
    return measure_run(folder, catalogue, k, name)


def _length(metrics: dict[str, Any]) -> int:
    """The k of the metric that epochs are chosen by, else the first of RecBole's ``topk``."""
    protocol = metrics["protocol"]
    k = str(protocol.get("valid_metric", "")).partition("@")[2]
    return int(k) if k.isdigit() else int(next(iter(protocol.get("topk") or [10])))


def _beside(
    folder: RunDirectory, metrics: dict[str, Any], catalogue: Any, wanted: bool
) -> "Beside":
    """What stands beside the run's figures."""
    from recbole_symcere.explain.run_page import Beside
    from recbole_symcere.explain.yardsticks import refusal, tested, yardsticks

    k = _length(metrics)
    own = _users(folder, metrics, catalogue)
    why = refusal(metrics, catalogue)
    if own is None:
        why = why or f"the run keeps no NDCG@{k} and Hit@{k} of single users"
    if not wanted:
        why = "--baselines=False"
    if why or own is None:
        return Beside(k, own, refusal=why or "")
    step("measuring popularity and EASE")
    deepest = max(metrics["protocol"]["topk"])
    return Beside(k, own, tested(own, yardsticks(catalogue, k, deepest), f"ndcg@{k}"))


def _explained(folder: Path) -> list[Part]:
    """What an explanation left behind: its tests, if it has any, and its pictures."""
    pictures = [Picture.read(path) for path in sorted(folder.glob("*.svg"))]
    if not pictures:
        return []
    return [Heading(f"Explanation: {folder.name}", 2), *_tests(folder), Gallery(pictures)]


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


def _geometry(name: str, options: ReportOptions, checkpoint: Path) -> list[Part]:
    if not checkpoint.is_file():
        return []
    from recbole_symcere.explain.geometry import measure
    from recbole_symcere.explain.geometry_page import page

    step("measuring the geometry")
    title = Heading("Geometry of the vectors", 2)
    try:
        _, *rest = page(measure(name, _PAIRS, 0, options.places))
    except InputError as error:  # another kind of model, or changed data: the rest still stands
        return [title, Text(f"Not computed. {error}")]
    return [title, *(_lower(part) for part in rest)]


def _lower(part: Part) -> Part:
    """A heading one level further down."""
    return Heading(part.text, part.level + 1) if isinstance(part, Heading) else part
