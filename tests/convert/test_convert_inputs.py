"""Several files read one after the other: by commas, by a pattern, each with its own line."""

import gzip
import json

import polars as pl
import pytest

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_command import main
from recbole_symcere.convert.inputs import input_paths

HEADER = "user_id,item_id,rating,timestamp,text\n"


def rows(start, n, user="u"):
    return "".join(f"{user},i{k},4,{1000 + k},text {k}\n" for k in range(start, start + n))


@pytest.fixture
def write(tmp_path):
    def write(**files):
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/").replace("_csv", ".csv")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(HEADER + content)

    return write


@pytest.fixture
def convert(tmp_path, capsys):
    def convert(given, *options, source="generic"):
        inputs = ",".join(str(tmp_path / part) for part in given.split(","))
        target = ["--name=d", f"--output_dir={tmp_path / 'out'}", "--overwrite=True"]
        main([source, f"--input={inputs}", *target, *options])
        return capsys.readouterr().out

    return convert


@pytest.fixture
def manifest(tmp_path):
    return lambda: json.loads((tmp_path / "out" / "d" / "manifest.json").read_text())


def items(tmp_path):
    return pl.read_parquet(tmp_path / "out" / "d" / "d.reviews.parquet")["item_id"].to_list()


@pytest.mark.parametrize("given", ["a.csv,b.csv", "*.csv", "a.csv,[b].csv"])
def test_files_are_read_one_after_the_other(tmp_path, write, convert, manifest, given):
    write(a_csv=rows(0, 3), b_csv=rows(3, 4))
    out = convert(given)
    assert items(tmp_path) == [f"i{k}" for k in range(7)]
    assert "read a.csv\nread b.csv\n" in out
    assert "7 read, 7 kept" in out
    entries = manifest()["inputs"]
    assert [entry["file"] for entry in entries] == ["a.csv", "b.csv"]
    assert len({entry["sha256"] for entry in entries}) == 2


def test_the_order_of_the_files_decides_what_was_first(tmp_path, write, convert):
    write(a_csv="u,i,1,5,from a\n", b_csv="u,i,2,5,from b\n")
    for given, expected in (("a.csv,b.csv", "from a"), ("b.csv,a.csv", "from b")):
        convert(given)
        texts = pl.read_parquet(tmp_path / "out" / "d" / "d.reviews.parquet")["text"]
        assert texts.to_list() == [expected]


def test_packed_files_and_other_sources(tmp_path, convert):
    for n in range(3):
        record = {"reviewerID": f"u{n}", "asin": "i", "overall": 5, "unixReviewTime": 5}
        content = json.dumps(record | {"reviewText": "b"}).encode()
        (tmp_path / f"part-{n}.json.gz").write_bytes(gzip.compress(content))
    convert("part-*.json.gz", source="amazon2014")
    assert len(items(tmp_path)) == 3


def test_a_name_with_a_comma_or_brackets_is_a_name(tmp_path, write, manifest, monkeypatch):
    write(**{"a,b_csv": rows(0, 1), "a_csv": rows(1, 1), "c[1]_csv": rows(2, 1), "b_csv": ""})
    monkeypatch.chdir(tmp_path)
    main(["generic", "--input=a,b.csv", "--name=d", "--output_dir=out"])
    assert [entry["file"] for entry in manifest()["inputs"]] == ["a,b.csv"]
    assert manifest()["command"] == "convert generic --input=a,b.csv --name=d"
    paths = input_paths(f"{tmp_path}/a.csv, {tmp_path}/a,b.csv,c[1].csv,")
    assert [path.name for path in paths] == ["a.csv", "a,b.csv", "c[1].csv"]


def test_the_command_in_the_manifest_names_no_folder(write, convert, manifest, tmp_path):
    write(x__a_csv=rows(0, 1), y__b_csv=rows(1, 1))
    convert("x/a.csv,y/b.csv")
    assert manifest()["command"] == "convert generic --input=a.csv,b.csv --name=d"
    convert("*/*.csv")
    assert manifest()["command"] == "convert generic '--input=*.csv' --name=d"
    assert str(tmp_path) not in json.dumps(manifest())


def test_messages_name_the_file_and_its_own_line(tmp_path, write, convert, manifest):
    write(a_csv=rows(0, 3) + ",i9,4,5,t\n", b_csv=rows(3, 4) + "u,j,4,5\n,i9,4,5,t\n")
    out = convert("a.csv,b.csv", "--max_bad=0.5")
    assert "1 x no user_id (a.csv, line 5)" in out
    assert "1 x wrong number of fields (b.csv, line 6)" in out
    assert "1 x no user_id (b.csv, line 7)" in out
    skipped = {
        (s["file"], s["reason"]): s["first_lines"] for s in manifest()["read_report"]["skipped"]
    }
    assert skipped["b.csv", "no user_id"] == [7]
    text = (tmp_path / "out" / "d" / "rejected.jsonl").read_text()
    rejected = [json.loads(line) for line in text.splitlines()]
    assert [(r["file"], r["line"]) for r in rejected] == [("a.csv", 5), ("b.csv", 6), ("b.csv", 7)]
    with pytest.raises(InputError, match=r"2 files, a\.csv first: 3 of 10 rows cannot be used"):
        convert("a.csv,b.csv")


