"""What `explain recommendation` found, as a page."""

from collections.abc import Iterator, Sequence

from recbole_symcere.explain.lime_page import marked
from recbole_symcere.explain.loaded_run import ExplainedRun
from recbole_symcere.explain.recommendation import Reason, Recommendation
from recbole_symcere.page.page import Entry, Heading, Part, Text, TextTable

__all__ = ["page"]

_HOW = (
    "The effect of an interaction is what the score loses where it is taken out of the graph and "
    "all vectors are computed again with the same weights and item profiles. A review's pull isn't "
    "part of the score: it is its similarity to the other side of the pair, which training aims "
    "at, less the mean over all items or users; words without which it falls are green, others red."
)


def page(run: ExplainedRun, found: Recommendation) -> list[Part]:
    """The page of one pair."""
    fields = run.dataset.uid_field, run.dataset.iid_field
    (user,), (item,) = (
        run.tokens_of(field, [n]) for field, n in zip(fields, (found.user, found.item), strict=True)
    )
    known = " They are a training interaction of each other." if found.known else ""
    parts: list[Part] = [
        Heading(f"Why item {item} for user {user}", 1),
        Text(
            f"{run.config['model']} on {run.config['dataset']}, run {run.path.name}. The item is "
            f"number {found.rank:,} of {found.ranked:,} for this user, with a score of "
            f"{found.score:.4f}.{known}"
        ),
        TextTable(
            ["part of the score", "value"],
            [
                [Entry("what every user gets from this item"), Entry(f"{found.common:+.4f}")],
                [Entry("personal"), Entry(f"{found.score - found.common:+.4f}")],
                [Entry("score"), Entry(f"{found.score:+.4f}")],
            ],
        ),
        Text(
            f"The item has {found.interactions:,} training interactions: number "
            f"{found.popularity_rank:,} of all items by popularity."
        ),
        Text(_HOW),
        Heading("The user's interactions", 2),
        *_side(run, found.from_user, "item"),
        Heading("The item's interactions", 2),
        *_side(run, found.from_item, "user"),
    ]
    return parts


def _side(run: ExplainedRun, reasons: Sequence[Reason], other: str) -> Iterator[Part]:
    if not reasons:
        yield Text("There are none in training.")
        return
    dataset = run.dataset
    ids, field = (
        (run.items, dataset.iid_field) if other == "item" else (run.users, dataset.uid_field)
    )
    names = run.tokens_of(field, ids[[reason.interaction for reason in reasons]])
    rows = []
    for name, reason in zip(names, reasons, strict=True):
        rating = "-" if run.ratings is None else f"{run.ratings[reason.interaction]:g}"
        pull = "no review" if reason.pull is None else f"{reason.pull:+.4f}"
        rows.append([Entry(name), Entry(rating), Entry(f"{reason.effect:+.4f}"), Entry(pull)])
    yield TextTable([other, "rating", "effect on the score", "pull of the review"], rows)
    for name, reason in zip(names, reasons, strict=True):
        if reason.words:
            caption = f"{other} {name}"
            yield marked(caption, run.texts[reason.interaction], reason.words)
