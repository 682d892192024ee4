"""The command ``explain``."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.base.live_line import step
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import parse_pairs, refuse_unknown, take_options
from recbole_symcere.base.storage import remove_leftovers
from recbole_symcere.explain.explain_options import (
    AnchorOptions,
    GeometryOptions,
    LimeOptions,
    RecommendationOptions,
)
from recbole_symcere.run.place_options import refuse_missing_run

__all__ = ["help_text", "run"]

_USAGE = """\
explain anchor --run=RUN[,RUN...] [--n=N] [--retrain_seeds=0] [--key=value ...]
explain lime --run=RUN [--n=200] [--key=value ...]
explain geometry --run=RUN [--n=2000] [--seed=0]
explain recommendation --run=RUN --user=USER --item=ITEM [--k=5]
Each takes --data_path, --cache_dir and --text_encoder, if they were moved.

Asks a finished run what it reads in the reviews. Its data must be unchanged, and but for geometry
it must be of a model that aligns each review with its interaction (SymCERE).
"""
_ABOUT = {
    "anchor": """\
anchor: every word is taken out of every training review, and of validation reviews, which nothing
was trained on. Which kinds of words does the alignment rest on, over the whole data set? A page of
verdict with controls and plots (verdict.html, verdict.md), all figures (anchor.json) and all words
of the training reviews (words.csv).
""",
    "lime": """\
lime: the paper's analysis. The lime package explains the similarity of single reviews and their
interactions: weights of words (weights.csv), marked reviews and tables (lime.html, lime.md).
""",
    "geometry": """\
geometry: alignment, uniformity and effective rank; cosines and dot products of positives and
negatives; norms, and what is recommended, against popularity; angle and magnitude of the score. For
any model that scores by one vector per user and item (geometry.html, geometry.md, geometry.json).
""",
    "recommendation": """\
recommendation: why this item for this user. The interactions of both that carry the score, their
reviews with the words that pull, and what every user gets from the item (recommendation.html, .md).
""",
}
_OPTIONS = {
    "anchor": AnchorOptions,
    "lime": LimeOptions,
    "geometry": GeometryOptions,
    "recommendation": RecommendationOptions,
}


def help_text(words: Sequence[str] = ()) -> str:
    """What ``explain --help`` says, or ``explain KIND --help``."""
    kinds = [word for word in words if word in _ABOUT]
    told = [f"{_ABOUT[kind]}\n{help_of(_OPTIONS[kind])}" for kind in kinds or _ABOUT]
    return "\n".join(told if kinds else [_USAGE, *told])


def run(words: Sequence[str]) -> int:
    """Explain a run.

    Args:
        words: the kind of explanation, then options.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a mistake in what was given, before anything long is done.
    """
    commands: Mapping[str, Callable[[Any], None]] = {
        "anchor": _anchor,
        "lime": _lime,
        "geometry": _geometry,
        "recommendation": _recommendation,
    }
    kind = words[0] if words else ""
    if kind not in commands:
        raise InputError(
            f"explain {kind}: expected one of {', '.join(commands)}."
            f"{did_you_mean(kind, commands)} explain --help tells what each does."
        )
    pairs = parse_pairs(words[1:])
    options: Any = take_options(_OPTIONS[kind], pairs)
    refuse_unknown(pairs, f"explain {kind}", _OPTIONS[kind])
    for name in options.run.split(",") if kind == "anchor" else [options.run]:
        refuse_missing_run(name.strip())
    commands[kind](options)
    return 0


def _out(run: str, out: str | None, kind: str) -> Path:
    """Where a page goes, without what killed commands left there."""
    folder = Path(out) if out else Path(run) / "explain" / kind
    remove_leftovers(folder)
    return folder


def _anchor(options: AnchorOptions) -> None:
    # torch and RecBole take seconds to load; a typing error shouldn't
    from recbole_symcere.explain.verdict_beside import over_data_sets
    from recbole_symcere.page.page import Part
    from recbole_symcere.run.agreement import run_folder

    runs = [name.strip() for name in options.run.split(",") if name.strip()]
    for name in runs:
        run_folder(name)
    if not runs:
        raise InputError("--run= names no run. Name a run's folder, such as runs/ID.")
    out = _out(runs[0], options.out, "anchor")
    done = []
    parts: list[Part] = []
    for number, name in enumerate(runs):
        target = out if len(runs) == 1 else out / f"{number}-{Path(name).name}"
        numbers, shown = _anchor_one(name, options, target)
        done.append(numbers)
        parts += shown
    if len(runs) > 1:
        parts = [*over_data_sets(done), *parts]
        _write_page(out, "verdict", parts, "Semantic anchoring")
        _write_json(out / "anchor.json", done)
    _say(out, "verdict", parts, done[0] if len(done) == 1 else done)


def _refuse_untested(name: str) -> None:
    """Stop if a model that is trained anew, as this run was, couldn't be tested."""
    from recbole_symcere.run.agreement import run_folder

    metrics = run_folder(name).read_metrics()
    if metrics is not None and not metrics["test"]:
        raise InputError(
            f"--run={name}: the run holds nothing out to test on, so a model that is trained anew "
            "couldn't be tested. Leave out --retrain_seeds, or name the run that it is a refit of."
        )


