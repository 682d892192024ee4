from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import pytest
import yaml

from recbole_symcere.errors import InputError
from recbole_symcere.model.symcere import SymCEREOptions
from recbole_symcere.options import TextOptions, option, read_options

DEFAULTS = Path(__file__).parents[1] / "properties" / "model" / "SymCERE.yaml"


@dataclass(frozen=True)
class Example:
    flag: bool
    choice: Literal["a", "b"]
    maybe: int | None
    names: list[str] | None
    rate: float = option(minimum=0, below=1)
    sizes: list[int] = option(minimum=1)
    scale: float = option(above=0, maximum=10)


GOOD = {"flag": True, "choice": "a", "maybe": None, "names": None}
GOOD |= {"rate": 0, "sizes": [2], "scale": 10}


def test_values_are_read_and_whole_numbers_become_floats():
    read = read_options(Example, GOOD)
    assert read.maybe is None
    assert isinstance(read.rate, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flag": "yes"}, "flag is 'yes', but it must be of type bool"),
        ({"flag": 1}, "flag is 1, but it must be of type bool"),
        ({"choice": "bb"}, r"choice is 'bb', but it must be one of a, b\. Did you mean 'b'"),
        ({"maybe": 1.5}, "maybe is 1.5, but it must be of type int"),
        ({"maybe": True}, "maybe is True"),
        ({"rate": -0.1}, "rate is -0.1, but it must be at least 0"),
        ({"rate": 1}, "rate is 1.0, but it must be less than 1"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"sizes": [3, 0]}, r"sizes is \[3, 0\], but it must be at least 1"),
        ({"sizes": 3}, "sizes is 3, but it must be of type list"),
        ({"scale": 0}, "scale is 0.0, but it must be more than 0"),
        ({"scale": 11}, "scale is 11.0, but it must be at most 10"),
    ],
)
def test_bad_values_name_the_key(change, message):
    with pytest.raises(InputError, match=message):
        read_options(Example, {**GOOD, **change})


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match="'scale' is missing"):
        read_options(Example, {k: v for k, v in GOOD.items() if k != "scale"})


def test_the_defaults_are_those_of_the_paper_and_complete():
    defaults = yaml.safe_load(DEFAULTS.read_text())
    model, text = (
        read_options(SymCEREOptions, defaults),
        read_options(TextOptions, {**defaults, "cache_dir": "x"}),
    )
    assert (model.alpha, model.beta) == (0.5, 0.05)  # stated in the paper
    assert (model.backbone, model.l2_normalize) == ("LightGCN", True)
    assert text.text_encoder == "all-MiniLM-L6-v2"
    read = {field.name for o in (SymCEREOptions, TextOptions) for field in fields(o)}
    assert set(defaults) - read == {"train_batch_size"}
