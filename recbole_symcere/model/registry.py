"""Which models there are, who trains them, and what each reads of the reviews.

Names alone: neither torch nor RecBole is loaded before a model or a trainer is asked for. A model
of the user's own that subclasses one of ours is known from when a configuration has named it.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "MODELS",
    "TRAINERS",
    "adopt",
    "adopted",
    "class_of",
    "is_ours",
    "lineage",
    "text_use",
    "trainer_of",
]

MODELS = {
    name: f"recbole_symcere.model.{name.lower()}"
    for name in (
        "SymCERE",
        "SymCEREPlus",
        "CollabContext",
        "AlphaRec",
        "RLMRecCon",
        "SMORET",
        "DGCLR",
        "DirectAU",
        "SimGCL",
        "XSimGCL",
        "WordKNN",
        "SequentialRules",
        "Stack",
    )
}
"""Model name -> the module that holds the class of that name."""

TRAINERS = {
    "CollabContext": "recbole_symcere.run.two_phase_trainer.TwoPhaseTrainer",
    "SymCEREPlus": "recbole_symcere.run.blend_trainer.BlendTrainer",
    "Stack": "recbole_symcere.run.blend_trainer.BlendTrainer",
}
"""Model name -> its trainer, where that isn't the usual one; subclasses inherit it."""

_USUAL_TRAINER = "recbole_symcere.run.trainer.ReviewTrainer"

_adopted: dict[str, type] = {}


def adopt(model_class: type) -> bool:
    """Remember a class that subclasses one of our models, so that it is found by its name.

    A run of it that another process has made can be resumed and loaded after that.

    Returns:
        Whether it is such a class, or one of ours.
    """
    family = lineage(model_class)
    if family and family[-1] != model_class.__name__:
        _adopted[model_class.__name__] = model_class
    return bool(family)


def lineage(model_class: type) -> list[str]:
    """The names of our models that a class is made of, itself included, the most basic first."""
    return [
        kind.__name__
        for kind in reversed(model_class.__mro__)
        if MODELS.get(kind.__name__) == kind.__module__
    ]


def adopted(model: str) -> type | None:
    """The class of that name that `adopt` was given, if any."""
    return _adopted.get(model)


def is_ours(model: str) -> bool:
    """Whether the model of that name is one of ours or a subclass of one."""
    return model in MODELS or model in _adopted


def text_use(model: str) -> str:
    """How the model of that name uses reviews: "batch", "once" or "none"; "none" if not ours."""
    if not is_ours(model):
        return "none"
    use: str = class_of(model).text_use
    return use


def trainer_of(model: str) -> Any:
    """The class of the trainer of one of our models."""
    wanted = [TRAINERS[name] for name in lineage(class_of(model)) if name in TRAINERS]
    module, name = (wanted[-1] if wanted else _USUAL_TRAINER).rsplit(".", 1)
    return getattr(import_module(module), name)


def class_of(model: str) -> Any:
    """The class of the model of that name, one of ours or a subclass of one."""
    return _adopted.get(model) or getattr(import_module(MODELS[model]), model)
