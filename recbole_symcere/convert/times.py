"""Times as text -> whole UTC seconds."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from recbole_symcere.base.errors import InputError

EXPECTED = "seconds since 1970 such as 1530000000, or a date such as 2018-07-07 22:09:11"

UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")
#: Stands in the place of a unit.
COMPACT = "dates such as 20180707"
# no number of seconds since September 1970, and in no other unit either
_COMPACT = r"^(?:19[7-9]\d|20\d\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$"
# A number of seconds above this is in the year 5138, one of milliseconds below it before 1973.
_LARGEST_SECONDS = 1e11
_YEAR_2100 = 4_102_444_800
_YEAR = 366 * 86_400
_PROBE = datetime(2018, 7, 17, 22, 9, 11, tzinfo=UTC)
_DAY = "%Y-%m-%d"
_DATE_FORMATS = (
    *(_DAY, f"{_DAY} %H:%M:%S", f"{_DAY} %H:%M", f"{_DAY} %H:%M:%S%.f"),
    *("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y"),
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


def parse_times(
    texts: pl.Series,
    unit: str | None = None,
    utc_offset: int = 0,
    date_format: str | None = None,
) -> Times:
    """Turn a column of numbers or dates into seconds.

    One unit holds for the whole column, so that a stray value is an error, not another year. Dates
    are those that the help of ``--date_format`` lists.

    Args:
        texts: String column.
        unit: unit of the numbers; None for that of most of them (milliseconds above 1e11 and so
            on).
        utc_offset: seconds by which the clock of dates without a zone is ahead of UTC.
        date_format: one of `UNITS`, or the pattern of all times, from `checked_format`; None for
            numbers and dates.

    Returns:
        The seconds, row by row, and the unit.
    """
    stripped = texts.str.strip_chars()
    if date_format is not None and date_format not in UNITS:
        return _inside(_parsed(stripped, date_format, utc_offset), UNITS[0])
    numbers = stripped.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite(), None)
    unit = unit or date_format or _unit_of(stripped, numbers)
    if unit == COMPACT:
        seconds = _parsed(stripped, "%Y%m%d", utc_offset)
    else:
        power = UNITS.index(unit)
        seconds = (numbers / 1000.0**power).set(_power(numbers) != power, None).floor()
    if seconds.null_count() and date_format is None:
        dates = _parse_dates(stripped.set(numbers.is_not_null(), None), utc_offset)
        seconds = seconds.fill_null(dates)
    return _inside(seconds, unit)


def checked_format(text: str) -> str:
    """Return a ``--date_format`` as `parse_times` takes it.

    Raises:
        InputError: if no time can be read by it.
    """
    if text in UNITS:
        return text
    pattern = text.replace(".%f", "%.f")  # Python's microseconds behind the point
    try:
        probe = _parsed(pl.Series([_PROBE.strftime(text)]), pattern, 0)[0]
    except (pl.exceptions.PolarsError, ValueError):
        probe = None
    if probe is None or abs(probe - _PROBE.timestamp()) > _YEAR:
        raise InputError(
            f"--date_format: {text!r} reads no times; expected a pattern with the year, such as "
            f"%d.%m.%Y or '%m/%d/%Y %H:%M', or one of {', '.join(UNITS)}"
        )
    return pattern


def _unit_of(texts: pl.Series, numbers: pl.Series) -> str:
    """Return the unit of most numbers; seconds where there are none."""
    n_numbers = len(numbers) - numbers.null_count()
    if n_numbers and 2 * int(texts.str.contains(_COMPACT).sum()) > n_numbers:
        return COMPACT
    modes = _power(numbers).drop_nulls().mode().sort()
    return UNITS[int(modes[-1])] if len(modes) else UNITS[0]


def _power(numbers: pl.Series) -> pl.Series:
    """Return 0 for seconds, 1 for milliseconds, ..."""
    return sum(
        ((numbers.abs() >= _LARGEST_SECONDS * 1000.0**n).cast(pl.Int64) for n in range(3)),
        start=pl.repeat(0, len(numbers), dtype=pl.Int64, eager=True),
    )


def _inside(seconds: pl.Series, unit: str) -> Times:
    inside = seconds.is_between(0, _YEAR_2100, closed="left")
    return Times(seconds.set(~inside, None).cast(pl.Int64), unit)


def _parse_dates(texts: pl.Series, utc_offset: int) -> pl.Series:
    """Return Float64 seconds since 1970 of dates, null for what is none."""
    plain = (
        texts.str.replace(r"^(\d{4})/(\d\d?)/(\d\d?)", "${1}-${2}-${3}")
        .str.replace(r"^(\d{4}-\d\d?-\d\d?)[Tt]", "${1} ")
        .str.replace(r"(?:[Zz]| ?UTC)$", "+00:00")
        .str.replace(r"(:\d\d(?:\.\d+)?) ?([+-]\d\d):?(\d\d)$", "${1}${2}:${3}")
    )
    seconds = pl.repeat(None, len(texts), dtype=pl.Float64, eager=True)
    for pattern in (*_DATE_FORMATS, *_ZONED_FORMATS):
        rest = plain.set(seconds.is_not_null(), None)
        if rest.null_count() == len(rest):
            break
        seconds = seconds.fill_null(_parsed(rest, pattern, utc_offset))
    return seconds


def _parsed(texts: pl.Series, pattern: str, utc_offset: int) -> pl.Series:
    """Return Float64 seconds, rounded down, of times by one pattern; null for what is none."""
    zoned = re.search("%[:#]?z", pattern) is not None
    with warnings.catch_warnings():
        # polars takes %f for a slip, but who names it has such numbers
        warnings.simplefilter("ignore", pl.exceptions.ChronoFormatWarning)
        found = texts.str.to_datetime(
            pattern, time_unit="us", strict=False, time_zone="UTC" if zoned else None
        )
    micros = found.cast(pl.Int64).cast(pl.Float64) - (0 if zoned else utc_offset * 10**6)
    return (micros / 1e6).floor()
