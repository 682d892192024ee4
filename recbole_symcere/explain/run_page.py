"""One page of a run: what it is worth, metrics, curves, data set, settings, environment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_symcere.explain.run_figures import groups_picture, loss_panels, validation_pictures
from recbole_symcere.explain.yardsticks import Measured, Tested
from recbole_symcere.page.metric_words import (
    GROUPS_NOTE,
    main_metric,
    metrics_note,
    places,
    shown,
    sureness,
    with_interval,
)
from recbole_symcere.page.page import Entry, Heading, Part, Text, TextTable
from recbole_symcere.run.log_lines import metric_title

__all__ = ["Beside", "read_manifest", "run_page"]

Json = Mapping[str, Any]

_BEYOND = {
    "by_item_popularity": "Items by popularity",
    "by_user_activity": "Users by activity",
    "by_training_interactions": "Users who kept k training interactions",
}
_EQUAL = 5e-7  # a mean difference that is rounding


@dataclass(frozen=True)
class Beside:
    """What stands beside a run's own figures.

    Attributes:
        k: length of the lists.
        run: what the run gets for each user; None where that can't be told.
        tests: the run against popularity and EASE.
        refusal: why there are no tests.
    """

    k: int = 10
    run: Measured | None = None
    tests: Sequence[Tested] = ()
    refusal: str = ""


def run_page(
    name: str,
    settings: Json,
    metrics: Json,
    notices: Sequence[str],
    beside: Beside,
    data: Sequence[Part],
    analyses: Sequence[Part],
) -> list[Part]:
    """The parts of the page.

    Args:
        name: of the run's folder.
        settings: config.yaml.
        metrics: metrics.json.
        notices: what makes the result doubtful.
        beside: what the run is measured against.
        data: on the data set.
        analyses: what the explanations of the run have to show.
    """
    return [
        Heading(f"{metrics['model']} on {metrics['dataset']}", 1),
        Text(_first_words(metrics, beside)),
        *_yardsticks(beside),
        Text(_how_trained(name, metrics)),
        *(Text(f"Note: {notice}") for notice in notices),
        Heading("Metrics", 2),
        _metrics(metrics),
        *_groups_parts(metrics.get("beyond") or {}, beside),
        *_training(metrics),
        *analyses,
        Heading("Data set", 2),
        *data,
        Heading("Settings", 2),
        Text("All that was in force, as in config.yaml; the same file repeats the run."),
        _table("setting", settings),
        Heading("Environment", 2),
        _table("what", _environment(metrics)),
    ]


def _first_words(metrics: Json, beside: Beside) -> str:
    """What was trained, on what, how good it is, and whether that is more than chance."""
    data = metrics["data"]
    text = (
        f"{metrics['model']} was trained on {data['train']:,} interactions of {data['users']:,} "
        f"users with {data['items']:,} items of {metrics['dataset']}{_read(metrics)}. "
    )
    if "refit_of" in metrics:
        return text + (
            f"It is a refit of {metrics['refit_of']}, trained on all interactions for the steps of "
            "its best epoch; nothing is left to test it on."
        )
    if not metrics["test"]:
        return text + "Nothing was held out to test it on."
    main = main_metric(metrics, list(metrics["test"]))
    text += (
        f"On the {data['test']:,} interactions held out for the test it reaches "
        f"{metric_title(main)} {metrics['test'][main]:.4f}."
    )
    return f"{text} {_verdict(beside)}"


def _read(metrics: Json) -> str:
    protocol = metrics["protocol"]
    encoder, mode = protocol.get("text_encoder"), protocol.get("text_mode")
    if not encoder:
        return ""
    return f", and on their reviews as {Path(encoder).name} reads them ({mode})"


def _verdict(beside: Beside) -> str:
    if not beside.tests:
        return (
            f"Popularity and EASE weren't measured beside it: {beside.refusal}."
            if beside.refusal
            else ""
        )
    told = []
    for against, comparison, p_holm in beside.tests:
        base = float(against.columns[f"ndcg@{beside.k}"].mean())
        if abs(comparison.difference) < _EQUAL:
            told.append(f"the same as {against.name} ({base:.4f})")
            continue
        change = f"{abs(comparison.difference) / base:.0%}" if base else "more"
        side = "above" if comparison.difference > 0 else "below"
        sure = sureness(p_holm)
        told.append(f"{change} {side} {against.name} ({base:.4f}), which is {sure}")
    return f"By NDCG@{beside.k} that is {', and '.join(told)}."


def _yardsticks(beside: Beside) -> list[Part]:
    if not beside.tests or beside.run is None:
        return []
    ndcg, hit = f"ndcg@{beside.k}", f"hit@{beside.k}"
    head = ["model", f"NDCG@{beside.k}", "this run's gain", "difference [95 % interval]"]
    head += ["p (Holm)", f"Hit@{beside.k}"]
    ours = [f"{beside.run.columns[metric].mean():.4f}" for metric in (ndcg, hit)]
    rows = [[*map(Entry, (beside.run.name, ours[0], "-", "-", "-", ours[1]))]]
    for against, comparison, p_holm in beside.tests:
        base = float(against.columns[ndcg].mean())
        rows.append(
            [
                Entry(against.name),
                Entry(f"{base:.4f}"),
                Entry(f"{comparison.difference / base:+.0%}" if base else "-"),
                Entry(with_interval(comparison.difference, comparison.interval)),
                Entry(f"{p_holm:.4f}"),
                Entry(f"{against.columns[hit].mean():.4f}"),
            ]
        )
    how = next((t.against.how for t in beside.tests if t.against.how), "")
    note = (
        f"All on the same split, over {len(beside.run.users):,} users: NDCG@{beside.k} (0 to 1), "
        f"and Hit@{beside.k}, the share of users with a held-out item among the first {beside.k}. "
        "Difference: this run less that row, mean over users; p: the paired sign-flip test of "
        "users that it is 0, adjusted for the number of rows, of this one seed; the interval "
        f"isn't adjusted. EASE: {how}."
    )
    return [TextTable(head, rows, note)]


def _how_trained(name: str, metrics: Json) -> str:
    seconds = metrics["seconds"]
    best = metrics["best_epoch"]
    last = metrics["epochs_run"] - 1
    which = (
        "It has no epochs."
        if best is None
        else f"Epoch {best} of 0 to {last} was the best on validation, and tested."
    )
    return (
        f"Run {name}, seed {metrics['seed']}. {which if 'refit_of' not in metrics else ''} "
        f"Prepared in {seconds['prepare']:.1f} s, trained in {seconds['train']:.1f} s, evaluated "
        f"in {seconds['evaluate']:.1f} s on {metrics['device']}; peak memory "
        f"{metrics['peak_memory_mb']:,.0f} MB; {metrics['parameters']:,} trained parameters."
    )


def _metrics(metrics: Json) -> TextTable:
    names = list(metrics["test"] or metrics["valid"])
    rows = [
        [Entry(part), *(_value(metrics[part].get(name)) for name in names)]
        for part in ("valid", "test")
    ]
    note = metrics_note(names)
    if "blend" in metrics:
        note += " Both rows are with the blend."
        if "out_of_bag" in metrics["blend"]:
            name = metric_title(str(metrics["protocol"]["valid_metric"]).lower())
            note += (
                f" {name} on validation by weights of the blend that weren't chosen on the same "
                f"users, as far from training as the test items are, is "
                f"{metrics['blend']['out_of_bag']:.4f} (out of bag)."
            )
    return TextTable(["split", *map(metric_title, names)], rows, note)


def _value(value: Any) -> Entry:
    if value is None:
        return Entry("-")
    if isinstance(value, float):
        return Entry(f"{value:,.{places(value)}f}")
    return Entry(f"{value:,}")


def _groups_parts(beyond: Json, beside: Beside) -> list[Part]:
    parts: list[Part] = []
    popularity = beyond.get("popularity")
    if popularity:
        row = [Entry("test"), *(_value(value) for value in popularity.values())]
        head = ["split", *map(metric_title, popularity)]
        parts += [
            Heading("What is recommended", 3),
            TextTable(head, [row], metrics_note(popularity)),
        ]
    if any(beyond.get(key) for key in _BEYOND):
        parts += [Heading("Groups of items and users", 3), Text(GROUPS_NOTE)]
    if beside.run is not None:
        measured = [beside.run, *(test.against for test in reversed(beside.tests))]
        picture = groups_picture(measured, beside.k)
        parts += [picture] if picture else []
    for key, title in _BEYOND.items():
        if beyond.get(key):
            parts.append(_groups(title, beyond[key]))
    if beyond.get("cold_items"):
        note = "Items held out of training, ranked among themselves."
        parts.append(_groups("Cold items", {"all": beyond["cold_items"]}, note))
    return parts


def _groups(title: str, groups: Mapping[str, Json], note: str = "") -> TextTable:
    names = list(dict.fromkeys(name for values in groups.values() for name in values))
    rows = [
        [Entry(group), *(_value(values.get(name)) for name in names)]
        for group, values in groups.items()
    ]
    return TextTable([title, *map(metric_title, names)], rows, note)


def _training(metrics: Json) -> list[Part]:
    parts = [*loss_panels(metrics), *validation_pictures(metrics)]
    return [Heading("Training", 2), *parts] if parts else []


def _environment(metrics: Json) -> dict[str, Any]:
    return {"device": metrics["device"], **metrics["versions"]}


def _table(title: str, values: Json) -> TextTable:
    rows = [[Entry(key), Entry(shown(value))] for key, value in values.items()]
    return TextTable([title, "value"], rows)


def read_manifest(folder: Path) -> Json | None:
    """The manifest of a data set's folder; None where there is none that can be read."""
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
