"""What a Ray worker does: train one configuration and report its validation after each epoch."""

import copy
import dataclasses
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from recbole.utils.argument_list import dataset_arguments

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.storage import scratch_folder
from recbole_symcere.plugin.checkpoint import load
from recbole_symcere.plugin.compat_ray import ray_api
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import (
    build_model,
    build_trainer,
    read_dataset,
    split_data,
    split_dataset,
)

__all__ = ["Job", "full_config", "prepare_job", "run_trial"]

# Settings that change a text's tokens; a trial that tunes them tokenises for itself.
_TEXT_KEYS = frozenset({"text_encoder", "max_length", "text_level", "cache_dir"})
# Settings that act where the data are read; a trial that tunes them reads for itself.
_DATA_KEYS = frozenset(dataset_arguments)


@dataclasses.dataclass
class Job:
    """What all trials of a search share; Ray hands it to the workers.

    Attributes:
        settings: the fixed settings, complete, with absolute paths, model and dataset included.
        dataset: the data set, read and filtered.
        parts: its training, validation and test split; reviews are tokenised.
        threads: CPU threads of a trial.
        configs: with pbt, number -> configuration.
    """

    settings: dict[str, Any]
    dataset: Any
    parts: list[Any]
    threads: int
    configs: Mapping[int, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def config(self, tuned: Mapping[str, Any]) -> Config:
        """The Config of a trial."""
        settings = {**self.settings, **tuned}
        return Config(settings.pop("model"), settings.pop("dataset"), config_dict=settings)

    def loaders(self, config: Config, tuned: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """The trial's loaders over the shared splits."""
        if _DATA_KEYS & tuned.keys():
            return split_data(config, read_dataset(config))
        dataset, *parts = (copy.copy(part) for part in (self.dataset, *self.parts))
        for part in (dataset, *parts):
            part.config = config
        if _TEXT_KEYS & tuned.keys():
            parts[0].tokenised = None
        dataset.build = lambda: parts
        return split_data(config, dataset)


def full_config(given: Mapping[str, Any], configs: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """A trial's tuned settings; with pbt Ray knows a number and the values that it changes."""
    changed = {key: value for key, value in given.items() if key != "number"}
    return {**configs[given["number"]], **changed} if "number" in given else changed


def prepare_job(config: Config, settings: dict[str, Any], threads: int) -> Job:
    """Read, split, tokenise and encode once, so that no trial has to.

    The model is built and thrown away: that fills the cache of text vectors, and a setting that it
    refuses is found before the first trial.

    Raises:
        InputError: for a mistake in settings or data.
    """
    dataset = read_dataset(config)
    job = Job(settings, dataset, split_dataset(config, dataset), threads)
    if not len(job.parts[1].inter_feat):
        raise InputError(
            "The validation part is empty, but a search chooses by it. Give a split with one, such "
            "as --eval_args={split: {RS: [0.8, 0.1, 0.1]}}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of RecBole's old torch calls, once for every trial
        train_data, _, _ = job.loaders(config, {})
        build_model(config, train_data)
    job.parts[0].tokenised = getattr(train_data.dataset, "tokenised", None)
    return job


def run_trial(tuned: dict[str, Any], job: Job) -> None:
    """Ray's objective: returns nothing, reports after each validation, never evaluates test.

    Args:
        tuned: the values of the tuned settings and the trial's seed.
        job: what the trials share.
    """
    from ray import get_runtime_context

    ray, node = ray_api(), get_runtime_context().get_node_id()
    tuned = full_config(tuned, job.configs)
    started = time.perf_counter()
    torch.set_num_threads(job.threads)
    with scratch_folder("recbole_symcere-trial-") as folder:
        # run_dir: where the trainer keeps its checkpoints
        own = {"run_dir": str(folder), "checkpoint_dir": f"{folder}/best"}
        config = job.config({**tuned, **own})
        train_data, valid_data, _ = job.loaders(config, tuned)
        trainer = build_trainer(config, build_model(config, train_data))
        _restore(trainer, train_data, ray.get_checkpoint())
        prepared = time.perf_counter() - started

        def report(epoch: int, score: float) -> None:
            over = epoch + 1 + trainer.eval_step > trainer.epochs
            best_score, best_epoch = trainer.best_so_far
            result = {
                "epoch": epoch + 1,
                "valid_score": float(score),
                "best_valid_score": float(best_score),
                "best_epoch": best_epoch,
                "evaluations": sum("valid" in epoch for epoch in trainer.history),
                "finished": over or trainer.cur_step > trainer.stopping_step,
                "prepare_seconds": prepared,
                "node": node,
                **{f"valid/{k}": v for k, v in trainer.history[-1]["valid"].items()},
            }
            checkpoint = None
            if trainer.epochs > 1:  # a model without epochs has nothing to go on with
                checkpoint = ray.Checkpoint.from_directory(str(trainer.last_file.parent))
            ray.report(result, checkpoint=checkpoint)

        trainer.saved_model_file = f"{folder}/best/best.safetensors"
        trainer.in_search = True
        trainer.fit(train_data, valid_data, verbose=False, callback_fn=report)


def _restore(trainer: Any, train_data: Any, checkpoint: Any) -> None:
    """Go on from a trial's checkpoint: its own after a failure, or with pbt a better trial's."""
    if checkpoint is None:
        return
    wanted = [(group["lr"], group.get("weight_decay")) for group in trainer.optimizer.param_groups]
    with checkpoint.as_directory() as folder:
        trainer.go_on_from(load(Path(folder, trainer.last_file.name)), train_data)
    # pbt changes these on the way, and the optimizer's state brings back the old ones
    for group, (rate, decay) in zip(trainer.optimizer.param_groups, wanted, strict=True):
        group["lr"] = rate
        if decay is not None:  # SparseAdam has none
            group["weight_decay"] = decay
