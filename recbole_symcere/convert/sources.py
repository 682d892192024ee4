"""The sources of reviews: what each is, where it comes from, under which terms."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from recbole_symcere.convert.convert_options import (
    Dials,
    FieldOptions,
    InputOptions,
    LayoutOptions,
    MetaOptions,
)

if TYPE_CHECKING:
    from recbole_symcere.convert.records import Reading

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
        options: what it can be told beside the filters.
        module: where its ``read_SOURCE`` is, if not in ``readers/SOURCE.py``.
    """

    reads: str
    place: str
    terms: str
    anonymous: frozenset[str] = frozenset(_NOBODY)
    options: tuple[type, ...] = (InputOptions,)
    module: str | None = None


_WITH_ITEMS = (InputOptions, MetaOptions)

#: Source -> what it is.
SOURCES: Mapping[str, Source] = {
    "amazon2014": Source(
        "Amazon reviews of 2014: JSON lines, plain, .gz or .zst; --meta: JSON or Python lines",
        "https://jmcauley.ucsd.edu/data/amazon/",
        _RESEARCH,
        options=_WITH_ITEMS,
        module="amazon",
    ),
    "amazon2018": Source(
        "Amazon reviews of 2018: JSON lines, plain, .gz or .zst; --meta: JSON lines",
        "https://nijianmo.github.io/amazon/",
        _RESEARCH,
        options=_WITH_ITEMS,
        module="amazon",
    ),
    "amazon2023": Source(
        "Amazon reviews of 2023: JSON lines, plain, .gz or .zst; --meta: JSON lines",
        "https://amazon-reviews-2023.github.io/",
        _RESEARCH,
        options=_WITH_ITEMS,
        module="amazon",
    ),
    "yelp": Source(
        "Yelp Open Dataset: the review .json, or the .tar or .zip as downloaded; "
        "--meta: the business .json or the same archive",
        "https://business.yelp.com/data/resources/open-dataset/",
        "Yelp's Dataset User Agreement: academic use, no redistribution",
        options=_WITH_ITEMS,
    ),
    "rakuten_travel": Source(
        "Rakuten Travel reviews: tab-separated, Shift_JIS or UTF-8; --columns names the order",
        "https://www.nii.ac.jp/dsc/idr/en/rakuten/",
        "given to research institutions on application to the Informatics Research Data "
        "Repository; no redistribution",
        frozenset((*_NOBODY, "匿名", "匿名希望", "投稿者", "投稿者さん")),
        options=(InputOptions, LayoutOptions),
    ),
    "tripadvisor": Source(
        "TripAdvisor hotel reviews of the LARA project: a hotel's .dat or .json, or a .zip or "
        ".tar of them",
        "https://www.cs.virginia.edu/~hw5x/Data/LARA/TripAdvisor/",
        "no licence given; the authors ask for a citation",
        frozenset((*_NOBODY, "a tripadvisor member", "a tripadvisor traveler", "lass=")),
    ),
    "generic": Source(
        "CSV, TSV, JSON lines (plain, .gz, .zst or .zip) or Parquet with one review per row",
        "your own files",
        "yours",
        frozenset((*_NOBODY, "a tripadvisor member")),
        options=(InputOptions, FieldOptions),
    ),
    "synthetic": Source(
        "reviews generated with a known truth",
        "made by this command",
        "MIT",
        frozenset(),
        options=(Dials,),
    ),
}


def reader_of(source: str) -> Callable[..., Reading]:
    """The function that reads a source's file: path, options where it has some, anonymous names."""
    module = import_module(f"recbole_symcere.convert.readers.{SOURCES[source].module or source}")
    read: Callable[..., Reading] = getattr(module, f"read_{source}")
    return read


def listing(names: Iterable[str] = SOURCES) -> str:
    """Describe the sources for a person, several lines each."""
    return "".join(
        f"{name:16}{_wrapped(source.reads)}\n"
        f"{'':16}from  {source.place}\n"
        f"{'':16}terms {_wrapped(source.terms, 22)}\n"
        for name, source in ((name, SOURCES[name]) for name in names)
    )


def _wrapped(text: str, indent: int = 16) -> str:
    return f"\n{'':{indent}}".join(textwrap.wrap(text, 98 - indent))
