import itertools
import logging
import math
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recbole_symcere.base.errors import InputError
from recbole_symcere.tune.space import Parameter, SearchSpace

PROPERTIES = Path(__file__).parents[2] / "properties"
TUNED = sorted((PROPERTIES / "tune").glob("*.yaml"))


def load(tmp_path, text, name="space.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return SearchSpace.load(path)


def same(left, right):
    """Equal as lists of configurations in any order, where True isn't 1."""
    return sorted(map(repr, left)) == sorted(map(repr, right))


# ---- reading


def test_yaml_has_all_kinds(tmp_path):
    space = load(
        tmp_path,
        """
        learning_rate: {loguniform: [1e-4, 1E-2]}
        dropout_prob: {uniform: [0, .5e0]}
        n_layers: {int: [1, 4]}
        k: {logint: [5, 1000]}
        edge_dropout: {quniform: [0, 0.3, 0.1]}
        embedding_size: [32, 64, 32]
        mixed: {choice: [1e-3, "1e-3", ~, true, 1, no text, [64, 64], {max_norm: 5}]}
        intra_temperature: {uniform: [0.05, 0.5], when: {n_layers: [1, 2], embedding_size: 64}}
        """,
    )
    by_name = {p.name: p for p in space.parameters}
    rate = by_name["learning_rate"]
    assert (rate.kind, rate.low, rate.high) == ("loguniform", 1e-4, 1e-2)
    assert (by_name["dropout_prob"].low, by_name["dropout_prob"].high) == (0.0, 0.5)
    assert by_name["n_layers"].all_values() == [1, 2, 3, 4]
    assert (by_name["k"].low, by_name["k"].high) == (5, 1000)
    assert by_name["edge_dropout"].all_values() == [0.0, 0.1, 0.2, 0.3]
    assert by_name["embedding_size"].values == (32, 64)
    expected = (0.001, "1e-3", None, True, 1, "no text", [64, 64], {"max_norm": 5})
    assert repr(by_name["mixed"].values) == repr(expected)
    assert by_name["intra_temperature"].when == {"n_layers": (1, 2), "embedding_size": (64,)}


RECBOLE_TEST = """\
learning_rate choice [0.004,0.003,0.002]
dropout_prob choice [0.4,0.6,0.8]
train_batch_size choice [2048]
kl_loss_weight choice [0.4,0.5,0.6]"""
RECBOLE_HYPER = """\
# from RecBole's documentation

learning_rate loguniform -8, 0
embedding_size choice [64, 96 ,128]
mlp_hidden_size choice ['[64,64,64]','[128,128]']
reg_weight uniform [0.0,0.1]
n_layers quniform 1,4,1   # whole numbers
act choice ["gelu", "leaky relu", 'None']
\taggregator  choice  ('mean','sum')
"""


def test_recboles_own_files_are_read_as_they_are(tmp_path):
    space = load(tmp_path, RECBOLE_TEST, "hyper.test")
    rates, drops, weights = [0.004, 0.003, 0.002], [0.4, 0.6, 0.8], [0.4, 0.5, 0.6]
    names = ["learning_rate", "dropout_prob", "train_batch_size", "kl_loss_weight"]
    combinations = itertools.product(rates, drops, [2048], weights)
    assert space.grid() == [dict(zip(names, values, strict=True)) for values in combinations]


def test_recboles_format_means_the_same_here(tmp_path):
    space = load(tmp_path, RECBOLE_HYPER, "model.hyper")
    by_name = {p.name: p for p in space.parameters}
    rate = by_name["learning_rate"]
    assert (rate.low, rate.high) == (pytest.approx(0.00033546262790251185), 1.0)  # e^-8
    assert by_name["embedding_size"].values == (64, 96, 128)
    assert by_name["mlp_hidden_size"].values == ([64, 64, 64], [128, 128])
    assert (by_name["reg_weight"].low, by_name["reg_weight"].high) == (0.0, 0.1)
    assert repr(by_name["n_layers"].all_values()) == "[1, 2, 3, 4]"
    assert by_name["act"].values == ("gelu", "leaky relu", None)
    assert by_name["aggregator"].kind == "choice"


def test_the_line_without_a_kind_in_recboles_hrm_hyper_is_a_choice(tmp_path):
    text = "embedding_size choice [64]\nreg_weight ['[0.0,0.0]', '[0.01,0.0001]']\n"
    space = load(tmp_path, text, "hrm_hyper.test")
    assert [c["reg_weight"] for c in space.grid()] == [[0.0, 0.0], [0.01, 0.0001]]


def test_nothing_in_a_file_is_run(tmp_path):
    trap = tmp_path / "trap"
    code = f"__import__('pathlib').Path({str(trap)!r}).touch()"
    with pytest.raises(InputError, match="a: choice is"):
        load(tmp_path, f"a choice {code}", "a.hyper")
    with pytest.raises(InputError, match="could not determine a constructor"):
        load(tmp_path, f"a: !!python/object/apply:eval [{code!r}]")
    assert not trap.exists()


BAD_YAML = [
    ("", "is empty; give at least one setting"),
    ("# nothing", "is empty"),
    ("{}", "is empty"),
    ("[a, b]", "holds a list, but a search space is a dictionary"),
    ("just text", "holds a str"),
    ("a: [1", r"space\.yaml, line 1: "),
    ("1: [2]", "the key 1 is no text"),
    ("a: 3", r"a is 3, but it must be a list .* belongs on the command line: --a=3"),
    ("a: {unifrom: [0, 1]}", r"the kind is 'unifrom'.*Did you mean 'uniform'\?"),
    ("a: {when: {b: 1}}", "a needs exactly one of .*given: none"),
    ("a: {uniform: [0, 1], int: [0, 1]}", "a needs exactly one of .*given: uniform, int"),
    ("a: {choice: []}", "a: the choice has no values"),
    ("a: []", "a: the choice has no values"),
    ("a: {choice: 3}", r"a: choice is 3, but it must be a list such as \[32, 64\]"),
    ("a: [2020-01-01]", "the value .* of type date"),
    ("a: [.nan]", "the value nan of type float"),
    ("a: {uniform: 3}", r"uniform is 3, but it must be \[low, high\]"),
    ("a: {uniform: [1, 2, 3]}", r"uniform is \[1, 2, 3\], but it must be \[low, high\]"),
    ("a: {quniform: [1, 2]}", r"quniform is \[1, 2\], but it must be \[low, high, step\]"),
    ("a: {uniform: [low, 1]}", "a: uniform has the bound 'low', but it must be a number"),
    ("a: {uniform: [true, 2]}", "has the bound True"),
    ("a: {uniform: [0, .inf]}", "has the bound inf"),
    ("a: {uniform: [0, ~]}", "has the bound None"),
    ("a: {int: [1.5, 2]}", "has the bound 1.5, but it must be a whole number"),
    ("a: {uniform: [1, 0]}", "goes from 1.0 to 0.0, but the lower bound comes first"),
    ("a: {int: [2, 2]}", "goes from 2 to 2"),
    ("a: {int: [0, 1e30]}", "too many values"),
    ("a: {loguniform: [0, 1]}", "starts at 0.0, but it must start at more than 0"),
    ("a: {loguniform: [-8, 0]}", "starts at -8.0, .* not exponents"),
    ("a: {logint: [0, 9]}", "starts at 0, but it must start at at least 1"),
    ("a: {quniform: [0, 1, 0]}", "q is 0, but it must be a number above 0"),
    ("a: {quniform: [0.1, 0.2, 0.5]}", "lies no multiple of 0.5"),
    ("a: {quniform: [0, 1, 1e-30]}", "or too many"),
    ("a: [1]\nb: [2]\na: [3]", r"space\.yaml, line 3: the key 'a' comes twice"),
    ("a: {uniform: [0, 1], uniform: [0, 2]}", "the key 'uniform' comes twice"),
    ("a: {uniform: [0, 1], when: b}", "a: when is 'b', but it must be a dictionary"),
    ("a: {uniform: [0, 1], when: {b: []}}", "a: when names no value of b"),
    ("a: {uniform: [0, 1], when: {a: 1}}", "a setting can't be its own condition"),
    ("a: {uniform: [0, 1], when: {b: 1}}\nb: [1, 2]", "b comes later; write it above a"),
    ("b: [one, two]\na: {int: [0, 1], when: {b: on}}", "b never is True"),
    (
        "b: [sincere, info_nce]\na: {int: [0, 1], when: {b: sincer}}",
        r"b never is 'sincer'; it is choice: one of .*Did you mean 'sincere'\?",
    ),
    ("b: {int: [1, 3]}\na: {int: [0, 1], when: {b: 4}}", "b never is 4; it is int: 1 to 3"),
    ("b: {uniform: [0, 1]}\na: {int: [0, 1], when: {b: 1}}", "b is uniform; it needs listed"),
]


@pytest.mark.parametrize(("text", "message"), BAD_YAML)
def test_a_mistake_in_a_yaml_file_names_the_file_and_the_key(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, text)
    assert "space.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_HYPER = [
    ("", "is empty"),
    ("a choice [1]\n\na choice [2]", "line 3: a comes twice"),
    ("a choice", "line 1 is 'a choice', but it must have a setting, a kind and the values"),
    ("# x\na chioce [1]", r"line 2: a: the kind is 'chioce'.*Did you mean 'choice'\?"),
    ("a int 1,2", "the kind is 'int'.*YAML files have more kinds"),
    ("a choice 64", "a: choice is 64, but it must be a list"),
    ("a choice []", "a: the choice has no values"),
    ("a choice [1,2", "a: choice is"),
    ("a uniform 1", r"uniform is \['1'\], but it must be \[low, high\]"),
    ("a uniform x,1", "has the bound 'x', but it must be a number"),
    ("a uniform 1,0", "goes from 1.0 to 0.0"),
    ("a loguniform x,1", "has the bound 'x'"),
    ("a loguniform 0,1000", "the bound 1000 is an exponent of e here"),
    ("a loguniform 0,-8", "goes from 1.0 to 0.000"),
    ("a quniform 0,1", r"must be \[low, high, step\]"),
]


