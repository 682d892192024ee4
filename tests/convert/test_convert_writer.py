import hashlib
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert import writer
from recbole_symcere.convert.records import SCHEMA

IDS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='"'), min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20)
ROWS = st.lists(
    st.tuples(IDS, IDS, st.floats(-1e6, 1e6), st.integers(0, 4_000_000_000), TEXTS, st.just(1)),
    min_size=1,
    max_size=12,
)


def reviews(*rows):
    return pl.DataFrame(rows, schema=dict(SCHEMA), orient="row")


ONE = reviews(("u", "i", 4.0, 1_500_000_000, "text", 1))
OTHER = reviews(("v", "j", 1.0, 1_500_000_001, "other", 1))


def write(folder, table=ONE, name="d", overwrite=False, extra=None):
    target = writer.check_target(folder, name, overwrite)
    with writer.new_data_set(target) as partial:
        writer.write_tables(partial, name, [table])
        for extra_name, content in (extra or {}).items():
            (partial / extra_name).write_bytes(content)
        writer.write_manifest(partial, name, {"source": "test"})
    return sorted(target.iterdir())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_are_what_recbole_and_the_data_side_read(tmp_path):
    files = write(tmp_path, extra={"planted.json": b"{}\n"})
    assert [path.name for path in files] == [
        "d.inter", "d.reviews.parquet", "manifest.json", "planted.json",
    ]  # fmt: skip
    assert (tmp_path / "d" / "d.inter").read_bytes() == (
        b"user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\ti\t4.0\t1500000000\n"
    )
    table = pq.read_table(tmp_path / "d" / "d.reviews.parquet")
    assert table.schema == pa.schema(
        [(name, pa.string()) for name in ("user_id", "item_id", "text")]
    )
    assert table.to_pylist() == [{"user_id": "u", "item_id": "i", "text": "text"}]


def test_the_manifest_knows_every_file_and_no_path(tmp_path):
    write(tmp_path, extra={"planted.json": b"{}\n"})
    text = (tmp_path / "d" / "manifest.json").read_text()
    manifest = json.loads(text)
    assert (manifest["format_version"], manifest["name"], manifest["source"]) == (1, "d", "test")
    written = {entry["file"]: entry for entry in manifest["outputs"]}
    assert written.keys() == {"d.inter", "d.reviews.parquet", "planted.json"}
    for name, entry in written.items():
        content = (tmp_path / "d" / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert str(tmp_path) not in text


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read_back_the_same(tmp_path, rows):
    table = reviews(*rows)
    write(tmp_path, table, overwrite=True)
    lines = (tmp_path / "d" / "d.inter").read_text(encoding="utf-8").split("\n")
    read = [line.split("\t") for line in lines[1:-1]]
    assert [(u, i, float(r), int(t)) for u, i, r, t in read] == [row[:4] for row in rows]
    parquet = pl.read_parquet(tmp_path / "d" / "d.reviews.parquet")
    assert parquet.rows() == [(row[0], row[1], row[4]) for row in rows]


def test_the_same_reviews_give_the_same_bytes(tmp_path):
    table = pl.concat([ONE, OTHER] * 500)
    write(tmp_path / "one", table)
    write(tmp_path / "two", table)
    assert contents(tmp_path / "one" / "d") == contents(tmp_path / "two" / "d")


@pytest.mark.parametrize("name", ["", ".", "..", ".d", "a/b", "a\\b", "/d", "-d", "a b", "d\n"])
def test_a_name_that_is_no_safe_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"--name: .* cannot name a folder"):
        write(tmp_path, name=name)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_data_set_is_replaced_only_on_request(tmp_path):
    write(tmp_path, extra={"planted.json": b"{}\n"})
    with pytest.raises(InputError, match=r"exists; choose another --name, or .*--overwrite"):
        write(tmp_path, OTHER)
    assert pl.read_parquet(tmp_path / "d" / "d.reviews.parquet")["text"].to_list() == ["text"]
    write(tmp_path, OTHER, overwrite=True)
    assert contents(tmp_path / "d").keys() == {"d.inter", "d.reviews.parquet", "manifest.json"}
    assert pl.read_parquet(tmp_path / "d" / "d.reviews.parquet")["text"].to_list() == ["other"]
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize("manifest", [None, "[]", "{}", "nonsense"])
def test_overwrite_never_deletes_files_of_others(tmp_path, manifest):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("precious")
    if manifest is not None:
        (tmp_path / "d" / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=r"--overwrite: .* holds .*, which no conversion wrote"):
        write(tmp_path, overwrite=True)
    assert (tmp_path / "d" / "thesis.txt").read_text() == "precious"


def test_overwrite_refuses_a_strange_file_beside_our_own(tmp_path):
    write(tmp_path)
    (tmp_path / "d" / "notes.txt").write_text("precious")
    with pytest.raises(InputError, match=r"holds 'notes\.txt'"):
        write(tmp_path, overwrite=True)


@pytest.mark.parametrize("step", ["json.dumps", "write_table", "os.fsync", "Path.rename"])
@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("crash", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_crash_leaves_the_folder_as_it_was(tmp_path, monkeypatch, step, existed, crash):
    if existed:
        write(tmp_path)
        before = contents(tmp_path / "d")

    def fail(*_, **__):
        raise crash

    rename = Path.rename

    def fail_on_the_new_folder(self, target):
        return fail() if self.name.endswith(".partial") else rename(self, target)

    owner, name = {
        "json.dumps": (writer.json, "dumps"),
        "write_table": (writer.pq.ParquetWriter, "write_table"),
        "os.fsync": (writer.os, "fsync"),
        "Path.rename": (Path, "rename"),
    }[step]
    monkeypatch.setattr(owner, name, fail_on_the_new_folder if step == "Path.rename" else fail)
    expected = InputError if isinstance(crash, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="No space left" if expected is InputError else None):
        write(tmp_path, OTHER, overwrite=True)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == (["d"] if existed else [])
    if existed:
        assert contents(tmp_path / "d") == before


def test_a_data_set_that_a_killed_run_moved_aside_comes_back(tmp_path):
    write(tmp_path)
    (tmp_path / "d").rename(tmp_path / ".d.replaced")
    with pytest.raises(InputError, match="exists"):
        write(tmp_path, OTHER)
    assert pl.read_parquet(tmp_path / "d" / "d.reviews.parquet")["text"].to_list() == ["text"]


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--output_dir: .* cannot be written"):
        write(tmp_path / "file")
