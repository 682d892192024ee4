"""The sources of reviews: what each is, where it comes from, under which terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_RESEARCH = "no open licence; the site asks for research use and a citation"

#: User names of many people, in any source. A source adds its own.
_NOBODY = ("anonymous", "unknown", "a google user")


@dataclass(frozen=True)
class Source:
    """A source of reviews.

    Attributes:
        reads: what its files look like.
        place: where it is to be had, officially.
        terms: what its owner allows.
        anonymous: user names that many people share, lower case; their reviews are left out.
        has_items: whether it can read a file of item texts (``--meta``).
    """

    reads: str
    place: str
    terms: str
    anonymous: frozenset[str] = frozenset(_NOBODY)
    has_items: bool = False


#: Source -> what it is, for ``--list``; the reader of SOURCE is ``readers.SOURCE.read_SOURCE``.
SOURCES: Mapping[str, Source] = {
    "amazon2014": Source(
        "Amazon reviews of 2014: JSON lines, plain, .gz or .zst; --meta: JSON or Python lines",
        "https://jmcauley.ucsd.edu/data/amazon/",
        _RESEARCH,
        has_items=True,
    ),
    "amazon2018": Source(
        "Amazon reviews of 2018: JSON lines, plain, .gz or .zst; --meta: JSON lines",
        "https://nijianmo.github.io/amazon/",
        _RESEARCH,
        has_items=True,
    ),
    "amazon2023": Source(
        "Amazon reviews of 2023: JSON lines, plain, .gz or .zst; --meta: JSON lines",
        "https://amazon-reviews-2023.github.io/",
        _RESEARCH,
        has_items=True,
    ),
    "yelp": Source(
        "Yelp Open Dataset: the review .json, or the .tar or .zip as downloaded; "
        "--meta: the business .json or the same archive",
        "https://business.yelp.com/data/resources/open-dataset/",
        "Yelp's Dataset User Agreement: academic use, no redistribution",
        has_items=True,
    ),
    "rakuten_travel": Source(
        "Rakuten Travel reviews: tab-separated, Shift_JIS or UTF-8; --columns names the order",
        "https://www.nii.ac.jp/dsc/idr/en/rakuten/",
        "given to research institutions on application to the Informatics Research Data "
        "Repository; no redistribution",
        frozenset((*_NOBODY, "匿名", "匿名希望", "投稿者", "投稿者さん")),
    ),
    "tripadvisor": Source(
        "TripAdvisor hotel reviews of the LARA project: a hotel's .dat or .json, or a .zip or "
        ".tar of them",
        "https://www.cs.virginia.edu/~hw5x/Data/LARA/TripAdvisor/",
        "no licence given; the authors ask for a citation",
        frozenset((*_NOBODY, "a tripadvisor member", "a tripadvisor traveler", "lass=")),
    ),
    "generic": Source(
        "CSV, TSV, JSON lines (plain, .gz or .zst) or Parquet with one review per row",
        "your own files",
        "yours",
        frozenset((*_NOBODY, "a tripadvisor member")),
    ),
    "synthetic": Source(
        "reviews generated with a known truth", "made by this command", "MIT", frozenset()
    ),
}


def listing() -> str:
    """Describe the sources for a person, several lines each."""
    return "".join(
        f"{name:16}{source.reads}\n{'':16}from  {source.place}\n{'':16}terms {source.terms}\n"
        for name, source in SOURCES.items()
    )
