"""What RecBole's own models need, told before any data are read; imports nothing of RecBole."""

import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin.stock_models import STAGES, draws_nothing, is_sequential

__all__ = ["refuse_columns", "refuse_large_matrix", "refuse_unable", "refuse_unranked"]

_log = logging.getLogger(__name__)


_CLASSIFIERS = ("LightGBM", "XGBoost")
# Packages that a model imports while it is built or trained: module, what pip calls it, and the
# setting that asks for it.
_PACKAGES: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    **dict.fromkeys(("KGIN", "MCCLK"), ("torch_scatter", "torch-scatter", {})),
    "NNCF": ("community", "python-louvain", {"neigh_info_method": "louvain"}),
}
_ITEM_FEATURES = {
    **dict.fromkeys(("FDSA", "GRU4RecF", "SASRecF"), "selected_features"),
    "S3Rec": "item_attribute",
}
"""Model -> the setting that names the columns of ``<name>.item`` that it reads."""
_ENTITY_FILES = {"GRU4RecKG": ("kg", "link", "ent"), "KSR": ("kg", "link", "ent", "rel")}
_GOES_ON = {
    **{name: (stage, stages[1:], (path,)) for name, (stage, path, stages) in STAGES.items()},
    "ConvNCF": ("train_method", ("after_pretrain",), ("pre_model_path",)),
    "NeuMF": ("use_pretrain", (True,), ("mf_pretrain_path", "mlp_pretrain_path")),
}
"""Model -> a setting, its values that want trained models, and who names those."""
_STAGE_EPOCHS = ("pretrain_epochs", "save_step")
_BYTES_OF_A_PAIR = {"EASE": 36, "ADMMSLIM": 45}
"""Model that inverts a matrix of items by items -> the memory that this takes at its peak."""
_MUCH = 0.5  # of the free memory


def refuse_unranked(model: str) -> None:
    """Stop at a model that ranks nothing.

    Raises:
        InputError: with what to take instead.
    """
    if model in _CLASSIFIERS:
        raise InputError(
            f"{model} labels given pairs and ranks no items, so it can't be chosen or tested by a "
            "ranking. Take a model that does and reads the same columns: --model=FM or "
            "--model=DeepFM."
        )


def refuse_unable(config: Any) -> None:
    """Stop if a model of RecBole's lacks a package, a file or a setting that it can't do without.

    Raises:
        InputError: naming it, and what to install or to give.
    """
    for refuse in (
        _refuse_missing_files,
        _refuse_missing_package,
        _refuse_missing_features,
        _refuse_missing_start,
        _refuse_no_negatives,
        _refuse_item_vectors,
        _refuse_cold,
        _refuse_code,
    ):
        refuse(config, config["model"])


def _refuse_missing_package(config: Any, model: str) -> None:
    module, package, when = _PACKAGES.get(model, ("", "", {}))
    asked = all(config[key] == value for key, value in when.items())
    if module and asked and importlib.util.find_spec(module) is None:
        said = "".join(f" with {key}={value}" for key, value in when.items())
        raise InputError(f"{model}{said} needs the package {package}: pip install {package}.")


def _refuse_missing_files(config: Any, model: str) -> None:
    kinds = ("kg", "link") if config["MODEL_TYPE"].name == "KNOWLEDGE" else ()
    names = [f"{config['dataset']}.{end}" for end in _ENTITY_FILES.get(model, kinds)]
    missing = [name for name in names if not Path(config["data_path"], name).is_file()]
    if missing:
        raise InputError(
            f"{model} reads a knowledge graph, but {config['data_path']} has no "
            f"{' and no '.join(missing)}. Put RecBole's files of these names there, or take a "
            "model without one, such as --model=LightGCN."
        )


def _refuse_missing_features(config: Any, model: str) -> None:
    setting = _ITEM_FEATURES.get(model)
    if setting is None:
        return
    wanted = config[setting]
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    loaded = (config["load_col"] or {}).get("item") or ()
    file = Path(config["data_path"], f"{config['dataset']}.item")
    if file.is_file() and (loaded == "*" or set(wanted) <= set(loaded)):
        return
    columns = ", ".join(wanted)
    raise InputError(
        f"{model} reads the columns {columns} of {file.name} ({setting}), "
        + ("which load_col leaves out" if file.is_file() else f"but there is no {file}")
        + f". Give --{setting} columns that {file.name} has, and load them: "
        f"--load_col={{item: [item_id, {columns}]}}; or take a model without features, such as "
        "--model=SASRec."
    )


