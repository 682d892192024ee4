"""Bad input, full disks and killed conversions: a clear error, nothing half-written."""

import gzip
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from convert_tables import READERS, read_all

from recbole_symcere import cli
from recbole_symcere.base import live_line
from recbole_symcere.base.errors import InputError
from recbole_symcere.convert import writer
from recbole_symcere.convert.convert_command import main
from recbole_symcere.convert.convert_options import FieldOptions
from recbole_symcere.convert.readers.generic import read_generic

ROOT = Path(__file__).parents[2]


def line(**values):
    record = {"user_id": "u", "item_id": "i", "rating": 4, "timestamp": 1_500_000_000, "text": "t"}
    return json.dumps({**record, **values}) + "\n"


def lines(n):
    return "".join(line(item_id=f"i{k}", text=f"text {k} " * 20) for k in range(n))


@pytest.fixture
def convert(tmp_path, capsys):
    def convert(content, *arguments, name="r.jsonl"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        words = ["generic", f"--input={path}", "--name=d", f"--output_dir={tmp_path / 'out'}"]
        main([*words, *arguments])
        return capsys.readouterr().out

    return convert


def manifest(tmp_path):
    return json.loads((tmp_path / "out" / "d" / "manifest.json").read_text())


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("zst", zstd)])
def test_a_truncated_file_names_how_far_it_went(tmp_path, convert, ending, pack):
    data = pack(lines(100_000).encode())
    with pytest.raises(
        InputError, match=rf"r\.jsonl\.{ending}: the file is damaged or cut short after line \d+"
    ):
        convert(data[: len(data) // 2], name=f"r.jsonl.{ending}")
    assert not (tmp_path / "out").exists()


def test_what_only_looks_compressed_is_not(convert):
    for head in (b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\x00", b"BZh9"):
        with pytest.raises(InputError, match="damaged or cut short after line 0"):
            convert(head + b"nonsense\n" * 50, "--overwrite=True")
        out = convert((line() + "\n").encode() + head + b"\n", "--max_bad=0.9", "--overwrite=True")
        assert "1 x not valid JSON (line 3)" in out


def test_a_byte_order_mark_and_crlf_in_json(convert, tmp_path):
    content = (line(text="a\r\nb") + line(item_id="j")).replace("\n", "\r\n")
    convert(b"\xef\xbb\xbf" + content.encode())
    assert manifest(tmp_path)["read_report"]["rows_kept"] == 2


def test_quotes_line_breaks_and_tabs_in_reviews(convert, tmp_path):
    convert(line(text='say "hi"\n\tto\r\n\'all\'\x00 \\"'))
    table = pl.read_parquet(tmp_path / "out" / "d" / "d.reviews.parquet")
    assert table["text"].to_list() == ['say "hi" to \'all\' \\"']


def test_times_of_every_wrong_kind_are_told_apart(convert):
    times = [1_500_000_000, -5, 1_500_000_000_000, int(time.time()) + 10**6, "soon", None]
    out = convert("".join(line(item_id=f"i{n}", timestamp=t) for n, t in enumerate(times)),
                  "--max_bad=0.9")  # fmt: skip
    assert "3 x timestamp is no time of 1970-2099 (lines 2, 3, 5; found '-5'" in out
    assert "1 x timestamp is in the future (line 4" in out
    assert "1 x no timestamp (line 6; expected one in every row, or --order=unknown" in out


def test_ratings_out_of_range_on_request(convert):
    content = "".join(line(item_id=f"i{r}", rating=r) for r in (0, 1, 5, 5.5))
    assert "4 kept" in convert(content)
    out = convert(content, "--rating_range=1,5", "--max_bad=0.5", "--overwrite=True")
    assert "2 x rating is out of range (lines 1, 4; found '0'; expected 1 to 5)" in out
    with pytest.raises(InputError, match="--rating_range: '1-5' is no range"):
        convert(content, "--rating_range=1-5", "--overwrite=True")


def test_ids_with_spaces_and_separators(convert, tmp_path):
    ids = ["a b", "a,b", "a;b:c", "é", "a\tb", "a\nb"]
    convert("".join(line(user_id=user) for user in ids), "--max_bad=0.5")
    inter = pl.read_csv(tmp_path / "out" / "d" / "d.inter", separator="\t")
    assert sorted(inter["user_id:token"]) == ["a b", "a,b", "a;b:c", "é"]


def test_ratings_that_turn_up_late_are_no_surprise(tmp_path):
    path = tmp_path / "r.parquet"
    rows = [("u", f"i{n}", None if n < 30_000 else 4, 5, "t") for n in range(30_001)]
    schema = {"user_id": pl.String, "item_id": pl.String, "rating": pl.Int64,
              "timestamp": pl.Int64, "text": pl.String}  # fmt: skip
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
    with pytest.raises(InputError, match=r"r\.parquet, row 30001: rating is '4', but the file's"):
        read_all(read_generic(path))
    named = FieldOptions(rating_field="rating")
    assert read_all(read_generic(path, named)).report.rows_kept == 1


def test_shared_names_are_left_out_and_counted(convert, tmp_path):
    content = line(user_id="A Google User") + line(user_id="ANONYMOUS") + line()
    assert "anonymous    2 reviews by shared names removed" in convert(content)
    assert manifest(tmp_path)["read_report"]["anonymous_removed"] == 2
    convert(content, "--keep_anonymous=True", "--overwrite=True")
    assert manifest(tmp_path)["counts"]["users"] == 3
    with pytest.raises(InputError, match="each of the 1 rows is by an anonymous user"):
        convert(line(user_id="unknown"), "--overwrite=True")


def test_rejected_rows_are_written_with_their_values_and_the_manifest_has_none(convert, tmp_path):
    content = lines(3000) + line(timestamp="secret value " * 9) * 1500 + "{cut"
    convert(content, "--max_bad=0.5")
    path = tmp_path / "out" / "d" / "rejected.jsonl"
    rows = [json.loads(text) for text in path.read_text().splitlines()]
    assert len(rows) == 1000
    assert rows[0] == {
        "file": "r.jsonl", "line": 3001, "reason": "timestamp is no time of 1970-2099",
        "value": ("secret value " * 9)[:40],
    }  # fmt: skip
    text = (tmp_path / "out" / "d" / "manifest.json").read_text()
    assert "secret" not in text
    assert [s["count"] for s in json.loads(text)["read_report"]["skipped"]] == [1500, 1]


def test_past_max_bad_it_stops_with_the_counts(convert, tmp_path):
    content = line() + line(user_id="") * 3 + "{cut\n"
    with pytest.raises(InputError, match=r"(?s)4 of 5 rows.*3 x no user_id.*1 x not valid JSON"):
        convert(content, "--max_bad=0.79")
    assert not (tmp_path / "out").exists()
    convert(content, "--max_bad=0.8")


def test_a_line_that_is_none_is_refused(convert, monkeypatch):
    monkeypatch.setattr("recbole_symcere.convert.lines._LONGEST_LINE", 10_000)
    monkeypatch.setattr(
        "recbole_symcere.convert.lines.LineBlocks.__init__.__defaults__", (None, 1000)
    )
    with pytest.raises(InputError, match="a line is longer than 0 MB"):
        convert(b"x" * 50_000)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, overwrite):
    """The limit on a file's size stands for the full disk: the kernel refuses the write."""
    path = tmp_path / "r.jsonl"
    path.write_text(lines(5000))
    out = tmp_path / "out"
    command = [sys.executable, "run_recbole_symcere.py", "convert", "generic", f"--input={path}",
               "--name=d", f"--output_dir={out}", "--overwrite=True"]  # fmt: skip
    if overwrite:
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "cannot be written (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in out.glob(".*")] == []


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.6, 0.9, 1.2, 1.5, 2.0])
def test_a_killed_conversion_leaves_no_data_set_and_can_be_started_again(tmp_path, seconds):
    path = tmp_path / "r.jsonl"
    path.write_text(lines(150_000))
    out = tmp_path / "out"
    command = [sys.executable, "run_recbole_symcere.py", "convert", "generic", f"--input={path}",
               "--name=d", f"--output_dir={out}"]  # fmt: skip
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    child.wait()
    names = {p.name for p in out.iterdir()} if out.exists() else set()
    if "d" in names:  # it was done before the signal came
        return
    assert all(name.startswith(".d.") for name in names)
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    assert [p.name for p in out.iterdir()] == ["d"]


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead, alive = (tmp_path / f".d.{pid}.partial" for pid in (child.pid, os.getppid()))
    for folder in (dead, alive):
        folder.mkdir()
    (dead / "spill").write_text("half")
    with writer.new_data_set(tmp_path / "d") as folder:
        (folder / "x").write_text("x")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([alive.name, "d"])


