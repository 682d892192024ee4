"""Stock RecBole after one ``import recbole_symcere``: its functions, its models and ours."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import recbole_symcere  # noqa: F401 # the one line

ROOT = Path(__file__).parents[2]
STOCK = ["BPR", "Pop", "ItemKNN", "EASE", "NeuMF", "NGCF", "LightGCN", "SGL", "SimpleX"]
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::ResourceWarning"
)  # RecBole's own


@pytest.fixture
def stock(small):
    """The settings of "small" that every RecBole model reads."""
    own = {"cache_dir", "runs_dir", "text_encoder", "max_length"}
    settings = {key: value for key, value in small.items() if key not in own}
    return {**settings, "metrics": ["NDCG", "Hit"], "valid_metric": "NDCG@10", "epochs": 1}


@pytest.mark.parametrize("by", ["name", "class"])
def test_stock_run_recbole_trains_symcere(small, by):
    from recbole.quick_start import run_recbole

    from recbole_symcere import SymCERE

    model = "SymCERE" if by == "name" else SymCERE
    result = run_recbole(model=model, dataset="small", config_dict=small)
    assert 0 <= result["test_result"]["ndcg@10"] <= 1
    assert [path.suffix for path in Path(small["checkpoint_dir"]).iterdir()] == [".safetensors"]


def test_stock_run_recbole_trains_a_subclass_of_ours(small):
    from recbole.quick_start import run_recbole

    from recbole_symcere import SymCERE

    mine = type("MyStockSymCERE", (SymCERE,), {})
    found = [
        run_recbole(model=model, dataset="small", config_dict=small, saved=False)["test_result"]
        for model in (SymCERE, mine)
    ]
    assert found[0] == found[1]


def test_a_model_with_a_blend_of_its_own_has_it_in_a_stock_run_too(small):
    from recbole.quick_start import load_data_and_model, run_recbole

    run_recbole(model="SymCEREPlus", dataset="small", config_dict={**small, "blend": ["knn_10"]})
    (file,) = Path(small["checkpoint_dir"]).iterdir()
    _, model, *_ = load_data_and_model(model_file=str(file))
    assert model.blend.names == ["model", "knn_10"]
    assert not model.blend.alone


def test_stock_load_data_and_model_and_full_sort_topk(small):
    from recbole.quick_start import load_data_and_model, run_recbole
    from recbole.utils.case_study import full_sort_topk

    run_recbole(model="SymCERE", dataset="small", config_dict=small)
    (file,) = Path(small["checkpoint_dir"]).iterdir()
    config, model, dataset, train, _, test = load_data_and_model(model_file=str(file))
    assert config["model"] == "SymCERE"
    users = dataset.token2id(dataset.uid_field, ["u0", "u1", "u2"])
    model.eval()
    scores, items = full_sort_topk(users, model, test, k=5, device="cpu")
    assert scores.shape == items.shape == (3, 5)
    history = train.dataset.history()
    assert not any(history[user, item] for user, row in zip(users, items.tolist(), strict=True)
                   for item in row)  # fmt: skip


def test_stock_objective_function(small):
    from recbole.quick_start import objective_function

    settings = {**small, "model": "SymCERE", "dataset": "small"}
    result = objective_function(config_dict=settings, saved=True)
    assert result["model"] == "SymCERE"
    assert result["best_valid_score"] == result["best_valid_result"]["ndcg@10"]


@pytest.mark.parametrize("model", STOCK)
def test_recboles_models_run_through_stock_functions(stock, model, monkeypatch):
    from recbole.quick_start import load_data_and_model, run_recbole
    from recbole.utils import get_trainer

    monkeypatch.setattr("sys.argv", ["pytest", "--durations=30"])  # no key of RecBole's
    settings = {**stock, "a_key_of_ones_own": 1}
    result = run_recbole(model=model, dataset="small", config_dict=settings)
    (file,) = Path(stock["checkpoint_dir"]).iterdir()
    config, loaded, dataset, train, _, test = load_data_and_model(model_file=str(file))
    assert type(loaded).__name__ == model
    assert type(dataset).__name__ == "Dataset"  # RecBole's own
    assert config["eval_args"]["order"] == "RO"  # and its protocol
    assert "durations" not in config
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, loaded)
    trainer.eval_collector.data_collect(train)
    assert trainer.evaluate(test, load_best_model=False) == result["test_result"]


@pytest.mark.parametrize("model", STOCK)
def test_recboles_models_run_through_our_command(small, model):
    from recbole_symcere.run.quick_start import run_recbole

    ours = {key: small[key] for key in ("data_path", "runs_dir", "epochs")}
    result = run_recbole(model, "small", config_dict=ours)
    files = {path.name for path in Path(result["run_dir"]).iterdir()}
    assert {"config.yaml", "metrics.json", "per_user.parquet", "run.log"} <= files
    assert not Path("log").exists()
    assert not Path("log_tensorboard").exists()


def test_both_ways_give_the_same_numbers(stock):
    from recbole.quick_start import run_recbole as stock_run

    from recbole_symcere.run.quick_start import run_recbole

    protocol = {
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user"},
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        "rm_dup_inter": "first",
        "metric_decimal_place": 6,
        "topk": [10, 20],
    }
    settings = {**stock, **protocol, "epochs": 3}
    theirs = stock_run(model="LightGCN", dataset="small", config_dict=dict(settings))
    ours = run_recbole("LightGCN", "small", config_dict=dict(settings))
    # RecBole counts FLOPs first, which draws nothing; so weights and batches are the same
    assert dict(ours["test_result"]) == dict(theirs["test_result"])


SCRIPT = """
import sys
{first}
assert "torch" not in sys.modules and "recbole" not in sys.modules, "import is heavy"
{second}
from recbole.quick_start import run_recbole
import recbole_symcere
assert recbole_symcere.registered()
from recbole.utils import get_model, get_trainer, ModelType
assert get_model("SymCERE").__module__ == "recbole_symcere.model.symcere"
assert get_model("BPR").__module__ == "recbole.model.general_recommender.bpr"
assert get_trainer(ModelType.GENERAL, "BPR").__module__ == "recbole.trainer.trainer"
assert get_trainer(ModelType.GENERAL, "SymCERE").__name__ == "ReviewTrainer"
import recbole.data.dataset as d
assert d.SymCEREDataset.__name__ == "ReviewDataset"
assert not hasattr(d, "BPRDataset") and not hasattr(d, "SymCERE")
import recbole.data.utils as u
assert "exist_ok" in u.ensure_dir.__code__.co_names + sum(
    (c for c in u.ensure_dir.__code__.co_consts if isinstance(c, tuple)), ()
), "two processes can't make one folder"
wrapped = u.get_dataloader
from recbole_symcere.plugin.register import register
register(None)
assert u.get_dataloader is wrapped, "a second register() changes something"
"""


# the third order, our import before RecBole's, is the next test's
@pytest.mark.parametrize(
    "first",
    [
        pytest.param("import recbole.quick_start\nimport recbole_symcere", marks=pytest.mark.slow),
        pytest.param("from recbole_symcere import SymCERE", marks=pytest.mark.slow),
    ],
    ids=["after", "model first"],
)
def test_the_order_of_imports_does_not_matter(first):
    import ray

    if first.startswith("import recbole.quick_start") and int(ray.__version__.split(".")[1]) < 7:
        pytest.skip("Ray 2.6 and RecBole can't be imported on NumPy 2 before our shims are there")
    script = SCRIPT.format(first="", second=first)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_without_ray_everything_but_tuning_works(small):
    before = """
