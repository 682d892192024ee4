import gzip
import json
import math
from datetime import time, timedelta

import polars as pl
import pytest
from convert_tables import read_all

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_options import FieldOptions
from recbole_symcere.convert.readers import generic
from recbole_symcere.convert.records import SCHEMA

HEADER = "user_id,item_id,rating,timestamp,text\n"
YELP = {"item_field": "business_id", "rating_field": "stars", "time_field": "date"}


def read_generic(path, options=None):
    return read_all(generic.read_generic(path, options))


@pytest.fixture
def read(tmp_path):
    def read(name, content, **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_generic(path, FieldOptions(**options))

    return read


def skipped(reading):
    return {s.reason: (s.count, s.lines) for s in reading.report.skipped}


def line(**values):
    record = {"user_id": "u", "item_id": "i", "rating": 4, "timestamp": 1_500_000_000, "text": "t"}
    return json.dumps({**record, **values}) + "\n"


def test_every_format_gives_the_same_table(read, tmp_path):
    rows = [("007", "0x1", 4.5, 1_500_000_000, 'a "b", c'), ("Ünal", "2.0", 1.0, 5, "")]
    frame = pl.DataFrame(rows, schema=[c for c in SCHEMA if c != "source_line"], orient="row")
    texts = {
        "r.csv": frame.write_csv(),
        "r.tsv": frame.write_csv(separator="\t"),
        "r.jsonl": frame.write_ndjson(),
        "r.json": frame.write_ndjson(),
    }
    frame.write_parquet(tmp_path / "r.parquet")
    tables = [read_generic(tmp_path / "r.parquet")]
    for name, text in texts.items():
        tables.append(read(name, text))
        tables.append(read(f"{name}.gz", gzip.compress(text.encode())))
    for table in tables:
        assert table.reviews.schema == pl.Schema(SCHEMA)
        assert table.reviews.drop("source_line").rows() == rows
        assert (table.report.rows_read, table.report.rows_kept) == (2, 2)


def test_other_names_and_dates_as_in_yelp(read):
    record = {
        "review_id": "r", "user_id": "u", "business_id": "b", "stars": 4.0, "useful": 3,
        "text": "t", "date": "2018-07-07 22:09:11",
    }  # fmt: skip
    reading = read("y.json", json.dumps(record) + "\n", **YELP)
    assert reading.reviews.rows() == [("u", "b", 4.0, 1_531_001_351, "t", 1)]


def test_numbers_in_json_stay_as_written(read):
    reading = read("r.jsonl", '{"user_id": 1.10, "item_id": 1e3, "timestamp": 7, "text": 5}\n')
    assert reading.reviews.row(0)[:2] == ("1.10", "1e3")
    assert reading.reviews["text"].to_list() == ["5"]


def test_a_file_without_ratings_has_none_and_says_so(read):
    reading = read("r.csv", "user_id,item_id,timestamp,text\nu,i,2018-07-07,t\n")
    assert reading.reviews["rating"].to_list() == [None]
    assert reading.report.absent == {"rating"}
    assert reading.report.notes == ("no rating is read: the data set has no ratings",)


def test_a_rating_column_that_was_named_must_exist(read):
    with pytest.raises(InputError, match=r"r\.csv: there is no column 'stars'; .*--rating_field="):
        read("r.csv", HEADER + "u,i,4,5,t\n", rating_field="stars")


def test_some_missing_ratings_are_faults(read):
    reading = read("r.csv", HEADER + "u,i,4,5,t\nu,j,,5,t\nu,k,good,5,t\nu,l,inf,5,t\n")
    assert skipped(reading) == {"rating is no number": (2, (4, 5)), "no rating": (1, (3,))}


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl"])
def test_a_missing_column_names_those_found_and_the_option(read, name):
    content = "user_id,asin,timestamp,text\nu,i,5,t\n"
    if name == "r.jsonl":
        content = '{"user_id": "u", "asin": "i", "timestamp": 5, "text": "t"}\n'
    with pytest.raises(
        InputError,
        match=rf"{name}: there is no column 'item_id'; found 'user_id', 'asin', 'timestamp', "
        r"'text'; name the column that holds the item_id with --item_field=NAME",
    ):
        read(name, content)


def test_milliseconds_are_converted_and_reported(read):
    reading = read("r.csv", HEADER + "u,i,4,1500000000999,t\nu,j,4,12,t\n")
    assert reading.reviews["timestamp"].to_list() == [1_500_000_000]
    assert reading.report.notes == ("timestamp is in milliseconds; converted to seconds",)
    assert "milliseconds, as in the other rows" in reading.report.skipped[0].expected


def test_bad_times_past_the_threshold_name_file_line_value_and_what_was_expected(read):
    reading = read("r.csv", HEADER + "u,i,4,5,t\nu,j,4,soon,t\n")
    reading.report.check(max_bad=0.5)
    with pytest.raises(
        InputError,
        match=r"(?s)r\.csv: 1 of 2 rows .*50\.0%, allowed 1\.0%.*1 x timestamp is no time.*line 3; "
        r"found 'soon'; expected seconds since 1970.*--max_bad=0\.501",
    ):
        reading.report.check(max_bad=0.01)


def test_rows_without_ids_and_ids_that_cannot_be_stored_are_counted(read):
    ids = ["", "  ", "NA", "null", "[PAD]", 'a"b', "a\tb", "a\nb", "a\x00b", "ok"]
    content = "".join(line(user_id=user) for user in ids)
    reading = read("r.jsonl", content + line(item_id=None) + line(item_id=["i"]) + "[1]\n")
    assert skipped(reading) == {
        "user_id cannot be stored": (3, (7, 8, 9)),
        "user_id reads as a missing value": (3, (3, 4, 5)),
        "no user_id": (2, (1, 2)),
        "no item_id": (1, (11,)),
        "item_id is neither text nor a number": (1, (12,)),
        "not a JSON object": (1, (13,)),
    }
    assert reading.reviews["source_line"].to_list() == [6, 10]
    assert (reading.report.rows_read, reading.report.rows_kept) == (13, 2)


def test_the_most_frequent_reason_comes_first(read):
    reading = read("r.jsonl", line(user_id="") + line(item_id="") * 2 + line(timestamp="x") * 3)
    assert [s.count for s in reading.report.skipped] == [3, 2, 1]


def test_a_missing_text_is_an_empty_review(read):
    reading = read("r.jsonl", line(text=None) + line(text=""))
    assert reading.reviews["text"].to_list() == ["", ""]


def test_a_cut_last_line_is_counted_as_not_valid_json(read):
    reading = read("r.jsonl", line() + line()[:40])
    assert skipped(reading) == {"not valid JSON": (1, (2,))}


def test_quoted_csv_fields_may_hold_line_breaks_and_lines_are_still_right(read):
    content = (
        HEADER
        + 'u,i,4,2018-07-07,"a\nb,\tc ""d"""\r\n\r\nu,j,4,2018-07-07,t\nu,k\n'
        + 'u,l,4,5,"x"y\nu,m,4,2018-07-07,t\n'
    )
    reading = read("r.csv", "\ufeff" + content)
    assert reading.reviews["text"].to_list() == ['a\nb,\tc "d"', "t", "t"]
    assert reading.reviews["source_line"].to_list() == [2, 5, 8]
    assert skipped(reading) == {"wrong number of fields": (1, (6,)), "broken quoting": (1, (7,))}
    assert reading.report.notes == ("1 blank lines passed over",)


def test_crlf_and_byte_order_mark_leave_no_trace(read):
    reading = read("r.csv", "\ufeff" + (HEADER + "u,i,4,5,t\n").replace("\n", "\r\n"))
    assert reading.reviews.row(0)[:5] == ("u", "i", 4.0, 5, "t")


def test_an_unclosed_quote_names_the_line_where_it_opens(read):
    with pytest.raises(InputError, match=r"quote opened in line 3 is never closed.*--no_quotes"):
        read("r.csv", HEADER + 'u,i,4,5,t\nu,j,4,5,"t\nu,k,4,5,t\n')


def test_no_quotes_takes_quote_marks_as_they_are(read):
    reading = read("r.tsv", HEADER.replace(",", "\t") + 'u\ti\t4\t5\t"t\n', no_quotes=True)
    assert reading.reviews["text"].to_list() == ['"t']


def test_a_very_long_field_is_read(read):
    reading = read("r.csv", HEADER + f"u,i,4,5,{'x' * 200_000}\n")
    assert len(reading.reviews["text"][0]) == 200_000


def test_bytes_that_are_not_utf8_are_replaced_and_counted(read):
    bad = (HEADER + "u,i,4,2018-07-07,caf\xe9\n").encode("latin-1")
    bad += b"u\xff,j,4,2018-07-07,t\nu,k,4,2018-07-07,t\n"
    reading = read("r.csv", bad, encoding="utf-8")
    assert reading.reviews["text"].to_list() == ["caf\ufffd", "t"]
    assert skipped(reading) == {"user_id cannot be stored": (1, (3,))}
    assert reading.report.notes == ("2 lines held bytes that are not UTF-8; replaced by U+FFFD",)


def test_half_a_surrogate_pair_in_json_is_replaced_and_a_whole_one_kept(read):
    content = line(text="\ud83d alone").encode() + line(text="\U0001f600").encode()
    reading = read("r.jsonl", content)
    assert reading.reviews["text"].to_list() == ["\ufffd alone", "\U0001f600"]
    assert reading.report.notes == ("1 values held half a character; replaced by U+FFFD",)


def test_nuls_and_raw_tabs_in_json_do_not_break_the_line(read):
    reading = read("r.jsonl", line(text="AB").replace("AB", "a\x00\tb"))
    assert reading.reviews["text"].to_list() == ["a\x00\tb"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv", b"", "r.csv: the file is empty"),
        ("r.csv.gz", gzip.compress(b"", mtime=0), "there is no column 'user_id'; found none"),
        ("r.jsonl", b"\n \n", "r.jsonl: holds no reviews"),
        ("r.csv", HEADER.encode(), "r.csv: holds no reviews"),
        ("r.csv", HEADER.encode("utf-16"), "r.csv: holds no reviews"),
        ("r.csv", b"text,text\n", "names 'text' more than once"),
        ("r.csv", b'"a"b,c\n', "the header line cannot be read"),
        ("r.dump", b"x", r"cannot be told from the name.*\.csv.*--input_format="),
        ("r.xlsx", b"x", "a workbook cannot be read; save its sheet as CSV in UTF-8"),
        ("r.parquet", b"nonsense", "cannot be read as Parquet"),
        (
            "r.csv.gz",
            gzip.compress((HEADER + "u,i,4,5,t\n" * 9000).encode(), mtime=0)[:-20],
            r"damaged or cut short after line \d+",
        ),
        ("r.jsonl.gz", b"\x1f\x8bxx", "damaged or cut short after line 0"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_a_reason(read, name, content, message):
    with pytest.raises(InputError, match=message):
        read(name, content).report.check(1.0)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="--input: there is no file"):
        read_generic(tmp_path / "r.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_generic(tmp_path)


def test_the_format_can_be_named(read):
    assert len(read("dump", line(), input_format="jsonl").reviews) == 1


def test_parquet_with_dates_and_whole_numbers(tmp_path):
    frame = pl.DataFrame(
        {
            "user_id": [7, 8, None],
            "item_id": [1, 2, 3],
            "timestamp": ["2018-07-07 22:09:11"] * 3,
            "text": ["a", None, "c"],
        }
    ).with_columns(pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S"))
    frame.write_parquet(tmp_path / "r.parquet")
    reading = read_generic(tmp_path / "r.parquet")
    assert reading.reviews.rows() == [
        ("7", "1", None, 1_531_001_351, "a", 1),
        ("8", "2", None, 1_531_001_351, "", 2),
    ]
    assert reading.report.notes == ("no rating is read: the data set has no ratings",)
    assert skipped(reading) == {"no user_id": (1, (3,))}


def test_parquet_without_a_column_or_with_lists_is_refused(tmp_path):
    path = tmp_path / "r.parquet"
    pl.DataFrame({"user_id": ["u"]}).write_parquet(path)
    with pytest.raises(InputError, match="there is no column 'item_id'; found 'user_id'"):
        read_generic(path)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("user_id", pl.Series([["u"]]), r"List\(String\).* \(it is nested\); expected text or num"),
        (
            "text",
            pl.Series([{"a": 1}]),
            r"Struct.* \(it is nested\); expected text or numbers, one",
        ),
        (
            "item_id",
            pl.Series([b"\xff"]),
            r"Binary.* \(invalid utf8\); expected text or numbers, one",
        ),
        (
            "timestamp",
            pl.Series([time(3, 4)]),
            r"Time, .*; expected text, dates or numbers, one value",
        ),
        (
            "timestamp",
            pl.Series([timedelta(3)]),
            r"Duration.*; expected text, dates or numbers, one",
        ),
    ],
)
def test_a_parquet_column_of_a_wrong_type_is_named(tmp_path, name, values, said):
    path = tmp_path / "r.parquet"
    frame = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "timestamp": [5], "text": ["t"]})
    frame.with_columns(values.alias(f"my {name}")).write_parquet(path)
    option = {"timestamp": "time_field"}.get(name, f"{name.removesuffix('_id')}_field")
    with pytest.raises(
        InputError,
        match=rf"r\.parquet: column 'my {name}' is of the type {said}.*; name another column, or "
        "export it as text",
    ):
        read_generic(path, FieldOptions(**{option: f"my {name}"}))


