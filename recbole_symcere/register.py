"""Makes RecBole's own look-ups find our models, datasets, trainers and loaders.

`register` changes nothing by itself: it queues every change behind the import of the RecBole module
that it concerns, so ``import recbole_symcere`` loads neither RecBole nor torch. RecBole finds a
model by module name, a dataset and a trainer by attribute name, and a loader through one function;
see `MODELS` for what is offered.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any

from recbole_symcere import compat
from recbole_symcere.hooks import after_import, alias_module, before_import

__all__ = ["MODELS", "register", "registered", "text_use"]

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
    )
}
"""Model name -> the module that holds the class of that name."""

TRAINERS = {
    "CollabContext": ("recbole_symcere.phases", "TwoPhaseTrainer"),
    "SymCEREPlus": ("recbole_symcere.blending", "BlendingTrainer"),
}
"""Model name -> module and name of its trainer, where that isn't `ReviewTrainer`."""

_done: list[str] = []


def text_use(model: str) -> str:
    """How the model of that name uses reviews: "batch", "once" or "none"; "none" if not ours."""
    if model not in MODELS:
        return "none"
    use: str = getattr(import_module(MODELS[model]), model).text_use
    return use


def register() -> None:
    """Queue everything that RecBole needs to run our models on today's stack; once per process."""
    if _done:
        return
    before_import("recbole", compat.numpy_aliases)
    before_import("ray", compat.numpy_aliases)
    before_import("recbole", compat.scipy_dok_update)
    before_import("recbole.quick_start.quick_start", compat.optional_ray)
    for name, source in MODELS.items():
        alias_module(f"recbole.model.general_recommender.{name.lower()}", source, name)
    for name, change in (
        ("recbole.data.dataset.dataset", compat.dataset_shims),
        ("recbole.trainer.trainer", compat.torch_proxy),
        ("recbole.trainer.trainer", _move_tensorboard),
        ("recbole.trainer.hyper_tuning", compat.hyper_tuning_shims),
        ("recbole.quick_start.quick_start", compat.quick_start_shims),
        ("recbole.evaluator.collector", compat.collector_shims),
        ("recbole.evaluator.register", _offer_metrics),
        ("recbole.model.general_recommender.neumf", _change_neumf),
        ("recbole.model.general_recommender.pop", _change_pop),
        ("recbole.config.configurator", _offer_config),
        ("recbole.data.dataset", _offer_datasets),
        ("recbole.data.utils", _offer_loaders),
        ("recbole.trainer", _offer_trainers),
    ):
        after_import(name, change)
        _done.append(f"{name}: {change.__name__.strip('_')}")


def registered() -> list[str]:
    """What `register` changes, a line per RecBole module; for a bug report."""
    return [f"{name}: model from {source}" for name, source in MODELS.items()] + _done


def _offer_config(module: ModuleType) -> None:
    from recbole_symcere.settings import extend_recbole_config

    extend_recbole_config(module.Config)


def _change_neumf(module: ModuleType) -> None:
    from recbole_symcere.stock import change_neumf

    change_neumf(module.NeuMF)


def _change_pop(module: ModuleType) -> None:
    from recbole_symcere.stock import change_pop

    change_pop(module.Pop)


def _offer_metrics(module: ModuleType) -> None:  # noqa: ARG001 # called with what was imported
    """Our metrics add themselves to RecBole's tables."""
    import_module("recbole_symcere.evaluate.metrics")


def _offer_datasets(module: ModuleType) -> None:
    """`create_dataset` looks for an attribute ``<model>Dataset`` of this module, else its own."""
    source = "recbole_symcere.data.dataset", "ReviewDataset"
    _offer_lazily(module, "Dataset", lambda model: None if text_use(model) == "none" else source)


def _offer_trainers(module: ModuleType) -> None:
    """`get_trainer` looks for an attribute ``<model>Trainer`` of this module."""
    usual = "recbole_symcere.trainer", "ReviewTrainer"
    _offer_lazily(module, "Trainer", lambda model: TRAINERS.get(model, usual))


def _offer_lazily(
    module: ModuleType, suffix: str, source_of: Callable[[str], tuple[str, str] | None]
) -> None:
    """Let ``module`` answer for ``<model><suffix>`` (PEP 562) where ``source_of`` names a class.

    Lazily, because what it answers with imports ``module`` itself.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 # the name that Python looks for
        model = name.removesuffix(suffix)
        source = source_of(model) if name.endswith(suffix) and model in MODELS else None
        if source is not None:
            return getattr(import_module(source[0]), source[1])
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = __getattr__  # type: ignore[method-assign]


def _move_tensorboard(module: ModuleType) -> None:
    """RecBole writes to ./log_tensorboard; a run of ours writes to its own folder."""
    get_tensorboard = module.get_tensorboard

    @wraps(get_tensorboard)
    def in_run_folder(logger: Any) -> Any:
        folders = [h.run_dir for h in logger.handlers if hasattr(h, "run_dir")]
        if folders:
            from torch.utils.tensorboard import SummaryWriter

            return SummaryWriter(folders[-1] / "tensorboard")
        return get_tensorboard(logger)

    module.get_tensorboard = in_run_folder  # type: ignore[attr-defined]


def _offer_loaders(module: ModuleType) -> None:
    """`get_dataloader` has a closed table, so it is wrapped; other models don't notice."""
    get_dataloader = module.get_dataloader

    @wraps(get_dataloader)
    def with_reviews(config: Any, phase: str) -> Any:
        if phase == "train" and text_use(config["model"]) == "batch":
            from recbole_symcere.data.dataloader import ReviewTrainDataLoader

            return ReviewTrainDataLoader
        return get_dataloader(config, phase)

    module.get_dataloader = with_reviews  # type: ignore[attr-defined]
