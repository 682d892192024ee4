import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import write_small

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import parse_value
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.run_directory import portable_settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-2", -2),
        ("[10,20]", [10, 20]),
        ("10,20", [10, 20]),
        ("[NDCG, Hit]", ["NDCG", "Hit"]),
        ("{'RS': [0.8, 0.1, 0.1]}", {"RS": [0.8, 0.1, 0.1]}),
        ("{RS: [0.8, 0.1, 0.1]}", {"RS": [0.8, 0.1, 0.1]}),
        ("True", True),
        ("false", False),
        ("none", None),
        ("~", None),
        ("'quoted'", "quoted"),
        ("roberta-base", "roberta-base"),
        ("a/b c.yaml", "a/b c.yaml"),
        ("1-2", "1-2"),
        ("os.sep", "os.sep"),
        ("2020/0", "2020/0"),
        ("__import__('os').mkdir('evaluated')", "__import__('os').mkdir('evaluated')"),
        ("[__import__('os').mkdir('evaluated')]", ["__import__('os').mkdir('evaluated')"]),
        ("", ""),
    ],
)
def test_a_string_is_parsed_and_never_run(text, value):
    assert parse_value(text) == value
    assert not os.path.exists("evaluated")  # noqa: PTH110


@given(st.text())
def test_no_string_is_an_error(text):
    parse_value(text)


def test_recboles_own_config_no_longer_evaluates(monkeypatch):
    from recbole.config import Config as RecBoleConfig

    monkeypatch.setattr("sys.argv", ["script", "--epochs=7", "--note=__import__('os').mkdir('ev')"])
    config = RecBoleConfig("BPR", "ml-100k", config_dict={"learning_rate": "1e-2", "x": "2020/0"})
    assert (config["epochs"], config["learning_rate"], config["x"]) == (7, 0.01, "2020/0")
    assert not os.path.exists("ev")  # noqa: PTH110


def test_our_functions_do_not_read_the_host_processs_arguments(monkeypatch, small):
    monkeypatch.setattr("sys.argv", ["pytest", "--epochs=99", "--cov=x"])
    config = Config("SymCERE", "small", config_dict=small)
    assert config["epochs"] == 2
    assert "cov" not in config


def test_a_stock_config_of_our_model_takes_no_foreign_arguments(monkeypatch, small):
    from recbole.config import Config as RecBoleConfig

    monkeypatch.setattr("sys.argv", ["worker", "--node-ip-address=1", "--alpha=0.25"])
    config = RecBoleConfig("SymCERE", "small", config_dict=small)
    assert config["alpha"] == 0.25
    assert "node-ip-address" not in config


@pytest.mark.parametrize("model", ["SymCERE", "WordKNN", "BPR"])
@pytest.mark.parametrize(
    ("key", "value", "none"),
    [("cold_items", 0.3, 0), ("cold_users", 0.9, 0), ("blend", ["knn_10"], None)],
)
def test_what_recboles_own_functions_would_do_nothing_about_is_refused(
    small, model, key, value, none
):
    from recbole.config import Config as RecBoleConfig
    from recbole.quick_start import run_recbole

    said = re.escape(
        f"{key} is {value}, but RecBole's own functions do nothing about it for {model}. Leave it "
        "out, or run the model by recbole_symcere.run_recbole or by the command."
    )
    with pytest.raises(InputError, match=said):
        run_recbole(model=model, dataset="small", config_dict={**small, key: value})
    RecBoleConfig(model, "small", config_dict={**small, key: none})
    Config(model, "small", config_dict={**small, key: value})


def test_what_a_stock_script_is_told_by_arguments_is_refused_too(small, monkeypatch):
    from recbole.config import Config as RecBoleConfig

    monkeypatch.setattr("sys.argv", ["run_recbole.py", "--model=BPR", "--cold_items=0.3"])
    with pytest.raises(InputError, match=r"cold_items is 0.3, but RecBole's own"):
        RecBoleConfig("BPR", "small", config_dict=small)


def test_a_key_of_that_name_of_a_model_of_ones_own_is_its_own(small):
    from recbole.config import Config as RecBoleConfig
    from recbole.model.general_recommender import BPR

    mine = type("OneOfMyOwn", (BPR,), {"__module__": "mine"})
    assert RecBoleConfig(mine, "small", config_dict={**small, "blend": 3})["blend"] == 3


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("val_interval", {"rating": "[4,inf)"}),
        ("user_inter_num_interval", "[100,inf)"),
        ("item_inter_num_interval", "[100,inf)"),
        ("rm_dup_inter", "last"),
    ],
)
def test_a_filter_of_parts_that_are_read_as_they_are_is_refused(small, model, key, value):
    parts = {"data_path": small["data_path"], "benchmark_filename": ["train", "valid", "test"]}
    said = f"{key} is {value!r}, but the parts of benchmark_filename are read as they are, and "
    said += "nothing is filtered. Leave it out, or filter the files before."
    with pytest.raises(InputError, match=re.escape(said)):
        Config(model, "small", config_dict={**parts, key: value})
    again = portable_settings(Config(model, "small", config_dict={**parts, key: None}))
    Config(config_dict=again)
    again = portable_settings(Config(model, "small", config_dict=parts))
    assert again[key] is not None or key == "val_interval"
    Config(config_dict=again)
    Config(model, "small", config_dict={**parts, key: value, "benchmark_filename": None})


