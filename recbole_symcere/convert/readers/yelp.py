"""The Yelp Open Dataset: yelp_academic_dataset_review.json, or the archive that holds it.

JSON lines with user_id, business_id, stars, date ("2018-07-07 22:09:11", taken as UTC) and text,
which is the whole text: there is no summary.
"""

from __future__ import annotations

from pathlib import Path

from recbole_symcere.convert.archives import is_archive, only_member
from recbole_symcere.convert.json_reviews import read_json_reviews
from recbole_symcere.convert.lines import LineBlocks, check_file
from recbole_symcere.convert.raw import Columns
from recbole_symcere.convert.records import Reading

SOURCE = "yelp"

_COLUMNS = Columns(
    {
        "user_id": "user_id",
        "item_id": "business_id",
        "rating": "stars",
        "timestamp": "date",
        "text": "text",
    },
    renamable=False,
)


def read_yelp(path: Path, anonymous: frozenset[str] = frozenset()) -> Reading:
    """Read the reviews.

    Args:
        path: the review file, plain, gzip or zstd; or the .tar, .tgz or .zip that holds it.
        anonymous: user names that many people share, lower case.

    Returns:
        The reading; ratings are 1 to 5.

    Raises:
        InputError: if the file cannot be read; while reading, if it lacks a key.
    """
    return read_json_reviews(SOURCE, member_lines(path, "review.json"), _COLUMNS, anonymous)


def member_lines(path: Path, ending: str) -> LineBlocks:
    """Return the lines of a file, or of the first member of an archive with this ending."""
    check_file(path)
    if not is_archive(path):
        return LineBlocks(path)
    return LineBlocks(path, only_member(lambda name: name.endswith(ending), f"...{ending}"))