def test_ids_of_floating_point_columns_are_whole_numbers(tmp_path):
    path = tmp_path / "r.parquet"
    users = [1.0, -3.0, 9_007_199_254_740_991.0, 2.0**53, 1.5, math.inf, math.nan, None]
    frame = pl.DataFrame({"user_id": users}).with_columns(
        item_id=pl.int_range(8).cast(pl.Float32), timestamp=pl.lit("2018-07-07"), text=pl.lit("t")
    )
    frame.write_parquet(path)
    reading = read_generic(path)
    assert reading.reviews.select("user_id", "item_id").rows() == [
        ("1", "0"), ("-3", "1"), ("9007199254740991", "2"),
    ]  # fmt: skip
    assert skipped(reading) == {
        "user_id is a floating-point number, but no whole one below 2^53": (3, (4, 5, 6)),
        "no user_id": (2, (7, 8)),
    }
    assert reading.report.notes[:2] == (
        "user_id holds floating-point numbers; ids are read as 1, not as 1.0",
        "item_id holds floating-point numbers; ids are read as 1, not as 1.0",
    )
    narrow = frame.with_columns(user_id=pl.lit(2.0**24, pl.Float32), item_id=pl.lit("1.0"))
    narrow.write_parquet(path)
    (reason,) = skipped(read_generic(path))
    assert reason == "user_id is a floating-point number, but no whole one below 2^24"
