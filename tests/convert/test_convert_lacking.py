"""Reviews without ratings or times, ratings that are no numbers, copied texts, quotes in ids."""

import json

import polars as pl
import pytest
from convert_tables import read_all

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_command import main
from recbole_symcere.convert.convert_options import FieldOptions
from recbole_symcere.convert.ratings import rating_form
from recbole_symcere.convert.readers.generic import read_generic


@pytest.fixture
def convert(tmp_path, capsys):
    def convert(content, *options, name="r.csv", command="generic"):
        path = tmp_path / name
        path.write_text(content)
        target = ["--name=d", f"--output_dir={tmp_path / 'out'}", "--overwrite=True"]
        main([command, f"--input={path}", *target, *options])
        return capsys.readouterr().out

    return convert


@pytest.fixture
def read(tmp_path):
    def read(content, name="r.csv", **options):
        (tmp_path / name).write_text(content)
        return read_all(read_generic(tmp_path / name, FieldOptions(**options)))

    return read


def inter(tmp_path):
    return (tmp_path / "out" / "d" / "d.inter").read_text().splitlines()


def manifest(tmp_path):
    return json.loads((tmp_path / "out" / "d" / "manifest.json").read_text())


# --- ratings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "user_id,item_id,timestamp,text\nu,i,5,t\nu,j,6,s\n",
        "user_id,item_id,rating,timestamp,text\nu,i,,5,t\nu,j,good,6,s\n",
    ],
)
def test_implicit_feedback_has_no_ratings(tmp_path, convert, content):
    out = convert(content, "--implicit=True")
    assert inter(tmp_path) == [
        "user_id:token\titem_id:token\ttimestamp:float",
        "u\ti\t5",
        "u\tj\t6",
    ]
    assert "no rating is read: the data set has no ratings" in out
    assert "2 read, 2 kept" in out


@pytest.mark.parametrize("name", ["stars", "Rating", "overall", "reviewScore", "star_rating"])
def test_a_column_that_looks_like_ratings_is_not_passed_over(read, name):
    """Every rating was 1.0 where the column was called otherwise."""
    content = f"user_id,item_id,{name},timestamp,text\nu,i,4,5,t\n"
    with pytest.raises(
        InputError,
        match=rf"r\.csv: there is no column 'rating', but {name!r} looks like it; name the column "
        rf"that holds the rating with --rating_field={name}, or say --implicit=True",
    ):
        read(content)
    assert read(content, rating_field=name).reviews["rating"].to_list() == [4.0]
    assert read(content, implicit=True).reviews["rating"].to_list() == [None]


@pytest.mark.parametrize(
    ("given", "values", "expected"),
    [
        ("yes:1,no:0", ["yes", "No", " YES "], [1.0, 0.0, 1.0]),
        ("fresh:5, rotten:1", ["fresh", "rotten", "Fresh"], [5.0, 1.0, 5.0]),
        ("A:4,B+:3.3,f:-1", ["a", "B+", "F"], [4.0, 3.3, -1.0]),
        ("fraction", ["3/5", "2.5 / 4", "8/10"], [0.6, 0.625, 0.8]),
        ("fraction:5", ["3/5", "8/10", "1/2"], [3.0, 4.0, 2.5]),
    ],
)
def test_ratings_that_are_no_numbers(read, given, values, expected):
    rows = "".join(f"u,i{n},{value},2018-07-07,t\n" for n, value in enumerate(values))
    reading = read("user_id,item_id,rating,timestamp,text\n" + rows, rating_map=given)
    assert reading.reviews["rating"].to_list() == pytest.approx(expected)
    assert len(reading.report.notes) == 1
    assert reading.report.notes[0].startswith(("ratings are words: ", "ratings are fractions: 3/5"))