def test_our_settings_come_after_recboles(small):
    config = Config("SymCERE", "small", config_dict=small)
    assert config["temperature"] == 0.2  # model/SymCERE.yaml
    assert config["load_col"]["inter"][-1] == "timestamp"  # RecBole's sample.yaml says otherwise
    assert config["valid_metric"] == "NDCG@10"
    assert config["embedding_size"] == 16  # the dictionary wins


def test_one_protocol_for_recboles_models_too(small):
    config = Config("BPR", "small", config_dict={"data_path": small["data_path"]})
    assert config["eval_args"]["order"] == "TO"
    assert config["rm_dup_inter"] == "first"


def test_files_then_dictionary(tmp_path, small):
    (tmp_path / "a.yaml").write_text("alpha: 0.1\nbeta: 0.2\n")
    (tmp_path / "b.yaml").write_text("beta: 0.3\n")
    config = Config("SymCERE", "small", ["a.yaml", "b.yaml"], {**small, "alpha": "0.7"})
    assert (config["alpha"], config["beta"]) == (0.7, 0.3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a.yaml can't be read"),
        ("a: [1", "a.yaml isn't valid YAML"),
        ("- 1\n- 2", "must hold `key: value` lines"),
    ],
)
def test_a_bad_file_is_named(tmp_path, small, content, message):
    if content is not None:
        (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(InputError, match=message):
        Config("SymCERE", "small", ["a.yaml"], small)


def test_an_empty_file_is_no_error(tmp_path, small):
    (tmp_path / "a.yaml").write_text("# nothing\n")
    Config("SymCERE", "small", ["a.yaml"], small)


def test_unknown_names_come_with_the_closest(small):
    with pytest.raises(InputError, match=r"'learnig_rate'\. Did you mean 'learning_rate'\?"):
        Config("SymCERE", "small", config_dict={**small, "learnig_rate": 1})
    with pytest.raises(InputError, match=r"no model named 'symcer'\. Did you mean 'SymCERE'\?"):
        Config("symcer", "small", config_dict=small)
    with pytest.raises(InputError, match=r"no model named 'lightgcn'\. Did you mean 'LightGCN'\?"):
        Config("lightgcn", "small", config_dict=small)
    with pytest.raises(InputError, match=r"no data set 'yelpp'.*Did you mean 'yelp'\?"):
        Config("SymCERE", "yelpp")
    with pytest.raises(InputError, match="No dataset is given"):
        Config("SymCERE")
    with pytest.raises(InputError, match="No model is given"):
        Config(dataset="yelp")


def test_models_can_share_a_file_of_settings(small, caplog):
    Config("BPR", "small", config_dict={**small, "ssl_tau": 0.1})
    assert "BPR doesn't read the key 'text_encoder'" in caplog.text
    assert "BPR doesn't read the key 'ssl_tau'" in caplog.text


def test_every_key_of_recboles_documentation_is_known(small):
    known = {"worker": 0, "benchmark_filename": None, "clip_grad_norm": {"max_norm": 5}}
    known |= {"val_interval": None, "repeatable": False, "preload_weight": None, "transform": None}
    Config("SymCERE", "small", config_dict={**small, **known})
    Config("NeuMF", "small", config_dict={"data_path": small["data_path"], "mf_train": True})


def test_data_is_found_here_or_among_the_bundled(tmp_path):
    assert Config("BPR", "yelp")["data_path"].endswith("dataset_atomic/yelp")
    mine = write_small(tmp_path / "dataset_atomic", "yelp", n_users=12)
    assert Config("BPR", "yelp")["data_path"] == str(mine)
    with pytest.raises(
        InputError,
        match=r"data_path is 'elsewhere', but there is no such folder.*leave it out to look "
        r"in \./dataset_atomic, in \./dataset and among the bundled",
    ):
        Config("BPR", "yelp", config_dict={"data_path": "elsewhere"})
    own = {"data_path": str(tmp_path / "dataset_atomic")}
    with pytest.raises(
        InputError,
        match=r"no data set 'yelpp' in .*dataset_atomic, which data_path names\. Did you mean "
        r"'yelp'\? There is yelp\. .*convert SOURCE --input=FILE --name=yelpp",
    ):
        Config("BPR", "yelpp", config_dict=own)
    write_small(tmp_path / "dataset", "other", n_users=12)
    with pytest.raises(
        InputError,
        match=r"no data set 'zzz' in \./dataset_atomic, in \./dataset and among the bundled ones\. "
        r"There are other, yelp\.",
    ):
        Config("BPR", "zzz")


@pytest.mark.parametrize(
    ("environment", "given", "expected"), [("3", None, "3"), ("", None, ""), ("3", "1", "1")]
)
def test_visible_devices_stay_as_they_are(monkeypatch, small, environment, given, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", environment)
    extra = {} if given is None else {"gpu_id": given, "use_gpu": False}
    Config("SymCERE", "small", config_dict={**small, **extra})
    assert os.environ["CUDA_VISIBLE_DEVICES"] == expected
