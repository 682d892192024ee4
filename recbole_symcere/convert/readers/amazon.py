"""What the Amazon readers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from recbole_symcere.convert.jsonlines import JsonLines
from recbole_symcere.convert.lines import Block, LineBlocks
from recbole_symcere.convert.raw import Columns, RawTable
from recbole_symcere.convert.records import Batch, Reading
from recbole_symcere.convert.validate import Expectations, Validator

_STARS = (1.0, 5.0)

#: The keys of 2014 and 2018.
FIRST_KEYS = Columns(
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


def read_json_reviews(
    source: str,
    blocks: LineBlocks,
    columns: Columns,
    anonymous: frozenset[str],
    adapt: Callable[[RawTable], RawTable] = lambda table: table,
) -> Reading:
    """Read JSON lines with ratings of 1 to 5.

    Args:
        source: name of the source.
        blocks: the lines.
        columns: the keys.
        anonymous: user names that many people share, lower case.
        adapt: what the source does to the values before they are checked.

    Returns:
        The reading.
    """
    file = blocks.path.name
    parse = JsonLines(columns, file)
    validate = Validator(
        file, Expectations(columns.names, rating_range=_STARS, anonymous=anonymous)
    )

    def read(block: Block) -> Batch:
        return validate(adapt(parse(block)))

    return Reading(source, file, blocks, read, (blocks.path,), blocks.position)


def read_amazon(source: str, path: Path, columns: Columns, anonymous: frozenset[str]) -> Reading:
    """Read an Amazon dump whose texts have a summary and a body.

    The text of a review is its summary, then its body: "summary. body", or "summary body" where the
    summary ends in a punctuation mark already. Where one of them is empty, the text is the other;
    where both are, the review stays with an empty text.

    Args:
        source: name of the source.
        path: the file.
        columns: the keys, "summary" among them.
        anonymous: user names that many people share, lower case.

    Returns:
        The reading.
    """
    return read_json_reviews(source, LineBlocks(path), columns, anonymous, with_summary)


def with_summary(table: RawTable) -> RawTable:
    """Join the columns ``summary`` and ``text`` to one text."""
    # in two steps, since polars would strip once more for every mention
    stripped = table.frame.with_columns(pl.col("summary", "text").fill_null("").str.strip_chars())
    first, second = pl.col("summary"), pl.col("text")
    gap = (
        pl.when((first == "") | (second == ""))
        .then(pl.lit(""))
        .when(first.str.contains(r"\p{P}$"))
        .then(pl.lit(" "))
        .otherwise(pl.lit(". "))
    )
    text = pl.concat_str(first, gap, second)
    return RawTable(stripped.with_columns(text=text), table.notes)
