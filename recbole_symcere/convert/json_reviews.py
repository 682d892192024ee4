"""What sources in JSON lines share, and texts that come as a summary and a body."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from recbole_symcere.convert.jsonlines import JsonLines
from recbole_symcere.convert.lines import Block, LineBlocks
from recbole_symcere.convert.raw import Columns, RawTable
from recbole_symcere.convert.records import Batch, Reading
from recbole_symcere.convert.validate import Expectations, Validator

_STARS = (1.0, 5.0)


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


def with_summary(table: RawTable) -> RawTable:
    """Join the columns ``summary`` and ``text`` to one text.

    That is "summary. text", or "summary text" where the summary ends in a punctuation mark already.
    Where one of them is empty, the text is the other; where both are, it stays empty.
    """
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
