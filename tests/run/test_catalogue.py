"""The catalogue of a run knows every interaction of its data."""

import json

from small_data import small_rows

from recbole_symcere.run.catalogue import read_catalogue
from recbole_symcere.run.quick_start import run_recbole

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
