"""Models of a user's own that subclass one of ours."""

import dataclasses
import json
from pathlib import Path

import pytest
from recbole.utils import get_model

from recbole_symcere.base.options import option
from recbole_symcere.model.registry import MODELS, adopt, is_ours, lineage, text_use, trainer_of
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole


def subclass(name, **content):
    return type(f"My{name}", (get_model(name),), content)


@pytest.mark.parametrize("name", ["SymCERE", "SymCEREPlus", "CollabContext", "DGCLR", "DirectAU"])
def test_a_subclass_runs_as_its_parent_does(name, small):
    runs = [
        run_recbole(model, "small", config_dict={**small, "epochs": 3})
        for model in (name, subclass(name))
    ]
    parent, child = (json.loads(Path(run["run_dir"], "metrics.json").read_text()) for run in runs)
    assert (parent.pop("model"), child.pop("model")) == (name, f"My{name}")
    same = ("valid", "test", "protocol", "best_epoch", "phases")
    assert {key: parent.get(key) for key in same} == {key: child.get(key) for key in same}
    # in this process it is known by its name from here on
    assert load_data_and_model(runs[1]["run_dir"])[1].__class__.__name__ == f"My{name}"
    assert resume(runs[1]["run_dir"])["test_result"] == runs[1]["test_result"]


def test_a_subclass_may_read_settings_of_its_own(small):
    @dataclasses.dataclass(frozen=True)
    class MyOptions:
        my_weight: float = option(0.5, "of my term", minimum=0)

    parent = get_model("BPR"), get_model("SimGCL")
    kind = type("Mine", parent[1:], {"option_groups": (*parent[1].option_groups, MyOptions)})
    with pytest.raises(ValueError, match="my_weight is -1"):
        run_recbole(kind, "small", config_dict={**small, "my_weight": -1})
    folder = Path(run_recbole(kind, "small", config_dict=small)["run_dir"])
    assert "my_weight: 0.5" in (folder / "config.yaml").read_text()


def test_names_of_others_are_not_ours():
    assert not adopt(get_model("BPR"))
    assert not is_ours("BPR")
    assert text_use("BPR") == "none"
    assert lineage(get_model("SymCEREPlus")) == ["SymCERE", "SymCEREPlus"]
    assert {trainer_of(name).__name__ for name in MODELS} == {
        "ReviewTrainer", "BlendTrainer", "TwoPhaseTrainer",
    }  # fmt: skip
