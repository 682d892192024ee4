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
    "is_sequential",
    "model_kinds",
    "notes_on",
    "reads_users",
    "recboles_file",
    "refuse_columns",
    "refuse_unable",
    "refuse_unranked",
    "settings_of_kind",
]

_CLASSIFIERS = ("LightGBM", "XGBoost")
_DRAWN = {
    **{"distribution": "uniform", "sample_num": 1, "alpha": 1.0},
    **{"dynamic": False, "candidate_num": 0},
}
_READ_USERS = frozenset(
    {
        *("CDAE", "DiffRec", "ENMF", "LDiffRec", "MacridVAE", "MultiDAE", "MultiVAE", "RaCT"),
        "RecVAE",
    }
)
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
_STAGES = {
    "RaCT": ("train_stage", "pre_model_path", ("actor_pretrain", "critic_pretrain", "finetune")),
    "S3Rec": ("train_stage", "pre_model_path", ("pretrain", "finetune")),
    "KD_DAGFM": ("phase", "warm_up", ("teacher_training", "distillation", "finetuning")),
}
"""Model -> its setting of the stage, that of the model the stage goes on from, all stages."""
_GOES_ON = {
    **{name: (stage, stages[1:], (path,)) for name, (stage, path, stages) in _STAGES.items()},
    "ConvNCF": ("train_method", ("after_pretrain",), ("pre_model_path",)),
    "NeuMF": ("use_pretrain", (True,), ("mf_pretrain_path", "mlp_pretrain_path")),
}
"""Model -> a setting, its values that want trained models, and who names those."""
_STAGE_EPOCHS = ("pretrain_epochs", "save_step")


def is_recboles(model_class: type) -> bool:
    """Whether a model is one of RecBole's own."""
    return model_class.__module__.startswith("recbole.")


def is_sequential(config: Any) -> bool:
    """Whether a Config's model ranks the next item, from the items before, known ones too."""
    return bool(config["MODEL_TYPE"].name == "SEQUENTIAL")


def reads_users(model: str) -> bool:
    """Whether a model is fed whole users, so that there are no pairs and no negatives to draw."""
    return model in _READ_USERS


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


# --- what a kind of model is told ----------------------------------------------------------------


def settings_of_kind(
    model_class: Any, defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """What holds for a model of RecBole's beside the common protocol, unless it is told otherwise.

    Args:
        model_class: the model.
        defaults: what would hold without this.
        given: what the user has set.

    Raises:
        InputError: for something given that the kind can't have.
    """
    settings: dict[str, Any] = {}
    kind = model_class.type.name
    if kind == "CONTEXT":
        settings["train_neg_sample_args"] = dict(_DRAWN)  # RecBole would want labels
    if kind == "SEQUENTIAL":
        settings = _settings_of_sequential(model_class, {**defaults, **given}, given)
    if kind == "KNOWLEDGE":
        columns = {"kg": ["head_id", "relation_id", "tail_id"], "link": ["item_id", "entity_id"]}
        settings["load_col"] = {**defaults["load_col"], **columns}
    if "full_sort_predict" not in _methods(model_class):
        settings["eval_batch_size"] = _PAIRS_AT_ONCE
    return settings


def _settings_of_sequential(
    model_class: Any, settings: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Items that a user has had are ranked too; a loss over all items takes no negatives."""
    name = model_class.__name__
    if not given.get("repeatable", True):
        raise InputError(
            f"repeatable is False, but {name} is sequential, and RecBole ranks known items too for "
            "such models. Leave it out, or give --repeatable=True."
        )
    pairwise = getattr(getattr(model_class, "input_type", None), "name", "") == "PAIRWISE"
    drawn = pairwise or settings.get("loss_type") != "CE"
    if given.get("train_neg_sample_args") and not drawn:
        raise InputError(
            f"train_neg_sample_args is {given['train_neg_sample_args']}, but {name} with "
            "loss_type=CE compares with all items, so it would have no effect. Leave it out, or "
            "give --loss_type=BPR."
        )
    return {"repeatable": True, "train_neg_sample_args": dict(_DRAWN) if drawn else None}


def _methods(model_class: Any) -> set[str]:
    """What a model defines itself, above RecBole's abstract classes."""
    own = [kind for kind in model_class.__mro__ if "abstract_recommender" not in kind.__module__]
    return {name for kind in own for name in vars(kind)}


def notes_on(config: Any) -> list[str]:
    """What a person should know of a run of one of RecBole's models."""
    model, notes = config["model"], []
    if is_sequential(config):
        notes.append(
            f"{model} ranks the next item for each held-out interaction, known items too, so its "
            "metrics can't be compared with those of models that aren't sequential."
        )
    setting, path, stages = _STAGES.get(model, ("", "", ()))
    if config[setting] in stages[:-1]:
        after = stages[stages.index(config[setting]) + 1]
        notes.append(
            f"{model} is trained in {len(stages)} runs; this is {config[setting]}, and the next is "
            f"--{setting}={after} --{path}=RUN_DIR/checkpoint/best.safetensors."
        )
    return notes


# --- what a model needs --------------------------------------------------------------------------


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


def _refuse_code(config: Any, model: str) -> None:
    """RecBole runs this one setting as Python code."""
    if model == "KD_DAGFM" and config["teacher"] not in {"CrossNet", "CIN"}:
        raise InputError(f"teacher is {config['teacher']!r}, but it must be one of CrossNet, CIN.")
