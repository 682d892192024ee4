"""A trainer that takes a model through two phases in one call of `fit`."""

import contextlib
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

from recbole_symcere.base.options import option, read_options
from recbole_symcere.run.trainer import ReviewTrainer

__all__ = ["PhaseOptions", "TwoPhaseTrainer"]


@dataclass(frozen=True)
class PhaseOptions:
    """When the second phase begins."""

    switch: Literal["early_stop", "fixed", "plateau"] = option(
        "early_stop",
        "phase 1 ends: after stopping_step validations without a better one; after "
        "first_phase_epochs; or when plateau_window validations raised the best too little",
    )
    first_phase_epochs: int | None = option(
        None, "longest phase 1; ~ is half of epochs. The rest is left to phase 2", minimum=1
    )
    plateau_window: int = option(5, "validations that are looked at", minimum=1)
    plateau_tolerance: float = option(
        0.005, "share of the best that these must raise it by", minimum=0
    )


class _PhaseIsOverError(Exception):
    """Leaves RecBole's loop over epochs."""


class TwoPhaseTrainer(ReviewTrainer):
    """Trains phase 1, puts its best weights back, and trains phase 2 with a new optimizer.

    Best is what validation says, in each phase by itself; early stopping counts anew. If phase 2
    doesn't beat phase 1, the model goes back to phase 1. `epochs` bounds both phases together.
    Epochs are numbered through. As with every `Resumable`, a run that was killed, also between the
    phases, goes on and ends as an unbroken one.

    The model has ``n_phases`` (1 or 2), ``phase_names``, and ``enter_phase(n)``, which lets the
    weights of phase n learn and no others. The weights of phase 1 must not change in phase 2.

    Attributes:
        phases: a dictionary per finished phase: phase, name, epochs, best_epoch, best_valid_score,
            ended_by (early_stop, plateau, fixed or epochs).
        kept_phase: the phase whose best weights the model has after `fit`.
    """

    option_groups = (PhaseOptions,)

    def __init__(self, config: Any, model: Any) -> None:
        self._options = read_options(PhaseOptions, config)
        super().__init__(config, model)
        self.phases: list[dict[str, Any]] = []
        self.kept_phase: int | None = None
        self._best_weights: dict[str, torch.Tensor] | None = None
        self.eval_step = self._step_for_both()
        self.begin_phase(1)

    # --- the schedule ----------------------------------------------------------------------------

    def fit(
        self, train_data: Any, valid_data: Any = None, *rest: Any, **options: Any
    ) -> tuple[float, Any]:
        """RecBole's `fit`, phase by phase; afterwards the model has the best weights."""
        while True:
            self._set_limits()
            with contextlib.suppress(_PhaseIsOverError):
                super().fit(train_data, valid_data, *rest, **options)
            self._end_phase()
            if self._phase == self.model.n_phases or not self._epochs_of(self._phase + 1):
                break
            self.begin_phase(self._phase + 1)
        self._keep_the_better()
        return self.best_valid_score, self.best_valid_result

    def begin_phase(self, phase: int) -> None:
        """Let the weights of ``phase`` learn from here, judged by themselves."""
        self._enter(phase)
        self.start_epoch, self.cur_step = len(self.history), 0
        self.best_valid_score = -math.inf if self.valid_metric_bigger else math.inf
        self.best_valid_result = self.best_epoch = self._best_weights = None

    def _enter(self, phase: int) -> None:
        self.model.zero_grad()  # clipping measures gradients of all weights, also of resting ones
        self.model.enter_phase(phase)
        # Adam would go on moving weights that no longer get a gradient
        self.optimizer = self._build_optimizer()
        self._phase = phase
        self.epoch_labels = {"phase": phase}

    def _epochs_of(self, phase: int) -> int:
        """The most epochs that ``phase`` may take."""
        total: int = self.config["epochs"]
        first = self._options.first_phase_epochs or math.ceil(total / 2)
        first = total if self.model.n_phases == 1 else min(first, total)
        return first if phase == 1 else total - first

    def _step_for_both(self) -> int:
        """Epochs between validations: `eval_step`, but no more than the shorter phase has."""
        shortest: int = min((n for n in map(self._epochs_of, (1, 2)) if n), default=0)
        if self.eval_step > shortest:
            self.logger.warning(
                f"eval_step={self.config['eval_step']}, but a phase has {shortest} of the "
                f"{self.config['epochs']} epochs, and each phase needs a validation of its own: "
                f"eval_step={shortest} is taken."
            )
        return min(self.eval_step, shortest)

    @property
    def _phase_began(self) -> tuple[int, int]:
        before = self.phases[: self._phase - 1]
        return self._phase - 1, sum(ended["epochs"] for ended in before)

    def _set_limits(self) -> None:
        fixed = self._phase == 1 and self._options.switch == "fixed"
        self.stopping_step = math.inf if fixed else self.config["stopping_step"]
        self.epochs = self._phase_began[1] + self._epochs_of(self._phase)

    def _is_over(self) -> bool:
        return super()._is_over() or self._has_plateaued()

    def _has_plateaued(self) -> bool:
        """Whether the last validations of phase 1 brought next to nothing."""
        o, sign = self._options, 1 if self.valid_metric_bigger else -1
        if o.switch != "plateau" or self._phase != 1:
            return False
        scores: list[float] = [
            sign * epoch["valid"][self.valid_metric] for epoch in self._own_epochs(valid=True)
        ]
        if len(scores) <= o.plateau_window:
            return False
        before = max(scores[: -o.plateau_window])
        return max(scores[-o.plateau_window :]) - before <= o.plateau_tolerance * abs(before)

    def _own_epochs(self, valid: bool = False) -> list[dict[str, Any]]:
        """The history of the present phase, or of its validated epochs."""
        mine = [epoch for epoch in self.history if epoch["phase"] == self._phase]
        return [epoch for epoch in mine if "valid" in epoch] if valid else mine

    # --- the end of an epoch and of a phase ------------------------------------------------------

    def _after_valid(self, epoch_idx: int, valid_score: float) -> None:
        if self.cur_step == 0:
            self._best_weights = self._learnt()
        super()._after_valid(epoch_idx, valid_score)
        if self._has_plateaued():
            raise _PhaseIsOverError

    def _learnt(self) -> dict[str, torch.Tensor]:
        """A copy of the weights that this phase trains."""
        return {
            name: weight.detach().clone()
            for name, weight in self.model.named_parameters()
            if weight.requires_grad
        }

    def _end_phase(self) -> None:
        if self._best_weights is not None:
            self.model.load_state_dict({**self.model.state_dict(), **self._best_weights})
        ended = {
            "phase": self._phase,
            "name": self.model.phase_names[self._phase - 1],
            "epochs": len(self._own_epochs()),
            "best_epoch": self.best_epoch,
            "best_valid_score": self.best_valid_score if self._own_epochs(valid=True) else None,
            "ended_by": self._reason(),
        }
        self.phases.append(ended)
        self.logger.info(
            "phase {phase}, {name}, is over after {epochs} epochs ({ended_by}); best epoch "
            "{best_epoch}, {metric} {best_valid_score}".format(metric=self.valid_metric, **ended)
        )

    def _reason(self) -> str:
        if self._has_plateaued():
            return "plateau"
        if self.cur_step > self.stopping_step:
            return "early_stop"
        return "fixed" if self._phase == 1 and self._options.switch == "fixed" else "epochs"

    def _beats_phase_1(self) -> bool:
        first = self.phases[0]["best_valid_score"]
        if first is None:
            return True
        return bool(
            self.best_valid_score > first
            if self.valid_metric_bigger
            else self.best_valid_score < first
        )

    def _keep_the_better(self) -> None:
        if self._phase == 2 and not self._beats_phase_1():
            first = self.phases[0]
            self._phase = 1
            self.model.enter_phase(1)
            self.best_epoch, self.best_valid_score = first["best_epoch"], first["best_valid_score"]
            self.best_valid_result = self.history[self.best_epoch]["valid"]
            self.logger.info(f"phase 2 didn't beat phase 1, so that the {first['name']} is kept")
        self.kept_phase = self._phase
        self.model.requires_grad_(True)  # for whoever counts what was learnt

    @property
    def best_so_far(self) -> tuple[float, int | None]:
        """The best validation score of both phases, and the epoch."""
        if self._phase == 2 and self.phases and not self._beats_phase_1():
            return self.phases[0]["best_valid_score"], self.phases[0]["best_epoch"]
        return super().best_so_far

    def facts(self) -> dict[str, Any]:
        """The phases, and which was kept."""
        return super().facts() | {"phases": self.phases, "kept_phase": self.kept_phase}

    # --- checkpoints -----------------------------------------------------------------------------

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        if self._phase == 1 or self._beats_phase_1():
            super()._save_checkpoint(epoch, verbose, **kwargs)

    def _state(self, epoch: int) -> dict[str, Any]:
        return super()._state(epoch) | {"phase": self._phase, "phases": self.phases}

    def _progress(self) -> dict[str, Any]:
        return super()._progress() | {"best_weights": self._best_weights}

    def _restore(self, state: dict[str, Any]) -> None:
        self._enter(state.get("phase", 1))  # the base class refuses another model's state
        super()._restore(state)
        self.phases = state["phases"]
        # a checkpoint of the best epoch was stored before its weights became the best ones
        is_best = state["epoch"] == state["best_epoch"] and "valid" in state["history"][-1]
        self._best_weights = self._learnt() if is_best else state.get("best_weights")