@pytest.mark.parametrize(("text", "message"), BAD_HYPER)
def test_a_mistake_in_recboles_format_names_the_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, text, "my.hyper")
    assert "my.hyper" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml can't be read: No such file"):
        SearchSpace.load(tmp_path / "nowhere.yaml")
    with pytest.raises(InputError, match="can't be read: Is a directory"):
        SearchSpace.load(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="it is no UTF-8 text"):
        SearchSpace.load(tmp_path / "b.yaml")


def test_check_refuses_keys_that_the_model_lacks_or_that_are_fixed():
    space = SearchSpace.of({"learnig_rate": [1, 2]}, "f.yaml")
    with pytest.raises(InputError, match=r"no setting 'learnig_rate'\. Did you mean 'learning_r"):
        space.check({"learning_rate", "epochs"})
    space = SearchSpace.of({"alpha": {"uniform": [0, 1], "when": {"bakbone": "NGCF"}}})
    with pytest.raises(InputError, match=r"no setting 'bakbone'\. Did you mean 'backbone'"):
        space.check({"alpha", "backbone"})
    space = SearchSpace.of({"alpha": [1, 2], "beta": [1, 2]}, "f.yaml")
    space.check({"alpha", "beta", "epochs"}, {"epochs"})
    with pytest.raises(InputError, match=r"beta is tuned in f\.yaml and also given as --beta"):
        space.check({"alpha", "beta"}, ["beta"])


