"""Rakuten Travel user reviews, as the Informatics Research Data Repository (NII) hands them out.

Tab-separated lines without a header and without quoting, in Shift_JIS or UTF-8. The order of the
columns has changed between deliveries and is part of the agreement, so it can be named; the
default is: user id, time, hotel id, plan id, plan title, room type, room name, purpose, companions,
six ratings of aspects, the overall rating, title, text. Times are Japan's clock, nine hours ahead
of UTC. Title and text are joined as `json_reviews.with_summary` tells, by "\u3002" between them.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_options import LayoutOptions
from recbole_symcere.convert.delimited import DelimitedRows
from recbole_symcere.convert.encodings import AUTO, Recoder, codec_of
from recbole_symcere.convert.lines import LineBlocks, TextLines
from recbole_symcere.convert.raw import Columns, RawTable
from recbole_symcere.convert.records import Batch, Reading
from recbole_symcere.convert.validate import Expectations, Validator

SOURCE = "rakuten_travel"

_DEFAULT = ("user_id,timestamp,item_id," + "-," * 12 + "rating,title,text").split(",")
_NEEDED = ("user_id", "item_id", "rating", "timestamp", "text")
_JAPAN = 9 * 3600
_RATINGS = (1.0, 5.0)
_CODECS = ("utf-8", "cp932")


def read_rakuten_travel(
    path: Path,
    options: LayoutOptions | None = None,
    anonymous: frozenset[str] = frozenset(),
) -> Reading:
    """Read the reviews.

    Args:
        path: the file, plain, gzip or zstd.
        options: order of the columns and encoding; None for the defaults.
        anonymous: user names that many people share, lower case.

    Returns:
        The reading; ratings are 1 to 5.

    Raises:
        InputError: if the file cannot be read, a column is unknown, doubled or missing, or the
            encoding unknown.
    """
    options = options or LayoutOptions()
    names = _names(options.columns)
    blocks = LineBlocks(path, recoder=Recoder(_codec(options.encoding), _CODECS[1:]))
    header = [name if name != "-" else f"-{n}" for n, name in enumerate(names)]
    columns = Columns(
        {**{name: name for name in _NEEDED}, "summary": "title"}, frozenset({"summary"})
    )
    rows = DelimitedRows(TextLines(blocks), path.name, columns, "\t", no_quotes=True, header=header)
    validate = Validator(
        path.name,
        Expectations(columns.names, rating_range=_RATINGS, utc_offset=_JAPAN, anonymous=anonymous),
    )

    def read(table: RawTable) -> Batch:
        return validate(_with_title(table))

    return Reading(SOURCE, path.name, rows, read, (path,), blocks.position)


def _names(columns: str | None) -> list[str]:
    """What each column of the file is; "-" for one that is not read."""
    names = [part.strip() for part in columns.split(",")] if columns else _DEFAULT
    for name in (*_NEEDED, "title"):
        if names.count(name) != 1 and (name in names or name in _NEEDED):
            raise InputError(
                f"--columns: {name} stands there {names.count(name)} times; expected once, "
                "such as --columns=user_id,timestamp,item_id,-,rating,title,text"
            )
    unknown = sorted({*names} - {*_NEEDED, "title", "-"})
    if unknown:
        raise InputError(
            f"--columns: {unknown[0]!r} is unknown; expected {', '.join(_NEEDED)}, title or -"
        )
    return names


def _codec(encoding: str) -> str:
    """One of auto, utf-8 and cp932, which is Shift_JIS as Windows writes it."""
    codec = codec_of(encoding)
    if codec not in {AUTO, *_CODECS}:
        raise InputError(f"--encoding: {encoding!r} is unknown; expected auto, utf-8 or cp932")
    return codec


def _with_title(table: RawTable) -> RawTable:
    title, text = (pl.col(name).fill_null("").str.strip_chars() for name in ("summary", "text"))
    gap = (
        pl.when((title == "") | (text == "") | title.str.contains(r"\p{P}$"))
        .then(pl.lit(""))
        .otherwise(pl.lit("\u3002"))
    )
    joined = pl.concat_str(title, gap, text)
    return RawTable(table.frame.with_columns(text=joined), table.notes)
