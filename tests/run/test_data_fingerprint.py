"""What a run knows its data by."""

import hashlib

import pytest
from small_data import write_small
from stock_data import INTER, WITH_CLASS, write_features, write_knowledge

from recbole_symcere.base.errors import InputError
from recbole_symcere.compare.compare_options import checked_options
from recbole_symcere.compare.plan import checked_tasks
from recbole_symcere.compare.rows import plan_rows
from recbole_symcere.plugin.config import Config
from recbole_symcere.run import data_fingerprint as module
from recbole_symcere.run.data_fingerprint import data_fingerprint
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole


@pytest.fixture
def rich(tmp_path):
    """A data_path whose set "small" has a graph, and features of items and users."""
    folder = tmp_path / "data"
    write_small(folder)
    write_knowledge(folder)
    write_features(folder)
    users = "".join(f"u{n}\t{20 + n}\n" for n in range(24))
    (folder / "small" / "small.user").write_text("user_id:token\tage:float\n" + users)
    return folder


def found(folder, model, stored=None, **more):
    given = {"data_path": str(folder), "cache_dir": str(folder.parent / "cache"), **more}
    return data_fingerprint(Config(model, "small", config_dict=given), stored)


def plainly(folder, *ends):
    told = hashlib.sha256()
    for end in sorted(ends):
        content = (folder / "small" / f"small.{end}").read_bytes()
        told.update(f"small.{end} {hashlib.sha256(content).hexdigest()}\n".encode())
    return told.hexdigest()


def change(folder, end):
    file = folder / "small" / f"small.{end}"
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([head, *rows[1:]]) + "\n")


ALWAYS = ("inter", "reviews.parquet")
USERS = {"load_col": {"inter": INTER, "user": ["user_id", "age"]}}


@pytest.mark.parametrize(
    ("model", "more", "read"),
    [
        ("BPR", {}, ()),
        ("FM", {}, ()),
        ("CKE", {}, ("kg", "link")),
        ("FM", {"load_col": WITH_CLASS}, ("item",)),
        ("FM", USERS, ("user",)),
        ("FM", {"load_col": {"inter": INTER, "item": "*"}}, ("item",)),
        ("FM", {"load_col": None}, ("item", "kg", "link", "user")),
    ],
)
def test_it_is_of_the_files_that_are_read(rich, model, more, read):
    before = found(rich, model, **more)
    assert before == plainly(rich, *ALWAYS, *read)
    for end in ("item", "kg", "link", "user"):
        change(rich, end)
        after = found(rich, model, **more)
        assert (after != before) == (end in read)
        before = after
    change(rich, "inter")
    assert found(rich, model, **more) != before


def test_what_an_earlier_version_noted_is_kept(rich):
    old = plainly(rich, *ALWAYS)
    assert found(rich, "CKE", old) == old
    change(rich, "inter")
    assert found(rich, "CKE", old) == plainly(rich, *ALWAYS, "kg", "link") != old


def settings_of(small, rich, run):
    own = ("cache_dir", "epochs", "show_progress")
    settings = {key: small[key] for key in own}
    return {**settings, "data_path": str(rich), "run_dir": str(run)}


def test_a_run_whose_graph_has_changed_is_neither_loaded_nor_gone_on_with(small, rich, tmp_path):
    run = tmp_path / "run"
    run_recbole("CKE", "small", config_dict=settings_of(small, rich, run))
    load_data_and_model(run)
    change(rich, "kg")
    with pytest.raises(InputError, match=r"The data set small .* has changed since"):
        load_data_and_model(run)
    with pytest.raises(InputError, match="has changed since this run began"):
        resume(run, {"epochs": 3})


def test_a_run_of_an_earlier_version_is_loaded_and_gone_on_with(small, rich, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(module, "kinds_read", lambda *_: set())
        run_recbole("CKE", "small", config_dict=settings_of(small, rich, run))
    old = (run / "data_fingerprint").read_text()
    assert old == plainly(rich, *ALWAYS)
    load_data_and_model(run)
    resume(run, {"epochs": 3})
    assert (run / "data_fingerprint").read_text() == old
    load_data_and_model(run)


def test_a_comparison_knows_each_models_data(small, rich, tmp_path):
    def fingerprints():
        given = {"models": "BPR,CKE", "datasets": "small", "out": str(tmp_path / "out")}
        options = checked_options({**given, "seeds": "0,1", "untrained": "False"})
        settings = {"data_path": str(rich), "cache_dir": small["cache_dir"], "epochs": "1"}
        tasks = checked_tasks(options, plan_rows(options, settings, []), settings, [])
        return [task.fingerprint for task in tasks]

    before = fingerprints()
    change(rich, "kg")
    after = fingerprints()
    assert after[0] == before[0]
    assert after[1] != before[1]