PROTOCOL = [
    *("valid_metric", "eval_args", "history_scope", "dataset", "threshold", "seed"),
    *("tie_order", "tie_seed", "split_seed", "allow_repeats", "cold_items", "cold_users"),
    *("text_control", "text_control_seed", "refit_of", "refit_steps", "refit_blend"),
]


@pytest.mark.parametrize("key", PROTOCOL)
def test_what_decides_the_meaning_of_a_score_is_not_tuned(key):
    with pytest.raises(InputError, match=f"{key} can't be tuned"):
        SearchSpace.of({key: ["a", "b"]}).check({key})


# ---- conditions on settings that aren't tuned

BOUND = {
    "n_layers": {"int": [1, 2], "when": {"backbone": "LightGCN"}},
    "drop": {"choice": [0.0, 0.1], "when": {"backbone": ["NGCF", "GCN"]}},
    "deep": {"choice": [1, 2], "when": {"drop": 0.1}},
}


def test_bind_settles_conditions_on_fixed_settings():
    space = SearchSpace.of(BOUND)
    assert space.bind({"backbone": "LightGCN"}).grid() == [{"n_layers": 1}, {"n_layers": 2}]
    bound = space.bind({"backbone": "GCN", "epochs": 3})
    assert bound.grid() == [{"drop": 0.0}, {"drop": 0.1, "deep": 1}, {"drop": 0.1, "deep": 2}]
    for settings in ({"backbone": "MF"}, {}):
        with pytest.raises(InputError, match="nothing is left to tune"):
            space.bind(settings)
    with pytest.raises(InputError, match="a condition on backbone, which is neither"):
        space.configurations(1, 0)
    assert "depending on the configuration" in space.describe()


