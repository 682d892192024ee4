"""What every model's data go through: a strict reading, an order in time, checks of the split."""

import json
import shutil
from pathlib import Path

import numpy as np
import oracles
import pytest
from recbole.config import Config as RecBoleConfig
from recbole.data import create_dataset
from recbole.utils import init_seed
from small_data import START, small_rows, write_reviews, write_rows

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.quick_start import load_data_and_model, run_recbole

MODELS = ["SymCERE", "LightGCN"]
ROWS = small_rows()


def settings_of(small, model):
    """The settings that a model reads."""
    own = {"text_encoder", "max_length", "cache_dir"}
    return small if model == "SymCERE" else {k: v for k, v in small.items() if k not in own}


def built(small, model="LightGCN", stock=False, **extra):
    kind = RecBoleConfig if stock else Config
    config = kind(model, "small", config_dict={**settings_of(small, model), **extra})
    init_seed(1, True)
    return create_dataset(config).build()


def pairs(part):
    data = part.inter_feat
    names = [part.id2token(f, data[f].numpy()) for f in (part.uid_field, part.iid_field)]
    return list(zip(*(column.tolist() for column in names), strict=True))


def at(small, folder, rows, **more):
    write_rows(folder, "small", rows)
    return {**small, "data_path": str(folder), **more}


# --- ties in time ---------------------------------------------------------------------------------


def tied_rows(n_users=24, per_user=8):
    """As `small_rows`, but each user has done all at one time, in order of the items."""
    rows = [(u, i, r, START + int(u[1:]), t) for u, i, r, _, t in small_rows(n_users, 30, per_user)]
    return sorted(rows, key=lambda row: (row[0], int(row[1][1:])))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stock", [False, True])
def test_the_split_does_not_depend_on_the_order_of_the_lines(small, tmp_path, model, stock):
    rows, rng = tied_rows(), np.random.default_rng(0)
    by_time = {"eval_args": {"order": "TO"}, "rm_dup_inter": "first"}
    by_time |= {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}}
    splits = []
    for n in range(3):
        data = at(small, tmp_path / str(n), [rows[k] for k in rng.permutation(len(rows))])
        splits.append([set(pairs(part)) for part in built(data, model, stock, **by_time)])
    assert splits[0] == splits[1] == splits[2]
    assert [len(part) for part in splits[0]] == [24 * 6, 24, 24]
    # another seed, or the order of the file, splits otherwise
    other = built(data, model, stock, **by_time, tie_seed=1)
    assert [set(pairs(part)) for part in other] != splits[0]


def test_models_of_ours_and_recboles_share_one_split(small, tmp_path):
    data = at(small, tmp_path, tied_rows())
    ours, theirs = (built(data, model) for model in MODELS)
    assert [pairs(part) for part in ours] == [pairs(part) for part in theirs]


def test_ties_are_broken_by_chance_and_not_by_the_item(small, tmp_path):
    # in order of the file the last item of each user is held out
    rows = tied_rows(n_users=200)
    data = at(small, tmp_path, rows)
    last = {user: item for user, item, *_ in rows}
    by_file = dict(pairs(built(data, tie_order="file")[2]))
    assert by_file == last
    by_hash = dict(pairs(built(data)[2]))
    same = sum(by_hash[user] == last[user] for user in last)
    assert abs(same - 200 / 8) < 4 * np.sqrt(200 / 8 * 7 / 8)


def test_the_order_among_ties_is_that_of_the_hash(small, tmp_path):
    rows = tied_rows()
    held_out = dict(pairs(built(at(small, tmp_path, rows), tie_seed=5)[2]))
    items = {user: [i for u, i, *_ in rows if u == user] for user in held_out}
    for user, item in held_out.items():
        assert item == max(items[user], key=lambda item: oracles.tie_key(user, item, 5))


