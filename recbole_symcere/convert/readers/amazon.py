"""Amazon review dumps of 2014 (McAuley), 2018 (Ni, Li, McAuley) and 2023 (Hou and others).

JSON lines, plain, gzip or zstd, whose ratings are 1 to 5. Summary and body are joined as
`json_reviews.with_summary` tells; a row may lack either.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recbole_symcere.convert.json_reviews import read_json_reviews, with_summary
from recbole_symcere.convert.lines import LineBlocks
from recbole_symcere.convert.raw import Columns
from recbole_symcere.convert.records import Reading

_FIRST_KEYS = {
    "user_id": "reviewerID",
    "item_id": "asin",
    "rating": "overall",
    "timestamp": "unixReviewTime",  # seconds
    "text": "reviewText",
    "summary": "summary",
}

#: Source -> our column -> the dump's key.
_KEYS: Mapping[str, Mapping[str, str]] = {
    # reviews_Musical_Instruments_5.json.gz
    "amazon2014": _FIRST_KEYS,
    # Gift_Cards_5.json.gz; one review stands under every variant of its product, with one asin or
    # with several
    "amazon2018": _FIRST_KEYS,
    # Gift_Cards.jsonl.gz; the item is parent_asin, the product of which asin is a variant: the
    # metadata knows that one only
    "amazon2023": {
        "user_id": "user_id",
        "item_id": "parent_asin",
        "rating": "rating",
        "timestamp": "timestamp",  # milliseconds
        "text": "text",
        "summary": "title",
    },
}


def _read(source: str, path: Path, anonymous: frozenset[str]) -> Reading:
    columns = Columns(_KEYS[source], optional=frozenset({"summary"}), renamable=False)
    return read_json_reviews(source, LineBlocks(path), columns, anonymous, with_summary)


def read_amazon2014(path: Path, anonymous: frozenset[str] = frozenset()) -> Reading:
    """Read a dump of 2014.

    Args:
        path: the file.
        anonymous: user names that many people share, lower case.

    Raises:
        InputError: if the file cannot be read; while reading, if it lacks a key.
    """
    return _read("amazon2014", path, anonymous)


def read_amazon2018(path: Path, anonymous: frozenset[str] = frozenset()) -> Reading:
    """Read a dump of 2018, as `read_amazon2014`."""
    return _read("amazon2018", path, anonymous)


def read_amazon2023(path: Path, anonymous: frozenset[str] = frozenset()) -> Reading:
    """Read a dump of 2023, as `read_amazon2014`."""
    return _read("amazon2023", path, anonymous)
