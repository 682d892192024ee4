from pathlib import Path

import pytest
import yaml

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_command import main
from recbole_symcere.convert.convert_options import Filters
from recbole_symcere.convert.presets import load_preset
from recbole_symcere.convert.sources import SOURCES
from recbole_symcere.plugin.config import Config

FOLDER = Path(__file__).parents[2] / "properties" / "dataset"
TABLE_1 = {
    "clothing", "tools", "sports", "beauty", "automotive", "toys", "pet", "health", "cell_phones",
    "patio", "office", "cds", "video_games", "yelp", "travel",
}  # fmt: skip
COLLABCONTEXT = {"Electronics", "Office_Products", "Grocery_and_Gourmet_Food"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_the_data_sets_of_the_papers_are_there():
    assert set(NAMES) == TABLE_1 | COLLABCONTEXT


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_names_a_source_and_filters_that_exist(name):
    settings = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    convert = settings["convert"]
    assert SOURCES[convert["source"]].place == convert["place"]
    assert convert["file"]
    preset = load_preset(FOLDER, name)
    Filters(**preset.filters)
    assert ("k_core" in preset.filters) != ("user_core" in preset.filters)
    assert bool(preset.table1) == (name in TABLE_1)
    # RecBole's own filter, for data that another tool converted, says the same
    least = preset.filters.get("k_core") or preset.filters["user_core"]
    assert settings["user_inter_num_interval"] == f"[{least},inf)"


@pytest.mark.parametrize("name", NAMES)
def test_recbole_loads_the_file_and_sees_nothing_of_the_converter(tmp_path, name):
    (tmp_path / name).mkdir()
    config = Config("BPR", name, config_dict={"data_path": str(tmp_path)})
    assert config["user_inter_num_interval"]
    assert "convert" not in config.final_config_dict
    with pytest.raises(InputError, match="Unknown key 'convert'"):
        Config("BPR", name, config_dict={"data_path": str(tmp_path), "convert": "x"})


@pytest.fixture
def convert(tmp_path, capsys):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "d.yaml").write_text("convert: {filters: {user_core: 2, sample_seed: 7}}")
    rows = ["u,i,4,1,t", "u,j,4,2,t", "v,i,4,3,t"]
    (tmp_path / "r.csv").write_text("\n".join(["user_id,item_id,rating,timestamp,text", *rows]))

    def convert(*arguments, name="d"):
        words = ["generic", f"--input={tmp_path / 'r.csv'}", f"--output_dir={tmp_path / 'out'}"]
        main([*words, f"--name={name}", "--overwrite=True", *arguments], tmp_path / "p")
        return capsys.readouterr().out

    return convert


def test_the_filter_of_a_known_name_holds_and_is_told(convert):
    out = convert()
    assert "filter       user_core 2, sample_seed 7, from properties/dataset/d.yaml" in out
    assert "1 users, 2 items, 2 reviews" in out


def test_given_options_win_over_the_file(convert):
    out = convert("--k_core=1")
    assert "filter       as given, instead of user_core 2, sample_seed 7 of properties" in out
    assert "2 users, 2 items, 3 reviews" in out
    assert "2 users, 2 items, 3 reviews" in convert("--user_core=0")
    assert "filter" not in convert(name="other")


def test_a_misspelt_key_is_refused(convert, tmp_path):
    (tmp_path / "p" / "d.yaml").write_text("convert: {filter: {k_core: 5}}")
    with pytest.raises(InputError, match=r"d\.yaml: convert holds the unknown key 'filter'"):
        convert()
    (tmp_path / "p" / "d.yaml").write_text("convert: {filters: {kcore: 5}}")
    with pytest.raises(InputError, match=r"d\.yaml: convert holds the unknown filter 'kcore'"):
        convert()


def test_the_bundled_sample_is_not_replaced_by_accident(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["synthetic", "--name=yelp", "--n_users=20", "--n_items=20", "--n_reviews=100"], FOLDER)
    (tmp_path / "r.csv").write_text("x")
    with pytest.raises(InputError, match=r"the synthetic sample .*yelp exists; .*--overwrite"):
        main(["generic", "--input=r.csv", "--name=yelp"], FOLDER)