def test_a_run_tells_how_many_users_tie(small, tmp_path, capsys):
    # every second user has done all at one time
    rows = [(u, i, r, START + (0 if int(u[1:]) % 2 else t - START), x) for u, i, r, t, x in ROWS]
    data = at(settings_of(small, "LightGCN"), tmp_path, rows, epochs=1)
    told = []
    for extra in ({}, {"tie_order": "file"}, {"tie_seed": 3}):
        run = run_recbole("LightGCN", "small", config_dict={**data, **extra})
        told.append(json.loads(Path(run["run_dir"], "metrics.json").read_text())["protocol"])
    assert told[0]["ties"] == {"order": "hash", "seed": 0, "users": 0.5}
    assert told[1]["ties"] == {"order": "file", "users": 0.5}
    assert told[2]["ties"] == {"order": "hash", "seed": 3, "users": 0.5}
    said = capsys.readouterr().out
    assert said.count("50% of the users have their last training and their first held-out") == 3
    assert "the order of the file, which may put rare items last" in said


def test_a_run_without_ties_says_nothing(small, capsys):
    run = run_recbole("LightGCN", "small", config_dict=settings_of(small, "LightGCN"))
    metrics = json.loads(Path(run["run_dir"], "metrics.json").read_text())
    assert metrics["protocol"]["ties"]["users"] == 0
    assert "at one time" not in capsys.readouterr().out


def test_a_run_of_before_keeps_the_order_of_its_file(small, tmp_path):
    data = at(small, tmp_path / "d", tied_rows(), run_dir=str(tmp_path / "run"), tie_order="file")
    run_recbole("SymCERE", "small", config_dict=data)
    before = [pairs(loader.dataset) for loader in load_data_and_model(tmp_path / "run")[3:]]
    config = tmp_path / "run" / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("tie_")))
    from recbole_symcere.run.run_directory import RunDirectory

    assert RunDirectory(tmp_path / "run").read_config()["tie_order"] == "file"
    assert before == [pairs(part) for part in built(data, "SymCERE", tie_order="file")]


# --- reading --------------------------------------------------------------------------------------


@pytest.fixture(params=MODELS)
def damaged(request, small, tmp_path):
    """Writes a changed data set and builds it, with a model of reviews and one without."""

    def build(change, model=request.param, **extra):
        folder = write_rows(tmp_path / "d", "small", ROWS)
        file = folder / "small.inter"
        lines = file.read_text().splitlines()
        users = [line.split("\t")[0] for line in lines[1:]]
        items = [line.split("\t")[1] for line in lines[1:]]
        lines = change(lines)
        file.write_text("\n".join(lines) + "\n")
        kept = [line.split("\t")[:2] for line in lines[1:]]
        if all(len(pair) == 2 for pair in kept) and len(kept) == len(users):
            users, items = zip(*kept, strict=True)
        write_reviews(folder / "small.reviews.parquet",
                      [(u, i, 0, 0, "w") for u, i in zip(users, items, strict=True)])  # fmt: skip
        return built({**small, "data_path": str(tmp_path / "d")}, model, **extra)

    return build


def row(n, change):
    """A change of the data row n, counted from 1."""

    def changed(lines):
        cells = lines[n].split("\t")
        return [*lines[:n], "\t".join(change(cells)), *lines[n + 1 :]]

    return changed


def cell(n, column, value):
    return row(n, lambda cells: [*cells[:column], value, *cells[column + 1 :]])


def column(number, value):
    return lambda lines: (
        [lines[0]]
        + [
            "\t".join([*(c := line.split("\t"))[:number], value(n), *c[number + 1 :]])
            for n, line in enumerate(lines[1:])
        ]
    )