def test_the_progress_bar_is_for_terminals(convert, monkeypatch, capsys):
    convert(line())
    assert capsys.readouterr().err == ""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(live_line, "_TICK", 0.01)
    monkeypatch.setattr(live_line, "_A_MOMENT", 0)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    convert(lines(20_000), "--overwrite=True")
    assert re.search(r"reading r\.jsonl  [#.]+  0:0\d", terminal.getvalue())


@pytest.mark.parametrize("reader", READERS)
def test_no_file_a_folder_and_an_empty_file_are_refused(tmp_path, reader):
    empty = tmp_path / "empty"
    empty.touch()
    for path, message in (
        (tmp_path / "none", "--input: there is no file"),
        (tmp_path, "--input: .* is a folder; name one file in it"),
        (empty, "empty: the file is empty"),
    ):
        with pytest.raises(InputError, match=message):
            read_all(READERS[reader](path))


def test_an_interrupted_conversion_says_that_nothing_was_written(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("recbole_symcere.convert.pipeline.choose", interrupt)
    (tmp_path / "r.jsonl").write_text(line())
    words = ["generic", f"--input={tmp_path / 'r.jsonl'}", "--name=d"]
    assert cli.main(["convert", *words, f"--output_dir={tmp_path / 'out'}"]) == 130
    assert "nothing was written; start the conversion again" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
