from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.convert.times import parse_times

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
