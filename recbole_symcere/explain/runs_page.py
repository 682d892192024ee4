"""Several runs side by side: what differs between their settings, what they reached, and how."""

from collections.abc import Mapping, Sequence
from itertools import cycle

from recbole_symcere.evaluate.significance import compare, holm
from recbole_symcere.explain.run_figures import active_terms
from recbole_symcere.explain.side_by_side import OneRun, ranked_items, unlike
from recbole_symcere.explain.yardsticks import gains
from recbole_symcere.page.figures import (
    COLOURS,
    clipped,
    drawing,
    escaped,
    key,
    label_ends,
    svg,
    whole_numbers,
)
from recbole_symcere.page.metric_words import main_metric, metrics_note, shown, with_interval
from recbole_symcere.page.page import Entry, Gallery, Heading, Part, Picture, Text, TextTable
from recbole_symcere.run.log_lines import metric_title

__all__ = ["runs_page"]

_PLACES = {"run_dir", "checkpoint_dir", "data_path", "cache_dir", "runs_dir"}
_LONGEST = 24  # characters of a run's name beside its line
_MANY = 8  # runs, up to which each line has its name beside it


def runs_page(runs: Sequence[OneRun]) -> list[Part]:
    """The parts of the page; runs are compared with the first.

    Args:
        runs: two or more, of different names.
    """
    sets = list(dict.fromkeys(str(run.metrics["dataset"]) for run in runs))
    main = _main(runs)
    return [
        Heading(f"{len(runs)} runs on {', '.join(sets)}", 1),
        Text(
            f"Runs are told by their folders, and compared with the first, {runs[0].name}, where "
            "both were tested alike: on the same held-out pairs, ranked among the same items."
        ),
        Heading("What they reached", 2),
        _reached(runs, main),
        Heading("How they learnt", 2),
        *_curves(runs, sets, main),
        Heading("What they cost", 2),
        _costs(runs),
        Heading("Settings that differ", 2),
        *_settings(runs),
    ]


def _main(runs: Sequence[OneRun]) -> str:
    """The metric by which the first run chose its epoch."""
    first = runs[0].metrics
    names = list(first["test"] or first["valid"])
    return main_metric(first, names)


def _reached(runs: Sequence[OneRun], main: str) -> TextTable:
    k = main.partition("@")[2]
    found = dict.fromkeys(name for run in runs for name in run.metrics["test"])
    names = [main, *(n for n in found if n != main and n.partition("@")[2] == k)]
    tests = _tests(runs, main)
    head = ["run", f"{metric_title(main)}, test", "difference to the first [95 %]", "p (Holm)"]
    head += [f"{metric_title(main)}, validation"]
    head += [f"{metric_title(name)}, test" for name in names[1:]]
    head += ["model", "data set", "seed", "items ranked"]
    best = _best(runs, main)
    rows = []
    for n, run in enumerate(runs):
        metrics = run.metrics
        tested = metrics["test"].get(main)
        mark = "best" if tested is not None and tested == best else ""
        rows.append(
            [
                Entry(run.name),
                Entry(_number(tested), mark),
                *tests.get(n, (Entry("-"), Entry("-"))),
                Entry(_number(metrics["valid"].get(main))),
                *(Entry(_number(metrics["test"].get(name))) for name in names[1:]),
                *(Entry(str(metrics[what])) for what in ("model", "dataset", "seed")),
                Entry(ranked_items(run)),
            ]
        )
    note = (
        f"{metrics_note(names)} Difference: of {metric_title(main)} on the test split to the first "
        "run, mean over users; p: the paired sign-flip test of users that it is 0, adjusted for "
        "the number of runs; the interval isn't adjusted. A run is one seed: another seed may give "
        "another difference. Where two runs weren't tested alike there is no test, and no best."
    )
    return TextTable(head, rows, note)


def _best(runs: Sequence[OneRun], main: str) -> float | None:
    """The best value on the test split; None where the runs weren't all tested alike."""
    tested = [run for run in runs if run.metrics["test"].get(main) is not None]
    if not tested or any(unlike(tested[0], run) for run in tested[1:]):
        return None
    return max(float(run.metrics["test"][main]) for run in tested)


def _tests(runs: Sequence[OneRun], main: str) -> dict[int, tuple[Entry, Entry]]:
    """Difference and p-value of the runs tested as the first was; of others why there are none."""
    first = runs[0]
    tables, untested = {}, {}
    for n, run in enumerate(runs[1:], 1):
        why = unlike(first, run) or _unknown(first, main) or _unknown(run, main)
        if why or first.users is None or run.users is None:
            untested[n] = (Entry(f"not tested: {why}"), Entry("-"))
        else:
            tables[n] = gains(run.users, first.users, main)
    found = compare(list(tables.values()))
    adjusted = holm([one.p_value for one in found])
    return untested | {
        n: (
            Entry(with_interval(one.difference, one.interval)),
            Entry(f"{p:.4f}"),
        )
        for n, one, p in zip(tables, found, adjusted, strict=True)
    }


