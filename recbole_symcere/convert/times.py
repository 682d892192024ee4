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
#: How these look; a column of floating-point numbers has them as 20180707.0.
COMPACT_PATTERN = r"^\s*(?:19[7-9]\d|20\d\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\.0*)?\s*$"
_FIRST_COMPACT, _LAST_COMPACT = 19_700_101, 20_991_231
# A number of seconds above this is in the year 5138, one of milliseconds below it before 1973.
_LARGEST_SECONDS = 1e11
_YEAR_2100 = 4_102_444_800
# who reviewed before the web did not leave seconds
_YEAR_1990 = 631_152_000
_YEAR = 366 * 86_400
_PROBE = datetime(2018, 7, 17, 22, 9, 11, tzinfo=UTC)
_DAY = "%Y-%m-%d"
_DATE_FORMATS = (
    *(_DAY, f"{_DAY} %H:%M:%S", f"{_DAY} %H:%M", f"{_DAY} %H:%M:%S%.f"),
    *("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y"),
)
_ZONED_FORMATS = tuple(f"{date}%:z" for date in _DATE_FORMATS[1:4])


class Early(NamedTuple):
    """Numbers that make times before 1990 in the unit in which they are read.

    Attributes:
        unit: that unit.
        n_found: how many there are.
        low: the smallest.
        high: the largest.
        column: the file's name of their column.
    """

    unit: str
    n_found: int
    low: float
    high: float
    column: str = ""

    def plus(self, more: Early | None) -> Early:
        """Return both together."""
        if more is None:
            return self
        low, high = min(self.low, more.low), max(self.high, more.high)
        return self._replace(n_found=self.n_found + more.n_found, low=low, high=high)

    def describe(self, n_rows: int) -> str:
        """Say of how many of the rows they are, what they look like and what can be done."""
        return (
            f"{self.column} is a number from {self.low:.15g} to {self.high:.15g} in "
            f"{self.n_found:,} of {n_rows:,} rows, a time before 1990 if read as {self.unit} since "
            f"1970; {self._look()}"
        )

    def _look(self) -> str:
        are_months = all(1 <= end % 100 <= 12 for end in (self.low, self.high))  # 201899 is none
        for first, last, what in _LOOKS:
            if first <= self.low and self.high <= last and (what is not _MONTHS or are_months):
                return what
        return (
            "if that is not meant, name the form with --date_format or write dates such as "
            "2018-07-07; --date_format=seconds says that it is"
        )


_MONTHS = "that looks like months such as 201807, which --date_format=%Y%m reads"
# smallest and largest number -> what numbers between them look like
_LOOKS = (
    (1900, 2100, "that looks like years, which --date_format=%Y reads"),
    (190_001, 210_012, _MONTHS),
    (
        197_001_010_000,
        209_912_312_359,
        "that looks like dates such as 201807072209, which --date_format=%Y%m%d%H%M reads",
    ),
    (
        9_131,  # 1995
        25_000,  # 2038
        "that looks like days since 1970, which are not read: write dates such as 2018-07-07",
    ),
    (
        32_874,  # 1990
        55_000,  # 2050
        "that looks like days of a spreadsheet, which are not read: write dates such as 2018-07-07",
    ),
)


class Times(NamedTuple):
    """Parsed times.

    Attributes:
        seconds: Int64, whole UTC seconds, rounded down; null where the text is no time between
            1970 and 2100 or is in another unit than the rest.
        unit: unit of the column's numbers; "seconds" where there are none.
        early: the numbers that make times before 1990, or None where there are none or the form of
            the times was named.
    """

    seconds: pl.Series
    unit: str
    early: Early | None = None