def _refuse_missing_start(config: Any, model: str) -> None:
    setting, values, paths = _GOES_ON.get(model, ("", (), ()))
    if setting and config[setting] in values:
        for path in paths:
            if not config[path]:
                raise InputError(
                    f"{model} with {setting}={config[setting]} goes on from a trained model. Name "
                    f"that of an earlier run: --{path}=RUN_DIR/checkpoint/best.safetensors."
                )
    for key in _STAGE_EPOCHS if model in {"RaCT", "S3Rec"} else ():
        if config[key] != config.internal_config_dict[key]:
            raise InputError(
                f"{key} has no effect here: every stage of {model} is trained as a model of its "
                "own, for --epochs epochs, and its best epoch is kept."
            )


def _refuse_no_negatives(config: Any, model: str) -> None:
    """Models of single pairs learn from labels, which come from drawing negatives or a column."""
    drawn = (config["train_neg_sample_args"] or {}).get("distribution", "none") != "none"
    if drawn or draws_nothing(model):
        return
    kind, columns = config["MODEL_TYPE"].name, (config["load_col"] or {}).get("inter") or ()
    labelled = bool(config["threshold"]) or config["LABEL_FIELD"] in columns
    learns = kind in {"GENERAL", "CONTEXT"} or (is_sequential(config) and not config["loss_type"])
    pairs = config["MODEL_INPUT_TYPE"].name == "POINTWISE" and learns
    if kind == "KNOWLEDGE" or (pairs and not labelled):
        raise InputError(
            f"{model} learns from pairs that are and pairs that aren't, so train_neg_sample_args "
            "can't be none. Leave it out."
        )


def _refuse_item_vectors(config: Any, model: str) -> None:
    """LDiffRec puts items into categories by vectors, whose file RecBole lets run code."""
    if model != "LDiffRec" or config["n_cate"] == 1:
        return
    import numpy as np  # not for --help

    file = Path(config["data_path"], "item_emb.npy")
    try:
        np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"LDiffRec with n_cate={config['n_cate']} reads item vectors from {file}, which can't "
            f"be read ({error}). Put an array [items, width] of numbers there, or leave n_cate out."
        ) from None
    if importlib.util.find_spec("kmeans_pytorch") is None:
        raise InputError(
            f"LDiffRec with n_cate={config['n_cate']} needs the package kmeans-pytorch: "
            "pip install kmeans-pytorch."
        )


def _refuse_cold(config: Any, model: str) -> None:
    for key in ("cold_items", "cold_users") if is_sequential(config) else ():
        if config[key]:
            raise InputError(
                f"{key} is {config[key]}, but {model} ranks the next item of a sequence, from "
                "which nothing is held out that way. Leave it out."
            )


def refuse_columns(config: Any, dataset: Any) -> None:
    """Stop if a context-aware model reads a column of interactions that a ranking can't know.

    Raises:
        InputError: naming the columns.
    """
    whole = "full" in config["eval_args"]["mode"].values()
    if config["MODEL_TYPE"].name != "CONTEXT" or not whole:
        return
    known = (dataset.uid_field, dataset.iid_field, config["LABEL_FIELD"])
    columns = [
        name
        for name in dataset.inter_feat
        if name not in known
        and ("TOKEN" in dataset.field2type[name].name or name in config["numerical_features"])
    ]
    if columns:
        raise InputError(
            f"{config['model']} reads {', '.join(columns)} of {dataset.dataset_name}.inter, but "
            "pairs of users and items that are only ranked have no such value. Leave them out of "
            "load_col and numerical_features, or rank the held-out rows among sampled ones: "
            "--eval_args={mode: uni100}."
        )


def refuse_large_matrix(config: Any, dataset: Any) -> None:
    """Stop if a model would invert a matrix that doesn't fit in memory; warn if it barely does.

    Raises:
        InputError: with the estimate, and what to take instead.
    """
    model, n = config["model"], dataset.item_num - 1
    needed = _BYTES_OF_A_PAIR.get(model, 0) * n**2
    if not needed:
        return
    import torch

    from recbole_symcere.text.free_memory import free_bytes

    free = free_bytes(torch.device("cpu"))
    said = (
        f"{model} inverts a dense matrix of {n:,} by {n:,} items, which takes about "
        f"{needed / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free."
    )
    if needed > free:
        raise InputError(
            f"{said} Take fewer items (convert --k_core=N), or a model that needs no such matrix: "
            "--model=ItemKNN, or --model=SymCEREPlus, whose blend approximates EASE."
        )
    if needed > _MUCH * free:
        _log.warning(said)


def _refuse_code(config: Any, model: str) -> None:
    """RecBole runs this one setting as Python code."""
    if model == "KD_DAGFM" and config["teacher"] not in {"CrossNet", "CIN"}:
        raise InputError(f"teacher is {config['teacher']!r}, but it must be one of CrossNet, CIN.")