def _unknown(run: OneRun, main: str) -> str:
    """Why a run can't be tested user by user."""
    if run.users is None or main not in run.users.columns:
        return f"{run.name} keeps no {metric_title(main)} of single users"
    return ""


def _settings(runs: Sequence[OneRun]) -> list[Part]:
    keys = dict.fromkeys(key for run in runs for key in run.settings if key not in _PLACES)
    rows = []
    for name in keys:
        values = [shown(run.settings[name]) if name in run.settings else "-" for run in runs]
        if len(set(values)) > 1:
            rows.append([Entry(name), *map(Entry, values)])
    if not rows:
        return [Text("None: the runs have the same settings.")]
    rows.sort(key=lambda row: sum(entry.text == "-" for entry in row))
    note = (
        "First the settings that all runs have; - where a run has no such setting. Where files lie "
        "is left out."
    )
    return [TextTable(["setting", *(run.name for run in runs)], rows, note)]


def _curves(runs: Sequence[OneRun], sets: Sequence[str], main: str) -> list[Part]:
    colours = dict(zip((run.name for run in runs), cycle(COLOURS), strict=False))
    parts: list[Part] = []
    pictures = [
        picture
        for dataset in sets
        for picture in [
            _validation(
                [r for r in runs if r.metrics["dataset"] == dataset], main, dataset, colours
            )
        ]
        if picture
    ]
    if pictures:
        parts += [
            Text(
                f"{metric_title(main)} on validation over epochs, counted from 0. A diamond is the "
                "tested epoch, with the blend where the run has one."
            ),
            Gallery(pictures),
        ]
    terms = dict.fromkeys(t for run in runs for t in active_terms(run.metrics["history"]))
    panels = [_term(runs, term, colours) for term in terms]
    if panels:
        parts += [Text("Loss terms that are switched on, in the same colours."), Gallery(panels)]
    return parts or [Text("None of them has epochs.")]


def _validation(
    runs: Sequence[OneRun], main: str, dataset: str, colours: Mapping[str, str]
) -> Picture | None:
    ends = []
    with drawing(4.8, 3.0) as (figure, axes):
        for run in runs:
            points = [
                (epoch["epoch"], epoch["valid"][main])
                for epoch in run.metrics["history"]
                if main in epoch.get("valid", ())
            ]
            if not points:
                continue
            axes.plot(*zip(*points, strict=True), color=colours[run.name])
            best, reached = run.metrics["best_epoch"], run.metrics["valid"].get(main)
            if best is not None and reached is not None:
                axes.plot(best, reached, "D", color=colours[run.name], markersize=5)
            ends.append((points[-1][1], run.name, colours[run.name]))
        if not ends:
            return None
        whole_numbers(axes.xaxis)
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric_title(main))
        axes.set_ylim(bottom=0)
        axes.set_title(escaped(dataset))
        figure.draw_without_rendering()
        if len(ends) <= _MANY:
            label_ends(axes, [(y, clipped(name, _LONGEST), colour) for y, name, colour in ends])
        else:
            key(figure, [(clipped(name, _LONGEST), colour) for _, name, colour in ends])
        caption = f"{metric_title(main)} on validation over epochs, {dataset}"
        return Picture(f"valid_{dataset}.svg", svg(figure), caption, titled=True)


def _term(runs: Sequence[OneRun], term: str, colours: Mapping[str, str]) -> Picture:
    with drawing(1.9, 1.55) as (figure, axes):
        for run in runs:
            points = [
                (e["epoch"], e["loss"][term]) for e in run.metrics["history"] if term in e["loss"]
            ]
            if any(value for _, value in points):
                axes.plot(*zip(*points, strict=True), color=colours[run.name])
        whole_numbers(axes.xaxis)
        axes.locator_params(axis="y", nbins=4)
        axes.set_title(escaped(term))
        axes.set_xlabel("epoch")
        caption = f"Loss term {term} of each run over epochs"
        return Picture(f"loss_{term}.svg", svg(figure), caption, titled=True)


def _costs(runs: Sequence[OneRun]) -> TextTable:
    rows = []
    for run in runs:
        seconds = run.metrics["seconds"]
        rows.append(
            [
                Entry(run.name),
                Entry(str(run.metrics["epochs_run"])),
                *(Entry(f"{seconds[part]:,.1f}") for part in ("prepare", "train", "evaluate")),
                Entry(f"{run.metrics['peak_memory_mb']:,.0f}"),
                Entry(f"{run.metrics['parameters']:,}"),
                Entry(str(run.metrics["device"])),
            ]
        )
    head = ["run", "epochs", "prepare, s", "train, s", "evaluate, s", "memory, MB", "parameters"]
    return TextTable([*head, "device"], rows, "Seconds of wall time; memory: the largest at once.")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
