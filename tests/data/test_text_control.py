"""Texts that say nothing."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.text_control import controlled
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset
from recbole_symcere.run.quick_start import run_recbole

TEXTS = pa.array(["a b c", "", "d e", "f", "  ", "g h i j"] * 5)


def control(name, seed=0):
    return controlled(TEXTS, name, seed).to_pylist()


def test_none_changes_nothing():
    assert controlled(TEXTS, "none", 0) is TEXTS


@pytest.mark.parametrize("name", ["shuffled", "constant", "random"])
def test_empty_texts_stay_empty_and_others_do_not_become_empty(name):
    assert [not t.strip() for t in control(name)] == [not t.strip() for t in TEXTS.to_pylist()]


def test_shuffled_texts_are_the_same_texts_elsewhere():
    assert Counter(control("shuffled")) == Counter(TEXTS.to_pylist())
    assert control("shuffled") != TEXTS.to_pylist()


def test_random_texts_have_the_same_words_and_lengths():
    words = Counter(word for text in control("random") for word in text.split())
    assert words == Counter(word for text in TEXTS.to_pylist() for word in text.split())
    lengths = [[len(t.split()) for t in texts] for texts in (control("random"), TEXTS.to_pylist())]
    assert lengths[0] == lengths[1]
    assert set(control("random")) - set(TEXTS.to_pylist())


def test_constant_texts_are_one_text():
    assert len({text for text in control("constant") if text.strip()}) == 1


@pytest.mark.parametrize("name", ["shuffled", "random"])
def test_the_seed_decides(name):
    assert control(name) == control(name)
    assert control(name, 1) != control(name)


def test_another_control_is_a_mistake():
    with pytest.raises(ValueError, match="control is 'noise'"):
        controlled(TEXTS, "noise", 0)


def training_texts(small, level, **more):
    config = Config("SymCERE", "small", config_dict={**small, "text_level": level, **more})
    train = read_dataset(config).build()[0]
    texts = train.training_reviews() if level == "interaction" else train.training_item_texts()
    return texts.to_pylist()


@pytest.mark.parametrize("level", ["interaction", "item"])
def test_reviews_and_item_texts_are_both_controlled(small, level):
    given = training_texts(small, level)
    shuffled = training_texts(small, level, text_control="shuffled")
    assert shuffled != given
    # whole item texts change places: joined from shuffled reviews all items would look alike
    assert Counter(shuffled) == Counter(given)
    assert len(set(training_texts(small, level, text_control="constant"))) == 2  # "" is the other


def test_a_run_with_control_says_so(small):
    results = {}
    for name in ("none", "shuffled", "constant", "random"):
        settings = {**small, "text_control": name}
        run = run_recbole("SymCERE", "small", config_dict=settings)["run_dir"]
        results[name] = json.loads(Path(run, "metrics.json").read_text())
        assert results[name]["protocol"].get("text_control", "none") == name
    losses = {json.dumps(r["history"][0]["loss"]) for r in results.values()}
    assert len(losses) == 4


def test_a_model_without_text_has_nothing_to_control(small):
    ours = {key: small[key] for key in ("data_path", "runs_dir", "epochs")}
    with pytest.raises(InputError, match="text_control is 'shuffled', but BPR reads no text"):
        run_recbole("BPR", "small", config_dict={**ours, "text_control": "shuffled"})
    with pytest.raises(InputError, match="text_control is 'noise'"):
        run_recbole("SymCERE", "small", config_dict={**small, "text_control": "noise"})
