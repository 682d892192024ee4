import json

import polars as pl
import pytest

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_command import main

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
INTER = [("u", "i", 5, 20), ("v", "i", 4, 5), ("u", "i", 1, 10), ("v", "k", 2, 7)]
REVIEWS = [
    {"user_id": "u", "item_id": "i", "text": "at&nbsp;10", "timestamp": 10},
    {"user_id": "u", "item_id": "i", "text": "at 20", "timestamp": 20},
    {"user_id": "u", "item_id": "i", "text": "at 30", "timestamp": 30},
    {"user_id": "v", "item_id": "i", "text": "another day", "timestamp": 99},
    {"user_id": "w", "item_id": "i", "text": "nobody's", "timestamp": 1},
]


@pytest.fixture
def existing(tmp_path):
    def existing(rows=INTER, part="", header=HEADER):
        folder = tmp_path / "d"
        folder.mkdir(exist_ok=True)
        lines = ("\t".join(map(str, row)) + "\n" for row in rows)
        (folder / f"d{part}.inter").write_text(header + "".join(lines))
        return folder

    return existing


@pytest.fixture
def attach(tmp_path, capsys):
    def attach(reviews=REVIEWS, *arguments, name="r.jsonl"):
        path = tmp_path / name
        if name.endswith(".jsonl"):
            path.write_text("".join(json.dumps(row) + "\n" for row in reviews))
        elif name.endswith(".csv"):
            pl.DataFrame(reviews).write_csv(path)
        else:
            pl.DataFrame(reviews).write_parquet(path)
        words = ["attach", f"--input={path}", "--name=d", f"--output_dir={tmp_path}", *arguments]
        assert main(words) == 0
        return capsys.readouterr().out

    return attach


def texts(folder, part=""):
    table = pl.read_parquet(folder / f"d{part}.reviews.parquet")
    assert table.columns == ["user_id", "item_id", "text"]
    return table.rows()


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.parquet"])
def test_reviews_come_by_pair_and_time_and_the_rows_stay(existing, attach, name):
    folder = existing()
    before = (folder / "d.inter").read_bytes()
    out = attach(name=name)
    assert (folder / "d.inter").read_bytes() == before
    assert texts(folder) == [
        ("u", "i", "at 20"), ("v", "i", "another day"), ("u", "i", "at 10"), ("v", "k", ""),
    ]  # fmt: skip
    assert "d.inter: 4 interactions, 2 matched by time, 1 by user and item, 1 without" in out
    assert "1 reviews of pairs that no interaction has" in out
    assert "1 more reviews of a pair than it has interactions" in out
    manifest = json.loads((folder / "attach.json").read_text())
    assert manifest["reviews_unmatched"] == manifest["reviews_unused"] == 1
    assert [entry["file"] for entry in manifest["inputs"]] == [name, "d.inter"]
    assert [entry["file"] for entry in manifest["outputs"]] == ["d.reviews.parquet"]


def test_without_times_the_first_review_of_the_file_is_taken(existing, attach):
    folder = existing()
    attach([{key: row[key] for key in ("user_id", "item_id", "text")} for row in REVIEWS])
    assert texts(folder)[0] == ("u", "i", "at 10")
    assert texts(folder)[2] == ("u", "i", "at 10")
    existing([row[:2] for row in INTER], header="user_id:token\titem_id:token\n")
    attach(REVIEWS, "--overwrite=True")
    assert texts(folder)[1] == ("v", "i", "another day")


def test_benchmark_parts_get_a_review_file_each(existing, attach):
    folder = existing(INTER[:1], ".train")
    existing(INTER[1:], ".test")
    attach()
    assert texts(folder, ".train") == [("u", "i", "at 20")]
    assert texts(folder, ".test") == [
        ("v", "i", "another day"), ("u", "i", "at 10"), ("v", "k", ""),
    ]  # fmt: skip


def test_the_columns_of_both_sides_can_be_named(existing, attach):
    header = "uid:token\tbid:token\trating:float\twhen:float\n"
    folder = existing(header=header)
    reviews = [{"a": "u", "item_id": "i", "t": "said", "timestamp": 10}]
    attach(reviews, "--inter_fields=uid,bid,when", "--user_field=a", "--text_field=t")
    assert texts(folder)[0] == ("u", "i", "said")


def test_review_files_are_replaced_only_on_request(existing, attach):
    folder = existing()
    attach()
    with pytest.raises(InputError, match=r"d\.reviews\.parquet exists; replace it with --overwr"):
        attach()
    attach([{**REVIEWS[0], "text": "new"}], "--overwrite=True")
    assert texts(folder)[0] == ("u", "i", "new")


@pytest.mark.parametrize(
    ("reviews", "arguments", "message"),
    [
        ([{**REVIEWS[0], "user_id": "zz"}], [], "no review is of a user and item"),
        (REVIEWS, ["--inter_fields=a,b"], "there is no column 'a'; found user_id.*--inter_fields"),
        ([{"user_id": "u"}], [], "there is no column 'item_id'"),
        ([{**REVIEWS[0], "item_id": ""}], [], "1 of 1 rows cannot be used"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    existing, attach, reviews, arguments, message
):
    folder = existing()
    with pytest.raises(InputError, match=message):
        attach(reviews, *arguments)
    assert [path.name for path in folder.iterdir()] == ["d.inter"]


def test_missing_options_and_data_sets_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"--input=\.\.\. is missing"):
        main(["attach", "--name=d"])
    (tmp_path / "r.csv").write_text("user_id,item_id,text\nu,i,t\n")
    with pytest.raises(InputError, match="--name: there is no data set"):
        main(["attach", f"--input={tmp_path / 'r.csv'}", "--name=d", f"--output_dir={tmp_path}"])
