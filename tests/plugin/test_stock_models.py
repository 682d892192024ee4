"""RecBole's models through our functions: what they are told, what they lack, what is checked."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import small_rows, write_rows, write_small
from stock_data import WITH_CLASS, write_features, write_knowledge

from recbole_symcere import InputError
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.stock_models import model_kinds
from recbole_symcere.run.prepare import read_dataset
from recbole_symcere.run.quick_start import load_data_and_model, resume, run_recbole

PAGE = Path(__file__).parents[2] / "docs" / "models" / "recbole.md"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def rich_folder(tmp_path_factory):
    """A data_path whose set "small" has a knowledge graph and item features."""
    folder = tmp_path_factory.mktemp("rich")
    write_small(folder)
    write_knowledge(folder)
    write_features(folder)
    return folder


@pytest.fixture
def plain(small_folder, tmp_path):
    """Settings of a short run without text."""
    return {"data_path": str(small_folder), "runs_dir": str(tmp_path / "runs"), "epochs": 1}


@pytest.fixture
def rich(plain, rich_folder):
    return {**plain, "data_path": str(rich_folder)}


def refused(model, settings, match):
    with pytest.raises(InputError, match=match) as error:
        Config(model, "small", config_dict=settings)
    assert "\n" not in str(error.value)


def metrics_of(result):
    return json.loads(Path(result["run_dir"], "metrics.json").read_text())


# --- which there are, and what a kind is told ----------------------------------------------------


def test_every_model_of_recbole_is_known_by_its_kind():
    from recbole.utils import get_model

    kinds = model_kinds()
    counted = {kind: [*kinds.values()].count(kind) for kind in set(kinds.values())}
    assert counted == {
        "general_recommender": 33,
        "context_aware_recommender": 18,
        "sequential_recommender": 31,
        "knowledge_aware_recommender": 10,
        "exlib_recommender": 2,
    }
    for name, kind in kinds.items():
        if kind != "exlib_recommender":
            assert f".{kind}." in get_model(name).__module__


def test_the_page_tells_of_every_model():
    lines = PAGE.read_text().splitlines()
    rows = [line.split("|") for line in lines if line.startswith("| ")]
    for kind, models in (("general", 33), ("context-aware", 18), ("sequential", 31),
                         ("knowledge-aware", 10), ("exlib", 2)):  # fmt: skip
        row = next(" ".join(cells[2:]) for cells in rows if cells[1].strip() == kind)
        of_kind = {name for name, where in model_kinds().items() if where.startswith(
            kind.replace("-", "_"))}  # fmt: skip
        assert len(of_kind) == models
        assert of_kind <= set(re.findall(r"\w+", row))


def test_context_models_learn_from_drawn_negatives(plain):
    config = Config("FM", "small", config_dict=plain)
    assert config["train_neg_sample_args"]["distribution"] == "uniform"
    assert config["eval_args"]["mode"] == {"valid": "full", "test": "full"}
    assert config["metrics"] == ["NDCG", "Hit", "Recall", "MRR"]


@pytest.mark.parametrize(
    ("model", "loss", "drawn"),
    [
        ("GRU4Rec", "CE", "none"), ("GRU4Rec", "BPR", "uniform"), ("RepeatNet", "CE", "none"),
        ("SINE", "CE", "uniform"), ("FPMC", "BPR", "uniform"), ("DIN", None, "uniform"),
    ],
)  # fmt: skip
def test_sequential_models_draw_what_their_loss_compares(plain, model, loss, drawn):
    settings = {**plain, **({"loss_type": loss} if loss else {})}
    config = Config(model, "small", config_dict=settings)
    assert config["repeatable"] is True
    assert config["train_neg_sample_args"]["distribution"] == drawn


def test_a_class_of_ones_own_is_told_what_its_kind_is_told(plain):
    from recbole.model.sequential_recommender import GRU4Rec

    mine = type("MyGRU4Rec", (GRU4Rec,), {})
    settings = {**plain, "embedding_size": 8, "hidden_size": 8, "num_layers": 1}
    settings |= {"dropout_prob": 0.1, "loss_type": "CE"}
    result = run_recbole(mine, "small", config_dict=settings)
    assert 0 <= result["test_result"]["ndcg@10"] <= 1


def test_pairs_are_scored_in_small_parts_where_each_is_a_pass(plain):
    sizes = {m: Config(m, "small", config_dict=plain)["eval_batch_size"]
             for m in ("ConvNCF", "NNCF", "FM", "NeuMF", "LightGCN")}  # fmt: skip
    assert sizes == {
        **{"ConvNCF": 1024, "NNCF": 1024, "FM": 1024},
        **{"NeuMF": 2**20, "LightGCN": 2**20},
    }
    config = Config("FM", "small", config_dict={**plain, "eval_batch_size": 777})
    assert config["eval_batch_size"] == 777


def test_a_batch_of_evaluation_counts_scores_for_sequential_models_too(plain):
    from recbole_symcere.run.prepare import read_dataset, split_data

    config = Config("GRU4Rec", "small", config_dict={**plain, "eval_batch_size": 100})
    _, _, test = split_data(config, read_dataset(config))
    assert test.step == 100 // 31
    batch = next(iter(test))
    assert len(batch[0]) == 3


def test_a_knowledge_graph_is_loaded_beside_the_interactions(rich):
    config = Config("CKE", "small", config_dict=rich)
    assert config["load_col"] == {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
    }


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings", "match"),
    [
        ("XGBoost", {}, r"XGBoost labels given pairs and ranks no items.*--model=FM"),
        ("LightGBM", {}, r"LightGBM labels given pairs and ranks no items.*--model=FM"),
        ("CKE", {}, r"knowledge graph, but .*/small has no small\.kg and no small\.link"),
        ("KGIN", {}, r"knowledge graph, but .*/small has no small\.kg and no small\.link"),
        ("GRU4RecKG", {}, r"no small\.kg and no small\.link and no small\.ent"),
        ("KSR", {}, r"no small\.ent and no small\.rel"),
        ("SASRecF", {}, r"columns class of small\.item \(selected_features\), but there is no "),
        ("S3Rec", {}, r"columns class of small\.item \(item_attribute\), but there is no "),
        ("NNCF", {"neigh_info_method": "louvain"}, "pip install python-louvain"),
        ("RaCT", {"train_stage": "finetune"}, r"--pre_model_path=RUN_DIR/checkpoint/best\."),
        ("NeuMF", {"use_pretrain": True}, r"--mf_pretrain_path=RUN_DIR/checkpoint/best\."),
        ("KD_DAGFM", {"phase": "distillation"}, r"--warm_up=RUN_DIR/checkpoint/best\."),
        ("KD_DAGFM", {"teacher": "open('x', 'w')"}, "must be one of CrossNet, CIN"),
        ("RaCT", {"pretrain_epochs": 3}, r"pretrain_epochs has no effect here.*--epochs epochs"),
        ("RaCT", {"save_step": 3}, "save_step has no effect here"),
        ("LDiffRec", {"n_cate": 2}, r"item_emb\.npy, which can't be read"),
        ("GRU4Rec", {"repeatable": False}, r"GRU4Rec is sequential.*--repeatable=True"),
        ("GRU4Rec", {"train_neg_sample_args": {"distribution": "uniform"}}, "--loss_type=BPR"),
        ("GRU4Rec", {"cold_items": 0.1}, "cold_items is 0.1, but GRU4Rec ranks the next item"),
        ("GRU4Rec", {"cold_users": 0.1}, "cold_users is 0.1, but GRU4Rec ranks the next item"),
        ("FM", {"train_neg_sample_args": None}, "train_neg_sample_args can't be none. Leave it"),
        ("NeuMF", {"train_neg_sample_args": None}, "train_neg_sample_args can't be none. Leave it"),
        ("DIN", {"train_neg_sample_args": None}, "train_neg_sample_args can't be none. Leave it"),
        ("BPR", {"train_neg_sample_args": None}, "train_neg_sample_args can't be none. Leave it"),
    ],
)  # fmt: skip
def test_what_a_model_lacks_is_told_before_data_are_read(plain, model, settings, match):
    refused(model, {**plain, **settings}, match)


def test_a_model_that_ranks_nothing_is_refused_as_a_class_too(plain):
    refused(type("XGBoost", (), {}), plain, "XGBoost labels given pairs")


def test_a_missing_package_is_told_when_its_files_are_there(rich):
    refused("MCCLK", rich, "MCCLK needs the package torch-scatter: pip install torch-scatter")


def test_features_that_are_there_have_to_be_loaded(rich):
    refused("SASRecF", rich, r"which load_col leaves out.*--load_col=\{item: \[item_id, class\]\}")
    Config("SASRecF", "small", config_dict={**rich, "load_col": WITH_CLASS})


def test_pickled_item_vectors_are_refused(rich, rich_folder):
    file = rich_folder / "small" / "item_emb.npy"
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    try:
        refused("LDiffRec", {**rich, "n_cate": 2}, "Python objects in dtype")
        np.save(file, np.zeros((30, 4), dtype=np.float32))
        refused("LDiffRec", {**rich, "n_cate": 2}, "pip install kmeans-pytorch")
    finally:
        file.unlink()


def test_context_models_can_read_no_column_that_a_ranking_lacks(plain):
    settings = {**plain, "numerical_features": ["rating"]}
    with pytest.raises(InputError, match=r"FM reads rating of small\.inter.*mode: uni100"):
        run_recbole("FM", "small", config_dict=settings)


@pytest.mark.parametrize("model", ["MacridVAE", "RecVAE", "CDAE", "ENMF", "EASE", "NCEPLRec"])
def test_models_without_pairs_take_no_negatives(plain, model):
    # RecBole's documentation gives this setting for them
    run_recbole(model, "small", config_dict={**plain, "train_neg_sample_args": None})


# --- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "key", "value", "match"),
    [
        ("LightGCN", "embedding_size", "x", "embedding_size is 'x', but it must be of type int."),
        ("LightGCN", "embedding_size", None, "embedding_size is None, but it must be of type int."),
        ("LightGCN", "n_layers", "2.0", r"n_layers is 2\.0, but it must be of type int: write 2\."),
        ("LightGCN", "n_layers", "2.5", r"n_layers is 2\.5, but it must be of type int\.$"),
        ("LightGCN", "n_layers", True, "n_layers is True, but it must be of type int"),
        ("LightGCN", "reg_weight", "x", "reg_weight is 'x', but it must be of type float"),
        ("LightGCN", "require_pow", "1", "require_pow is 1, but it must be of type bool"),
        ("LightGCN", "shuffle", "maybe", "shuffle is 'maybe', but it must be of type bool"),
        ("NeuMF", "mlp_hidden_size", "64", "mlp_hidden_size is 64, but it must be of type list"),
        ("NeuMF", "mlp_hidden_size", "[64,x]", "must be a list of int"),
        ("RecVAE", "mixture_weights", "[a]", "must be a list of float"),
        ("KGIN", "ind", "[1]", "ind is .1., but it must be of type str"),
        ("SGL", "type", "XX", "type is 'XX', but it must be one of ED, ND, RW"),
        ("GRU4Rec", "loss_type", "BRP", "one of BPR, CE. Did you mean 'BPR'"),
        ("KD_DAGFM", "phase", "distilation", "Did you mean 'distillation'"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(plain, model, key, value, match):
    refused(model, {**plain, key: value}, match)


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [
        ("LightGCN", "reg_weight", 1),  # a whole number for a float
        ("LightGCN", "reg_weight", "1e-5"),  # text to YAML 1.1
        ("FEARec", "global_ratio", 0.6),  # the default is 1, the comment says float
        ("SASRecCPR", "hidden_dropout_prob", 0.3),
        ("SASRecCPR", "use_proj_bias", True),
        ("DiffRec", "noise_scale", 0.5),  # the comment says int, the default is no such
        ("FEARec", "fredom_type", None),  # the default is the word None
        ("SimpleX", "margin", 0.5),  # the comment gives its bounds
        ("KGIN", "ind", "mi"),
        ("RecVAE", "mixture_weights", [1, 0, 0]),
        ("LightGCN", "user_inter_num_interval", None),
        ("FFM", "fields", {"user_id": 1}),  # no default
    ],
)
def test_a_value_that_means_the_type_is_taken(rich, model, key, value, monkeypatch):
    monkeypatch.setattr("recbole_symcere.plugin.config.refuse_unable", lambda _: None)
    Config(model, "small", config_dict={**rich, key: value})


def test_recboles_own_defaults_and_written_settings_are_taken(rich, monkeypatch):
    from recbole_symcere.run.run_directory import portable_settings

    monkeypatch.setattr("recbole_symcere.plugin.config.refuse_unable", lambda _: None)
    for model, kind in model_kinds().items():
        if kind != "exlib_recommender":
            settings = portable_settings(Config(model, "small", config_dict=rich))
            assert settings["model"] == model
            Config(config_dict=settings)


def test_types_are_checked_in_stock_functions_too(plain):
    from recbole.quick_start import run_recbole as stock_run

    with pytest.raises(InputError, match="embedding_size is 'x', but it must be of type int"):
        stock_run(model="BPR", dataset="small", config_dict={**plain, "embedding_size": "x"})


# --- what fails later ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings", "match"),
    [
        ("LightGCN", {"embedding_size": -5}, r"can't be built .* negative dimension -5.*lightgcn"),
        (
            "DGCF",
            {"n_factors": 5},
            r"AssertionError, from dgcf\.py of RecBole: assert self",
        ),
        ("SASRec", {"n_heads": 3}, r"not a multiple of the number of attention heads \(3\)"),
        ("GRU4RecCPR", {}, r"can't be trained .*index k out of range, from gru4reccpr\.py"),
        ("NCL", {}, r"num_clusters is 1000, but small has 24 users and 30 items.*--num_clusters=1"),
        ("RaCT", {"train_stage": "finetune", "pre_model_path": "no/file"}, "no checkpoint no/file"),
    ],
)
def test_a_setting_that_recbole_fails_on_is_told_in_one_line(plain, model, settings, match):
    with pytest.raises(InputError, match=match) as error:
        run_recbole(model, "small", config_dict={**plain, **settings, "run_dir": "run"})
    assert "\n" not in str(error.value)
    if "RecBole" in str(error.value):
        assert "Traceback" in Path("run/run.log").read_text()


def test_a_model_without_room_is_told_what_to_shrink(plain, monkeypatch):
    from recbole.model.general_recommender.bpr import BPR

    from recbole_symcere.run.recbole_errors import in_one_line

    config = Config("BPR", "small", config_dict=plain)

    def allocate(*_):
        torch.empty(2**60)

    monkeypatch.setattr(BPR.forward, "__code__", allocate.__code__.replace(
        co_filename=BPR.forward.__code__.co_filename))  # fmt: skip
    with (
        pytest.raises(InputError, match="give a smaller --train_batch_size or --eval_batch_size"),
        in_one_line(config, "trained"),
    ):
        BPR.forward(None, None, None)


def test_an_error_of_ours_stays_what_it_is(plain, monkeypatch):
    from recbole_symcere.run.trainer import Resumable

    def broken(*_):
        raise RuntimeError("ours")

    monkeypatch.setattr(Resumable, "_finish_epoch", broken)
    with pytest.raises(RuntimeError, match=r"^ours$"):
        run_recbole("BPR", "small", config_dict=plain)


# --- one of each kind, run -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("FM", {}), ("DSSM", {}), ("RecVAE", {}), ("RaCT", {}), ("DGCF", {}), ("ConvNCF", {}),
        ("NCL", {"num_clusters": 3}), ("GRU4Rec", {}), ("DIN", {}), ("FPMC", {}),
    ],
)  # fmt: skip
def test_a_model_of_each_kind_trains_one_epoch_and_is_read_back(plain, model, settings):
    result = run_recbole(model, "small", config_dict={**plain, **settings})
    metrics = metrics_of(result)
    assert metrics["epochs_run"] == len(metrics["history"]) == 1
    assert metrics["best_epoch"] == 0
    assert set(metrics["valid"]) == set(metrics["test"])
    assert all(np.isfinite([*metrics["history"][0]["loss"].values()]))
    assert type(load_data_and_model(result["run_dir"])[1]).__name__ == model


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("CFKG", {}), ("MKR", {}), ("KGAT", {}), ("SASRecF", {"load_col": WITH_CLASS}),
        ("S3Rec", {"load_col": WITH_CLASS}),
    ],
)  # fmt: skip
def test_models_run_where_their_files_are(rich, model, settings):
    metrics = metrics_of(run_recbole(model, "small", config_dict={**rich, **settings}))
    assert metrics["epochs_run"] == 1


def test_what_a_sequential_run_measures_is_said(plain, capsys):
    metrics = metrics_of(run_recbole("GRU4Rec", "small", config_dict=plain))
    assert "GRU4Rec ranks the next item for each held-out interaction" in capsys.readouterr().out
    assert metrics["protocol"]["ranked_for"] == "each held-out interaction"
    assert metrics["protocol"]["masked_at_test"] == "nothing"
    metrics = metrics_of(run_recbole("Pop", "small", config_dict=plain))
    assert metrics["protocol"]["ranked_for"] == "each user"


@pytest.mark.parametrize("tied", [7, 8])
@pytest.mark.parametrize("model", ["GRU4Rec", "Pop"])
def test_ties_at_the_split_are_counted_for_sequences_too(plain, tmp_path, model, tied):
    rows = [
        (user, item, rating, time - 30 * (n % 10 == tied), text)
        for n, (user, item, rating, time, text) in enumerate(small_rows(per_user=10))
    ]
    write_rows(tmp_path, "tied", rows)  # of ten 0 to 7 are trained on; 8 is the first held out
    settings = {**plain, "data_path": str(tmp_path)}
    metrics = metrics_of(run_recbole(model, "tied", config_dict=settings))
    assert metrics["protocol"]["ties"]["users"] == float(tied == 8)


def test_cold_items_of_a_model_of_pairs(plain):
    metrics = metrics_of(run_recbole("FM", "small", config_dict={**plain, "cold_items": 0.2}))
    assert metrics["beyond"]["cold_items"]["items"] == 6


# --- training in stages --------------------------------------------------------------------------


def test_stages_follow_epochs_and_go_on_from_each_other(plain, capsys):
    settings = {**plain, "metrics_k": 10, "epochs": 2, "train_batch_size": 9}
    stages, before = ("actor_pretrain", "critic_pretrain", "finetune"), ""
    for stage in stages:
        run = {**settings, "train_stage": stage, "pre_model_path": before, "run_dir": stage}
        metrics = metrics_of(run_recbole("RaCT", "small", config_dict=run))
        said = capsys.readouterr()
        assert metrics["epochs_run"] == 2
        assert "Logging error" not in said.err
        assert ("RaCT is trained in 3 runs" in said.out) == (stage != "finetune")
        before = f"{stage}/checkpoint/best.safetensors"
    run |= {"train_batch_size": 8, "run_dir": "odd"}  # one user is left over
    with pytest.raises(InputError, match=r"batch of a single row.*another --train_batch"):
        run_recbole("RaCT", "small", config_dict={**run, "train_stage": "critic_pretrain"})
    log = Path("finetune/run.log").read_text()
    assert "Load pretrained model from critic_pretrain/checkpoint/best.safetensors" in log


def test_a_model_can_begin_from_trained_ones(plain):
    file = "{}/checkpoint/best.safetensors"
    for name, off in (("mf", "mlp_train"), ("mlp", "mf_train")):
        run_recbole("NeuMF", "small", config_dict={**plain, off: False, "run_dir": name})
    settings = {"mf_pretrain_path": file.format("mf"), "mlp_pretrain_path": file.format("mlp")}
    settings |= {**plain, "use_pretrain": True, "learning_rate": 1e-12, "run_dir": "both"}
    run_recbole("NeuMF", "small", config_dict=settings)
    both, mf = (load_data_and_model(run)[1] for run in ("both", "mf"))
    torch.testing.assert_close(both.user_mf_embedding.weight, mf.user_mf_embedding.weight)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("RecVAE", {"hidden_dimension": 8}), ("LINE", {}), ("LDiffRec", {}),
        ("NCL", {"num_clusters": 3, "m_step": 3, "warm_up_step": 1, "embedding_size": 8}),
    ],
)  # fmt: skip
def test_what_a_model_counts_survives_a_stop(rich, model, settings):
    settings = {**rich, **settings, "train_batch_size": 16, "learning_rate": 0.01}
    whole = run_recbole(model, "small", config_dict={**settings, "epochs": 4})
    run_recbole(model, "small", config_dict={**settings, "epochs": 2, "run_dir": "broken"})
    broken = resume("broken", {"epochs": 4})
    assert dict(broken["test_result"]) == dict(whole["test_result"])
    assert [e["loss"] for e in metrics_of(broken)["history"]] == [
        e["loss"] for e in metrics_of(whole)["history"]
    ]


def test_every_pass_over_the_data_is_told(rich):
    def losses(model, **settings):
        run = run_recbole(model, "small", config_dict={**rich, **settings})
        return [set(epoch["loss"]) for epoch in metrics_of(run)["history"]]

    assert losses("MKR", epochs=2, kge_interval=2) == [{"rs_loss", "kg_loss"}, {"rs_loss"}]
    assert losses("RecVAE") == [{"loss"}]
    warm = losses("NCL", num_clusters=3, warm_up_step=1, epochs=2)
    assert warm == [{"loss1", "loss2"}, {"loss1", "loss2", "loss3"}]


def test_passes_whose_losses_differ_in_scale_are_no_divergence(rich, monkeypatch):
    from recbole.model.knowledge_aware_recommender.mkr import MKR

    loss = MKR.calculate_kg_loss

    def calculate_kg_loss(self, interaction):
        return loss(self, interaction).abs() * 1e5

    monkeypatch.setattr(MKR, "calculate_kg_loss", calculate_kg_loss)
    history = metrics_of(run_recbole("MKR", "small", config_dict=rich))["history"]
    assert history[0]["loss"]["kg_loss"] > 1e3 * history[0]["loss"]["rs_loss"]


def test_the_loss_is_the_mean_over_the_batches_of_all_passes(plain, monkeypatch):
    from recbole.model.general_recommender.recvae import RecVAE

    seen = []
    calculate_loss = RecVAE.calculate_loss

    def watched(self, *args, **kwargs):
        loss = calculate_loss(self, *args, **kwargs)
        seen.append(loss.item())
        return loss

    monkeypatch.setattr(RecVAE, "calculate_loss", watched)
    run = run_recbole("RecVAE", "small", config_dict={**plain, "train_batch_size": 10})
    assert len(seen) == 4 * 3  # three passes of the encoder, one of the decoder; 25 users
    assert metrics_of(run)["history"][0]["loss"]["loss"] == pytest.approx(np.mean(seen))


def test_a_log_of_other_text_is_left_alone(plain, caplog):
    with caplog.at_level(logging.INFO):
        run_recbole("RaCT", "small", config_dict=plain)
        logging.getLogger().info("100 %", extra={})
        logging.getLogger().info("%d of them", 3)
    assert {"100 %", "3 of them"} <= {record.getMessage() for record in caplog.records}


# --- a matrix of items by items ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "free", "told"),
    [
        ("EASE", 32_000, "refused"),  # 30 items take 36 * 30 ** 2 bytes
        ("EASE", 33_000, "warned"),
        ("EASE", 65_000, None),
        ("ADMMSLIM", 33_000, "refused"),
        ("BPR", 1, None),
    ],
)
def test_a_matrix_of_items_that_does_not_fit_is_refused(
    plain, monkeypatch, caplog, model, free, told
):
    monkeypatch.setattr("recbole_symcere.text.free_memory.free_bytes", lambda _: free)
    config = Config(model, "small", config_dict=plain)
    said = f"{model} inverts a dense matrix of 30 by 30 items, which takes about 0.0 GB of memory"
    if told == "refused":
        advice = re.escape(
            "--model=ItemKNN, or --model=SymCEREPlus, whose blend approximates EASE."
        )
        with pytest.raises(InputError, match=f"{said}.*{advice}$"):
            read_dataset(config)
        return
    read_dataset(config)
    warnings = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert [said in message for message in warnings] == [True] * (told == "warned")
