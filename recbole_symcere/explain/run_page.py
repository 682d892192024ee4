"""One page of a run: metrics, curves, plots, data set card, settings, environment."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from recbole_symcere.page.figures import new_figure, png
from recbole_symcere.page.page import Entry, Heading, Part, Picture, Text, TextTable
from recbole_symcere.run.log_lines import metric_title

__all__ = ["read_manifest", "run_page"]

Json = Mapping[str, Any]

_BEYOND = {
    "by_item_popularity": "Items by popularity (a third of the training interactions each)",
    "by_user_activity": "Users by activity (thirds by training interactions)",
    "by_training_interactions": "Users who kept k training interactions",
}
_MOST_METRICS = 4  # curves in one plot


def run_page(
    name: str,
    settings: Json,
    metrics: Json,
    manifest: Json | None,
    analyses: Sequence[Part],
) -> list[Part]:
    """The parts of the page.

    Args:
        name: of the run's folder.
        settings: config.yaml.
        metrics: metrics.json.
        manifest: of the data set; None where it has none.
        analyses: what the explanations of the run have to show.
    """
    return [
        Heading(f"{metrics['model']} on {metrics['dataset']}", 1),
        Text(_headline(name, metrics)),
        *([Text(f"Note: {manifest['notice']}")] if manifest and manifest.get("notice") else []),
        Heading("Metrics", 2),
        _metrics(metrics),
        *_beyond(metrics.get("beyond") or {}),
        *_curves(metrics),
        *analyses,
        Heading("Data set", 2),
        *_data(metrics, manifest),
        Heading("Settings", 2),
        Text("All that was in force, as in config.yaml; the same file repeats the run."),
        _table("setting", settings),
        Heading("Environment", 2),
        _table("", _environment(metrics)),
    ]


def _headline(name: str, metrics: Json) -> str:
    seconds = metrics["seconds"]
    best = metrics["best_epoch"]
    which = (
        "It has no epochs."
        if best is None
        else f"Epoch {best} was tested, of {metrics['epochs_run']} epochs."
    )
    if "refit_of" in metrics:
        which = (
            f"A refit of {metrics['refit_of']}, trained on all interactions for the steps of its "
            "best epoch; nothing is left to test it on."
        )
    return (
        f"Run {name}, seed {metrics['seed']}. {which} Prepared in {seconds['prepare']:.1f} s, "
        f"trained in {seconds['train']:.1f} s, evaluated in {seconds['evaluate']:.1f} s; peak "
        f"memory {metrics['peak_memory_mb']:,.0f} MB; {metrics['parameters']:,} trained parameters."
    )


def _metrics(metrics: Json) -> TextTable:
    names = list(metrics["test"])
    rows = [
        [Entry(part), *(_value(metrics[part].get(name)) for name in names)]
        for part in ("valid", "test")
    ]
    return TextTable(["split", *map(metric_title, names)], rows)


def _value(value: Any) -> Entry:
    if value is None:
        return Entry("-")
    return Entry(f"{value:.4f}" if isinstance(value, float) else f"{value:,}")


def _beyond(beyond: Json) -> list[Part]:
    parts: list[Part] = []
    popularity = beyond.get("popularity")
    if popularity:
        row = [Entry("test"), *(_value(value) for value in popularity.values())]
        parts += [
            Heading("What is recommended", 3),
            TextTable(["split", *map(metric_title, popularity)], [row]),
        ]
    for key, title in _BEYOND.items():
        if beyond.get(key):
            parts += [Heading(title, 3), _groups(beyond[key])]
    if beyond.get("cold_items"):
        parts += [Heading("Items held out of training", 3), _groups({"all": beyond["cold_items"]})]
    return parts


def _groups(groups: Mapping[str, Json]) -> TextTable:
    names = list(dict.fromkeys(name for values in groups.values() for name in values))
    rows = [
        [Entry(group), *(_value(values.get(name)) for name in names)]
        for group, values in groups.items()
    ]
    return TextTable(["group", *map(metric_title, names)], rows)


def _curves(metrics: Json) -> list[Part]:
    history = metrics["history"]
    if not history:
        return []
    parts: list[Part] = [Heading("Training", 2)]
    terms = list(dict.fromkeys(term for epoch in history for term in epoch["loss"]))
    for term in terms:
        points = [(e["epoch"], e["loss"][term]) for e in history if term in e["loss"]]
        parts.append(_curve(f"loss_{term}.png", {term: points}, f"loss term {term}", metrics))
    names = list(dict.fromkeys(name for e in history for name in e.get("valid", ())))
    if names:
        lines = {
            metric_title(name): [
                (e["epoch"], e["valid"][name]) for e in history if name in e.get("valid", ())
            ]
            for name in names[:_MOST_METRICS]
        }
        parts.append(_curve("valid.png", lines, "validation metrics", metrics))
    return parts


def _curve(
    file: str, lines: Mapping[str, Sequence[tuple[int, float]]], what: str, metrics: Json
) -> Picture:
    figure, axes = new_figure(6.5, 2.8)
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="." if len(points) < 40 else "", label=name)
    if metrics["best_epoch"] is not None:
        axes.axvline(metrics["best_epoch"], color="#999999", linestyle=":", label="tested epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(what)
    axes.legend(frameon=False)
    return Picture(file, png(figure), f"{what[0].upper()}{what[1:]} over epochs")


def _data(metrics: Json, manifest: Json | None) -> list[Part]:
    counts = {f"{name} (of this run)": f"{n:,}" for name, n in metrics["data"].items()}
    card: dict[str, Any] = {**counts, "fingerprint": metrics.get("data_fingerprint")}
    if manifest:
        for key in ("source", "synthetic", "command", "converter_version"):
            if key in manifest:
                card[key] = manifest[key]
        for group in ("counts", "filters"):
            card |= {f"{group}: {key}": value for key, value in manifest.get(group, {}).items()}
    return [_table("", card)]


def _environment(metrics: Json) -> dict[str, Any]:
    return {"device": metrics["device"], **metrics["versions"]}


def _table(title: str, values: Json) -> TextTable:
    rows = [[Entry(key), Entry(_shown(value))] for key, value in values.items()]
    return TextTable([title, "value"], rows)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_manifest(folder: Path) -> Json | None:
    """The manifest of a data set's folder; None where there is none that can be read."""
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
