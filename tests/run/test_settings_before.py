"""A stored run goes on as it began, whatever has become the default since."""

import pytest

from recbole_symcere.base.options import hints_of
from recbole_symcere.model.registry import MODELS, class_of
from recbole_symcere.run.settings_before import completed


def test_what_held_before_there_was_a_setting_for_it():
    assert completed({"model": "LightGCN"}) == {"model": "LightGCN", "tie_order": "file"}
    ours = {"model": "SymCERE", "tie_order": "file", "batches_per_propagation": 1, "mask_seed": 0}
    assert completed({"model": "SymCERE"}) == ours
    joined = {"model": "CollabContext", "tie_order": "file", "item_text": "joined"}
    assert completed({"model": "CollabContext"}) == joined
    assert completed({"model": "NotHere"}) == {"model": "NotHere", "tie_order": "file"}


def test_what_a_run_tells_stays():
    told = {"model": "SymCEREPlus", "tie_order": "hash", "batches_per_propagation": None}
    told |= {"mask_seed": None, "own_item_text": True}
    assert completed(told) == told


@pytest.mark.parametrize("settings", [{"model": "Stack"}, {"model": "BPR", "blend": ["words"]}])
def test_words_were_those_of_reviews(settings):
    assert completed(settings)["own_item_text"] is False


@pytest.mark.parametrize("setting", ["batches_per_propagation", "mask_seed"])
@pytest.mark.parametrize("name", MODELS)
def test_a_setting_is_filled_in_for_the_models_that_read_it(name, setting):
    reads = setting in hints_of(*class_of(name).option_groups)
    assert (setting in completed({"model": name})) == reads


def test_filters_that_had_no_effect_on_parts_are_left_out():
    filters = {"val_interval": {"rating": "[4,inf)"}, "rm_dup_inter": "last"}
    filters |= {"user_inter_num_interval": "[5,inf)", "item_inter_num_interval": "[5,inf)"}
    told = {"model": "BPR", "tie_order": "hash", **filters, "benchmark_filename": None}
    assert completed(told) == told
    parts = ["train", "valid", "test"]
    left = {"model": "BPR", "tie_order": "hash", "benchmark_filename": parts}
    assert completed({**told, "benchmark_filename": parts}) == left
