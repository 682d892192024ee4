"""Makes RecBole's own look-ups find our models, datasets, trainers and loaders.

`register` changes nothing by itself: it queues every change behind the import of the RecBole module
that it concerns, so ``import recbole_symcere`` loads neither RecBole nor torch. RecBole finds a
model by module name, a dataset and a trainer by attribute name, and a loader through one function;
see `recbole_symcere.model.registry` for what is offered.
"""

from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from types import ModuleType
from typing import Any

from recbole_symcere.base import processes
from recbole_symcere.model.registry import MODELS, class_of, is_ours, text_use, trainer_of
from recbole_symcere.plugin import (
    compat,
    compat_arrays,
    compat_ray,
    compat_tables,
    recbole_package,
)
from recbole_symcere.plugin.config_patches import extend_recbole_config
from recbole_symcere.plugin.dataset_patches import change_dataset
from recbole_symcere.plugin.import_hooks import (
    after_import,
    before_import,
    explain_absence,
    offer_model,
)
from recbole_symcere.plugin.large_data import change_full_loader, change_samplers, change_split
from recbole_symcere.plugin.metric_patches import change_metrics
from recbole_symcere.plugin.process_patches import (
    build_in_turn,
    change_loaders,
    change_processes,
    share_folders,
    silent_curves,
)
from recbole_symcere.plugin.trainer_patches import (
    change_eval_loader,
    change_knowledge_loader,
    change_trainers,
)

__all__ = ["register", "registered"]

_done: list[str] = []
_READ_CHECKPOINTS = (
    "recbole.trainer.trainer",
    *(f"recbole.model.general_recommender.{name}" for name in ("convncf", "nais", "neumf", "ract")),
    "recbole.model.context_aware_recommender.kd_dagfm",
    "recbole.model.sequential_recommender.s3rec",
)
"""Where RecBole stores or loads a model; the models go on from a trained one."""


def register(load_data_and_model: Callable[[str], Any]) -> None:
    """Queue everything that RecBole needs to run our models on today's stack; once per process.

    Args:
        load_data_and_model: what shall stand in the place of RecBole's function of that name.
    """
    if _done:
        return

    def quick_start_shims(module: ModuleType) -> None:
        compat_ray.quick_start_shims(module, load_data_and_model)

    explain_absence("recbole", recbole_package.check_recbole)
    before_import("recbole", recbole_package.check_recbole)
    before_import("recbole", compat_arrays.numpy_aliases)
    before_import("ray", compat_arrays.numpy_aliases)
    before_import("recbole", compat_arrays.scipy_dok_update)
    before_import("recbole.quick_start.quick_start", compat_ray.optional_ray)
    remember_anomaly_mode, restore_anomaly_mode = compat.anomaly_mode_shims()
    before_import("recbole.model.sequential_recommender.sine", remember_anomaly_mode)
    for name in MODELS:
        offer_model(name, partial(class_of, name))
    for name, change in (
        ("recbole.utils.utils", share_folders),
        ("recbole.data.dataset.dataset", compat_tables.dataset_shims),
        ("recbole.data.dataset.dataset", change_dataset),
        ("recbole.data.dataset.dataset", _check_data),
        ("recbole.data.dataset.dataset", change_split),
        *((name, compat.torch_proxy) for name in _READ_CHECKPOINTS),
        ("recbole.trainer.trainer", _move_tensorboard),
        ("recbole.trainer.hyper_tuning", compat.hyper_tuning_shims),
        ("recbole.quick_start.quick_start", quick_start_shims),
        ("recbole.quick_start.quick_start", build_in_turn),
        ("recbole.evaluator.collector", compat.collector_shims),
        ("recbole.evaluator.metrics", change_metrics),
        ("recbole.evaluator.register", _offer_metrics),
        ("recbole.model.abstract_recommender", _change_parameters),
        ("recbole.model.general_recommender", _change_models),
        ("recbole.model.knowledge_aware_recommender", _change_models),
        ("recbole.model.sequential_recommender.sine", restore_anomaly_mode),
        ("recbole.trainer.trainer", change_trainers),
        ("recbole.trainer.trainer", change_processes),
        ("recbole.data.dataloader.abstract_dataloader", change_loaders),
        ("recbole.data.dataloader.general_dataloader", change_eval_loader),
        ("recbole.data.dataloader.general_dataloader", change_full_loader),
        ("recbole.data.dataloader.knowledge_dataloader", change_knowledge_loader),
        ("recbole.config.configurator", _offer_config),
        ("recbole.data.dataset", _offer_datasets),
        ("recbole.data.utils", _offer_loaders),
        ("recbole.data.utils", change_samplers),
        ("recbole.trainer", _offer_trainers),
    ):
        after_import(name, change)
        _done.append(f"{name}: {change.__name__.strip('_')}")


def registered() -> list[str]:
    """What `register` changes, a line per RecBole module; for a bug report."""
    return [f"{name}: model from {source}" for name, source in MODELS.items()] + _done


def _offer_config(module: ModuleType) -> None:
    def check(config: Any) -> None:
        from recbole_symcere.plugin.refusals import check_settings, refuse_unheeded

        (check_settings if is_ours(config.model) else refuse_unheeded)(config)

    extend_recbole_config(module.Config, check)


def _check_data(module: ModuleType) -> None:
    from recbole_symcere.plugin.data_check import check_before_loading

    check_before_loading(module.Dataset)


def _change_parameters(module: ModuleType) -> None:
    from recbole_symcere.plugin.model_patches import leave_out_modules

    leave_out_modules(module.AbstractRecommender)


def _change_models(package: ModuleType) -> None:
    from recbole_symcere.plugin.model_patches import change_models

    change_models(package)


def _offer_metrics(module: ModuleType) -> None:  # noqa: ARG001 # called with what was imported
    """Our metrics add themselves to RecBole's tables."""
    import_module("recbole_symcere.evaluate.metrics")


def _offer_datasets(module: ModuleType) -> None:
    """`create_dataset` looks for an attribute ``<model>Dataset`` of this module, else its own."""

    def dataset_of(model: str) -> Any:
        if text_use(model) == "none":
            return None
        from recbole_symcere.data.dataset import ReviewDataset

        return ReviewDataset

    _offer_lazily(module, "Dataset", dataset_of)


def _offer_trainers(module: ModuleType) -> None:
    """`get_trainer` looks for an attribute ``<model>Trainer`` of this module."""
    _offer_lazily(module, "Trainer", trainer_of)


def _offer_lazily(module: ModuleType, suffix: str, class_of: Callable[[str], Any]) -> None:
    """Let ``module`` answer for ``<model><suffix>`` (PEP 562) where ``class_of`` has a class.

    Lazily, because what it answers with imports ``module`` itself.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 # the name that Python looks for
        model = name.removesuffix(suffix)
        found = class_of(model) if name.endswith(suffix) and is_ours(model) else None
        if found is not None:
            return found
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = __getattr__  # type: ignore[method-assign]


def _move_tensorboard(module: ModuleType) -> None:
    """RecBole writes to ./log_tensorboard; a run of ours writes to its own folder."""
    get_tensorboard = module.get_tensorboard

    @wraps(get_tensorboard)
    def in_run_folder(logger: Any) -> Any:
        if not processes.is_first():
            return silent_curves()
        folders = [h.run_dir for h in logger.handlers if hasattr(h, "run_dir")]
        if folders:
            from recbole_symcere.plugin.curves import Curves

            return Curves(folders[-1] / "tensorboard")
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
