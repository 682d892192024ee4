"""The catalogue of a run knows every interaction of its data."""

import json
from pathlib import Path

import pytest
from small_data import START, small_rows, write_rows

from recbole_symcere.run.catalogue import LEFT_OUT, read_catalogue
from recbole_symcere.run.quick_start import run_recbole
from recbole_symcere.run.refit import refit
from recbole_symcere.serve.recommender import Recommender

_TEXT = {"text_encoder", "max_length", "cache_dir"}


def test_a_sequential_models_catalogue_has_the_first_items_too(small, tmp_path):
    # its training rows are what follows them, so recommend would give a user his own first item
    settings = {key: value for key, value in small.items() if key not in _TEXT}
    known = {}
    for model in ("SASRec", "Pop"):
        run = tmp_path / model
        run_recbole(model, "small", config_dict={**settings, "run_dir": str(run)})
        catalogue = read_catalogue(run, json.loads((run / "metrics.json").read_text()))
        users, items = (
            names.take(places).to_pylist()
            for names, places in (
                (catalogue.users, catalogue.user),
                (catalogue.items, catalogue.item),
            )
        )
        known[model] = sorted(zip(users, items, catalogue.part.tolist(), strict=True))
    assert known["SASRec"] == known["Pop"]
    assert sorted(row[:2] for row in known["Pop"]) == sorted(row[:2] for row in small_rows())


def pairs_of(run):
    """Distinct pairs by the file's ids, of the splits and of what no split has."""
    catalogue = read_catalogue(run, json.loads((run / "metrics.json").read_text()))
    users, items = catalogue.users.to_pylist(), catalogue.items.to_pylist()
    of_splits, left_out = set(), set()
    for user, item, part in zip(catalogue.user, catalogue.item, catalogue.part, strict=True):
        (left_out if part == LEFT_OUT else of_splits).add((users[user], items[item]))
    return of_splits, left_out, set(users[1:]), set(items[1:])


@pytest.mark.parametrize(
    ("model", "less"),
    [
        ("Pop", {"cold_items": 0.3}),
        ("Pop", {"cold_users": 0.5}),
        ("Pop", {"val_interval": {"rating": "[3,inf)"}}),
        ("Pop", {"val_interval": {"rating": "[2,inf)"}, "item_inter_num_interval": "[5,inf)"}),
        ("Pop", {"cold_items": 0.2, "cold_users": 0.5}),
        ("SASRec", {"val_interval": {"rating": "[3,inf)"}}),
    ],
)
def test_what_cold_starts_and_filters_take_is_kept_and_in_no_list(small, tmp_path, model, less):
    settings = {key: value for key, value in small.items() if key not in _TEXT} | less
    run = tmp_path / "run"
    run_recbole(model, "small", config_dict={**settings, "epochs": 1, "run_dir": str(run)})
    of_splits, left_out, users, items = pairs_of(run)
    known = {(u, i) for u, i, *_ in small_rows() if u in users and i in items}
    assert of_splits | left_out == known
    assert not of_splits & left_out
    assert left_out
    lists = Recommender.load(run).recommend(k=20)
    assert not known & set(zip(lists["user_id"], lists["item_id"], strict=True))


def test_a_refit_knows_what_its_filters_take(small, tmp_path):
    settings = {key: value for key, value in small.items() if key not in _TEXT}
    settings |= {"val_interval": {"rating": "[3,inf)"}, "cold_users": 0.5}
    run = tmp_path / "run"
    run_recbole("Pop", "small", config_dict={**settings, "run_dir": str(run)})
    of_refit = pairs_of(Path(refit(run)["run_dir"]))
    assert of_refit[1] == {row[:2] for row in small_rows() if row[2] < 3}


def test_a_sequential_models_users_of_one_interaction_have_it(small, tmp_path):
    rows = [*small_rows(), ("once", "i3", 5.0, START, "")]
    write_rows(tmp_path / "data", "once", rows)
    settings = {key: value for key, value in small.items() if key not in _TEXT}
    settings |= {"data_path": str(tmp_path / "data"), "run_dir": str(tmp_path / "run")}
    run_recbole("SASRec", "once", config_dict={**settings, "epochs": 1})
    assert pairs_of(tmp_path / "run")[1] == {("once", "i3")}


def test_the_other_copies_of_a_pair_leave_nothing_out(small, tmp_path):
    # of a pair that is there twice val_interval takes one row and training has the other
    rows = [(u, i, 5.0, t, text) for u, i, _, t, text in small_rows()]
    again = [(u, i, 1.0, t + 7, text) for u, i, _, t, text in rows[:5]]
    write_rows(tmp_path / "data", "again", [*rows, *again])
    settings = {key: value for key, value in small.items() if key not in _TEXT}
    settings |= {"data_path": str(tmp_path / "data"), "run_dir": str(tmp_path / "run")}
    settings |= {"val_interval": {"rating": "[3,inf)"}, "rm_dup_inter": None}
    run_recbole("Pop", "again", config_dict=settings)
    assert not pairs_of(tmp_path / "run")[1]


def test_a_run_on_all_of_its_data_has_nothing_left_out(small, tmp_path):
    # its files are those of runs before there was this part
    settings = {key: value for key, value in small.items() if key not in _TEXT}
    run = tmp_path / "run"
    run_recbole("Pop", "small", config_dict={**settings, "run_dir": str(run)})
    of_splits, left_out, *_ = pairs_of(run)
    assert of_splits == {row[:2] for row in small_rows()}
    assert not left_out
