import gzip
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import polars as pl
import pytest

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import hints_of
from recbole_symcere.convert import convert_command as command
from recbole_symcere.convert.convert_options import (
    ClusterOptions,
    FieldOptions,
    Filters,
    InputOptions,
    OverwriteOptions,
    TargetOptions,
)
from recbole_symcere.convert.readers.generic import FORMATS
from recbole_symcere.convert.sources import SOURCES, reader_of


@pytest.fixture
def convert(tmp_path, capsys):
    def convert(*arguments, output="out"):
        target = [f"--output_dir={tmp_path / output}"] if arguments and output else []
        assert command.main([*arguments, *target]) == 0
        return capsys.readouterr().out

    return convert


@pytest.fixture
def dump(tmp_path):
    def dump(rows, name="r.jsonl"):
        keys = ("user_id", "item_id", "rating", "timestamp", "text")
        lines = (json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows)
        (tmp_path / name).write_text("".join(lines))
        return f"--input={tmp_path / name}"

    return dump


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


EARLY = (
    "timestamp is a number from 0 to 999 in 12 of 12 rows, a time before 1990 if read as seconds "
    "since 1970; if that is not meant, name the form with --date_format or write dates such as "
    "2018-07-07; --date_format=seconds says that it is"
)


def test_a_conversion_says_what_it_read_and_what_it_left_out(tmp_path, convert, dump):
    rows = [
        (f"u{u}", f"i{i}", 4, 100 * u + i, f"words\t{u} {i}") for u in range(3) for i in range(3)
    ]
    rows += [("u0", "i0", 1, 999, "again"), ("lonely", "i0", 1, 5, ""), ("", "i0", 1, 5, "")]
    out = convert("generic", dump(rows), "--name=d", "--k_core", "3", "--max_bad=0.2")
    for expected in (
        "read r.jsonl",
        "12 read, 11 kept, 1 skipped",
        "1 x no user_id (line 12)",
        "9 with white space or control characters tidied",
        "1 later reviews of the same user and item removed",
        "4 users, 3 items, 10 reviews before; 1 reviews removed",
        "3 users, 3 items, 9 reviews, density 100.0000%",
        "0 empty, 9 distinct",
        f"  note         {EARLY}",
        "1970-01-01 to 1970-01-01",
        "d.inter, d.reviews.parquet, manifest.json",
    ):
        assert expected in out
    manifest = json.loads((tmp_path / "out" / "d" / "manifest.json").read_text())
    assert manifest["command"] == (
        "convert generic --input=r.jsonl --k_core=3 --max_bad=0.2 --name=d"
    )
    assert manifest["counts"] == {
        "users": 3, "items": 3, "reviews": 9, "empty_texts": 0, "distinct_texts": 9,
    }  # fmt: skip
    assert manifest["read_report"] == {
        "rows_read": 12, "rows_kept": 11, "notes": [EARLY], "anonymous_removed": 0,
        "skipped": [
            {"file": "r.jsonl", "reason": "no user_id", "count": 1, "first_lines": [12]}
        ],
        "texts_damaged": 0, "texts_html_removed": 0, "texts_tidied": 9, "texts_made_nfc": 0,
        "texts_cut": 0,
        "repeats_found": 1, "repeats_removed": 1, "copied_texts": 0, "copies_removed": 0,
        "sampled_out": 0, "removed_by_core": 1,
    }  # fmt: skip
    assert manifest["filters"] == {
        "k_core": 3, "user_core": 0, "keep_repeats": False, "copied_texts": "keep",
        "sample_reviews": 1.0, "sample_users": 0, "sample_seed": 2025, "max_chars": 20_000,
        "max_bad": 0.2, "keep_anonymous": False,
    }  # fmt: skip
    assert [entry["file"] for entry in manifest["inputs"]] == ["r.jsonl"]
    assert (manifest["synthetic"], manifest["notice"]) == (False, None)
    assert manifest["order"] == "time"