def _anchor_one(name: str, options: AnchorOptions, out: Path) -> tuple[dict[str, Any], list[Any]]:
    from recbole_symcere.base.files import write_bytes
    from recbole_symcere.explain.anchor import analyse
    from recbole_symcere.explain.anchor_plots import pictures
    from recbole_symcere.explain.causal import deletions, retrain, retrieval
    from recbole_symcere.explain.loaded_run import load_text_run
    from recbole_symcere.explain.verdict import summarise, words_csv
    from recbole_symcere.explain.verdict_page import page

    if options.retrain_seeds:
        _refuse_untested(name)
    step(f"loading {name}")
    loaded = load_text_run(name, options.places)
    step("analysing")
    found = analyse(loaded, options)
    deleted = deletions(loaded, found, options.seed)
    whole = None
    if options.n_retrieval:
        step("finding items by shortened reviews")
        whole, deleted = retrieval(loaded, deleted, options)
    again = (
        retrain(loaded, deleted, out / "retrained", options.retrain_seeds)
        if options.retrain_seeds
        else []
    )
    step("analysing validation reviews")
    held_out = _held_out(loaded, found, options)
    step("testing and drawing")
    numbers = summarise(loaded, found, whole, deleted, again, held_out)
    _write_json(out / "anchor.json", numbers)
    write_bytes(out / "words.csv", words_csv(found).encode())
    parts = page(numbers, found, pictures(found))
    _write_page(out, "verdict", parts, "Semantic anchoring")
    return numbers, parts


def _held_out(run: Any, found: Any, options: AnchorOptions) -> Any:
    """The analysis of validation reviews by the kinds of the training reviews' words.

    With it NDCG@10 with which such a review finds its item; None where the run has none.
    """
    from recbole_symcere.explain.anchor import analyse
    from recbole_symcere.explain.causal import finding

    validation = run.validation() if options.validation else None
    if validation is None or len(validation.sample(2, options.seed)) < 2:
        return None
    ndcg = finding(validation, options) if options.n_retrieval else None
    return analyse(validation, options, found.kinds), ndcg


def _lime(options: LimeOptions) -> None:
    from recbole_symcere.base.files import write_bytes
    from recbole_symcere.explain import lime_page
    from recbole_symcere.explain.kinds import word_kinds
    from recbole_symcere.explain.loaded_run import load_text_run
    from recbole_symcere.explain.occlusion import gather, occlude
    from recbole_symcere.explain.surrogate import explain_reviews

    step(f"loading {options.run}")
    run = load_text_run(options.run, options.places)
    step("analysing")
    out = _out(options.run, options.out, "lime")
    kinds = word_kinds(run.texts, run.items, run.known_ratings(), options.seed)
    exact = gather(run, occlude(run, run.sample(options.n, options.seed)))
    if not len(exact.reviews):
        raise InputError(f"--run={options.run}: no review has two words.")
    found = explain_reviews(run, exact.reviews, options.n_samples, options.repeats, options.seed)
    summary = lime_page.summarise(found, exact.own, kinds)
    parts = lime_page.page(run, summary, options.n_samples, options.repeats)
    write_bytes(out / "weights.csv", lime_page.weights_csv(run, found, kinds).encode())
    _write_page(out, "lime", parts, "LIME", lime_page.reviews_of_page(run, found))
    _say(out, "lime", parts)


def _geometry(options: GeometryOptions) -> None:
    from recbole_symcere.explain import geometry_page
    from recbole_symcere.explain.geometry import measure

    step("measuring")
    found = measure(options.run, options.n, options.seed, options.places)
    out = _out(options.run, options.out, "geometry")
    figures, parts = geometry_page.as_json(found), geometry_page.page(found)
    _write_json(out / "geometry.json", figures)
    _write_page(out, "geometry", parts, "Geometry")
    _say(out, "geometry", parts, figures)


def _recommendation(options: RecommendationOptions) -> None:
    from recbole_symcere.explain import recommendation_page
    from recbole_symcere.explain.loaded_run import load_text_run
    from recbole_symcere.explain.recommendation import explain_pair, inner_id

    step(f"loading {options.run}")
    run = load_text_run(options.run, options.places)
    step("explaining")
    user = inner_id(run, run.dataset.uid_field, options.user)
    item = inner_id(run, run.dataset.iid_field, options.item)
    parts = recommendation_page.page(run, explain_pair(run, user, item, options.k))
    out = _out(options.run, options.out, "recommendation")
    _write_page(out, "recommendation", parts, f"Why {options.item} for {options.user}")
    _say(out, "recommendation", parts)


def _write_json(path: Path, content: Any) -> None:
    from recbole_symcere.base.files import write_bytes

    write_bytes(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _write_page(
    out: Path, name: str, parts: Sequence[Any], title: str, more: Sequence[Any] = ()
) -> None:
    """``name``.md with its pictures beside it, and ``name``.html that needs no other file.

    ``more`` stands at the end of the HTML alone.
    """
    from recbole_symcere.base.files import write_bytes
    from recbole_symcere.page.html_page import as_html
    from recbole_symcere.page.page import as_markdown, pictures_of

    for picture in pictures_of(parts):
        write_bytes(out / picture.name, picture.file)
    write_bytes(out / f"{name}.md", as_markdown(parts).encode())
    write_bytes(out / f"{name}.html", as_html([*parts, *more], title).encode())


def _say(out: Path, name: str, parts: Sequence[Any], figures: Any = None) -> None:
    """The page on the terminal, and where it is."""
    from recbole_symcere.page.terminal_page import as_data, as_terminal
    from recbole_symcere.run.log_lines import short_path

    page = out / f"{name}.html"
    terminal.out(f"{as_terminal(parts)}\nsee {short_path(page)}")
    terminal.document(page=str(page), files=sorted(map(str, out.glob("*.*"))))
    terminal.document(**({"tables": as_data(parts)} if figures is None else {"figures": figures}))
