"""What looks like something else: dates without marks, numbers that are no seconds, JSON that is no
lines, columns and options that are there and empty."""

import json

import polars as pl
import pytest
from convert_tables import read_all

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_command import main
from recbole_symcere.convert.convert_options import FieldOptions
from recbole_symcere.convert.readers.generic import read_generic

OBJECT = {"user_id": "u", "item_id": "i", "rating": 4, "timestamp": 1_500_000_000, "text": "[1]\n{"}


def line(**values):
    return json.dumps({**OBJECT, **values}) + "\n"


@pytest.fixture
def convert(tmp_path, capsys):
    def convert(content, *options, name="r.jsonl"):
        (tmp_path / name).write_text(content)
        target = ["--name=d", f"--output_dir={tmp_path / 'out'}"]
        main(["generic", f"--input={tmp_path / name}", *target, *options])
        return capsys.readouterr().out

    return convert


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("usual", ["2018-06-26", "1530000000", "1530000000000"])
def test_dates_without_marks_in_later_tables_are_unusable(tmp_path, monkeypatch, form, usual):
    """They became seconds of August 1970: the newest reviews were the first of their users."""
    defaults = (None, 500_000, None)
    monkeypatch.setattr("recbole_symcere.convert.lines.LineBlocks.__init__.__defaults__", defaults)
    times = [usual] * 20_000 + ["20180627"] * 30 + ["soon"]
    frame = pl.DataFrame({"timestamp": times}).with_columns(
        user_id=pl.lit("u"), item_id=pl.int_range(len(times)).cast(pl.String), text=pl.lit("t")
    )
    path = tmp_path / f"r.{form}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[form](
        path
    )
    report = read_all(read_generic(path)).report
    assert len(report.notes) == 1 + (usual == "1530000000000")
    start = 20_001 + (form == "csv")
    lines = ", ".join(str(start + n) for n in range(3))
    assert report.skipped[0].describe() == (
        "30 x timestamp is a date such as 20180707 among times of another form "
        f"(lines {lines}, ...; found '20180627'; expected 2018-07-07 for it, or that form in all "
        "rows)"
    )
    assert report.skipped[1].reason == "timestamp is no time of 1970-2099"


def test_years_of_all_tables_are_told_in_one_note(tmp_path):
    path = tmp_path / "r.csv"
    rows = "".join(f"u,i{n},4,{2010 + n % 9},t\n" for n in range(45_000))
    path.write_text("user_id,item_id,rating,when,text\n" + rows)
    report = read_all(read_generic(path, FieldOptions(time_field="when"))).report
    assert report.notes == (
        "when is a number from 2010 to 2018 in 45,000 of 45,000 rows, a time before 1990 if read "
        "as seconds since 1970; that looks like years, which --date_format=%Y reads",
    )
    named = read_all(read_generic(path, FieldOptions(time_field="when", date_format="%Y")))
    assert named.report.notes == ()
    assert named.reviews["timestamp"][8] == 1_514_764_800


@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize(
    "written",
    [
        lambda rows: json.dumps(rows),
        lambda rows: json.dumps(rows, indent=2),
        lambda rows: "\n[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n",
    ],
)
def test_a_json_array_is_told_from_broken_lines(convert, written, n):
    said = r"^r\.json: is one JSON array; expected one object per line; .* as jq -c '\.\[\]' does$"
    with pytest.raises(InputError, match=said):
        convert(written([OBJECT] * n), name="r.json")


def test_json_objects_of_several_lines_are_told_from_broken_lines(convert):
    content = "\n".join(json.dumps(OBJECT, indent=2) for _ in range(9))
    said = r"^r\.json: holds JSON objects of several lines; expected .* as jq -c \. does$"
    with pytest.raises(InputError, match=said):
        convert(content, name="r.json")


@pytest.mark.parametrize("first", ["[1]\n", "{\n", "[\n"])
def test_a_broken_first_line_is_no_document(convert, first):
    assert "1 skipped" in convert(first + line(), "--max_bad=0.5")


@pytest.mark.parametrize("ours", ["timestamp", "rating"])
def test_a_column_that_is_there_and_empty_is_told_with_what_does_without(convert, ours):
    option = {"timestamp": "--order=unknown", "rating": "--implicit=True"}[ours]
    content = "".join(line(**{ours: "", "item_id": n}) for n in "abcd")
    said = (
        rf"(?s)^r\.jsonl: 4 of 4 rows cannot be used \(100\.0%, no review is left\):\n  4 x no "
        rf"{ours} \(lines 1, 2, 3, \.\.\.; expected one in every row, or {option} to do without "
        rf"{ours.replace('stamp', '')}s\)\nMend"
    )
    for more in ((), ("--max_bad=1",)):
        with pytest.raises(InputError, match=said):
            convert(content, *more)
    assert "4 kept" in convert(content, option)


@pytest.mark.parametrize("option", ["user_field", "output_dir", "order", "delimiter", "overwrite"])
def test_an_option_without_a_value_is_no_option_that_was_not_given(tmp_path, option):
    """An unset variable of the shell; output_dir was the folder at hand then."""
    path = tmp_path / "r.csv"
    path.write_text("user_id,item_id,timestamp,text\nu,i,2018-07-07,t\n")
    words = [f"--input={path}", "--name=d", f"--{option}="]
    said = rf"^--{option} is empty\. Write --{option}=VALUE, or leave it out\.$"
    for command in ("generic", "attach", "stats"):
        with pytest.raises(InputError, match=said):
            main([command, *words])