# ---- drawing


def column(entry, n=4000, seed=3):
    return [
        c["x"]
        for c in SearchSpace.of({"x": entry, "u": {"uniform": [0, 1]}}).configurations(n, seed)
    ]


def test_loguniform_and_uniform_have_their_distributions():
    drawn = column({"loguniform": [1e-4, 1e-1]})
    assert stats.kstest(drawn, stats.loguniform(1e-4, 1e-1).cdf).pvalue > 0.01
    drawn = column({"uniform": [-1, 3]})
    assert stats.kstest(drawn, stats.uniform(-1, 4).cdf).pvalue > 0.01


def test_listed_values_have_their_frequencies():
    for entry, values in [
        ({"int": [2, 5]}, [2, 3, 4, 5]),
        ({"quniform": [0.05, 0.4, 0.1]}, [0.1, 0.2, 0.3, 0.4]),
        (["a", None, [1], True], ["a", None, [1], True]),
    ]:
        drawn = column(entry)
        counts = [sum(x == value for x in drawn) for value in values]
        assert sum(counts) == len(drawn)
        assert stats.chisquare(counts).pvalue > 0.01


def test_logint_gives_a_number_the_log_width_of_its_surroundings():
    drawn = column({"logint": [1, 20]})
    width = math.log(20.5 / 0.5)
    expected = [math.log((n + 0.5) / (n - 0.5)) / width * len(drawn) for n in range(1, 21)]
    assert stats.chisquare([drawn.count(n) for n in range(1, 21)], expected).pvalue > 0.01


def test_settings_are_drawn_independently_of_each_other_and_seeds_differ():
    space = SearchSpace.of({"a": {"uniform": [0, 1]}, "b": {"uniform": [0, 1]}})
    drawn = space.configurations(2000, 0)
    assert abs(stats.pearsonr([c["a"] for c in drawn], [c["b"] for c in drawn])[0]) < 0.06
    assert space.configurations(3, 0) != space.configurations(3, 1)
    alone = SearchSpace.of({"b": {"uniform": [0, 1]}}).configurations(5, 0)
    assert [c["b"] for c in alone] == [c["b"] for c in drawn[:5]]


def quantile(seed, attempt, name):
    """Where the draw of a setting lies, in twelfths of a block of 12 draws."""
    block, place = divmod(attempt, 12)
    order = random.Random(f"{seed}/{block}/{name}/order")
    weights = [order.random() for _ in range(12)]
    stratum = sorted(range(12), key=weights.__getitem__)[place]
    return (stratum + random.Random(f"{seed}/{attempt}/{name}").random()) / 12