def test_truth_values_of_json_and_parquet_are_words(read, tmp_path):
    rows = [{"user_id": "u", "item_id": f"i{n}", "rating": n > 0, "timestamp": 5, "text": "t"}
            for n in range(2)]  # fmt: skip
    content = "".join(json.dumps(row) + "\n" for row in rows)
    expected = [0.0, 1.0]
    for broken in ("", "{cut\n", '{"user_id": "\\ud83d"}\n'):  # polars' parser, and Python's
        reading = read(broken + content, "r.jsonl", rating_map="true:1,false:0")
        assert reading.reviews["rating"].to_list() == expected
    pl.DataFrame(rows).write_parquet(tmp_path / "r.parquet")
    options = FieldOptions(rating_map="true:1,false:0")
    assert (
        read_all(read_generic(tmp_path / "r.parquet", options)).reviews["rating"].to_list()
        == expected
    )


def test_what_the_map_does_not_know_is_unusable(read):
    content = (
        "user_id,item_id,rating,timestamp,text\nu,i,maybe,5,t\nu,j,1,5,t\nu,k,,5,t\nu,l,no,5,t\n"
    )
    skipped = {s.reason: s for s in read(content, rating_map="yes:1,no:0").report.skipped}
    wrong = skipped["rating is none that is expected"]
    assert (wrong.count, wrong.value) == (2, "maybe")
    assert wrong.expected == "yes or no, as --rating_map says"
    assert skipped["no rating"].count == 1
    plain = read(content).report.skipped[0]
    assert "--rating_map words or 3/5" in plain.expected
    zero = "user_id,item_id,rating,timestamp,text\nu,i,1/0,5,t\nu,j,3,5,t\n"
    assert read(zero, rating_map="fraction").report.skipped[0].count == 2


def test_the_range_holds_for_what_the_map_gives(read):
    content = "user_id,item_id,rating,timestamp,text\nu,i,3/5,5,t\nu,j,7/5,5,t\n"
    reading = read(content, rating_map="fraction:5", rating_range="0,5")
    assert reading.reviews["rating"].to_list() == [3.0]
    assert reading.report.skipped[0].reason == "rating is out of range"


@pytest.mark.parametrize("given", ["yes", "yes:", ":1", "yes:one", "a:1,b", "yes:inf", "fraction:x",
                                   "yes:1,YES:0", ""])  # fmt: skip
def test_a_map_that_is_none_is_refused(given):
    with pytest.raises(InputError, match=r"--rating_map: .* isn't understood; .*yes:1,no:0"):
        rating_form(given, ".")


def test_the_summary_and_the_manifest_say_what_was_done(tmp_path, convert):
    content = "user_id;item_id;rating;timestamp;text\nu;i;fresh;5;t\n"
    out = convert(content, "--rating_map=fresh:1,rotten:0")
    assert "ratings are words: fresh is 1, rotten is 0" in out
    assert (
        "ratings are words: fresh is 1, rotten is 0" in manifest(tmp_path)["read_report"]["notes"]
    )
    assert inter(tmp_path)[1] == "u\ti\t1.0\t5"


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--order=unknown",)])
def test_without_times_the_order_is_unknown(tmp_path, convert, capsys, options):
    content = "user_id,item_id,rating,text\nv,i,4,s\nu,j,4,t\nu,i,3,r\nu,i,1,again\n"
    out = convert(content, *options)
    assert inter(tmp_path) == [
        "user_id:token\titem_id:token\trating:float", "u\ti\t3.0", "u\tj\t4.0", "v\ti\t4.0",
    ]  # fmt: skip
    assert manifest(tmp_path)["order"] == "unknown"
    said = "d has no times, so each run splits it at random, by its seed"
    assert manifest(tmp_path)["notice"] == said
    assert f"note: {said}" in out
    assert "  times        unknown\n" in out
    assert "1 later reviews of the same user and item removed" in out
    main(["stats", "--name=d", f"--output_dir={tmp_path / 'out'}"])
    assert "  times             unknown\n" in capsys.readouterr().out


