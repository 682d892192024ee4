"""The options of each explanation and of the report."""

from dataclasses import dataclass

from recbole_symcere.base.options import option
from recbole_symcere.run.place_options import PlaceOptions

__all__ = [
    "AnchorOptions",
    "GeometryOptions",
    "LimeOptions",
    "RecommendationOptions",
    "ReportOptions",
]


@dataclass(frozen=True, kw_only=True)
class _Page(PlaceOptions):
    """Whose page, and where it goes."""

    run: str = option(help="the run's folder")
    out: str | None = option(None, "folder of the page; RUN/explain/KIND if not given")


@dataclass(frozen=True, kw_only=True)
class AnchorOptions(_Page):
    """What `explain anchor` does."""

    run: str = option(help="folders of runs, separated by commas")
    n: int | None = option(None, "reviews to explain, drawn at random; all if not given", minimum=2)
    validation: bool = option(
        True,
        "whether as many validation reviews, which nothing was trained on, are explained beside "
        "the training ones",
    )
    n_control: int = option(500, "reviews for the random encoder", minimum=2)
    n_gradients: int = option(100, "reviews for integrated gradients; 0 leaves them out", minimum=0)
    n_retrieval: int = option(
        1000, "reviews that must find their item without some words; 0 leaves it out", minimum=0
    )
    retrain_seeds: int = option(
        0,
        "train the model anew without some words, with so many seeds; one alone isn't judged",
        minimum=0,
    )
    bootstrap: int = option(2000, "draws of items for intervals", minimum=100)
    permutations: int = option(
        199, "shuffled pairings of reviews and interactions, and of words and kinds", minimum=19
    )
    seed: int = option(0, "of everything random here", minimum=0)


@dataclass(frozen=True, kw_only=True)
class LimeOptions(_Page):
    """What `explain lime` does."""

    n: int = option(200, "reviews to explain, drawn at random", minimum=1)
    n_samples: int = option(
        1000, "texts that LIME draws for a review; the package's own default is 5000", minimum=10
    )
    repeats: int = option(
        2, "times that a review is explained, each with another seed, for the stability", minimum=1
    )
    seed: int = option(0, "of the reviews and of LIME's draws", minimum=0)


@dataclass(frozen=True, kw_only=True)
class GeometryOptions(_Page):
    """What `explain geometry` does."""

    n: int = option(2000, "reviews and pairs, drawn at random", minimum=10)
    seed: int = option(0, "of the draws", minimum=0)


@dataclass(frozen=True, kw_only=True)
class RecommendationOptions(_Page):
    """What `explain recommendation` does."""

    user: str = option(help="the user's id as in the file")
    item: str = option(help="the item's id as in the file")
    k: int = option(5, "interactions of each side that are told", minimum=1)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(PlaceOptions):
    """What `report` does."""

    run: str = option(help="the run's folder; folders separated by commas are put side by side")
    out: str | None = option(
        None, "the file; RUN/report.html if not given, of several runs runs.html in the first"
    )
    baselines: bool = option(
        True, "whether popularity and EASE are measured on the run's split, to stand beside it"
    )
    geometry: bool = option(True, "whether to compute what needs the run's vectors")