import sys
class NoRay:
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda n, *a: None if n == "ray" else found(n, *a)
sys.meta_path.insert(0, NoRay())
"""
    after = f"""
assert "ray" not in sys.modules
run_recbole(model="SymCERE", dataset="small", config_dict={small!r})
"""
    script = before + SCRIPT.format(first="import recbole_symcere", second="") + after
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_wrong_recbole_is_reported_with_the_command(monkeypatch):
    import importlib.metadata

    from recbole_symcere.plugin.recbole_package import check_recbole

    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.2.0")
    with pytest.raises(ImportError, match=r"RecBole 1\.2\.0 .* pip install --no-deps recbole==1"):
        check_recbole()

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ImportError, match=r"isn't installed.*pip install --no-deps recbole==1\.2"):
        check_recbole()


def test_shims_do_nothing_where_they_are_not_needed():
    from recbole_symcere.plugin import compat, compat_arrays

    floats = np.float64
    compat_arrays.numpy_aliases()
    assert np.float64 is floats
    assert np.bool_ is np.dtype(bool).type

    class Stub:
        from types import SimpleNamespace

        torch = SimpleNamespace()

    module = torch.__class__("fake")
    module.torch = torch
    compat.torch_proxy(module)
    proxy = module.torch
    compat.torch_proxy(module)
    assert module.torch is proxy
    assert proxy.nn is torch.nn
    assert proxy.load is not torch.load
    assert torch.load.__module__ == "torch.serialization"  # the real one is untouched


@pytest.mark.parametrize("mode", [(False, True), (True, False), (True, True)])
def test_importing_sequential_models_leaves_autograd_as_it_is(monkeypatch, mode):
    name = "recbole.model.sequential_recommender.sine"
    monkeypatch.delitem(sys.modules, name, raising=False)
    with torch.autograd.set_detect_anomaly(*mode):
        importlib.import_module(name)
        assert torch.is_anomaly_enabled() == mode[0]
        assert torch.is_anomaly_check_nan_enabled() == mode[1]
    assert not torch.is_anomaly_enabled()


def test_hyperopts_exhaustive_search(stock):
    hyperopt = pytest.importorskip("hyperopt")
    from recbole.quick_start import objective_function
    from recbole.trainer import HyperTuning

    Path("model.hyper").write_text("learning_rate choice [0.01,0.001]\n")
    Path("fixed.yaml").write_text(
        "\n".join(f"{k}: {v!r}" for k, v in {**stock, "model": "BPR", "dataset": "small"}.items())
    )
    assert hyperopt
    tuning = HyperTuning(
        objective_function, algo="exhaustive", params_file="model.hyper",
        fixed_config_file_list=["fixed.yaml"],
    )  # fmt: skip
    tuning.run()
    assert set(tuning.params2result) == {"learning_rate:0.01", "learning_rate:0.001"}


def test_pop_counts_popularity(small):
    # RecBole's Pop with its own settings counts an item at most once per batch
    from recbole_symcere.run.quick_start import load_data_and_model, run_recbole

    ours = {key: small[key] for key in ("data_path", "runs_dir")}
    run = run_recbole("Pop", "small", config_dict=ours)["run_dir"]
    _, model, _, train, *_ = load_data_and_model(run)
    counts = np.bincount(train.dataset.inter_feat["item_id"], minlength=model.n_items)
    assert model.item_cnt.squeeze(1).tolist() == counts.tolist()


def test_a_model_without_epochs_is_validated_whatever_eval_step_is(small):
    from recbole_symcere.run.quick_start import run_recbole

    settings = {key: small[key] for key in ("data_path", "runs_dir")} | {"eval_step": 5}
    found = run_recbole("Pop", "small", config_dict=settings)
    assert found["best_valid_result"]["ndcg@10"] == found["best_valid_score"]
