"""Times as text -> whole UTC seconds."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

EXPECTED = "seconds since 1970 such as 1530000000, or a date such as 2018-07-07 22:09:11"

UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")
# A number of seconds above this is in the year 5138, one of milliseconds below it before 1973.
_LARGEST_SECONDS = 1e11
_YEAR_2100 = 4_102_444_800
_DAY = "%Y-%m-%d"
_DATE_FORMATS = (
    *(_DAY, f"{_DAY} %H:%M", f"{_DAY} %H:%M:%S", f"{_DAY} %H:%M:%S%.f"),
    *("%b %d, %Y", "%B %d, %Y"),
)
_ZONED_FORMATS = tuple(f"{date}%:z" for date in _DATE_FORMATS[1:4])


class Times(NamedTuple):
    """Parsed times.

    Attributes:
        seconds: Int64, whole UTC seconds, rounded down; null where the text is no time between
            1970 and 2100 or is in another unit than the rest.
        unit: unit of the column's numbers; "seconds" where there are none.
    """

    seconds: pl.Series
    unit: str


def parse_times(texts: pl.Series, unit: str | None = None, utc_offset: int = 0) -> Times:
    """Turn a column of numbers or dates into seconds.

    One unit holds for the whole column, so that a stray value is an error, not another year. Dates
    are ISO 8601 (also with slashes) or like "Jan 6, 2009".

    Args:
        texts: String column.
        unit: unit of the numbers; None for that of most of them (milliseconds above 1e11 and so
            on).
        utc_offset: seconds by which the clock of dates without a zone is ahead of UTC.

    Returns:
        The seconds, row by row, and the unit.
    """
    stripped = texts.str.strip_chars()
    numbers = stripped.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite(), None)
    # 0 for seconds, 1 for milliseconds, ...
    power = sum(
        ((numbers.abs() >= _LARGEST_SECONDS * 1000.0**n).cast(pl.Int64) for n in range(3)),
        start=pl.repeat(0, len(texts), dtype=pl.Int64, eager=True),
    )
    if unit is None:
        modes = power.drop_nulls().mode().sort()
        unit = UNITS[int(modes[-1])] if len(modes) else UNITS[0]
    scale = UNITS.index(unit)
    seconds = (numbers / 1000.0**scale).set(power != scale, None).floor()
    if seconds.null_count():
        dates = _parse_dates(stripped.set(numbers.is_not_null(), None), utc_offset)
        seconds = seconds.fill_null(dates)
    inside = seconds.is_between(0, _YEAR_2100, closed="left")
    return Times(seconds.set(~inside, None).cast(pl.Int64), unit)


def _parse_dates(texts: pl.Series, utc_offset: int) -> pl.Series:
    """Return Float64 seconds since 1970 of dates, null for what is none."""
    plain = (
        texts.str.replace(r"^(\d{4})/(\d\d?)/(\d\d?)", "${1}-${2}-${3}")
        .str.replace(r"^(\d{4}-\d\d?-\d\d?)[Tt]", "${1} ")
        .str.replace(r"(?:[Zz]| ?UTC)$", "+00:00")
        .str.replace(r"([+-]\d\d)(\d\d)$", "${1}:${2}")
    )
    column = pl.col("time")
    parsed = [
        column.str.to_datetime(f, time_unit="us", strict=False).cast(pl.Int64) - utc_offset * 10**6
        for f in _DATE_FORMATS
    ]
    zoned = [
        column.str.to_datetime(f, time_unit="us", strict=False, time_zone="UTC").cast(pl.Int64)
        for f in _ZONED_FORMATS
    ]
    seconds = pl.DataFrame({"time": plain}).select(pl.coalesce(parsed + zoned) / 1e6).to_series()
    return seconds.floor()
