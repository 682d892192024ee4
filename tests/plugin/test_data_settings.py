"""Settings that follow from the data set: columns with other names, interactions without times."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from small_data import small_rows

import recbole_symcere
from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.convert.convert_command import main as convert
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset, split_dataset
from recbole_symcere.run.quick_start import load_data_and_model
from recbole_symcere.run.run_directory import RunDirectory


def words(settings):
    return [f"--{key}={value}" for key, value in settings.items()]


@pytest.fixture(scope="module")
def untimed_folder(tmp_path_factory):
    """A data_path with the data set "untimed", converted from reviews without ratings and times."""
    folder = tmp_path_factory.mktemp("untimed")
    lines = [f'{user},{item},"{text}"\n' for user, item, _, _, text in small_rows()]
    (folder / "r.csv").write_text("user_id,item_id,text\n" + "".join(lines))
    words = ["generic", f"--input={folder / 'r.csv'}", "--name=untimed"]
    convert([*words, "--implicit=True", f"--output_dir={folder}"])
    return folder


@pytest.fixture
def untimed(small, untimed_folder):
    return small | {"data_path": str(untimed_folder)}


def pairs_of(part):
    users, items = (part.inter_feat[field].tolist() for field in (part.uid_field, part.iid_field))
    return set(zip(users, items, strict=True))


def split_pairs(settings, seed, model):
    config = Config(model, "untimed", config_dict=settings | {"seed": seed})
    return [pairs_of(part) for part in split_dataset(config, read_dataset(config))]


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
def test_data_without_times_are_split_at_random_and_every_run_says_so(
    untimed, untimed_folder, capsys, model
):
    settings = {k: v for k, v in untimed.items() if model == "SymCERE" or k != "max_length"}
    assert main([f"--model={model}", "--dataset=untimed", "--run_dir=run", *words(settings)]) == 0
    said = "untimed has no times, so each run splits it at random, by its seed"
    assert said in capsys.readouterr().out
    assert said in Path("run/run.log").read_text()
    protocol = json.loads(Path("run/metrics.json").read_text())["protocol"]
    assert protocol["random_split"] is True
    assert protocol["eval_args"]["order"] == "RO"
    assert protocol["split_seed"] == 2020  # the run's
    header = (untimed_folder / "untimed" / "untimed.inter").read_text().splitlines()[0]
    assert header == "user_id:token\titem_id:token"


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
def test_a_run_on_data_that_lack_columns_is_gone_on_with_repeated_and_loaded(untimed, model):
    settings = {k: v for k, v in untimed.items() if model == "SymCERE" or k != "max_length"}
    assert main([f"--model={model}", "--dataset=untimed", "--run_dir=run", *words(settings)]) == 0
    read = RunDirectory(Path("run")).read_config
    assert read()["load_col"] == {"inter": ["user_id", "item_id"]}
    read()["load_col"]["inter"].append("mine")  # whoever reads it may change it
    assert read()["load_col"] == {"inter": ["user_id", "item_id"]}
    assert main(["--resume=run"]) == 0
    assert main(["--config_files=run/config.yaml", "--run_dir=again"]) == 0
    assert main(["report", "--run=run"]) == 0
    assert main(["refit", "--run=run"]) == 0
    load_data_and_model("run-refit")


def test_a_column_that_is_asked_for_must_be_there(untimed):
    settings = untimed | {"load_col": {"inter": ["user_id", "item_id", "rating"]}}
    with pytest.raises(InputError, match="load_col asks for the column 'rating'"):
        read_dataset(Config("SymCERE", "untimed", config_dict=settings))


def test_the_seed_decides_the_random_split(untimed):
    first, same, other = (split_pairs(untimed, seed, "SymCERE") for seed in (1, 1, 2))
    assert first == same
    assert first[2] != other[2]
    assert first[2] == split_pairs(untimed, 1, "LightGCN")[2]


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
def test_a_seed_of_its_own_decides_a_random_split_and_touches_no_other_draw(untimed, model):
    def drawn(seed, split_seed):
        settings = untimed | {"seed": seed, "split_seed": split_seed}
        config = Config(model, "untimed", config_dict=settings)
        dataset = read_dataset(config)
        before = torch.get_rng_state()
        parts = [pairs_of(part) for part in split_dataset(config, dataset)]
        return parts, torch.equal(before, torch.get_rng_state())

    (first, kept), (same, _), (other, _) = drawn(1, 3), drawn(2, 3), drawn(1, 4)
    assert first == same
    assert first[2] != other[2]
    assert first[2] != split_pairs(untimed, 1, model)[2]
    assert first == split_pairs(untimed, 3, model)  # the draw is that of a run of this seed
    assert kept


def test_stock_functions_split_at_random_too(untimed, monkeypatch, caplog):
    from recbole.config import Config as StockConfig

    monkeypatch.setattr("sys.argv", ["x"])
    for model in ("SymCERE", "BPR"):
        config = StockConfig(model, "untimed", config_dict=dict(untimed))
        assert config["eval_args"]["order"] == "RO"
        assert "untimed has no times, so it is split at random, by the seed." in caplog.messages
        caplog.clear()


@pytest.mark.parametrize("model", ["SymCERE", "Pop"])
def test_an_order_of_times_that_are_not_there_is_refused(untimed, model):
    asked = {"eval_args": {"order": "TO", "split": {"RS": [0.8, 0.1, 0.1]}}}
    with pytest.raises(InputError, match=r"order is TO, but untimed has no times.*Leave order"):
        Config(model, "untimed", config_dict=untimed | asked)


def test_times_that_are_there_keep_their_order(small):
    config = Config("SymCERE", "small", config_dict=small)
    assert config["eval_args"]["order"] == "TO"


def test_a_data_set_of_others_without_times_is_told_how_to_be_split(
    small, untimed_folder, tmp_path
):
    folder = shutil.copytree(untimed_folder, tmp_path / "bare")
    (folder / "untimed" / "manifest.json").unlink()
    settings = small | {"data_path": str(folder)}
    for model in ("SymCERE", "BPR"):
        with pytest.raises(InputError, match=r"no column 'timestamp'.*--eval_args=.*order: RO"):
            read_dataset(Config(model, "untimed", config_dict=settings))
    config = Config("BPR", "untimed", config_dict=settings | {"eval_args": {"order": "RO"}})
    assert len(read_dataset(config)) == 24 * 8


@pytest.fixture
def renamed(small, small_folder, tmp_path):
    """Settings for "small" with other names of columns, but for those names themselves."""
    folder = shutil.copytree(small_folder, tmp_path / "renamed")
    file = folder / "small" / "small.inter"
    names = {"user_id:": "uid:", "item_id:": "iid:", "rating:": "stars:", "timestamp:": "when:"}
    header, rows = file.read_text().split("\n", 1)
    for ours, theirs in names.items():
        header = header.replace(ours, theirs)
    file.write_text(f"{header}\n{rows}")
    return small | {"data_path": str(folder)}


FIELDS = {"USER_ID_FIELD": "uid", "ITEM_ID_FIELD": "iid", "TIME_FIELD": "when"}


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
def test_the_advice_about_columns_of_other_names_works(renamed, small, capsys, model):
    """It ended in a TypeError: the columns that were named weren't loaded."""
    settings = {k: v for k, v in renamed.items() if model == "SymCERE" or k != "max_length"}
    command = [f"--model={model}", "--dataset=small", *words(settings)]
    given = []
    for option, name in FIELDS.items():
        assert main([*command, *given]) == 2
        message = capsys.readouterr().err
        assert f"--{option}=NAME" in message
        given.append(f"--{option}={name}")
    assert main([*command, *given, "--run_dir=run"]) == 0
    found = json.loads(Path("run/metrics.json").read_text())
    theirs = {k: v for k, v in small.items() if model == "SymCERE" or k != "max_length"}
    plain = recbole_symcere.run_recbole(model, "small", config_dict=theirs)
    assert found["test"] == plain["test_result"]


def test_columns_that_the_user_chooses_are_left_alone(renamed):
    chosen = {"inter": ["uid", "iid", "when", "stars"]}
    config = Config("BPR", "small", config_dict=renamed | FIELDS | {"load_col": chosen})
    assert config["load_col"] == chosen
    config = Config("BPR", "small", config_dict=renamed | FIELDS | {"RATING_FIELD": "stars"})
    assert config["load_col"] == {"inter": ["uid", "iid", "stars", "when"]}
