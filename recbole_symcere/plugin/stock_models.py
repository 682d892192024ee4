"""RecBole's own models under our protocol: which there are, and what each kind of them is told.

Nothing here imports RecBole, so that ``--help`` stays quick.
"""

import ast
import importlib.util
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError

__all__ = [
    "STAGES",
    "draws_nothing",
    "is_recboles",
    "is_sequential",
    "model_kinds",
    "notes_on",
    "recboles_file",
    "settings_of_kind",
]

_DRAWN = {
    **{"distribution": "uniform", "sample_num": 1, "alpha": 1.0},
    **{"dynamic": False, "candidate_num": 0},
}
_DRAW_NOTHING = frozenset(
    {
        *("CDAE", "DiffRec", "ENMF", "LDiffRec", "MacridVAE", "MultiDAE", "MultiVAE", "RaCT"),
        *("NCEPLRec", "RecVAE"),
    }
)
_PAIRS_AT_ONCE = 1024
"""Scores at once where each is a pass of a pair through a network; more are slower on a CPU."""

STAGES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "RaCT": ("train_stage", "pre_model_path", ("actor_pretrain", "critic_pretrain", "finetune")),
    "S3Rec": ("train_stage", "pre_model_path", ("pretrain", "finetune")),
    "KD_DAGFM": ("phase", "warm_up", ("teacher_training", "distillation", "finetuning")),
}
"""Model -> its setting of the stage, that of the model the stage goes on from, all stages."""


def is_recboles(model_class: type) -> bool:
    """Whether a model is one of RecBole's own."""
    return model_class.__module__.startswith("recbole.")


def is_sequential(config: Any) -> bool:
    """Whether a Config's model ranks the next item, from the items before, known ones too."""
    return bool(config["MODEL_TYPE"].name == "SEQUENTIAL")


def draws_nothing(model: str) -> bool:
    """Whether a model reads users whole, or the matrix, so that it has no negatives to draw."""
    return model in _DRAW_NOTHING


def model_kinds() -> dict[str, str]:
    """Name of each of RecBole's models -> its folder there, such as "general_recommender".

    RecBole's rule is that a module is called as its class is, in lower case.
    """
    return _kinds_in(recboles_file("").parent)


@cache
def _kinds_in(folder: Path) -> dict[str, str]:
    kinds = {}
    for path in sorted(folder.glob("model/*_recommender/*.py")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # Python 3.12 has some for RecBole
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
    setting, path, stages = STAGES.get(model, ("", "", ()))
    if config[setting] in stages[:-1]:
        after = stages[stages.index(config[setting]) + 1]
        notes.append(
            f"{model} is trained in {len(stages)} runs; this is {config[setting]}, and the next is "
            f"--{setting}={after} --{path}=RUN_DIR/checkpoint/best.safetensors."
        )
    return notes
