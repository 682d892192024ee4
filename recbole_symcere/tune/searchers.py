"""Where a search's configurations come from: random draws, grids, Optuna and pbt's population."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from recbole_symcere.base.errors import InputError
from recbole_symcere.tune.search_options import SearchOptions
from recbole_symcere.tune.space import SearchSpace
from recbole_symcere.tune.trial_table import Mode, TrialRecord

__all__ = ["ListSearcher", "OptunaSearcher", "Population", "draw_seed", "make_searcher"]


class _NumberedSearcher(Searcher):  # type: ignore[misc] # Ray has no types
    """Gives configurations and remembers which trial got which number.

    Attributes:
        numbers: Ray's trial id -> the trial's number.
        configs: number -> its configuration.
    """

    def __init__(self, metric: str, mode: Mode) -> None:
        super().__init__(metric=metric, mode=mode)
        self.numbers: dict[str, int] = {}
        self.configs: dict[int, dict[str, Any]] = {}

    def set_search_properties(self, *_: Any, **__: Any) -> bool:
        """Metric and mode are known already."""
        return True

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing to learn from."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a search goes on from its own records, not from Ray's pickles."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""

    def number_of(self, trial: Any) -> int:
        """The trial's number."""
        return self.numbers[trial.trial_id]

    def _given(self, trial_id: str, number: int, config: dict[str, Any]) -> dict[str, Any]:
        self.numbers[trial_id], self.configs[number] = number, config
        return dict(config)


class ListSearcher(_NumberedSearcher):
    """Configurations that are known before the search: random ones and grids.

    Args:
        metric: what Ray shall call the metric.
        mode: max or min.
        configs: number -> configuration, in the order to try.
    """

    def __init__(self, metric: str, mode: Mode, configs: Mapping[int, dict[str, Any]]) -> None:
        super().__init__(metric, mode)
        self._left: Iterator[tuple[int, dict[str, Any]]] = iter(configs.items())

    def suggest(self, trial_id: str) -> Any:
        """The next configuration."""
        number, config = next(self._left, (None, None))
        if number is None or config is None:
            return Searcher.FINISHED
        return self._given(trial_id, number, config)