def test_the_configurations_of_a_seed_stay_the_same_between_versions():
    # a killed search is resumed by drawing them again, perhaps after an update
    space = SearchSpace.of({"rate": {"loguniform": [1e-4, 1e-2]}, "size": [32, 64]})
    drawn = space.configurations(20, 7)
    assert drawn[0] == {"rate": pytest.approx(0.003371063997217728), "size": 32}
    for attempt, config in enumerate(drawn):
        rate = 1e-4 * 100 ** quantile(7, attempt, "rate")
        assert config["rate"] == pytest.approx(rate)
        assert config["size"] == (32, 64)[int(2 * quantile(7, attempt, "size"))]


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_of_12_draws_in_a_row_every_twelfth_of_a_range_gets_one(seed):
    space = SearchSpace.of({"x": {"uniform": [0, 1]}, "n": {"int": [1, 4]}, "t": list("abc")})
    drawn = space.configurations(36, seed)
    for start in (0, 12, 24):
        dozen = drawn[start : start + 12]
        assert sorted(int(12 * config["x"]) for config in dozen) == list(range(12))
        assert sorted(config["n"] for config in dozen) == sorted([1, 2, 3, 4] * 3)
        assert sorted(config["t"] for config in dozen) == sorted("abc" * 4)
    orders = [[int(12 * c["x"]) for c in drawn[start : start + 12]] for start in (0, 12)]
    assert orders[0] != orders[1]
    assert drawn[:5] == space.configurations(5, seed)


def test_a_first_configuration_comes_before_the_drawn_ones_and_only_once():
    space = SearchSpace.of({"n": {"int": [1, 3]}, "t": ["a", "b"]})
    drawn = space.configurations(9, 4)
    assert len(drawn) == 6
    first = drawn[2]
    with_first = space.configurations(9, 4, first)
    assert with_first == [first, *(config for config in drawn if config != first)]
    outside = {"n": 8, "t": "a"}
    assert space.configurations(9, 4, outside) == [outside, *drawn]
    assert space.configurations(2, 4, outside) == [outside, drawn[0]]
    assert space.configurations(1, 4, outside) == [outside]


def test_own_values_are_the_models_where_conditions_hold():
    space = SearchSpace.of(
        {
            "loss": ["sincere", "info_nce"],
            "tau": {"uniform": [0.1, 1], "when": {"loss": "sincere"}},
            "reg": {"loguniform": [1e-4, 1]},
            "sizes": [[64], [64, 64]],
        }
    )
    settings = {"loss": "sincere", "tau": 3.0, "reg": "1e-5", "sizes": [64, 64], "epochs": 9}
    own = space.own_values(settings)
    assert own == {"loss": "sincere", "tau": 3.0, "reg": 1e-5, "sizes": [64, 64]}
    assert not space.holds(own)
    assert space.holds(own | {"tau": 1.0, "reg": 1e-4})
    assert not space.holds(own | {"tau": 1.0, "reg": 1e-4, "sizes": [32]})
    assert space.own_values(settings | {"loss": "other"}).keys() == {"loss", "reg", "sizes"}
    own["sizes"].append(1)
    assert settings["sizes"] == [64, 64]


def test_a_rare_configuration_is_not_waited_for_for_ever():
    # 1 of 100,000 draws gives the last one
    space = SearchSpace.of(
        {
            f"x{i}": {"choice": [0, 1], **({"when": {f"x{i - 1}": 1}} if i else {})}
            for i in range(17)
        }
    )
    assert space.size == 18
    drawn = space.configurations(100, 0)
    assert same(drawn, space.grid())
    assert len(drawn) == 18
    assert space.configurations(5, 0) == drawn[:5]


def test_an_infinite_space_repeats_none_of_its_rare_discrete_configurations():
    space = SearchSpace.of({"a": [1, 2], "x": {"uniform": [0, 1], "when": {"a": 1}}})
    drawn = space.configurations(60, 0)
    assert drawn.count({"a": 2}) == 1
    assert len({repr(config) for config in drawn}) == 60


def test_configurations_share_no_lists():
    space = SearchSpace.of({"sizes": [[1, 2]], "x": {"uniform": [0, 1]}})
    first, second = space.configurations(2, 0)
    first["sizes"].append(3)
    assert second["sizes"] == [1, 2]
    grid = SearchSpace.of({"sizes": [[1, 2]], "x": [1, 2]}).grid()
    grid[0]["sizes"].append(3)
    assert grid[1]["sizes"] == [1, 2]


