"""Amazon review dumps of 2023 (Hou and others), such as Gift_Cards.jsonl.gz.

JSON lines with user_id, parent_asin, rating, timestamp (milliseconds), title and text. The item is
parent_asin, the product of which asin is a variant: the metadata knows that one only.
"""

from __future__ import annotations

from pathlib import Path

from recbole_symcere.convert.raw import Columns
from recbole_symcere.convert.readers.amazon import read_amazon
from recbole_symcere.convert.records import Reading

SOURCE = "amazon2023"

_COLUMNS = Columns(
    {
        "user_id": "user_id",
        "item_id": "parent_asin",
        "rating": "rating",
        "timestamp": "timestamp",
        "text": "text",
        "summary": "title",
    },
    optional=frozenset({"summary"}),
    renamable=False,
)


def read_amazon2023(path: Path, anonymous: frozenset[str] = frozenset()) -> Reading:
    """Read a dump.

    title and text are joined as `amazon.read_amazon` tells for summary and body.

    Args:
        path: JSON lines, plain, gzip or zstd.
        anonymous: user names that many people share, lower case.

    Returns:
        The reading; ratings are 1 to 5.

    Raises:
        InputError: if the file cannot be read; while reading, if it lacks a key.
    """
    return read_amazon(SOURCE, path, _COLUMNS, anonymous)