def header(old, new):
    return lambda lines: [lines[0].replace(old, new), *lines[1:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (header("timestamp:float", "timestamp:token"), "timestamp is of type token, but times"),
        (cell(5, 3, ""), r"small\.inter, data row 5: timestamp is missing"),
        (cell(5, 3, "nan"), r"data row 5: timestamp is missing"),
        (cell(5, 3, "inf"), r"data row 5: timestamp is inf, but it must be a finite number"),
        (cell(5, 3, "-5"), r"data row 5: timestamp is -5, but times before 1970 can't be"),
        (cell(5, 3, "1e30"), r"data row 5: timestamp is 1e\+30, which no unit of time"),
        (cell(5, 3, "0"), r"data row 5: timestamp is 0, but others are about 1\.5.*e\+09"),
        (cell(5, 3, "9999999999"), r"data row 5: timestamp is 1e\+10, which is in the future"),
        (
            lambda lines: [*lines[:4], '"' + lines[4], *lines[5:9], '"' + lines[9], *lines[10:]],
            r"row 5: a quote mark opens a value that ends in row 10, with all rows between",
        ),
        (cell(5, 3, "1500000000000"), r"data row 5: timestamp is 1\.5e\+12, but others are about"),
        (cell(5, 3, "yesterday"), r"small\.inter, row 6: timestamp is 'yesterday', but its type"),
        (column(3, lambda n: "7"), r"timestamp is 7 in every row.*--eval_args={order: RO}"),
        (cell(7, 0, ""), r"small\.inter, data row 7: user_id is missing"),
        (cell(7, 1, ""), r"small\.inter, data row 7: item_id is missing"),
        (cell(7, 2, ""), r"small\.inter, data row 7: rating is missing"),
        (cell(7, 2, "good"), r"small\.inter, row 8: rating is 'good', but its type is float"),
        (row(9, lambda cells: [*cells, "x"]), r"row 10: 5 columns, but the header has 4"),
        (row(1, lambda cells: [*cells, "x"]), r"row 2: 5 columns, but the header has 4"),
        (row(9, lambda cells: cells[:3]), r"row 10: 3 columns, but the header has 4"),
        (header("rating:float", "item_id:token"), r"row 1: column 'item_id' stands there twice"),
        (lambda lines: lines[:1], "no interaction is left|has 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(damaged, change, message):
    with pytest.raises(InputError, match=message):
        damaged(change)


def test_an_extra_tab_in_every_row_shifts_nothing(damaged):
    # pandas takes the first column for an index then
    with pytest.raises(InputError, match="row 2: 5 columns, but the header has 4"):
        damaged(lambda lines: [lines[0], *(f"{line}\tx" for line in lines[1:])])


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "1.10", "007", "-"])
def test_a_name_that_looks_like_something_else_stays(damaged, name):
    parts = damaged(lambda lines: [line.replace("u0\t", f"{name}\t") for line in lines])
    kept = {user for part in parts for user, _ in pairs(part)}
    assert kept == {f"u{n}" for n in range(1, 24)} | {name}
    assert sum(len(part.inter_feat) for part in parts) == len(ROWS)


def test_times_in_other_units_and_counters_are_times(damaged):
    for scale in (1e-9, 1e-3, 1, 1e3, 1e6):
        times = [f"{(START + 40 * n) * scale:.12g}" for n in range(len(ROWS))]
        assert [len(part.inter_feat) for part in damaged(column(3, times.__getitem__))] == [
            144, 24, 24,
        ]  # fmt: skip


def test_a_random_split_needs_no_times(damaged):
    by_chance = {"eval_args": {"order": "RO"}}
    for change in (cell(5, 3, "0"), column(3, lambda n: "7")):
        assert len(damaged(change, **by_chance)) == 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["user_id", "itemid", "timestamp"],
            "load_col asks for the column 'itemid', but .*Did yo",
        ),
        (["user_id", "item_id"], "no column 'timestamp'|timestamp"),
    ],
)
def test_columns_that_are_asked_for_must_be_there(damaged, columns, message):
    with pytest.raises(ValueError, match=message):
        damaged(lambda lines: lines, load_col={"inter": columns})


def test_one_user_and_one_item_are_told(small, tmp_path):
    for rows, word in ((ROWS[:8], "1 user"), ([(u, "i", *r) for u, _, *r in ROWS[::8]], "1 item")):
        data = at(small, tmp_path / word, rows)
        with pytest.raises(InputError, match=f"small has only {word} after the filters"):
            built(data)


# --- parts that were made before ------------------------------------------------------------------


def benchmark(small, folder, parts, **more):
    for name, rows in parts.items():
        write_rows(folder, "small", rows, part=name)
    return {**small, "data_path": str(folder), "benchmark_filename": [*parts], **more}


PARTS = {"train": ROWS[:150], "valid": ROWS[150:170], "test": ROWS[170:]}


