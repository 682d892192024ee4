"""What a Ray worker does: train one configuration and report its validation after each epoch."""

import contextlib
import copy
import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from recbole.utils.argument_list import dataset_arguments

from recbole_symcere.base import processes
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.storage import scratch_folder
from recbole_symcere.model.loss_batches import grouped
from recbole_symcere.model.registry import text_use
from recbole_symcere.plugin.checkpoint import load
from recbole_symcere.plugin.compat_ray import ray_api
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.run_options import ProcessOptions
from recbole_symcere.run.launch import launch
from recbole_symcere.run.prepare import (
    build_model,
    build_trainer,
    read_dataset,
    split_data,
    split_dataset,
)

__all__ = ["Job", "full_config", "prepare_job", "run_trial", "train_together"]

# Settings that change a text's tokens; a trial that tunes them tokenises for itself.
_TEXT_KEYS = frozenset({"text_encoder", "max_length", "text_level", "item_text", "cache_dir"})
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
        nproc: processes of a trial.
        steps_per_epoch: gradient steps of an epoch at the fixed settings.
        configs: with pbt, number -> configuration.
    """

    settings: dict[str, Any]
    dataset: Any
    parts: list[Any]
    threads: int
    configs: Mapping[int, dict[str, Any]] = dataclasses.field(default_factory=dict)
    nproc: int = 1
    steps_per_epoch: int = 1

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
    if text_use(config["model"]) == "batch" and config["mask_seed"] is None:
        settings = {**settings, "mask_seed": config["seed"]}  # each trial has a seed of its own
    job = Job(settings, dataset, split_dataset(config, dataset), threads)
    if not len(job.parts[1].inter_feat):
        raise InputError(
            "The validation part is empty, but a search chooses by it. Give a split with one, such "
            "as --eval_args={split: {RS: [0.8, 0.1, 0.1]}}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of RecBole's old torch calls, once for every trial
        train_data, _, _ = job.loaders(config, {})
        model = build_model(config, train_data)
    job.steps_per_epoch = len(grouped(train_data, model))
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

    def report(result: dict[str, Any], checkpoint: str | None) -> None:
        stored = None if checkpoint is None else ray.Checkpoint.from_directory(checkpoint)
        ray.report({**result, "node": node}, checkpoint=stored)

    with scratch_folder("recbole_symcere-trial-") as folder, contextlib.ExitStack() as stack:
        begun = ray.get_checkpoint()
        begun = None if begun is None else stack.enter_context(begun.as_directory())
        if job.nproc == 1:
            _train(tuned, job, str(folder), begun, report)
            return
        launch(
            ProcessOptions(nproc=job.nproc),
            f"{__name__}:train_together",
            *(tuned, job, str(folder), begun),
            on_tell=lambda _, told: report(*told),
        )


def train_together(tuned: dict[str, Any], job: Job, folder: str, begun: str | None) -> None:
    """What each of several processes of a trial does; the first tells what shall be reported."""

    def tell(*told: Any) -> None:
        processes.announce("report", told)

    _train(tuned, job, folder, begun, tell)


def _train(
    tuned: dict[str, Any],
    job: Job,
    folder: str,
    begun: str | None,
    report: Callable[[dict[str, Any], str | None], None],
) -> None:
    """Train a configuration.

    Args:
        tuned: its settings.
        job: what the trials share.
        folder: of this trial alone.
        begun: the folder of a checkpoint to go on from.
        report: called after each validation with what it found and the folder of a checkpoint.
    """
    started = time.perf_counter()
    torch.set_num_threads(max(1, job.threads // job.nproc))
    # run_dir: where the trainer keeps its checkpoints
    own = {"run_dir": folder, "checkpoint_dir": f"{folder}/best"}
    config = job.config({**tuned, **own})
    train_data, valid_data, _ = job.loaders(config, tuned)
    trainer = build_trainer(config, build_model(config, train_data))
    _restore(trainer, train_data, begun)
    steps = len(grouped(train_data, trainer.model))
    prepared = time.perf_counter() - started

    def validated(epoch: int, score: float) -> None:
        over = epoch + 1 + trainer.eval_step > trainer.epochs
        best_score, best_epoch = trainer.best_so_far
        result = {
            "epoch": epoch + 1,
            "steps": len(trainer.history) * steps,
            "valid_score": float(score),
            "best_valid_score": float(best_score),
            "best_epoch": best_epoch,
            "evaluations": sum("valid" in epoch for epoch in trainer.history),
            "finished": over or trainer.cur_step > trainer.stopping_step,
            "prepare_seconds": prepared,
            **{f"valid/{k}": v for k, v in trainer.history[-1]["valid"].items()},
        }
        goes_on = trainer.epochs > 1  # a model without epochs has nothing to go on with
        report(result, str(trainer.last_file.parent) if goes_on else None)

    trainer.saved_model_file = f"{folder}/best/best.safetensors"
    trainer.in_search = True
    trainer.fit(train_data, valid_data, verbose=False, callback_fn=validated)


def _restore(trainer: Any, train_data: Any, begun: str | None) -> None:
    """Go on from a trial's checkpoint: its own after a failure, or with pbt a better trial's."""
    if begun is None:
        return
    wanted = [(group["lr"], group.get("weight_decay")) for group in trainer.optimizer.param_groups]
    trainer.go_on_from(load(Path(begun, trainer.last_file.name)), train_data)
    # pbt changes these on the way, and the optimizer's state brings back the old ones
    for group, (rate, decay) in zip(trainer.optimizer.param_groups, wanted, strict=True):
        group["lr"] = rate
        if decay is not None:  # SparseAdam has none
            group["weight_decay"] = decay