def parse_times(
    texts: pl.Series,
    unit: str | None = None,
    utc_offset: int = 0,
    date_format: str | None = None,
) -> Times:
    """Turn a column of numbers or dates into seconds.

    One unit holds for the whole column, so that a stray value is an error, not another year: a date
    such as 20180707 among seconds is one too. Dates are those that the help of ``--date_format``
    lists.

    Args:
        texts: String column.
        unit: unit of the numbers; None for that of most of them (milliseconds above 1e11 and so
            on).
        utc_offset: seconds by which the clock of dates without a zone is ahead of UTC.
        date_format: one of `UNITS`, or the pattern of all times, from `checked_format`; None for
            numbers and dates.

    Returns:
        The seconds, row by row, the unit, and what is doubtful.
    """
    stripped = texts.str.strip_chars()
    if date_format is not None and date_format not in UNITS:
        return _inside(_parsed(stripped, date_format, utc_offset), UNITS[0])
    numbers = stripped.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite(), None)
    compact = _look_compact(numbers)
    unit = unit or date_format or _unit_of(compact, numbers)
    if unit == COMPACT:
        days = numbers.set(~compact, None).cast(pl.Int64).cast(pl.String)
        seconds = _parsed(days, "%Y%m%d", utc_offset)
    else:
        power = UNITS.index(unit)
        numbers_of_unit = numbers.set(_power(numbers) != power, None)
        if date_format is None:
            numbers_of_unit = numbers_of_unit.set(compact, None)
        seconds = (numbers_of_unit / 1000.0**power).floor()
    early = None
    if date_format is None:
        early = None if unit == COMPACT else _early(seconds, numbers, unit)
        if seconds.null_count():
            dates = _parse_dates(stripped.set(numbers.is_not_null(), None), utc_offset)
            seconds = seconds.fill_null(dates)
    return _inside(seconds, unit, early)


def checked_format(text: str) -> str:
    """Return a ``--date_format`` as `parse_times` takes it.

    Raises:
        InputError: if no time can be read by it.
    """
    if text in UNITS:
        return text
    if "%Z" in text.replace("%%", ""):
        raise InputError(
            f"--date_format: {text!r} reads the name of a zone, which says no offset; expected %z, "
            "which reads +0200, or where all times are of UTC the word itself, such as "
            "'%Y-%m-%d %H:%M:%S UTC'"
        )
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


def _unit_of(compact: pl.Series, numbers: pl.Series) -> str:
    """Return the unit of most numbers; seconds where there are none."""
    n_numbers = len(numbers) - numbers.null_count()
    if n_numbers and 2 * int(compact.sum()) > n_numbers:
        return COMPACT
    modes = _power(numbers).drop_nulls().mode().sort()
    return UNITS[int(modes[-1])] if len(modes) else UNITS[0]


def _look_compact(numbers: pl.Series) -> pl.Series:
    """Mark the numbers that are dates such as 20180707.

    Of whole numbers between the first and the last such date one in 27 looks like one by chance;
    where most do not, none is.
    """
    near = numbers.is_between(_FIRST_COMPACT, _LAST_COMPACT).fill_null(False)
    if not near.any():
        return near
    month, day = numbers // 100 % 100, numbers % 100
    looks = near & month.is_between(1, 12) & day.is_between(1, 31) & (numbers.floor() == numbers)
    looks = looks.fill_null(False)
    return looks if 2 * int(looks.sum()) >= int(near.sum()) else looks & False


def _early(seconds: pl.Series, numbers: pl.Series, unit: str) -> Early | None:
    is_early = seconds.is_between(0, _YEAR_1990, closed="left")
    count = int(is_early.sum())
    if not count:
        return None
    low, high = numbers.filter(is_early).min(), numbers.filter(is_early).max()
    return Early(unit, count, float(low), float(high))  # type: ignore[arg-type] # numbers


def _power(numbers: pl.Series) -> pl.Series:
    """Return 0 for seconds, 1 for milliseconds, ..."""
    return sum(
        ((numbers.abs() >= _LARGEST_SECONDS * 1000.0**n).cast(pl.Int64) for n in range(3)),
        start=pl.repeat(0, len(numbers), dtype=pl.Int64, eager=True),
    )


def _inside(seconds: pl.Series, unit: str, early: Early | None = None) -> Times:
    inside = seconds.is_between(0, _YEAR_2100, closed="left")
    return Times(seconds.set(~inside, None).cast(pl.Int64), unit, early)


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
