"""A trainer that chooses, on validation, how much a trained model's blend counts."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option, read_options
from recbole_symcere.model.symcereplus_blend import PARTS
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.trainer import ReviewTrainer

__all__ = ["BlendTrainer"]

_log = logging.getLogger(__name__)

CANDIDATES = (0.0, 0.1, 0.2, 0.4, 0.8, 8.0)
"""Weights that are tried; with the last the neighbourhood hardly leaves the model a say."""

_SWEEPS = 3


@dataclass(frozen=True)
class KeptBlendOptions:
    """Whether the blend is known already."""

    refit_blend: dict[str, Any] | None = option(
        None, "set by the command refit: the blend's weights by name, instead of a choice"
    )


class BlendTrainer(ReviewTrainer):
    """Trains, and then weighs what `Blend` adds to the scores of the best epoch.

    One weight after the other takes the candidate with the best validation metric, the smallest of
    equals, until none changes, in at most three rounds. Nothing is chosen without a validation,
    without a stored model, or in a trial of a search, which compares models without their blend.

    A refit has nothing to choose on and takes the weights of its run.

    Attributes:
        chosen: name -> weight; where they were chosen also "before", the validation metric without
            the blend, and "seconds". Empty before the choice.
    """

    option_groups = (KeptBlendOptions,)

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.chosen: dict[str, float] = {}
        self._kept = read_options(KeptBlendOptions, config).refit_blend
        for name, weight in (self._kept or {}).items():
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if name not in PARTS or not number:
                raise InputError(
                    f"refit_blend is {self._kept}, but it must give numbers to {', '.join(PARTS)}."
                )

    def fit(
        self, train_data: Any, valid_data: Any = None, *rest: Any, **options: Any
    ) -> tuple[float, Any]:
        """RecBole's `fit`; afterwards the model has the best epoch's weights and its blend."""
        super().fit(train_data, valid_data, *rest, **options)
        asked = self._saved and self._evaluates and not self.in_search
        if asked and self.model.blend is not None:
            state = self._unblended(checkpoint.load(self.saved_model_file))
            self.model.load_state_dict(state["state_dict"])
            kept = ("best_valid_score", "best_valid_result")
            before = {name: state[name] for name in kept}
            self._choose(valid_data)
            state |= {
                "state_dict": self.model.state_dict(),
                **{name: getattr(self, name) for name in kept},
                "without_blend": before,
                **self._vectors(),
            }
            checkpoint.save_once(self.saved_model_file, state)
        elif self._kept and self._saved:
            self._keep(self._kept)
        return self.best_valid_score, self.best_valid_result

    def _keep(self, weights: Mapping[str, float]) -> None:
        """Give the blend the weights that were chosen for the run that this is a refit of."""
        blend = self.model.blend
        names = [] if blend is None else blend.names
        gone = [name for name, weight in weights.items() if weight and name not in names]
        if gone:  # more reviews may leave no word that tells items apart
            _log.warning(
                f"On all interactions {' and '.join(gone)} takes no part in the blend, which is "
                "the run's without it."
            )
        self.chosen = {name: float(weights.get(name, 0.0)) for name in names}
        if names:
            blend.weights.copy_(torch.tensor([*self.chosen.values()]))
            self.model.forget()
            self.store_best()

    def _choose(self, valid_data: Any) -> None:
        blend, started = self.model.blend, time.perf_counter()
        draws = np.random.get_state()  # noqa: NPY002 # where items are sampled: the same for all
        found: dict[tuple[float, ...], tuple[float, Any]] = {}

        def validated(weights: tuple[float, ...]) -> float:
            if weights not in found:
                blend.weights.copy_(torch.tensor(weights))
                self.model.forget()
                np.random.set_state(draws)  # noqa: NPY002 # as above
                result = self.evaluate(valid_data, load_best_model=False)
                score = float(result[self.valid_metric])
                found[weights] = score if self.valid_metric_bigger else -score, result
            return found[weights][0]

        best = (0.0,) * len(blend.names)
        before = validated(best)
        for _ in range(_SWEEPS):
            start = best
            for place in range(len(best)):
                tried = [(*best[:place], weight, *best[place + 1 :]) for weight in CANDIDATES]
                best = max(tried, key=validated)
            if best == start:
                break
        blend.weights.copy_(torch.tensor(best))
        self.model.forget()
        score, self.best_valid_result = found[best]
        sign = 1 if self.valid_metric_bigger else -1
        self.best_valid_score = sign * score
        self.chosen = dict(zip(blend.names, best, strict=True))
        self.chosen |= {"before": sign * before, "seconds": time.perf_counter() - started}
        weights = ", ".join(f"{name} {self.chosen[name]:g}" for name in blend.names)
        _log.info(
            f"blend chosen on validation: {weights}; {self.valid_metric} {sign * before:.4f} -> "
            f"{self.best_valid_score:.4f}"
        )

    def _unblended(self, state: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint as it was before the choice."""
        weights = {
            name: torch.zeros_like(weight) if name == "blend.weights" else weight
            for name, weight in state["state_dict"].items()
        }
        return {**state, **state.get("without_blend", {}), "state_dict": weights}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(self._unblended(state))  # what is trained is judged without it

    def _vectors(self) -> dict[str, Any]:
        names = [] if self.model.blend is None else self.model.blend.names
        return {**super()._vectors(), "blend_names": names}

    def facts(self) -> dict[str, Any]:
        """The weights that were chosen."""
        return super().facts() | {"blend": self.chosen}

    @property
    def further_seconds(self) -> float:
        """Of the choice."""
        return self.chosen.get("seconds", 0.0)
