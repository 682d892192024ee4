"""Amazon review dumps of 2014 (McAuley), such as reviews_Musical_Instruments_5.json.gz.

JSON lines with reviewerID, asin, overall, unixReviewTime (seconds), summary and reviewText.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recbole_symcere.convert.jsonlines import read_json_lines
from recbole_symcere.convert.raw import Columns, RawTable
from recbole_symcere.convert.records import Reading
from recbole_symcere.convert.validate import validate

SOURCE = "amazon2014"

_COLUMNS = Columns(
    {
        "user_id": "reviewerID",
        "item_id": "asin",
        "rating": "overall",
        "timestamp": "unixReviewTime",
        "text": "reviewText",
        "summary": "summary",
    },
    optional=frozenset({"summary"}),
    renamable=False,
)


def read_amazon2014(path: Path) -> Reading:
    """Read a dump.

    The text of a review is its summary, then its body: "summary. body", or "summary body" where the
    summary ends in a punctuation mark already. Where one of them is empty, the text is the other;
    where both are, the review stays with an empty text.

    Args:
        path: JSON lines, plain or gzip.

    Returns:
        The reviews and their report; `ReadReport.check` has not been called.

    Raises:
        InputError: if the file cannot be read or lacks a key.
    """
    raw = read_json_lines(path, _COLUMNS)
    frame = raw.frame.with_columns(text=_joined(pl.col("summary"), pl.col("text")))
    checked = validate(RawTable(path, frame, raw.notes), _COLUMNS.names, default_rating=None)
    return Reading(checked.reviews, checked.report, SOURCE, (path,))


def _joined(summary: pl.Expr, body: pl.Expr) -> pl.Expr:
    first, second = summary.fill_null("").str.strip_chars(), body.fill_null("").str.strip_chars()
    gap = (
        pl.when((first == "") | (second == ""))
        .then(pl.lit(""))
        .when(first.str.contains(r"\p{P}$"))
        .then(pl.lit(" "))
        .otherwise(pl.lit(". "))
    )
    return first + gap + second
