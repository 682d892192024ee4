from dataclasses import dataclass, replace
from typing import Literal

import pytest

from recbole_symcere.base.errors import InputError, UnknownKeyError
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import (
    defaults_of,
    option,
    parse_pairs,
    read_options,
    refuse_unknown,
    suggesting,
    take_options,
)
from recbole_symcere.model.symcere import SymCEREOptions
from recbole_symcere.text.text_options import TextOptions


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


@dataclass(frozen=True, kw_only=True)
class Command:
    out: str = option(help="where it goes")
    names: list[str] = option([], "which")
    sizes: list[int] = option([1, 2], "how large", minimum=1)
    kind: Literal["fast", "none"] = option("fast", "how")
    again: bool = option(False, "whether to do it again")
    share: float | None = option(None, "of all", minimum=0, maximum=1)


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ([], {}),
        (["--names=a,b"], {"names": ["a", "b"]}),
        (["--names=[NDCG, 'Hit']"], {"names": ["NDCG", "Hit"]}),
        (["--sizes", "3"], {"sizes": [3]}),
        (["--kind=none"], {"kind": "none"}),
        (["--again=true"], {"again": True}),
        (["--share=None"], {"share": None}),
        (["--share=1"], {"share": 1.0}),
        (["--share=~"], {"share": None}),
        (["--names=[]"], {"names": []}),
    ],
)
def test_words_are_read_by_the_type_of_their_option(words, read):
    pairs = parse_pairs(["--out=007", *words, "--rest=1"])
    assert take_options(Command, pairs) == Command(**{"out": "007", **read})
    assert pairs == {"rest": "1"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--out=... is missing: where it goes"),
        (["--out=x", "--again=yes"], "again is 'yes', but it must be of type bool"),
        (["--out=x", "--sizes=1,a"], r"sizes is \[1, 'a'\], but it must be a list of int"),
        (["--out=x", "--sizes=0"], r"sizes is \[0\], but it must be at least 1"),
        (["--out=x", "--kind=fsat"], "kind is 'fsat'.*Did you mean 'fast'"),
        (
            ["--out=x", "--names= , "],
            r"^names is ' , ', which names nothing\. Write --names=A,B, or leave it out\.$",
        ),
        (["--out=x", "--share=2"], "share is 2.0, but it must be at most 1"),
        (["--out=x", "--agian=True"], "do has no option --agian. Did you mean 'again'.*do --help"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(words, message):
    def read(pairs):
        take_options(Command, pairs)
        refuse_unknown(pairs, "do", Command)

    with pytest.raises(InputError, match=message):
        read(parse_pairs(words))


def test_a_misspelt_key_is_first_taken_for_an_option_of_the_command():
    for key, hint in (("agian", "Did you mean 'again'"), ("layers", "Did you mean 'n_layers'")):
        with pytest.raises(UnknownKeyError, match=hint), suggesting(Command):
            raise UnknownKeyError(key, " Did you mean 'n_layers'?")


def test_the_help_says_what_is_stated():
    told = help_of(Command, defaults={"kind": "none"}, names={"out", "sizes", "kind", "share"})
    assert told.splitlines() == [
        "  --out               where it goes",
        "  --sizes             how large (default: 1,2)",
        "  --kind              how; one of fast, none (default: none)",
        "  --share             of all; 0 to 1",
    ]


def test_a_missing_key_takes_its_default():
    defaults = SymCEREOptions()
    assert read_options(SymCEREOptions, {"alpha": 0.25}) == replace(defaults, alpha=0.25)
    assert defaults_of(Example) == {}
    assert defaults_of(SymCEREOptions)["hidden_size_list"] == [64, 64, 64]
    assert defaults_of(SymCEREOptions)["hidden_size_list"] is not defaults.hidden_size_list


def test_the_defaults_are_those_of_the_paper():
    model, text = SymCEREOptions(), TextOptions()
    assert (model.alpha, model.beta) == (0.5, 0.05)  # stated in the paper
    assert (model.backbone, model.l2_normalize) == ("LightGCN", True)
    assert text.text_encoder == "all-MiniLM-L6-v2"