def test_files_of_one_name_are_told_apart_by_their_folders(write, convert, manifest):
    write(y2019__r_csv=rows(0, 2) + ",i,4,5,t\n", y2020__r_csv=rows(2, 2) + ",i,4,5,t\n")
    out = convert("*/r.csv", "--max_bad=0.5")
    assert "1 x no user_id (y2020/r.csv, line 4)" in out
    assert [entry["file"] for entry in manifest()["inputs"]] == ["y2019/r.csv", "y2020/r.csv"]
    write(y2020__r_csv='u,i,4,5,"open\n')
    with pytest.raises(InputError, match=r"^y2020/r\.csv: r\.csv: the quote opened in line 2"):
        convert("*/r.csv")


def test_every_file_has_its_own_form(tmp_path, write, convert):
    write(a_csv="u,i0,4,1500000000,a\n")
    (tmp_path / "b.csv").write_bytes(
        (HEADER.replace(",", ";") + "u;i1;4;1500000001000;schön und größer\n").encode("cp1252")
    )
    out = convert("a.csv,b.csv")
    assert "b.csv: timestamp is in milliseconds; converted to seconds" in out
    assert "b.csv: fields are separated by semicolon" in out
    assert "b.csv: the file is not UTF-8; read as cp1252" in out
    lines = (tmp_path / "out" / "d" / "d.inter").read_text().splitlines()[1:]
    assert [line.split("\t")[3] for line in lines] == ["1500000000", "1500000001"]


def test_all_files_have_ratings_and_times_or_none_has(tmp_path, write, convert):
    write(a_csv=rows(0, 2))
    (tmp_path / "b.csv").write_text("user_id,item_id,timestamp,text\nu,x,5,t\n")
    with pytest.raises(
        InputError,
        match=r"b\.csv has no rating, but a\.csv has one; expected all files or none to have it; "
        r"leave files out, or say --implicit=True",
    ):
        convert("a.csv,b.csv")
    convert("a.csv,b.csv", "--implicit=True")
    assert len(items(tmp_path)) == 3


def test_a_file_of_nothing_but_broken_rows_is_an_error_among_many_good_ones(write, convert):
    write(a_csv=rows(0, 500), b_csv="u,i,4,soon,t\n")
    with pytest.raises(InputError, match=r"b\.csv: 1 of 1 rows cannot be used"):
        convert("a.csv,b.csv")
    write(b_csv="")  # a part with nothing but its header
    convert("a.csv,b.csv")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a.csv,a.csv", "is named twice; name each file once"),
        ("*.csv,a.csv", "is named twice"),
        ("z-*.csv", "no file fits '.*z-\\*.csv'; check the path and the pattern"),
        ("a.csv,none.csv", "--input: there is no file .*none.csv"),
    ],
)
def test_what_is_not_there_or_there_twice_is_refused(write, convert, given, message):
    write(a_csv=rows(0, 1), b_csv=rows(1, 1))
    with pytest.raises(InputError, match=message):
        convert(given)


def test_no_file_is_refused():
    for given in ("", " , "):
        with pytest.raises(InputError, match="--input: no file is named"):
            input_paths(given)


def test_an_option_given_twice_does_not_let_the_last_win():
    with pytest.raises(InputError, match=r"--input is given twice: 'a\.csv' and 'b\.csv'"):
        main(["generic", "--input=a.csv", "--input=b.csv", "--name=d"])


def test_many_files_are_told_in_some_lines(write, convert):
    write(**{f"p{n:03}_csv": rows(n, 1) + ",i,4,5,t\n" for n in range(50)})
    out = convert("p*.csv", "--max_bad=0.9")
    assert "read p019.csv\nread 30 more files\n" in out
    assert "and 30 more reasons" in out
    assert "  note         and 30 more notes" in out
    assert len(out.splitlines()) < 75


def test_reviews_of_several_files_are_attached(tmp_path, write, convert, capsys):
    write(a_csv=rows(0, 3), b_csv=rows(3, 4))
    convert("a.csv,b.csv")
    (tmp_path / "out" / "d" / "d.reviews.parquet").unlink()
    inputs = f"--input={tmp_path}/?.csv"
    main(["attach", inputs, "--name=d", f"--output_dir={tmp_path / 'out'}"])
    assert "7 interactions, 7 matched by time" in capsys.readouterr().out
    attached = json.loads((tmp_path / "out" / "d" / "attach.json").read_text())
    assert [entry["file"] for entry in attached["inputs"]] == ["a.csv", "b.csv", "d.inter"]
    assert items(tmp_path) == [f"i{k}" for k in range(7)]
