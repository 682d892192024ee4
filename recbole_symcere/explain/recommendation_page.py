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
    "at, less the mean over all items or users. Words without which the pull falls are blue, words "
    "without which it rises orange; the colour is as strong as the word's part of the pull, on one "
    "scale for the page."
)


def page(run: ExplainedRun, found: Recommendation) -> list[Part]:
    """The page of one pair."""
    (user,), (item,) = (
        run.tokens_of(run.dataset.uid_field, [found.user]),
        run.named_items([found.item]),
    )
    # what lowers the score is no reason for it
    mine, theirs = (
        [reason for reason in reasons if reason.effect > 0]
        for reasons in (found.from_user, found.from_item)
    )
    pulls = [abs(pull) for reason in (*mine, *theirs) for pull in reason.words.values()]
    largest = max(pulls, default=0.0)
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
            "In units of the score, by which a user's items are ranked; it has no other meaning.",
        ),
        Text(
            f"The item has {found.interactions:,} training interactions: number "
            f"{found.popularity_rank:,} of all items by popularity."
        ),
        Text(_HOW),
        Heading("The user's interactions", 2),
        *_side(run, mine, "item", largest),
        Heading("The item's interactions", 2),
        *_side(run, theirs, "user", largest),
    ]
    return parts


def _side(
    run: ExplainedRun, reasons: Sequence[Reason], other: str, largest: float
) -> Iterator[Part]:
    if not reasons:
        yield Text("There are none in training that raise the score.")
        return
    places = [reason.interaction for reason in reasons]
    names = (
        run.named_items(run.items[places])
        if other == "item"
        else run.tokens_of(run.dataset.uid_field, run.users[places])
    )
    rows = []
    for name, reason in zip(names, reasons, strict=True):
        rating = "-" if run.ratings is None else f"{run.ratings[reason.interaction]:g}"
        pull = "no review" if reason.pull is None else f"{reason.pull:+.4f}"
        rows.append([Entry(name), Entry(rating), Entry(f"{reason.effect:+.4f}"), Entry(pull)])
    note = (
        "Those that raise the score most. Rating as given; effect in units of the score; pull: "
        "cosine of the review and the other side, less its mean."
    )
    yield TextTable([other, "rating", "effect on the score", "pull of the review"], rows, note)
    for name, reason in zip(names, reasons, strict=True):
        if reason.words:
            caption = f"{other} {name}"
            yield marked(caption, run.texts[reason.interaction], reason.words, largest)
