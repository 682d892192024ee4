"""Amazon review dumps of 2014 (McAuley), such as reviews_Musical_Instruments_5.json.gz.

JSON lines with reviewerID, asin, overall, unixReviewTime (seconds), summary and reviewText.
"""

from __future__ import annotations

from pathlib import Path

from recbole_symcere.convert.readers.amazon import FIRST_KEYS, read_amazon
from recbole_symcere.convert.records import Reading

SOURCE = "amazon2014"


def read_amazon2014(path: Path, anonymous: frozenset[str] = frozenset()) -> Reading:
    """Read a dump.

    summary and reviewText are joined as `amazon.read_amazon` tells.

    Args:
        path: JSON lines, plain, gzip or zstd.
        anonymous: user names that many people share, lower case.

    Returns:
        The reading; ratings are 1 to 5.

    Raises:
        InputError: if the file cannot be read; while reading, if it lacks a key.
    """
    return read_amazon(SOURCE, path, FIRST_KEYS, anonymous)