def test_unknown_times_are_not_looked_at(tmp_path, convert):
    content = "user_id,item_id,rating,timestamp,date,text\nu,i,4,soon,x,s\n"
    convert(content, "--order=unknown")
    assert inter(tmp_path) == ["user_id:token\titem_id:token\trating:float", "u\ti\t4.0"]


@pytest.mark.parametrize("name", ["date", "Date", "review_date", "unixReviewTime", "created_at"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_column_that_looks_like_times_is_not_passed_over(read, tmp_path, name, form):
    row = {"user_id": "u", "item_id": "i", "rating": "4", name: "2018-07-07", "text": "t"}
    frame = pl.DataFrame([row])
    path = tmp_path / f"r.{form}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[form](
        path
    )
    with pytest.raises(
        InputError,
        match=rf"there is no column 'timestamp', but {name!r} looks like it; name the column that "
        rf"holds the timestamp with --time_field={name}, or say --order=unknown to do without",
    ):
        read_all(read_generic(path))
    dated = read_all(read_generic(path, FieldOptions(time_field=name)))
    assert dated.reviews["timestamp"].to_list() == [1_530_921_600]


def test_times_that_turn_up_late_are_no_surprise(read):
    row = '{{"user_id": "u", "item_id": "i{}", "rating": 4, "text": "{}"{}}}\n'
    first = "".join(row.format(n, "x" * 600, "") for n in range(15_000))
    content = first + row.format("z", "x", ', "timestamp": 5')
    with pytest.raises(
        InputError, match=r"row 15001: timestamp is '5', but the file's first rows have none; .* "
        r"mend the file, or say --order=unknown to do without times",
    ):  # fmt: skip
        read(content, "r.jsonl")
    assert read(content, "r.jsonl", order="unknown").report.rows_kept == 15_001


def test_a_named_column_of_times_must_be_there(read):
    with pytest.raises(InputError, match=r"there is no column 'when'; .*--time_field=NAME"):
        read("user_id,item_id,rating,text\nu,i,4,t\n", time_field="when")


# --- copies --------------------------------------------------------------------------------------


def copies(n_copied, n):
    header = "user_id,item_id,rating,timestamp,text\n"
    same = "".join(f"u,i{k},4,5,one text\n" for k in range(n_copied + 1))
    return header + same + "".join(f"u,j{k},4,5,text {k}\n" for k in range(n - n_copied - 1))


def test_many_copied_texts_are_a_warning_with_the_option_that_merges_them(convert):
    said = (
        "warning: 21 of 100 reviews (21.0%) are copies of what their user wrote about another item "
        "at the same time; --copied_texts=merge merges them into the first\n"
    )
    assert said in convert(copies(21, 100))
    assert "warning" not in convert(copies(20, 100))
    merged = convert(copies(21, 100), "--copied_texts=merge")
    assert "warning" not in merged
    assert "1 users, 79 items, 79 reviews" in merged


# --- ids -----------------------------------------------------------------------------------------


IDS = ['a"b', '"a"', '"a', '"', '""', "a'b", 'say "hi", twice', " a ", "a;b"]


def test_quotes_in_ids_are_kept(tmp_path, convert):
    rows = pl.DataFrame(
        [(user, f'i"{n}"', 4, n, "t") for n, user in enumerate(IDS)],
        schema=["user_id", "item_id", "rating", "timestamp", "text"],
        orient="row",
    )
    for form, content in (("csv", rows.write_csv()), ("jsonl", rows.write_ndjson())):
        assert f"{len(IDS)} kept" in convert(content, name=f"r.{form}")
        found = pl.read_parquet(tmp_path / "out" / "d" / "d.reviews.parquet")
        assert sorted(found["user_id"]) == sorted(IDS)
        table = pl.read_csv(tmp_path / "out" / "d" / "d.inter", separator="\t")
        assert table["user_id:token"].to_list() == found["user_id"].to_list()
        assert table["item_id:token"].to_list() == found["item_id"].to_list()
    assert "9 matched by time" in convert(rows.write_csv(), command="attach")