# ---- random spaces against brute force

LISTED = st.one_of(
    st.lists(
        st.sampled_from([1, 2, True, None, "a", "b", 0.5, [1, 2], {"k": 1}]),
        min_size=1,
        max_size=4,
        unique_by=repr,
    ).map(lambda values: ({"choice": values}, values)),
    st.tuples(st.integers(-3, 3), st.integers(1, 3)).map(
        lambda t: ({"int": [t[0], t[0] + t[1]]}, list(range(t[0], t[0] + t[1] + 1)))
    ),
    st.tuples(st.integers(0, 3), st.integers(1, 3)).map(
        lambda t: (
            {"quniform": [t[0] / 4, (t[0] + t[1]) / 4, 0.25]},
            [k / 4 for k in range(t[0], t[0] + t[1] + 1)],
        )
    ),
)


@st.composite
def finite_spaces(draw):
    """A space as a dictionary, each setting's values, and each setting's conditions."""
    content, values, conditions = {}, {}, {}
    for i in range(draw(st.integers(1, 4))):
        name = f"p{i}"
        entry, values[name] = draw(LISTED)
        conditions[name] = {}
        if i and draw(st.booleans()):
            other = f"p{draw(st.integers(0, i - 1))}"
            allowed = draw(
                st.lists(st.sampled_from(values[other]), min_size=1, max_size=2, unique_by=repr)
            )
            conditions[name] = {other: allowed}
            entry = {**entry, "when": {other: allowed}}
        content[name] = entry
    return content, values, conditions


def brute_force(values, conditions):
    """All distinct configurations: every combination, then inactive settings dropped in order."""
    found = {}
    for combination in itertools.product(*values.values()):
        config = {}
        for name, value in zip(values, combination, strict=True):
            if all(
                key in config and any(repr(config[key]) == repr(x) for x in allowed)
                for key, allowed in conditions[name].items()
            ):
                config[name] = value
        found[repr(config)] = config
    return list(found.values())


@given(finite_spaces(), st.integers(0, 2**40))
def test_grid_size_and_drawing_agree_with_brute_force(drawn, seed):
    content, values, conditions = drawn
    space, expected = SearchSpace.of(content), brute_force(values, conditions)
    assert same(space.grid(), expected)
    assert space.size == len(expected)
    assert same(space.configurations(len(expected) + 3, seed), expected)
    assert space.configurations(2, seed) == space.configurations(len(expected), seed)[:2]


@given(finite_spaces())
def test_a_space_survives_a_yaml_file(drawn):
    content, _, _ = drawn
    path = Path("space.yaml")
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert SearchSpace.load(path).parameters == SearchSpace.of(content).parameters
    assert repr(SearchSpace.load(path).grid()) == repr(SearchSpace.of(content).grid())


NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@given(
    kind=st.sampled_from(["uniform", "loguniform", "int", "logint", "quniform"]),
    low=NUMBERS,
    width=st.floats(1, 1e6),
    q=st.floats(0.01, 1),
    u=st.floats(0, 1, exclude_max=True),
    factor=st.sampled_from([0.8, 1.2]),
)
def test_values_and_clipped_values_stay_inside_the_bounds(kind, low, width, q, u, factor):
    low = abs(low) + 1e-6 if kind == "loguniform" else abs(low) + 1 if kind == "logint" else low
    high = low + width
    if kind in {"int", "logint"}:
        low, high = math.floor(low), math.ceil(high)
    parameter = Parameter("x", kind, low=low, high=high, q=q)
    for value in (parameter.at(u), parameter.clip(parameter.at(u) * factor)):
        assert low <= value <= high
        assert isinstance(value, int) == (
            kind in {"int", "logint"} or q == 1 == (kind == "quniform")
        )
        if kind == "quniform":
            assert math.isclose(value / q, round(value / q), abs_tol=1e-6)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 9))
