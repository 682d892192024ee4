"""A stored run goes on as it began, whatever has become the default since."""

from recbole_symcere.run.settings_before import completed


def test_what_held_before_there_was_a_setting_for_it():
    assert completed({"model": "LightGCN"}) == {"model": "LightGCN", "tie_order": "file"}
    ours = completed({"model": "SymCERE"})
    assert ours == {"model": "SymCERE", "tie_order": "file", "batches_per_propagation": 1}
    assert completed({"model": "NotHere"}) == {"model": "NotHere", "tie_order": "file"}


def test_what_a_run_tells_stays():
    told = {"model": "SymCEREPlus", "tie_order": "hash", "batches_per_propagation": None}
    assert completed(told) == told
