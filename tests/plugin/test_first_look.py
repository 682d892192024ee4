"""Names and keys are looked at before torch is loaded, and nothing is refused that would run."""

import subprocess
import sys

import pytest

from recbole_symcere.base.errors import InputError
from recbole_symcere.model.registry import MODELS
from recbole_symcere.plugin import first_look
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.config_patches import known_keys
from recbole_symcere.plugin.first_look import look_first

STOCK = ["LightGCN", "EASE", "NeuMF", "SASRec", "DeepFM", "CFKG", "Pop"]


@pytest.mark.parametrize("model", [*MODELS, *STOCK])
def test_every_key_that_a_model_knows_passes(model):
    whole = Config(model, "ml-100k" if model == "CFKG" else "yelp")
    keys = known_keys(whole)
    assert len(keys) > 100
    look_first([model], [whole["dataset"]], [], dict.fromkeys(keys - {"data_path"}))


MISTAKES = [
    ("SymCRE", "yelp", {}),
    ("LightGBM", "yelp", {}),
    (None, "yelp", {}),
    ("SymCERE", None, {}),
    ("SymCERE", "yelpp", {}),
    ("SymCERE", "../yelp", {}),
    ("SymCERE", "yelp", {"data_path": "/nowhere/at/all"}),
    ("SymCERE", "yelp", {"lerning_rate": 1}),
    ("SymCEREPlus", "yelp", {"blend_ease_regg": 1}),
    ("CollabContext", "yelp", {"phase_epoch": 1}),
    ("EASE", "yelp", {"reg_wight": 1}),
    ("EASE", "yelp", {"qqqqqqqqqqq": 1}),
]


@pytest.mark.parametrize(("model", "dataset", "settings"), MISTAKES)
def test_a_mistake_is_told_in_the_words_of_the_whole_check(model, dataset, settings):
    with pytest.raises(InputError) as late:
        Config(model, dataset, config_dict=settings)
    with pytest.raises(InputError) as early:
        look_first([model], [dataset], [], settings)
    assert str(early.value) == str(late.value)
    assert type(early.value) is type(late.value)


def test_a_key_of_another_model_passes(tmp_path):
    # models may share a file of settings; the whole check warns
    file = tmp_path / "shared.yaml"
    file.write_text("reg_weight: 3\nfirst_phase_epochs: 1\n")
    look_first(["SymCERE"], ["yelp"], [str(file)], {})


def test_names_may_stand_in_a_file(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text("model: SymCERE\ndataset: yelpp\n")
    with pytest.raises(InputError, match="There is no data set 'yelpp'"):
        look_first([None], [None], [str(file)], {})
    with pytest.raises(InputError, match="can't be read"):
        look_first([None], [None], [str(tmp_path / "none.yaml")], {})


def test_every_option_of_a_model_is_found_in_its_code():
    for name in MODELS:
        found = first_look._keys_of_model(name)
        assert found, name
    assert {"beta", "text_encoder"} <= first_look._keys_of_model("SymCERE")
    assert {"beta", "rank_weight", "blend"} <= first_look._keys_of_model("SymCEREPlus")


@pytest.mark.parametrize(
    "words",
    [
        ["--model=SymCRE", "--dataset=yelp"],
        ["--model=SymCERE", "--dataset=yelpp"],
        ["--model=SymCERE", "--dataset=yelp", "--lerning_rate=1"],
        ["--resume=nowhere"],
        ["tune", "--model=BPR", "--dataset=yelp", "--num_sampels=1"],
        ["compare", "--models=BPRR", "--datasets=yelp", "--seeds=1", "--out=x"],
        ["audit", "--dataset=yelpp"],
        ["recommend", "--run=nowhere"],
        ["explain", "anchor", "--run=nowhere"],
        ["refit", "--run=nowhere"],
        ["report", "--run=nowhere"],
    ],
)
def test_a_mistake_is_told_before_torch_is_loaded(words):
    code = (
        "import sys; from recbole_symcere.cli import main; status = main(sys.argv[1:]); "
        "sys.exit(99 if {'torch', 'pandas', 'recbole.config'} & {*sys.modules} else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
