"""Ray's schedulers as a search uses them, and what a resumed search tells them."""

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

from ray.tune import schedulers

from recbole_symcere.base.errors import InputError
from recbole_symcere.tune.search_options import SearchOptions
from recbole_symcere.tune.space import SearchSpace
from recbole_symcere.tune.trial_table import Mode, TrialRecord

__all__ = ["make_scheduler", "remember"]

_LEAST_GRACE = 1000  # gradient steps
_GRACE_EPOCHS = 20  # one of so many
_NO_BOUND = 10**12  # steps: a trial ends by itself after its epochs


def make_scheduler(
    options: SearchOptions,
    space: SearchSpace,
    epochs: int,
    steps_per_epoch: int,
    mode: Mode,
    eval_step: int = 1,
) -> Any:
    """The scheduler: which trials are ended, by their validation after each epoch.

    asha, hyperband and median compare the best values so far; pbt, which copies weights, the
    values of this epoch. asha and median count gradient steps, so that trials with large batches,
    which make few of them in an epoch, are judged after as many as others; hyperband and pbt, which
    go on with all trials together, count epochs. pbt mutates continuous settings alone: another
    width or depth can't take over weights.

    Args:
        options: of the search.
        space: bound to the fixed settings.
        epochs: most epochs of a trial.
        steps_per_epoch: gradient steps of an epoch at the fixed settings.
        mode: max or min.
        eval_step: epochs between two evaluations.
    """
    share = epochs // _GRACE_EPOCHS
    grace = options.grace_steps or max(_LEAST_GRACE, share * steps_per_epoch)
    best: dict[str, Any] = {"metric": "best_valid_score", "mode": mode}
    name, factor = options.scheduler, options.reduction_factor
    if name == "asha":
        return schedulers.AsyncHyperBandScheduler(
            **best,
            time_attr="steps",
            max_t=max(_NO_BOUND, grace),
            grace_period=grace,
            reduction_factor=factor,
        )
    if name == "hyperband":
        return schedulers.HyperBandScheduler(
            **best, time_attr="epoch", max_t=epochs, reduction_factor=factor
        )
    if name == "median":
        # a slice of that length: trials aren't paused to wait for others
        return schedulers.MedianStoppingRule(
            **best, time_attr="steps", grace_period=grace, min_time_slice=_NO_BOUND
        )
    if name == "pbt":
        interval = (
            math.ceil(options.grace_steps / steps_per_epoch) if options.grace_steps else share
        )
        mutations = {key: space.mutations()[key] for key in space.mutable_numbers()}
        if not mutations:
            raise InputError(
                f"{space.source}: pbt needs a setting with continuous values, such as "
                "learning_rate: {loguniform: [0.0001, 0.01]}; take another scheduler."
            )
        return schedulers.PopulationBasedTraining(
            time_attr="epoch",
            metric="valid_score",
            mode=mode,
            perturbation_interval=max(eval_step, interval),
            hyperparam_mutations=mutations,
            custom_explore_fn=space.clip,
        )
    return schedulers.FIFOScheduler()


def remember(scheduler: Any, records: list[TrialRecord]) -> None:
    """Tell a new scheduler of the trials that ended before the search was killed.

    asha and median then judge the next trials as if the search had never stopped. The brackets of
    hyperband and the population of pbt begin anew.
    """
    if not isinstance(
        scheduler, schedulers.AsyncHyperBandScheduler | schedulers.MedianStoppingRule
    ):
        return
    controller = SimpleNamespace(get_live_trials=list)  # all that they ask of Ray
    pick = max if scheduler._mode == "max" else min
    for record in records:
        if not record.scores:
            continue
        trial = _PastTrial(f"before-{record.number}")
        scheduler.on_trial_add(controller, trial)
        result: dict[str, Any] = {}
        for n, steps in enumerate(record.steps, start=1):
            result = {"steps": steps, "best_valid_score": pick(record.scores[:n])}
            scheduler.on_trial_result(controller, trial, result)
        scheduler.on_trial_complete(controller, trial, result)


@dataclasses.dataclass(frozen=True)
class _PastTrial:
    trial_id: str
