"""Data files are what was converted, or nothing is read; and what it costs to know that."""

import json
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest
from small_data import small_rows, write_rows, write_small

from recbole_symcere.base import known_hashes
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import sha256_of
from recbole_symcere.base.known_hashes import known_sha256
from recbole_symcere.cli import main
from recbole_symcere.data.intact import check_files
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset
from recbole_symcere.run.quick_start import run_recbole


def sealed(folder):
    """Give a data set's folder the manifest that `convert` would write."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in {".inter", ".parquet"}]
    outputs = [{"file": path.name, "sha256": sha256_of(path)} for path in files]
    (folder / "manifest.json").write_text(json.dumps({"outputs": outputs}))
    return folder


@pytest.fixture
def data(tmp_path):
    return sealed(write_small(tmp_path / "own"))


@pytest.fixture
def own(small, data, tmp_path):
    """Settings of a run on a sealed data set, with a cache of its own."""
    return {**small, "data_path": str(data.parent), "cache_dir": str(tmp_path / "cache")}


def mutated(content, rng, n):
    content = bytearray(content)
    place = rng.randrange(len(content))
    if n % 3 == 0:
        content[place] ^= 1 << rng.randrange(8)
    elif n % 3 == 1:
        del content[place : place + 1 + rng.randrange(40)]
    else:
        content[place:place] = rng.randbytes(1 + rng.randrange(4))
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "model", "n"),
    [
        ("small.inter", "SymCERE", 100),
        ("small.inter", "LightGCN", 100),
        ("small.inter", "Pop", 30),
        ("small.reviews.parquet", "SymCERE", 200),
    ],
)
def test_no_mutation_is_read(own, data, name, model, n):
    path, rng = data / name, random.Random(1)
    whole = path.read_bytes()
    config = Config(model, "small", config_dict=own)
    read_dataset(config)
    for step in range(n):
        path.write_bytes(mutated(whole, rng, step))
        with pytest.raises(InputError):
            read_dataset(config)
    path.write_bytes(whole)
    read_dataset(config)


def test_a_model_without_text_does_not_mind_the_reviews(own, data):
    (data / "small.reviews.parquet").write_bytes(b"")
    read_dataset(Config("LightGCN", "small", config_dict=own))


@pytest.mark.parametrize("model", ["SymCERE", "LightGCN"])
def test_an_edited_file_says_what_to_do(own, data, capsys, model):
    file = data / "small.inter"
    file.write_text(file.read_text().replace("\t5.0\t", "\t4.0\t", 1))
    words = ["--dataset=small", *(f"--{key}={value}" for key, value in own.items())]
    words = [word for word in words if model == "SymCERE" or not word.startswith("--max_l")]
    assert main([f"--model={model}", *words]) == 2
    said = capsys.readouterr().err
    assert f"{file} isn't what was converted: manifest.json tells another sha256" in said
    assert "convert the data set again" in said
    (data / "manifest.json").unlink()
    assert main([f"--model={model}", *words]) == 0
    assert "has no manifest of small.inter" in capsys.readouterr().out


def test_stock_functions_check_too(own, data):
    from recbole.config import Config as StockConfig
    from recbole.data import create_dataset

    stock = {key: own[key] for key in ("data_path", "checkpoint_dir")}
    file = data / "small.inter"
    file.write_text(file.read_text() + "u1\ti2\t3.0\t1600000000\n")
    for model in ("BPR", "SymCERE"):
        config = StockConfig(model, "small", config_dict=stock | {"load_col": None})
        with pytest.raises(InputError, match="isn't what was converted"):
            create_dataset(config)


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff", b"[]", b'{"outputs": 3}', b'{"outputs": [{"file": "small.inter"}]}', b"null"],
)
def test_a_damaged_manifest_is_named(own, data, content):
    (data / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=r"manifest\.json can't be read .* Convert the data set"):
        read_dataset(Config("LightGCN", "small", config_dict=own))


def test_benchmark_parts_and_attached_reviews_are_checked(small, tmp_path):
    rows = small_rows()
    folder = tmp_path / "own" / "small"
    for name, part in zip(("train", "valid", "test"), (rows[:120], rows[120:150], rows[150:])):  # noqa: B905 # three
        write_rows(tmp_path / "own", "small", part, name)
        (folder / f"small.{name}.reviews.parquet").unlink()
    lines = ["user_id,item_id,timestamp,text"]
    lines += [f"{user},{item},{seconds},{text}" for user, item, _, seconds, text in rows]
    Path("reviews.csv").write_text("\n".join(lines) + "\n")
    given = ["--input=reviews.csv", "--name=small", f"--output_dir={tmp_path / 'own'}"]
    assert main(["convert", "attach", *given]) == 0
    own = {**small, "data_path": str(tmp_path / "own"), "cache_dir": "cache"}
    own |= {"benchmark_filename": ["train", "valid", "test"], "epochs": 1}
    config = Config("SymCERE", "small", config_dict=own)
    read_dataset(config)
    for name in ("small.valid.inter", "small.train.reviews.parquet"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(mutated(whole, random.Random(3), 0))
        with pytest.raises(InputError, match=rf"{name} isn't what was converted: attach\.json"):
            read_dataset(config)
        (folder / name).write_bytes(whole)


def test_reviews_that_were_attached_after_a_conversion_count(data, tmp_path):
    (data / "small.reviews.parquet").write_bytes(b"others")
    attached = {"inputs": [{"file": "small.inter", "sha256": sha256_of(data / "small.inter")}]}
    attached["outputs"] = [
        {"file": "small.reviews.parquet", "sha256": sha256_of(data / "small.reviews.parquet")}
    ]
    (data / "attach.json").write_text(json.dumps(attached))
    assert check_files(data, ["small.inter", "small.reviews.parquet"], None) is None


# --- what is remembered --------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """The files that were hashed."""
    read = []

    def hashed(path):
        read.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(known_hashes, "sha256_of", hashed)
    return read


def aged(path, seconds=3600):
    """Let a file look as if it had been written a while ago; its change time stays."""
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def settled(monkeypatch):
    monkeypatch.setattr(known_hashes, "_SETTLED", 0.0)


def test_a_file_is_hashed_once_until_it_changes(tmp_path, counted, monkeypatch):
    settled(monkeypatch)
    path, memory = tmp_path / "x", tmp_path / "cache" / "checked.json"
    path.write_bytes(b"one")
    first = known_sha256(path, memory)
    assert [known_sha256(path, memory) for _ in range(3)] == [first] * 3
    assert counted == ["x"]
    path.write_bytes(b"two")  # the same size
    assert known_sha256(path, memory) != first
    aged(path)
    known_sha256(path, memory)
    assert counted == ["x"] * 3


def test_a_file_written_this_instant_is_not_remembered(tmp_path, counted):
    path = tmp_path / "x"
    path.write_bytes(b"one")
    for _ in range(2):
        known_sha256(path, tmp_path / "memory")
    assert counted == ["x", "x"]


def test_a_run_hashes_its_data_once_for_check_and_fingerprint(own, counted, monkeypatch):
    settled(monkeypatch)
    run_recbole("SymCERE", "small", config_dict={**own, "epochs": 1})
    run_recbole("LightGCN", "small", config_dict={**own, "epochs": 1})
    assert sorted(counted) == ["small.inter", "small.reviews.parquet"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"a": 3}', b"\xff\xff"])
def test_a_damaged_memory_is_no_harm(data, tmp_path, damage, monkeypatch):
    settled(monkeypatch)
    memory = tmp_path / "memory"
    check_files(data, ["small.inter"], memory)
    memory.write_bytes(damage)
    check_files(data, ["small.inter"], memory)
    whole = json.loads(memory.read_bytes())
    for entry in whole.values():
        entry[-1] = "0" * 64
    memory.write_text(json.dumps(whole))
    check_files(data, ["small.inter"], memory)


def test_a_memory_that_cannot_be_written_is_no_harm(data, monkeypatch):
    settled(monkeypatch)
    Path("file").write_text("")
    assert check_files(data, ["small.inter"], Path("file", "checked.json")) is None


def test_many_may_share_a_memory(tmp_path, monkeypatch):
    settled(monkeypatch)
    files = [tmp_path / f"{n}" for n in range(8)]
    for file in files:
        file.write_bytes(os.urandom(50))
    wrong = []

    def work(file):
        found = {known_sha256(file, tmp_path / "memory") for _ in range(20)}
        wrong.extend(found - {sha256_of(file)})

    threads = [threading.Thread(target=work, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    known = json.loads((tmp_path / "memory").read_bytes())
    assert all(entry[-1] == sha256_of(Path(name)) for name, entry in known.items())


def test_files_that_are_gone_are_forgotten(tmp_path, monkeypatch):
    settled(monkeypatch)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
        known_sha256(tmp_path / name, tmp_path / "memory")
        (tmp_path / "a").unlink(missing_ok=True)
    assert [*json.loads((tmp_path / "memory").read_bytes())] == [str(tmp_path / "b")]


def test_a_copy_of_the_bundled_sample_is_checked(tmp_path):
    from recbole_symcere.base.files import bundled_data_path

    folder = shutil.copytree(bundled_data_path() / "yelp", tmp_path / "yelp")
    names = ["yelp.inter", "yelp.reviews.parquet"]
    assert check_files(folder, names, None) is None
    with (folder / "yelp.inter").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"yelp\.inter isn't what was converted"):
        check_files(folder, names, None)
