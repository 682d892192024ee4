"""From a Config to data, model and trainer: every run, audit and search goes through here.

The random state is set as RecBole sets it, before the data set and again before the model, so a run
of ours gives the numbers of a stock run.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole.data import create_dataset, data_preparation
from recbole.utils import ModelType, get_trainer, init_seed

from recbole_symcere.base import processes
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import read_options
from recbole_symcere.data.cold import mask_removed, with_cold_start
from recbole_symcere.data.dataset import ReviewDataset, ReviewKnowledgeDataset
from recbole_symcere.data.everything import with_everything
from recbole_symcere.model.base import VectorRecommender
from recbole_symcere.model.blend import Blend
from recbole_symcere.model.blend_of import blend_of
from recbole_symcere.model.blend_options import BlendOptions, kind_of
from recbole_symcere.model.blended_stock import with_blend
from recbole_symcere.model.catalogue_words import item_words
from recbole_symcere.plugin.stock_needs import refuse_columns, refuse_large_matrix
from recbole_symcere.run.blend_trainer import blending
from recbole_symcere.run.recbole_errors import in_one_line
from recbole_symcere.run.trainer import resumable

__all__ = ["build_model", "build_trainer", "read_dataset", "split_data", "split_dataset"]

_WITH_REVIEWS = {
    ModelType.GENERAL: ReviewDataset,
    ModelType.TRADITIONAL: ReviewDataset,
    ModelType.KNOWLEDGE: ReviewKnowledgeDataset,
}


def read_dataset(config: Any) -> Any:
    """The data set that the Config names, read and filtered.

    Raises:
        InputError: for anything in the files or the settings that RecBole can't read.
    """
    init_seed(config["seed"], config["reproducibility"])
    _refuse_pickles(config)
    with _as_input_error(config):
        dataset = (_class_with_reviews(config) or create_dataset)(config)
    refuse_columns(config, dataset)
    refuse_large_matrix(config, dataset)
    if max(config["topk"]) >= dataset.item_num:
        raise InputError(
            f"topk is {config['topk']}, but {config['dataset']} has only {dataset.item_num - 1} "
            "items. Give a topk of at most that."
        )
    control = config["text_control"] or "none"
    if control != "none" and not isinstance(dataset, ReviewDataset):
        raise InputError(
            f"text_control is {control!r}, but {config['model']} reads no text, so there is "
            "nothing to control. Leave it out."
        )
    if config["refit_of"] is not None:
        return with_everything(dataset)
    return with_cold_start(dataset, config["cold_items"] or 0, config["cold_users"] or 0)


def split_dataset(config: Any, dataset: Any) -> list[Any]:
    """The training, validation and test split, as data sets.

    Raises:
        InputError: for a split that RecBole can't make of these data.
    """
    with _as_input_error(config):
        parts: list[Any] = dataset.build()
    return parts


def split_data(config: Any, dataset: Any) -> tuple[Any, Any, Any]:
    """The training, validation and test loaders.

    Raises:
        InputError: for a split or a sampling that RecBole can't make of these data.
    """
    with _as_input_error(config):
        loaders: tuple[Any, Any, Any] = data_preparation(config, dataset)
    cold = getattr(loaders[0].dataset, "cold", None)
    if cold is not None:
        for loader in loaders[1:]:
            mask_removed(loader, cold)
    return loaders


def build_model(config: Any, train_data: Any) -> Any:
    """The model on its device, with the weights that the seed gives."""
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    with in_one_line(config, "built"), processes.first_alone():
        model = config.model_class(config, train_data.dataset)
        return _with_blend(config, model, train_data.dataset).to(config["device"])


def build_trainer(config: Any, model: Any) -> Any:
    """The model's trainer, with checkpoints that survive a kill."""
    trainer = resumable(get_trainer(config["MODEL_TYPE"], config["model"]))
    if isinstance(getattr(model, "blend", None), Blend):
        trainer = blending(trainer)
    with _as_input_error(config):
        return trainer(config, model)


def _class_with_reviews(config: Any) -> Any:
    """The class of data set whose reviews the blend reads; None where the model's own does."""
    names = read_options(BlendOptions, config).experts
    there = any(Path(config["data_path"]).glob("*.reviews.parquet"))
    if there and any(kind_of(name).what == "words" for name in names):
        return _WITH_REVIEWS.get(config["MODEL_TYPE"])
    return None


def _with_blend(config: Any, model: Any, dataset: Any) -> Any:
    """The model, with the blend that the configuration asks for if it has none by itself."""
    ours = isinstance(model, VectorRecommender)
    if (ours and model.blends) or not read_options(BlendOptions, config).experts:
        return model
    blend = blend_of(config, dataset, lambda: item_words(dataset))
    if blend is None:
        return model
    if not ours:
        return with_blend(model, blend)
    model.blend = blend
    return model


def _refuse_pickles(config: Any) -> None:
    folder, name = Path(config["checkpoint_dir"]), config["dataset"]
    for pattern in (f"{name}-*Dataset.pth", f"{name}-for-*-dataloader.pth"):
        for path in folder.glob(pattern):
            raise InputError(
                f"{path} stands where RecBole would unpickle it, which can run any code. Remove it."
            )


@contextmanager
def _as_input_error(config: Any) -> Iterator[None]:
    """Say what RecBole can't do with these settings or data; the log has its own words."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, NotImplementedError, ImportError) as error:
        logging.getLogger().info("RecBole's error", exc_info=error)
        raise InputError(
            f"RecBole can't prepare {config['dataset']} for {config['model']} with these settings: "
            f"{type(error).__name__}: {error}"
        ) from error
