"""Parts of the pages of `explain anchor` that put figures beside each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from recbole_symcere.evaluate.meta_analysis import Effect, random_effects
from recbole_symcere.explain.kinds import KINDS
from recbole_symcere.page.page import Entry, Heading, Part, Text, TextTable

__all__ = ["both_parts", "number", "over_data_sets"]

Json = Mapping[str, Any]

_TWO_PARTS = (
    "The run was fitted to its training reviews, and where reviews seed vectors of items, these "
    "are made of them: what such a review says of its item is put there by itself. Validation "
    "reviews are of interactions that nothing was trained on, by users and of items that are "
    "known. The kinds of words are those of the training reviews on either side."
)


def number(estimate: Json | None, places: int = 4) -> str:
    """An estimate with its interval, as a cell shows it."""
    if estimate is None:
        return "-"
    value, low, high = (f"{estimate[key]:+.{places}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def both_parts(numbers: Json) -> list[Part]:
    """Training and validation reviews beside each other."""
    held_out = numbers["validation"]
    if not held_out:
        return []
    found = {"training": numbers, "validation": held_out}
    whole = (numbers["retrieval"] or {}).get("whole"), held_out["finding"]

    def row(title: str, cells: Sequence[str]) -> list[Entry]:
        return [Entry(title), *map(Entry, cells)]

    def plain(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    parts = list(found.values())
    rows = [
        row("reviews explained", [f"{part['reviews']:,}" for part in parts]),
        row("similarity to the interaction", [f"{part['similarity']:.3f}" for part in parts]),
        row("of which specific to it", [f"{part['specific_similarity']:.3f}" for part in parts]),
        *(
            row(
                f"a mention, {name}",
                [number(part["kinds"][name]["mean"]) for part in parts],
            )
            for name in KINDS
            if any(part["kinds"][name]["mean"] for part in parts)
        ),
        row("objective less subjective", [number(part["contrast"]) for part in parts]),
        row("the same, of the specific similarity", [number(_share(part), 3) for part in parts]),
        row(
            "objective and neither less subjective", [number(p["content_contrast"]) for p in parts]
        ),
        row("p, shuffled pairings", [plain(part["shuffled"]["p"]) for part in parts]),
        row("p, shuffled labels of words", [plain(p["shuffled_labels"]["p"]) for p in parts]),
        row("NDCG@10 of finding the item by a review", [plain(value) for value in whole]),
    ]
    return [
        Heading("Training and validation reviews", 2),
        Text(_TWO_PARTS),
        TextTable(
            ["figure", *(f"{name} reviews" for name in found)],
            rows,
            "Similarities and contributions are cosines and differences of cosines; in brackets "
            "95 % intervals over items.",
        ),
    ]


def over_data_sets(numbers: Sequence[Json]) -> list[Part]:
    """Several runs beside each other, and their contrasts pooled (`random_effects`)."""
    head = [
        *("run", "model", "data set", "reviews", "objective", "subjective", "difference"),
        *("of the similarity", "difference, validation", "superiority", "tests"),
    ]
    rows = []
    for one in numbers:
        judged = [test["holds"] for test in one["tests"] if test["holds"] is not None]
        rows.append(
            [
                Entry(one["run"]),
                Entry(one["model"]),
                Entry(one["dataset"]),
                Entry(f"{one['reviews']:,}"),
                *(Entry(number(one["kinds"][name]["mean"])) for name in KINDS[:2]),
                Entry(number(one["contrast"])),
                Entry(number(_share(one), 3)),
                Entry(number((one["validation"] or {}).get("contrast"))),
                Entry("-" if one["superiority"] is None else f"{one['superiority']:.3f}"),
                Entry(f"{sum(judged)} of {len(judged)}"),
            ]
        )
    note = (
        "Objective, subjective: mean specific contribution of a mention, a difference of cosines, "
        "with a 95 % interval; difference: objective less subjective. Superiority: chance that an "
        "objective word contributes more than a subjective one; 0.5 is chance. Of the similarity: "
        "the difference as a share of the specific similarity; none where that isn't above 0."
    )
    parts: list[Part] = [
        Heading("Semantic anchoring over data sets", 1),
        TextTable(head, rows, note),
    ]
    shares = [share for share in map(_share, numbers) if share]
    # a 95 % interval is 3.92 standard errors wide
    pooled = random_effects([Effect(s["value"], (s["high"] - s["low"]) / 3.92) for s in shares])
    if pooled and pooled.interval:  # of a single run there is none
        mean = {"value": pooled.mean, **pooled.interval._asdict()}
        left = [one["run"] for one in numbers if one["contrast"] and not _share(one)]
        out = f" Left out, as no similarity is specific in them: {', '.join(left)}." if left else ""
        parts.append(
            Text(
                "Objective less subjective words, as a share of the review's specific similarity, "
                f"pooled over {len(shares)} runs (random effects): {number(mean, 3)}; standard "
                f"deviation between runs {pooled.tau:.3f}.{out}"
            )
        )
    return parts


def _share(part: Json) -> dict[str, float] | None:
    """The contrast as a share of the specific similarity; of none, or less, there is no share."""
    contrast, strength = part["contrast"], part["specific_similarity"]
    if contrast is None or strength <= 0:
        return None
    return {key: value / strength for key, value in contrast.items()}
