"""Every model of RecBole's through our command: it runs, or one line says why it doesn't.

``make test-stock`` runs these and lists at its end which ran.
"""

import json
import re
from pathlib import Path

import pytest
from small_data import write_small
from stock_data import write_features, write_knowledge

from recbole_symcere.cli import main
from recbole_symcere.plugin.stock_models import model_kinds

pytestmark = [
    pytest.mark.stock,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning"),
]

KINDS = {name: kind.split("_")[0] for name, kind in model_kinds().items()}
ON_SAMPLE = [name for name, kind in KINDS.items() if kind in {"general", "exlib", "context"}]
OTHERS = [name for name in KINDS if name not in ON_SAMPLE]

REFUSED = {
    **dict.fromkeys(("LightGBM", "XGBoost"), "labels given pairs and ranks no items"),
    **dict.fromkeys(
        (name for name, kind in KINDS.items() if kind == "knowledge"), "reads a knowledge graph"
    ),
    **dict.fromkeys(("GRU4RecKG", "KSR"), "reads a knowledge graph"),
    **dict.fromkeys(("FDSA", "GRU4RecF", "S3Rec", "SASRecF"), "reads the columns class of"),
    "NCL": r"Give a number well below, such as (--num_clusters=\d+)\.",
}
"""Model -> what the line says that refuses it on data of user, item, rating and time."""

GRAPH = "kg: [head_id, relation_id, tail_id], link: [item_id, entity_id]"
COLUMNS = f"inter: [user_id, item_id, rating, timestamp], {GRAPH}, item: [item_id, class]"
ON_RICH_DATA = {
    **{name: [] for name, kind in KINDS.items() if kind == "knowledge"},
    **{name: [f"--load_col={{{COLUMNS}}}"] for name in ("FDSA", "GRU4RecF", "S3Rec", "SASRecF")},
}
"""Model -> the further words that it runs with where a graph and item features are there."""
PACKAGES = {"KGIN": "torch-scatter", "MCCLK": "torch-scatter"}

SMALL_DATA = {  # RecBole's defaults want more items
    "GRU4RecCPR": ["--reranker_CAN_NUM=20"],
    "SASRecCPR": ["--reranker_CAN_NUM=20"],
    "RaCT": ["--metrics_k=20"],
    "NCL": ["--num_clusters=3"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data_path with the sets "small" and "rich"."""
    folder = tmp_path_factory.mktemp("stock")
    write_small(folder)
    write_small(folder, "rich")
    write_knowledge(folder, "rich")
    write_features(folder, "rich")
    return folder


def run(capsys, *words):
    """The exit status, and the last line of what was said."""
    status = main([*words, "--epochs=1"])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "Logging error" not in said.err
    lines = (said.err if status else said.out).strip().splitlines()
    if status:
        assert len([line for line in lines if line.startswith("error: ")]) == 1
        assert lines[-1].startswith("error: ")
    return status, lines[-1]


def check_run(folder):
    metrics = json.loads(Path(folder, "metrics.json").read_text())
    assert metrics["epochs_run"] == 1
    assert set(metrics["test"]) == set(metrics["valid"])
    assert 0 <= metrics["test"]["ndcg@10"] <= 1
    return metrics


def note(record_property, model, outcome):
    record_property("RecBole's models", f"  {KINDS[model]:<10} {model:<12} {outcome}")


@pytest.mark.parametrize("model", ON_SAMPLE)
def test_general_traditional_and_context_aware_models_on_the_sample(model, capsys, record_property):
    status, said = run(capsys, f"--model={model}", "--dataset=yelp", "--run_dir=run")
    if model not in REFUSED:
        assert status == 0, said
        check_run("run")
        note(record_property, model, "ran")
        return
    found = re.search(REFUSED[model], said)
    assert status == 2
    assert found, said
    if not found.groups():
        note(record_property, model, f"refused: {said.removeprefix('error: ')}")
        return
    status, said = run(capsys, f"--model={model}", "--dataset=yelp", "--run_dir=again", found[1])
    assert status == 0, said
    check_run("again")
    note(record_property, model, f"ran with {found[1]}, as the line says that refuses it")


@pytest.mark.parametrize("model", OTHERS)
def test_models_of_other_kinds_on_small_data(model, data, capsys, record_property):
    words = [f"--model={model}", f"--data_path={data}", *SMALL_DATA.get(model, ())]
    status, said = run(capsys, *words, "--dataset=small", "--run_dir=run")
    if model not in REFUSED:
        assert status == 0, said
        check_run("run")
        note(record_property, model, " with ".join(["ran", *SMALL_DATA.get(model, ())]))
        return
    assert status == 2
    assert re.search(REFUSED[model], said), said
    outcome = f"refused: {said.removeprefix('error: ').replace(f'{data}/', '')}"
    if model in ON_RICH_DATA:
        status, said = run(capsys, *words, *ON_RICH_DATA[model], "--dataset=rich", "--run_dir=rich")
        if model in PACKAGES:
            assert f"pip install {PACKAGES[model]}" in said
            outcome += f" With one: {said.removeprefix('error: ')}"
        else:
            assert status == 0, said
            check_run("rich")
            outcome += " It ran on data that have it."
    note(record_property, model, outcome)


@pytest.mark.parametrize(
    "model", [m for m in KINDS if KINDS[m] in {"general", "context"} or m in {"KGAT", "GRU4Rec"}]
)
def test_a_run_that_goes_on_ends_as_an_unbroken_one(model, data, capsys):
    words = [f"--model={model}", f"--data_path={data}", "--dataset=rich", "--learning_rate=0.01"]
    words += ["--train_batch_size=64", *SMALL_DATA.get(model, ())]
    main([*words, "--epochs=3", "--run_dir=whole"])
    main([*words, "--epochs=2", "--run_dir=broken"])
    main(["--resume=broken", "--epochs=3"])
    whole, broken = (json.loads(Path(d, "metrics.json").read_text()) for d in ("whole", "broken"))
    for key in ("valid", "test", "best_epoch", "epochs_run"):
        assert broken[key] == whole[key]
    assert [e["loss"] for e in broken["history"]] == [e["loss"] for e in whole["history"]]