def test_what_was_converted_converts_to_the_same_again(tmp_path, convert, dump):
    rows = [(f"u{n % 5}", f"i{n % 7}", n % 5 + 0.5, n, f"review\n{n}") for n in range(60)]
    convert("generic", dump(rows), "--name=one")
    folder = tmp_path / "out" / "one"
    inter = pl.read_csv(folder / "one.inter", separator="\t")
    texts = pl.read_parquet(folder / "one.reviews.parquet")
    assert inter["user_id:token"].to_list() == texts["user_id"].to_list()
    assert inter["item_id:token"].to_list() == texts["item_id"].to_list()
    again = inter.rename(lambda name: name.split(":")[0]).with_columns(text=texts["text"])
    convert("generic", dump(again.rows(), "again.jsonl"), "--name=one", output="two")
    other = tmp_path / "two" / "one"
    for name in ("one.inter", "one.reviews.parquet"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_shuffling_a_dump_changes_no_byte_of_the_data(tmp_path, convert, dump, seed):
    rows = [(f"u{n % 5}", f"i{n % 7}", 4, n, f"review {n}") for n in range(60)]
    shuffled = random.Random(seed).sample(rows, len(rows))
    convert("generic", dump(rows), "--name=d", "--k_core=5")
    convert("generic", dump(shuffled), "--name=d", "--k_core=5", output="two")
    for name in ("d.inter", "d.reviews.parquet"):
        one, two = (tmp_path / folder / "d" / name for folder in ("out", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_user_core_leaves_rare_items(tmp_path, convert, dump):
    rows = [("u", "i", 4, 1, "t"), ("u", "j", 4, 2, "t"), ("v", "k", 4, 3, "t")]
    convert("generic", dump(rows), "--name=d", "--user_core=2")
    inter = (tmp_path / "out" / "d" / "d.inter").read_text()
    assert inter.splitlines()[1:] == ["u\ti\t4.0\t1", "u\tj\t4.0\t2"]


def test_repeats_stay_on_request(tmp_path, convert, dump):
    convert(
        "generic",
        dump([("u", "i", 4, n, f"t{n}") for n in (2, 1)]),
        "--name=d",
        "--keep_repeats=True",
    )
    inter = (tmp_path / "out" / "d" / "d.inter").read_text()
    assert inter.splitlines()[1:] == ["u\ti\t4.0\t1", "u\ti\t4.0\t2"]


def test_one_command_gives_the_same_bytes_wherever_and_however_often(tmp_path, convert, dump):
    option = dump([("u", "i", 4, 5, "t")])
    convert("generic", option, "--name=d")
    convert("generic", option, "--name=d", output="elsewhere")
    first = contents(tmp_path / "out" / "d")
    convert("generic", option, "--name=d", "--overwrite=True")
    assert first == contents(tmp_path / "out" / "d") == contents(tmp_path / "elsewhere" / "d")


def test_amazon_dumps_are_a_source(tmp_path, convert):
    record = {
        "reviewerID": "u", "asin": "i", "overall": 5, "unixReviewTime": 5, "reviewText": "b",
    }  # fmt: skip
    path = tmp_path / "r.json.gz"
    path.write_bytes(gzip.compress(json.dumps(record).encode()))
    convert("amazon2014", f"--input={path}", "--name=d")
    texts = pl.read_parquet(tmp_path / "out" / "d" / "d.reviews.parquet")
    assert texts.rows() == [("u", "i", "b")]


def test_the_sources_are_listed(convert):
    out = " ".join(convert().split())
    assert out == " ".join(convert("--help", output="").split())
    for name, source in SOURCES.items():
        assert f"{name} {source.reads} from {source.place} terms {source.terms}" in out


@pytest.mark.parametrize("source", SOURCES)
def test_the_help_of_a_source_tells_what_it_takes_and_nothing_else(convert, source):
    out = convert(source, "--help", output="")
    told = set(re.findall(r"(?m)^  --(\w+)", out))
    cluster = (ClusterOptions,) if InputOptions in SOURCES[source].options else ()
    takes = hints_of(*SOURCES[source].options, Filters, TargetOptions, OverwriteOptions, *cluster)
    assert told == {*takes, "quiet", "json"}
    assert convert(source, "--input=x", "--help", output="") == out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["amazn2014"], "no source 'amazn2014'. Did you mean 'amazon2014'? Expected one of amaz"),
        (["zzz"], "no source 'zzz'. Expected one of amazon2014, amazon2018, amazon2023, yelp, "
         "rakuten_travel, tripadvisor, generic, synthetic; convert --help tells"),
        (["generic"], "--name=... is missing: name of the data set"),
        (["generic", "--name=d"], "--input=... is missing: the file to read"),
        (["generic", "--name=d", "--overwrite"], "--overwrite needs a value: --overwrite=VALUE; "
         "for yes or no --overwrite=True or False"),
        (["generic", "--name=d", "--input=x", "--overwrite=maybe"], "overwrite is 'maybe', but"),
        (["synthetic", "--name=d", "--input=x"], "convert synthetic has no option --input"),
        (["synthetic", "--name=d", "--n_u=5"], "convert synthetic has no option --n_u."),
        (["synthetic", "--name=d", "--n_user=5"], "no option --n_user. Did you mean 'n_users'?"),
        (["generic", "--name=d", "--input=x", "--seed=0"], "convert generic has no option --seed"),
        (["amazon2014", "--name=d", "--input=x", "--text_field=t"], "has no option --text_field"),
        (["generic", "--name=d", "--input=x", "--k_core=-1"], "k_core is -1, but it must be at"),
        (["generic", "--name=d", "--input=x", "--max_bad=5"], "max_bad is 5.0, but it must be at"),
        (["generic", "--name=d", "--input=x", "--k_core=two"], "k_core is 'two', but it must be"),
        (["generic", "--name=../d", "--input=x"], "--name: '../d' cannot name a folder"),
        (["generic", "--name=d", "--input=x"], "--input: there is no file x"),
        (["stats"], "--name=... is missing"),
        (["stats", "--name=d", "--input=x"], "convert stats has no option --input"),
        (["attach", "--input=x", "--name=d", "--k_core=5"], "convert attach has no option --k_c"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_refused_with_a_remedy(tmp_path, convert, arguments, message):
    with pytest.raises(InputError) as error:
        convert(*arguments, output="" if "--overwrite" in arguments else "out")
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_too_many_bad_rows_write_nothing(tmp_path, convert, dump):
    with pytest.raises(InputError, match="1 of 2 rows cannot be used"):
        convert("generic", dump([("u", "i", 4, 5, "t"), ("u", "i", 4, "soon", "t")]), "--name=d")
    assert not (tmp_path / "out").exists()


def test_the_options_are_those_that_the_readers_know():
    """They are stated without loading polars, so the names of formats stand there too."""
    assert get_args(get_args(hints_of(FieldOptions)["input_format"])[0]) == tuple(FORMATS)
    assert all(callable(reader_of(name)) for name in SOURCES.keys() - {"synthetic"})


def test_the_command_is_light_and_the_converters_know_neither_torch_nor_recbole():
    code = (
        "import sys, recbole_symcere.convert.convert_command; "
        "heavy = {'polars', 'pyarrow', 'numpy'} & sys.modules.keys(); assert not heavy, heavy; "
        "from recbole_symcere.convert import attach, item_texts, pipeline, stats, synthetic; "
        "from recbole_symcere.convert.readers import generic, tripadvisor, rakuten_travel; "
        "wrong = {'torch', 'recbole', 'pandas'} & sys.modules.keys(); assert not wrong, wrong"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
