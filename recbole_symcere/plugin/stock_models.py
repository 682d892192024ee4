"""RecBole's own models under our protocol: what each kind of them is told, and what it needs.

Nothing here imports RecBole, so that ``--help`` stays quick.
"""

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from recbole_symcere.base.errors import InputError

__all__ = [
    "is_recboles",
    "model_kinds",
    "recboles_file",
    "refuse_unable",
    "refuse_unranked",
    "settings_of_kind",
]

_CLASSIFIERS = ("LightGBM", "XGBoost")
_PAIRS_AT_ONCE = 16384
"""Scores that a model is asked for at once where each is a pass of a pair through its network."""

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
    "RaCT": ("train_stage", ("critic_pretrain", "finetune"), ("pre_model_path",)),
    "S3Rec": ("train_stage", ("finetune",), ("pre_model_path",)),
    "ConvNCF": ("train_method", ("after_pretrain",), ("pre_model_path",)),
    "KD_DAGFM": ("phase", ("distillation", "finetuning"), ("warm_up",)),
    "NeuMF": ("use_pretrain", (True,), ("mf_pretrain_path", "mlp_pretrain_path")),
}
"""Model -> the setting by which it goes on from trained models, its values, where those are named."""
_STAGE_EPOCHS = ("pretrain_epochs", "save_step")


def is_recboles(model_class: type) -> bool:
    """Whether a model is one of RecBole's own."""
    return model_class.__module__.startswith("recbole.")


@cache
def model_kinds() -> dict[str, str]:
    """Name of each of RecBole's models -> its folder there, such as "general_recommender".

    RecBole's rule is that a module is called as its class is, in lower case.
    """
    kinds = {}
    for path in sorted(recboles_file("").parent.glob("model/*_recommender/*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem:
                kinds[node.name] = path.parent.name
    return kinds


def recboles_file(name: str) -> Path:
    """A file of RecBole's folder ``properties``."""
    spec = importlib.util.find_spec("recbole")
    root = Path(spec.origin).parent if spec and spec.origin else Path("recbole")
    return root / "properties" / name


# --- what a kind of model is told ------------------------------------------------------------------


def settings_of_kind(model_class: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for a model of RecBole's beside the common protocol, before it is told otherwise.

    Args:
        model_class: the model.
        given: all settings so far, the user's among them.
    """
    settings: dict[str, Any] = {}
    kind = model_class.type.name
    if kind == "SEQUENTIAL":
        # it ranks the next item, known ones too; RecBole has it no other way
        settings["repeatable"] = True
    if kind in {"CONTEXT", "SEQUENTIAL"}:
        drawn = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0}
        settings["train_neg_sample_args"] = {**drawn, "dynamic": False, "candidate_num": 0}
    if kind == "SEQUENTIAL" and given.get("loss_type") == "CE":
        pairwise = getattr(model_class, "input_type", None)
        if pairwise is None or pairwise.name != "PAIRWISE":
            settings["train_neg_sample_args"] = None  # the loss is over all items
    if kind == "KNOWLEDGE":
        settings["load_col"] = {
            "inter": ["user_id", "item_id", "rating", "timestamp"],
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        }
    if "full_sort_predict" not in _methods(model_class):
        settings["eval_batch_size"] = _PAIRS_AT_ONCE
    return settings


def _methods(model_class: Any) -> set[str]:
    """What a model defines itself, above RecBole's abstract classes."""
    own = [kind for kind in model_class.__mro__ if "abstract_recommender" not in kind.__module__]
    return {name for kind in own for name in vars(kind)}


# --- what a model needs ----------------------------------------------------------------------------


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
    """Stop if one of RecBole's models lacks a package, a file or a setting that it can't do without.

    Raises:
        InputError: naming it, and what to install or to give.
    """
    for refuse in (
        _refuse_missing_files,
        _refuse_missing_package,
        _refuse_missing_features,
        _refuse_missing_start,
        _refuse_item_vectors,
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


def _refuse_item_vectors(config: Any, model: str) -> None:
    """LDiffRec puts items into categories by vectors, whose file RecBole lets run code."""
    if model != "LDiffRec" or config["n_cate"] == 1:
        return
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


def _refuse_code(config: Any, model: str) -> None:
    """RecBole runs this one setting as Python code."""
    if model == "KD_DAGFM" and config["teacher"] not in {"CrossNet", "CIN"}:
        raise InputError(
            f"teacher is {config['teacher']!r}, but it must be one of CrossNet, CIN."
        )
