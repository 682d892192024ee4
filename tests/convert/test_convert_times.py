from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.convert.times import COMPACT, Early, parse_times

NOON = 1_531_001_351  # 2018-07-07 22:09:11 UTC
MIDNIGHT = 1_530_921_600  # 2018-07-07 00:00:00 UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-07-07 22:09:11", NOON),
        ("2018-07-07T22:09:11", NOON),
        ("2018-07-07T22:09:11Z", NOON),
        ("2018-07-07 22:09:11 UTC", NOON),
        ("2018-07-07T22:09:11.999", NOON),
        ("2018-07-08T00:09:11+02:00", NOON),
        ("2018-07-07T17:09:11-0500", NOON),
        ("2018-07-07 22:09", NOON - 11),
        ("2018-07-07", MIDNIGHT),
        (" 1531001351 ", NOON),
        ("1531001351.9", NOON),
        ("1.5e9", 1_500_000_000),
        ("0", 0),
    ],
)
def test_a_time_becomes_seconds(text, expected):
    assert parse_times(pl.Series([text])).seconds.to_list() == [expected]


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "nan", "inf", "-1", "2018-02-30", "2018-07-07 25:00:00", "1969-12-31", "5e9"],
)
def test_what_is_no_time_is_null(text):
    assert parse_times(pl.Series([text])).seconds.to_list() == [None]


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")],
)
def test_the_unit_holds_for_the_whole_column(factor, unit):
    values = [NOON * factor, (NOON + 1) * factor, 5]
    parsed = parse_times(pl.Series([str(value) for value in values]))
    assert parsed.unit == unit
    assert parsed.seconds.to_list() == [NOON, NOON + 1, 5 if factor == 1 else None]


def test_a_few_numbers_in_another_unit_are_null_instead_of_another_year():
    parsed = parse_times(pl.Series([str(NOON)] * 3 + [str(NOON * 1000)]))
    assert parsed.seconds.to_list() == [NOON] * 3 + [None]
    assert parsed.unit == "seconds"


def test_dates_and_numbers_may_stand_together():
    assert parse_times(pl.Series(["2018-07-07", str(NOON)])).seconds.to_list() == [MIDNIGHT, NOON]


def test_an_empty_column_is_empty():
    assert parse_times(pl.Series([], dtype=pl.String)).seconds.to_list() == []


@given(st.integers(0, 4_102_444_799))
def test_a_date_is_read_as_python_writes_it(seconds):
    text = datetime.fromtimestamp(seconds, UTC).isoformat()
    assert parse_times(pl.Series([text])).seconds.to_list() == [seconds]


# --- dates without marks -------------------------------------------------------------------------

JUNE_27 = 1_530_057_600  # 2018-06-27 00:00:00 UTC


@pytest.mark.parametrize("written", ["20180627", "20180627.0", "2.0180627e7", " 20180627 "])
@pytest.mark.parametrize("unit", [None, "seconds"])
def test_a_date_without_marks_among_other_times_is_no_number_of_seconds(unit, written):
    parsed = parse_times(pl.Series([str(NOON), "2018-06-26", str(NOON), written]), unit)
    assert parsed.seconds.to_list() == [NOON, 1_529_971_200, NOON, None]
    assert parsed.early is None


@pytest.mark.parametrize("written", ["20180627", "20180627.0", "2.0180627e7", " 20180627 "])
def test_dates_without_marks_are_read_where_they_are_most_numbers(written):
    parsed = parse_times(pl.Series([written, "20180707", "2018062", "20180231", str(NOON)]))
    assert parsed.unit == COMPACT
    assert parsed.seconds.to_list() == [JUNE_27, MIDNIGHT, None, None, None]


def test_a_unit_that_is_named_holds_for_what_looks_like_a_date():
    parsed = parse_times(pl.Series(["20180627"]), date_format="seconds")
    assert parsed.seconds.to_list() == [20_180_627]
    assert parsed.early is None


@pytest.mark.parametrize("step", [1, 7, 1009])
def test_an_order_that_passes_dates_without_marks_by_chance_stays_whole(step):
    first = 20_180_000
    values = list(range(first, first + 20_000 * step, step))
    parsed = parse_times(pl.Series(list(map(str, values))), "seconds")
    assert parsed.seconds.to_list() == values


# --- times before 1990 ---------------------------------------------------------------------------

YEARS = "that looks like years, which --date_format=%Y reads"
MONTHS = "that looks like months such as 201807, which --date_format=%Y%m reads"
MINUTES = "that looks like dates such as 201807072209, which --date_format=%Y%m%d%H%M reads"
DAYS = "that looks like days since 1970, which are not read: write dates such as 2018-07-07"
SHEET = "that looks like days of a spreadsheet, which are not read: write dates such as 2018-07-07"
ANY = (
    "if that is not meant, name the form with --date_format or write dates such as 2018-07-07; "
    "--date_format=seconds says that it is"
)


@pytest.mark.parametrize(
    ("values", "ends", "unit", "look"),
    [
        (["2012", "2018.0"], "2012 to 2018", "seconds", YEARS),
        (["201806", "201712"], "201712 to 201806", "seconds", MONTHS),
        (["201806", "201799"], "201799 to 201806", "seconds", ANY),
        (["201807072209", "201907072209"], "201807072209 to 201907072209", "milliseconds", MINUTES),
        (["17710", "17712.5"], "17710 to 17712.5", "seconds", DAYS),
        (["43277.33", "43288"], "43277.33 to 43288", "seconds", SHEET),
        (["0", "1", "2"], "0 to 2", "seconds", ANY),
        (["631151999", str(NOON)], "631151999 to 631151999", "seconds", ANY),
    ],
)
def test_numbers_that_make_times_before_1990_are_told_with_what_they_look_like(
    values, ends, unit, look
):
    early = parse_times(pl.Series(values)).early._replace(column="when")
    count = sum(float(value) < 631_152_000 or unit != "seconds" for value in values)
    assert early.describe(2_000) == (
        f"when is a number from {ends} in {count} of 2,000 rows, a time before 1990 if read as "
        f"{unit} since 1970; {look}"
    )


@pytest.mark.parametrize(
    "values",
    [
        ["946684800", str(NOON)],
        [str(NOON * 1000), str(NOON * 1000 + 5)],
        [str(NOON * 10**9)],
        ["1985-05-05", "1970-01-01"],
        ["20180627", "19850627"],
        ["631152000"],
        ["-5", "x", ""],
    ],
)
def test_times_since_1990_and_dates_of_any_year_are_not_told(values):
    assert parse_times(pl.Series(values)).early is None


def test_numbers_before_1990_are_counted_over_tables_and_found_by_their_ends():
    first, second = Early("seconds", 3, 2012, 2018, "t"), Early("seconds", 4, 2010, 2016, "t")
    assert first.plus(None) == first
    assert first.plus(second) == Early("seconds", 7, 2010, 2018, "t")
    assert first.plus(Early("seconds", 1, 5, 5, "t")).describe(9).endswith(ANY)