class OptunaSearcher(_NumberedSearcher):
    """Optuna's tree-structured Parzen estimator, whose study lies in a journal on disk.

    Args:
        metric: name of the value in a result.
        mode: max or min.
        space: the search space.
        journal: Optuna's file (JSON lines); a study that is there is gone on with.
        draws: the seed of the sampler.
        seed: trial n is trained with ``seed + n``.
        first: the configuration of trial 0.
        numbers: the trials to run.
        fixed_seed: the seed of all trials, or None for one each.
        ended: the trials that need not run again.
    """

    def __init__(
        self,
        metric: str,
        mode: Mode,
        space: SearchSpace,
        journal: Path,
        draws: int,
        seed: int,
        first: Mapping[str, Any],
        numbers: list[int],
        fixed_seed: int | None,
        ended: Iterable[TrialRecord] = (),
    ) -> None:
        super().__init__(metric, mode)
        try:
            import optuna
        except ImportError:
            raise InputError("search=optuna needs a package: pip install optuna.") from None
        optuna.logging.set_verbosity(logging.WARNING)
        storages = optuna.storages
        storage = storages.JournalStorage(storages.journal.JournalFileBackend(str(journal)))
        before = {record.number: record for record in ended}
        self._study = optuna.create_study(
            storage=storage,
            study_name="search",
            load_if_exists=True,
            direction="maximize" if mode == "max" else "minimize",
            # not the draws of before once more
            sampler=optuna.samplers.TPESampler(seed=draws + len(before)),
        )
        running, failed = optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.FAIL
        for trial in self._study.get_trials(states=(running,)):  # the killed ones
            record = before.get(trial.user_attrs.get("number", -1))
            if record and record.scored:  # killed before the study was told
                self._study.tell(trial.number, record.score)
            else:
                self._study.tell(trial.number, state=failed)
        self._failed = failed
        self._space, self._seed, self._fixed_seed = space, seed, fixed_seed
        self._first = dict(first)
        self._left, self._asked = iter(numbers), {}

    _asked: dict[str, Any]

    def suggest(self, trial_id: str) -> Any:
        """A configuration that the estimator finds promising; trial 0 has the first one.

        The study learns of that one too if it lies in the space.
        """
        number = next(self._left, None)
        if number is None:
            return Searcher.FINISHED
        config = self._first if number == 0 else {}
        if number or self._space.holds(config):
            if config:
                self._study.enqueue_trial(self._space.stored(config))
            self._asked[trial_id] = self._study.ask()
            self._asked[trial_id].set_user_attr("number", number)
            config = self._space.suggest(self._asked[trial_id])
        seed = self._seed + number if self._fixed_seed is None else self._fixed_seed
        return self._given(trial_id, number, {**config, "seed": seed})

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Tell the study."""
        trial = self._asked.pop(trial_id, None)
        if trial is None:
            return
        if error or not result or self.metric not in result:
            self._study.tell(trial, state=self._failed)
        else:
            self._study.tell(trial, result[self.metric])


class Population:
    """The configurations of pbt, as a search space of Ray: it allows no searcher beside pbt.

    A trial's configuration is its number and the values that pbt changes; a trial that takes over
    another's weights takes its number too, and so its width and depth.

    Args:
        configs: number -> configuration.
        mutated: the settings that pbt changes.
    """

    def __init__(self, configs: Mapping[int, dict[str, Any]], mutated: Iterable[str]) -> None:
        self.configs = dict(configs)
        self._mutated = sorted(mutated)
        self._numbers: dict[str, int] = {}

    def param_space(self) -> dict[str, Any]:
        """What `ray.tune.Tuner` calls param_space."""
        from ray import tune

        def value_of(key: str) -> Any:
            return tune.sample_from(lambda spec: self.configs[spec.config["number"]][key])

        numbers = tune.grid_search(list(self.configs))
        return {"number": numbers, **{key: value_of(key) for key in self._mutated}}

    def number_of(self, trial: Any) -> int:
        """The number that the trial began with."""
        return self._numbers.setdefault(trial.trial_id, trial.config["number"])


def draw_seed(seed: int, model: str) -> int:
    """The seed of a model's draws, below 2^31.

    The model is part of it: of one seed for all, every model would get the same quantiles of its
    own space, and what is unlucky for one would be so for all. The data set isn't, so that a model
    tries the same settings on each, and so do its rows with another backbone or another text.
    """
    digest = hashlib.blake2b(f"{seed}/{model}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def make_searcher(
    options: SearchOptions,
    space: SearchSpace,
    mode: Mode,
    settings: Mapping[str, Any],
    one_seed: bool,
    ended: Sequence[TrialRecord],
    journal: Path,
) -> tuple[Any, int]:
    """The searcher, and how many trials the whole search has.

    Args:
        options: of the search.
        space: bound to the fixed settings.
        mode: max or min.
        settings: the fixed ones: model, seed (trial n is trained with ``seed + n``), and the
            model's own values of what is tuned, which trial 0 has.
        one_seed: train every trial with ``seed`` instead.
        ended: the trials that need not run again.
        journal: where Optuna keeps its study.
    """
    metric, done = "best_valid_score", {record.number for record in ended}
    seed = settings["seed"]
    draws, first = draw_seed(seed, settings["model"]), space.own_values(settings)
    if options.search == "optuna":
        if options.scheduler == "pbt":
            raise InputError("scheduler=pbt changes settings itself; take search=random with it.")
        left = [n for n in range(options.num_samples) if n not in done]
        fixed = seed if one_seed else None
        searcher = OptunaSearcher(
            metric, mode, space, journal, draws, seed, first, left, fixed, ended
        )
        return searcher, options.num_samples
    if options.search == "grid":
        configs = space.grid()
    else:
        configs = space.configurations(options.num_samples, draws, first)
    seeded = {
        n: {**config, "seed": seed if one_seed else seed + n} for n, config in enumerate(configs)
    }
    left_configs = {n: config for n, config in seeded.items() if n not in done}
    if options.scheduler == "pbt":
        return Population(left_configs, space.mutable_numbers()), len(configs)
    return ListSearcher(metric, mode, left_configs), len(configs)