def test_the_first_configurations_do_not_depend_on_how_many_are_drawn(few, many, seed):
    space = SearchSpace.load(PROPERTIES / "tune" / "SGL.yaml")
    few, many = sorted([few, many])
    assert space.configurations(many, seed)[:few] == space.configurations(few, seed)
    assert len(space.configurations(many, seed)) == many


def test_a_grid_needs_listed_values_and_an_end():
    space = SearchSpace.of({"a": [1, 2], "rate": {"loguniform": [0.1, 1]}})
    with pytest.raises(InputError, match="rate is loguniform, but a grid needs values"):
        space.grid()
    assert space.size is None
    space = SearchSpace.of({"a": {"int": [1, 1000]}, "b": {"int": [1, 1000]}})
    assert space.size == 1_000_000
    with pytest.raises(InputError, match="the grid has 1,000,000 combinations, more than"):
        space.grid()


def test_the_size_of_a_large_space_is_counted_not_listed():
    content = {f"x{i}": {"int": [1, 10**9]} for i in range(5)}
    content["y"] = {"choice": [1, 2, 3], "when": {"x0": [7, 8]}}
    assert SearchSpace.of(content).size == 10**36 * (2 * 3 + 10**9 - 2)


# ---- Optuna and population-based training

MIXED = {
    "rate": {"loguniform": [1e-4, 1e-2]},
    "layers": {"int": [1, 3]},
    "k": {"logint": [5, 50]},
    "drop": {"quniform": [0.05, 0.4, 0.1]},
    "loss": ["sincere", "info_nce"],
    "sizes": [[64], [64, 64], None],
    "flag": [True, 1],
    "temperature": {"uniform": [0.05, 0.5], "when": {"loss": "sincere"}},
}


def test_optuna_suggests_configurations_of_the_space():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    space = SearchSpace.of(MIXED)
    seen = []
    for _ in range(40):
        trial = study.ask()
        config = space.suggest(trial)
        seen.append(config)
        study.tell(trial, config["rate"])
        assert 1e-4 <= config["rate"] <= 1e-2
        assert config["layers"] in {1, 2, 3}
        assert 5 <= config["k"] <= 50
        assert config["drop"] in {0.1, 0.2, 0.3, 0.4}
        assert ("temperature" in config) == (config["loss"] == "sincere")
    assert {repr(c["sizes"]) for c in seen} == {"[64]", "[64, 64]", "None"}
    assert {repr(c["flag"]) for c in seen} == {"True", "1"}
    assert {c["loss"] for c in seen} == {"sincere", "info_nce"}
    assert sum(c["rate"] < 1e-3 for c in seen[20:]) > 15  # it has learnt from what it was told


def test_mutations_leave_out_conditional_settings_and_those_they_hang_on():
    space = SearchSpace.of({**MIXED, "seed_like": {"int": [0, 10**6]}})
    mutations = space.mutations()
    assert set(mutations) == {"rate", "layers", "k", "drop", "sizes", "flag", "seed_like"}
    assert mutations["layers"] == [1, 2, 3]
    assert mutations["sizes"] == [[64], [64, 64], None]
    assert all(1e-4 <= mutations["rate"]() <= 1e-2 for _ in range(50))
    assert len({mutations["seed_like"]() for _ in range(50)}) > 40


def test_clip_brings_mutated_numbers_back():
    space = SearchSpace.of(MIXED)
    config = {"rate": 0.012, "layers": 3.6, "drop": 0.31, "loss": "sincere", "epochs": 99}
    clipped = {"rate": 0.01, "layers": 3, "drop": 0.3, "loss": "sincere", "epochs": 99}
    assert repr(space.clip(config)) == repr(clipped)


