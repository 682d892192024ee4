"""RecBole's trainers with checkpoints that survive a kill, named loss terms and per-user metrics.

`Resumable` is a mixin over any RecBole trainer, so that a baseline run by our command is stored,
resumed and reported like our own models. It hooks into `fit` and never copies it.
"""

import contextlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from recbole.trainer.trainer import Trainer

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.processes import from_first
from recbole_symcere.base.storage import writing
from recbole_symcere.evaluate.collector import ListCollector
from recbole_symcere.evaluate.per_user import PerUserEvaluator
from recbole_symcere.model.base import VectorRecommender
from recbole_symcere.model.loss_batches import BatchGroups, grouped
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.divergence import check_loss, check_weights, checked_scores
from recbole_symcere.run.epoch_passes import EpochPasses
from recbole_symcere.run.optimizer import fuse
from recbole_symcere.run.random_states import random_states, set_random_states
from recbole_symcere.run.run_directory import LAST_CHECKPOINT, portable_settings
from recbole_symcere.run.steps import StepLimit

__all__ = ["Resumable", "ReviewTrainer", "resumable"]


if TYPE_CHECKING:
    _Base = Any  # the RecBole trainer that the mixin is put before
else:
    _Base = object


class Resumable(_Base):  # type: ignore[misc] # see above
    """Mixin before a RecBole trainer.

    After each finished epoch everything that the next one depends on is stored in
    ``checkpoint/last.safetensors`` of the run's folder: weights, optimizer, early-stopping counters
    and the states of the random generators and the loader. `resume` reads it back, so a run that
    was killed ends with the weights and metrics of an unbroken one (on a CPU, bit for bit).

    Attributes:
        best_epoch: the epoch, counted from 0, whose weights are the best on validation.
        history: one dictionary per finished epoch: epoch, seconds of training, loss terms (means
            over the batches), and where it was validated the metrics and the seconds of that.
        epoch_labels: what such a dictionary says beside that.
        on_epoch: called with each such dictionary and whether it is the best so far.
        in_search: whether this is a trial of a search, whose model isn't kept.
    """

    saved_model_file: str  # RecBole's: where the best weights go
    eval_step: int
    epochs: int

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.evaluator, self.eval_collector = PerUserEvaluator(config), ListCollector(config)
        self.best_epoch: int | None = None
        self.history: list[dict[str, Any]] = []
        self.epoch_labels: dict[str, Any] = {}
        self.on_epoch: Callable[[dict[str, Any], bool], None] = lambda *_: None
        self.in_search = False
        self._steps = StepLimit(config["refit_steps"])
        self._log_metrics = self.wandblogger.log_metrics
        self.wandblogger.log_metrics = self._log_terms
        self._user_callback: Callable[[int, float], None] | None = None
        self._train_data: Any = None
        self._valid_data: Any = None
        self._saved = self._evaluates = False  # as the call of fit says
        self._first_losses: dict[str, float] = {}
        # RecBole names the file by the second, so two trainers started together would share it
        name = f"{Path(self.saved_model_file).stem}-{from_first(uuid.uuid4().hex[:8])}.safetensors"
        self.saved_model_file = str(Path(self.checkpoint_dir, name))
        self.last_file: Path | None = None
        if config["run_dir"]:
            self.last_file = Path(config["run_dir"], LAST_CHECKPOINT)
            self.saved_model_file = str(self.last_file.with_name("best.safetensors"))
            with writing(self.last_file):
                self.last_file.parent.mkdir(parents=True, exist_ok=True)

    # --- training --------------------------------------------------------------------------------

    def _build_optimizer(self, **kwargs: Any) -> Any:
        if hasattr(self.model, "parameter_groups"):
            kwargs.setdefault("params", self.model.parameter_groups())
        optimizer = super()._build_optimizer(**kwargs)
        return fuse(optimizer) if isinstance(self.model, VectorRecommender) else optimizer

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, Any]:
        """RecBole's `fit`; a resumed run whose training is over isn't trained on."""
        self._train_data, self._valid_data = train_data, valid_data
        self._user_callback = callback_fn
        steps = grouped(train_data, self.model)
        self.epochs = self._steps.last_epoch(self.epochs, *self._phase_began, steps)
        # a model without epochs, such as Pop, has one: without a validation nothing would be kept
        self.eval_step = min(self.eval_step, self.epochs)
        self._saved, self._evaluates = saved, bool(valid_data) and self.eval_step > 0
        if self.history and self._is_over():
            if saved and not self._evaluates:  # it may have been killed before it stored the last
                self.store_best()
            self.eval_collector.data_collect(train_data)
            return self.best_valid_score, self.best_valid_result
        with self.shown_training(self.epoch_labels, at_most=self._evaluates):
            how = verbose, saved, show_progress
            best: tuple[float, Any] = super().fit(train_data, valid_data, *how, self._after_valid)
        return best

    def pretrain(self, train_data: Any, verbose: bool = True, show_progress: bool = False) -> Any:
        """A stage of RaCT or S3Rec before the last, trained and validated as any model is.

        RecBole trains it for ``pretrain_epochs``, validates nothing and keeps the last epoch.
        """
        return Trainer.fit(
            self,
            train_data,
            self._valid_data,
            verbose,
            self._saved,
            show_progress,
            callback_fn=self._after_valid,
        )

    def _is_over(self) -> bool:
        """Whether there is nothing left to train after `resume`."""
        return bool(self.cur_step > self.stopping_step or self.start_epoch >= self.epochs)

    @property
    def _phase_began(self) -> tuple[int, int]:
        """The phase that is trained, counted from 0, and its first epoch."""
        return 0, 0

    @property
    def best_so_far(self) -> tuple[float, int | None]:
        """The best validation score of all epochs, and the epoch."""
        return self.best_valid_score, self.best_epoch

    @property
    def further_seconds(self) -> float:
        """What `fit` took beside its epochs, in seconds."""
        return 0.0

    def facts(self) -> dict[str, Any]:
        """What metrics.json tells of the training beside its history."""
        steps = grouped(self._train_data, self.model)
        if not isinstance(steps, BatchGroups):
            return {}
        return {"batches_per_propagation": steps.size, "steps_per_epoch": len(steps)}

    def _train_epoch(
        self,
        train_data: Any,
        epoch_idx: int,
        loss_func: Callable[[Any], Any] | None = None,
        show_progress: bool = False,
    ) -> Any:
        started = time.perf_counter()
        if hasattr(self.model, "begin_epoch"):
            self.model.begin_epoch()
        self.forget_passes()
        phase, begun = self._phase_began
        loader = self._steps.loader(grouped(train_data, self.model), phase, epoch_idx - begun)
        totals = super()._train_epoch(loader, epoch_idx, loss_func, show_progress)
        check_weights(self.model, epoch_idx)
        self.history.append(
            {
                "epoch": epoch_idx,
                **self.epoch_labels,
                "seconds": time.perf_counter() - started,
                "loss": self.loss_means,
            }
        )
        if not self._evaluates or (epoch_idx + 1) % self.eval_step:
            self.best_epoch = epoch_idx if not self._evaluates else self.best_epoch
            self._finish_epoch(best=not self._evaluates)
        return totals

    def _log_terms(self, metrics: dict[str, Any], **how: Any) -> None:
        """What goes to wandb: a number per loss term, where RecBole hands over all in one tuple."""
        if "train_loss" in metrics and len(self.sums) > 1:
            metrics = {key: value for key, value in metrics.items() if key != "train_loss"}
            metrics |= {f"train_loss/{name}": value for name, value in self.sums.items()}
        self._log_metrics(metrics, **how)

    def _check_nan(self, loss: torch.Tensor) -> None:
        value, terms = loss.item(), dict(zip(self._term_names, self._terms, strict=True))
        first = self._first_losses.setdefault(self._pass, value)
        check_loss(value, terms, first, *self._place)

    # --- evaluation and the end of an epoch ------------------------------------------------------

    def evaluate(self, eval_data: Any, *args: Any, **kwargs: Any) -> Any:
        """RecBole's `evaluate`; scores that aren't finite end it."""
        done = f"after epoch {self.history[-1]['epoch']}" if self.history else "before training"
        self.eval_collector.begin()
        ours = isinstance(self.model, VectorRecommender)
        in_place = self.model.scores_in_place() if ours else contextlib.nullcontext()
        with checked_scores(self.model, done), in_place:
            return super().evaluate(eval_data, *args, **kwargs)

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, Any]:
        started = time.perf_counter()
        score, result = super()._valid_epoch(valid_data, show_progress)
        self.history[-1]["valid"] = {name: float(value) for name, value in result.items()}
        self.history[-1]["valid_seconds"] = time.perf_counter() - started
        return score, result

    def _after_valid(self, epoch_idx: int, valid_score: float) -> None:
        best = self.cur_step == 0
        if best:
            self.best_epoch = epoch_idx
        self._finish_epoch(best)
        if self._user_callback:
            self._user_callback(epoch_idx, valid_score)

    def _finish_epoch(self, best: bool) -> None:
        self.work.advance()
        self.on_epoch(self.history[-1], best)
        if self._saved and self.last_file:
            state = self._state(self.history[-1]["epoch"])
            checkpoint.save_once(self.last_file, state | self._progress())

    # --- checkpoints -----------------------------------------------------------------------------

    def _state(self, epoch: int) -> dict[str, Any]:
        return {
            "config": self.config,
            "settings": portable_settings(self.config),
            "protocol": getattr(self.model, "protocol", {}),
            "data_fingerprint": self.config["data_fingerprint"],
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": self.best_valid_score,
            "best_valid_result": self.best_valid_result,
            "best_epoch": self.best_epoch,
            "history": self.history,
            "first_losses": self._first_losses,
            "state_dict": self.model.state_dict(),
            "other_parameter": self.model.other_parameter(),
            "optimizer": self.optimizer.state_dict(),
            "turns": {name: one.state_dict() for name, one in self._taking_turns().items()},
        }

    def _taking_turns(self) -> dict[str, torch.optim.Optimizer]:
        """RecVAE has two optimizers beside `optimizer`, which is one of them or the other."""
        found = {k: v for k, v in vars(self).items() if isinstance(v, torch.optim.Optimizer)}
        return {name: one for name, one in found.items() if name != "optimizer"}

    def _progress(self) -> dict[str, Any]:
        """What only the next epoch needs."""
        return {"rng": random_states(self._train_data, self.gpu_available)}

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        # RecBole saves before it notes that this is the best result
        valid = self.history[-1].get("valid") if self.history else None
        best = {"best_epoch": epoch, "best_valid_result": valid}
        # with all that the next epoch needs: a run whose last checkpoint is lost goes on from here
        checkpoint.save_once(path, self._state(epoch) | self._progress() | self._vectors() | best)
        if verbose:
            self.logger.info(f"Saving current: {path}")

    def store_best(self) -> None:
        """Store the weights as they are as those of the best epoch."""
        self._save_checkpoint(self.history[-1]["epoch"])

    def _vectors(self) -> dict[str, Any]:
        """What a model of ours scores by."""
        if self.in_search or not isinstance(self.model, VectorRecommender):
            return {}
        self.model.eval()
        return {"vectors": self.model.stored_vectors()}

    def go_on_from(self, state: dict[str, Any], train_data: Any) -> None:
        """Continue as if the epoch that a checkpoint of this run holds had just ended.

        Args:
            state: what the checkpoint holds.
            train_data: the training loader, whose random generator is set too.
        """
        self._restore(state)
        set_random_states(state["rng"], train_data, self.gpu_available)

    def resume_checkpoint(self, resume_file: str | Path) -> None:
        """RecBole's way to go on: weights and optimizer of a checkpoint, no random states."""
        self._restore(checkpoint.load(resume_file))
        self.saved_model_file = str(resume_file)

    def _restore(self, state: dict[str, Any]) -> None:
        if state["config"]["model"] != self.config["model"]:
            raise InputError(
                f"The checkpoint is of model {state['config']['model']}, "
                f"but this run is of {self.config['model']}."
            )
        self.start_epoch = state["epoch"] + 1
        for name in ("cur_step", "best_valid_score", "best_valid_result", "best_epoch", "history"):
            setattr(self, name, state[name])
        self._first_losses = dict(state.get("first_losses", {}))  # runs of before have none
        checkpoint.load_weights(self.model, state)
        turns = self._taking_turns()
        for name, optimizer in turns.items():
            optimizer.load_state_dict(state["turns"][name])
        if not turns:
            self.optimizer.load_state_dict(state["optimizer"])


class ReviewTrainer(Resumable, EpochPasses):
    """The trainer of our models."""


def resumable(trainer: type) -> type:
    """The class of ``trainer`` with `Resumable` in front, unless it is there already."""
    if issubclass(trainer, Resumable):
        return trainer
    kinds = (EpochPasses,) if trainer is Trainer else (trainer, EpochPasses)
    return type(f"Resumable{trainer.__name__}", (Resumable, *kinds), {})