@pytest.mark.parametrize("model", MODELS)
def test_repeats_in_a_held_out_part_are_counted_and_refused(small, tmp_path, model):
    mixed = [PARTS["train"][n] for n in np.random.default_rng(0).permutation(150)]
    again = {**PARTS, "train": mixed, "test": [*PARTS["test"], *ROWS[40:43]]}
    data = benchmark(settings_of(small, model), tmp_path, again)
    with pytest.raises(InputError, match=r"3 of the 25 pairs of the test part stand in the train"):
        run_recbole(model, "small", config_dict=data)
    again = {**PARTS, "valid": [*PARTS["valid"], ROWS[0]]}
    data = benchmark(settings_of(small, model), tmp_path / "v", again)
    with pytest.raises(InputError, match=r"1 of the 21 pairs of the validation part"):
        built(data, model)
    for allowed in ({"allow_repeats": True}, {"repeatable": True}):
        built(data, model, **allowed)


def test_the_protocol_of_parts_claims_no_filter_and_no_split(small, tmp_path):
    data = benchmark(settings_of(small, "LightGCN"), tmp_path / "d", PARTS, epochs=1)
    run = run_recbole("LightGCN", "small", config_dict=data)
    told = json.loads(Path(run["run_dir"], "metrics.json").read_text())["protocol"]
    assert told["parts"] == [f"small.{name}.inter" for name in PARTS]
    assert told["eval_args"] == {"mode": {"valid": "full", "test": "full"}}
    assert not {"rm_dup_inter", "user_inter_num_interval", "val_interval"} & told.keys()
    assert told["ties"] is None


def test_two_parts_are_refused_before_training(small, tmp_path):
    two = {"train": ROWS[:150], "test": ROWS[150:]}
    data = benchmark(settings_of(small, "LightGCN"), tmp_path, two)
    with pytest.raises(InputError, match="but three parts are needed: training, validation and te"):
        run_recbole("LightGCN", "small", config_dict=data)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("split", "valid", "test"),
    [
        ({"RS": [0.8, 0.2, 0.0]}, True, False),
        ({"RS": [0.8, 0, 0.2]}, False, True),
        ({"RS": [1, 0, 0]}, False, False),
        ({"LS": "valid_only"}, True, False),
        ({"LS": "test_only"}, False, True),
    ],
    ids=str,
)
def test_what_is_not_held_out_has_no_metrics(small, model, split, valid, test, capsys):
    data = {**settings_of(small, model), "epochs": 1, "eval_args": {"split": split}}
    run = run_recbole(model, "small", config_dict=data)
    metrics = json.loads(Path(run["run_dir"], "metrics.json").read_text())
    assert (bool(metrics["valid"]), bool(metrics["test"])) == (valid, test)
    assert (metrics["data"]["valid"] > 0, metrics["data"]["test"] > 0) == (valid, test)
    told = metrics["protocol"]
    assert (told["selected_on"] == "valid", told["tested_on"] == "test") == (valid, test)
    assert "nothing was measured" in capsys.readouterr().out
    assert told["eval_args"]["split"] == split
    assert Path(run["run_dir"], "per_user.parquet").is_file() == test


# --- stock functions ------------------------------------------------------------------------------


def test_stock_functions_warn_where_models_would_not_share_a_test_set(small, tmp_path, caplog):
    data = at(small, tmp_path, tied_rows())
    RecBoleConfig("SymCERE", "small", config_dict=data)
    assert "RecBole's own models are split by eval_args" in caplog.text
    caplog.clear()
    whole = {
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user"},
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        "rm_dup_inter": "first",
    }
    RecBoleConfig("SymCERE", "small", config_dict={**data, **whole})
    assert "RecBole's own models" not in caplog.text
    ours, theirs = (built(data, model, stock=True, **whole) for model in MODELS)
    assert [pairs(part) for part in ours] == [pairs(part) for part in theirs]


def test_stock_runs_of_recboles_models_keep_recboles_ways(small, tmp_path, caplog):
    folder = write_rows(tmp_path / "d", "small", ROWS)
    file = folder / "small.inter"
    lines = file.read_text().splitlines()
    lines[3] = "\t".join(["", *lines[3].split("\t")[1:]])  # dropped, as RecBole does
    lines[4] = "\t".join([*lines[4].split("\t")[:2], "", lines[4].split("\t")[3]])
    file.write_text("\n".join(lines) + "\n")
    data = {**settings_of(small, "LightGCN"), "data_path": str(tmp_path / "d")}
    parts = built(data, stock=True)
    assert sum(len(part.inter_feat) for part in parts) == len(ROWS) - 1
    with pytest.raises(InputError, match="user_id is missing"):
        built(data)
    shutil.rmtree(folder)