def test_describe_lists_every_setting():
    assert SearchSpace.of(MIXED, "my.yaml").describe().splitlines() == [
        "my.yaml: 8 settings, infinitely many configurations",
        "  rate         loguniform  0.0001 to 0.01",
        "  layers       int         1 to 3",
        "  k            logint      5 to 50",
        "  drop         quniform    0.05 to 0.4 in steps of 0.1",
        "  loss         choice      one of sincere, info_nce",
        "  sizes        choice      one of [64], [64, 64], None",
        "  flag         choice      one of True, 1",
        "  temperature  uniform     0.05 to 0.5  (when loss is sincere)",
    ]
    assert SearchSpace.of({"a": [1, 2]}).describe().startswith("the search space: 1 setting, 2 c")


# ---- what is bundled


@pytest.mark.parametrize("file", TUNED, ids=lambda file: file.stem)
def test_bundled_spaces_tune_keys_of_their_model_around_its_defaults(file):
    from recbole_symcere.plugin.config import Config

    defaults = Config(file.stem, "yelp").internal_config_dict
    space = SearchSpace.load(file)
    space.check(defaults)
    bound = space.bind(defaults)
    assert len(bound.parameters) <= 8
    assert file.read_text().startswith("# ")
    lines = {line.partition(":")[0]: line for line in file.read_text().splitlines()}
    for parameter in bound.parameters:
        own = parameter.typed(defaults[parameter.name])
        if parameter.logarithmic and own == 0:  # no such range holds it, and the file says so
            assert lines[parameter.name].endswith("  # 0, the default, is the first trial's")
        else:
            assert parameter.holds(own), parameter
    for config in bound.configurations(20, 0, bound.own_values(defaults)):
        for key, value in config.items():
            if isinstance(value, int | float):
                assert float(defaults[key]) >= 0  # RecBole writes 1e-5, text to YAML
                assert isinstance(value, int) == isinstance(defaults[key], int), key
            else:
                assert type(value) is type(defaults[key]), key


UNTRAINED = ("EASE", "ItemKNN")
TRAINED = (
    *("BPR", "NeuMF", "NGCF", "LightGCN", "SGL", "SimpleX", "DirectAU", "SimGCL", "XSimGCL"),
    *("AlphaRec", "RLMRecCon", "SMORET", "DGCLR", "CollabContext", "SymCERE", "SymCEREPlus"),
)


def test_there_is_a_space_for_each_of_the_models_that_are_compared():
    for model in (*UNTRAINED, *TRAINED):
        names = SearchSpace.load(PROPERTIES / "tune" / f"{model}.yaml").names
        assert ("train_batch_size" in names) == (model in TRAINED), model
        assert ("learning_rate" in names) == (model in TRAINED), model


@pytest.mark.parametrize(
    ("model", "key", "values"),
    [
        ("ItemKNN", "k", [5, 20, 50, 100, 200, 400]),
        ("ItemKNN", "shrink", [0.0, 100.0, 1000.0]),
        ("EASE", "reg_weight", [2.0, 10.0, 50.0, 100.0, 1000.0]),
        ("LightGCN", "n_layers", [2, 3]),
        ("SGL", "n_layers", [2, 3]),
        ("SimGCL", "n_layers", [2, 3]),
        ("DirectAU", "n_layers", [0, 2]),
        ("DirectAU", "train_batch_size", [256, 1024]),
        ("DirectAU", "gamma", [0.5, 1.0, 5.0]),
        ("AlphaRec", "temperature", [0.15, 0.2]),
        ("AlphaRec", "learning_rate", [0.0005]),
        ("RLMRecCon", "kd_weight", [0.001, 0.01]),
        ("SMORET", "n_neighbours", [10, 20, 40]),
    ],
)
def test_bundled_spaces_hold_what_the_authors_used(model, key, values):
    space = SearchSpace.load(PROPERTIES / "tune" / f"{model}.yaml")
    (parameter,) = (p for p in space.parameters if p.name == key)
    assert [value for value in values if not parameter.holds(value)] == []
    assert "score" not in space.names  # DirectAU's authors rank by dot products


def test_reading_a_space_loads_neither_ray_nor_torch():
    code = (
        "import sys, recbole_symcere.tune.space, recbole_symcere.tune.trial_table; "
        "sys.exit(', '.join({'ray', 'torch', 'recbole', 'matplotlib'} & set(sys.modules)) or None)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
