"""Amazon review dumps of 2018 (Ni, Li, McAuley), such as Gift_Cards_5.json.gz.

JSON lines with reviewerID, asin, overall, unixReviewTime (seconds), summary and reviewText. One
review stands under every variant of its product, with one asin or with several.
"""

from __future__ import annotations

from pathlib import Path

from recbole_symcere.convert.readers.amazon import FIRST_KEYS, read_amazon
from recbole_symcere.convert.records import Reading

SOURCE = "amazon2018"


def read_amazon2018(path: Path, anonymous: frozenset[str] = frozenset()) -> Reading:
    """Read a dump.

    summary and reviewText are joined as `amazon.read_amazon` tells. A row may lack either.

    Args:
        path: JSON lines, plain, gzip or zstd.
        anonymous: user names that many people share, lower case.

    Returns:
        The reading; ratings are 1 to 5.

    Raises:
        InputError: if the file cannot be read; while reading, if it lacks a key.
    """
    return read_amazon(SOURCE, path, FIRST_KEYS, anonymous)
