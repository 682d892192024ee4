"""Trainers that choose, on validation, how much a trained model's blend counts."""

import copy
import logging
import time
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.evaluator.register import metrics_dict

from recbole_symcere.base import processes
from recbole_symcere.base.live_line import working
from recbole_symcere.base.options import read_options
from recbole_symcere.data.chronology import is_later
from recbole_symcere.data.cold import mask_removed
from recbole_symcere.data.recency import Histories
from recbole_symcere.evaluate.floor import BY_RANK
from recbole_symcere.evaluate.weights import HeldOut, bagged_weights
from recbole_symcere.model.blend import Blend
from recbole_symcere.model.blend_of import training_histories
from recbole_symcere.model.blend_options import BlendOptions
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.trainer import Resumable, ReviewTrainer

__all__ = ["TOLD_BESIDE", "BlendTrainer", "Blending", "blending"]

_log = logging.getLogger(__name__)

TOLD_BESIDE = ("before", "seconds", "out_of_bag", "refit")
"""What `Blending.chosen` has beside weights."""
_USERS = 4_000  # that the weights are chosen on
_SCORES = 1_000_000  # of each expert at once


if TYPE_CHECKING:
    _Base = Any  # the trainer that the mixin is put before
else:
    _Base = object


class Blending(_Base):  # type: ignore[misc] # see above
    """Mixin before a `Resumable`: trains, and then weighs what `Blend` adds to the best epoch.

    The weights are `bagged_weights` of at most 4,000 users' validation items, by the metric that
    chooses the best epoch if it is one of lists (NDCG, Hit, Recall, MRR, MAP, Precision), else by
    NDCG. Between the training and the test items of a user lie the validation items. So where
    splits are in order of time the experts of recent interactions are weighed without as many of
    the latest as a user has validation items; else they would count more than they are worth at
    test. Weights are kept if the whole validation is better with them than the model alone.
    Where no model is stored they are for the last epoch's weights. Nothing is chosen without a
    validation, which a line says, or in a trial of a search, which compares models without their
    blend.

    A refit has nothing to choose on and takes what its run has chosen for it. What comes next
    follows its last interactions at once, so that these are weights with nothing left out.

    Attributes:
        chosen: name -> weight; where they were chosen also "before", the validation metric of the
            model alone, "seconds", "refit", name -> weight, where something was left out, and
            "out_of_bag", the metric of users by weights that weren't chosen on them, see `Bagged`,
            with the same left out. Empty before the choice.
    """

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.chosen: dict[str, Any] = {}
        self._kept = read_options(BlendOptions, config).refit_blend

    def fit(
        self, train_data: Any, valid_data: Any = None, *rest: Any, **options: Any
    ) -> tuple[float, Any]:
        """RecBole's `fit`; afterwards the model has the best epoch's weights and its blend."""
        super().fit(train_data, valid_data, *rest, **options)
        asked = self._evaluates and not self.in_search and self.model.blend is not None
        if asked and not self._saved:  # what is tested are the last weights
            self._judge_alone(valid_data)
            self._choose(valid_data)
        elif asked:
            state = self._unblended(checkpoint.load(self.saved_model_file))
            checkpoint.load_weights(self.model, state)
            before = {name: state[name] for name in ("best_valid_score", "best_valid_result")}
            self.best_valid_score, self.best_valid_result = before.values()
            self._choose(valid_data)
            state |= {
                "state_dict": self.model.state_dict(),
                "best_valid_score": self.best_valid_score,
                "best_valid_result": self.best_valid_result,
                "without_blend": before,
                **self._vectors(),
            }
            checkpoint.save_once(self.saved_model_file, state)
        elif self._kept:
            self._keep(self._kept)
        elif self.model.blend is not None and self._is_missed:
            _log.warning(
                "Nothing was validated, so the weights of the blend can't be chosen: "
                f"{self.config['model']} counts alone."
            )
        return self.best_valid_score, self.best_valid_result

    @property
    def _is_missed(self) -> bool:
        """Whether the blend could have been chosen, had there been a validation."""
        return not (self._evaluates or self.in_search or self.config["refit_of"])

    def _keep(self, weights: Mapping[str, float]) -> None:
        """Give the blend the weights that were chosen for the run that this is a refit of."""
        blend: Blend | None = self.model.blend
        names = [] if blend is None else blend.names
        gone = [name for name, weight in weights.items() if weight and name not in names]
        if gone:  # more reviews may leave no word that tells items apart
            _log.warning(
                f"On all interactions {' and '.join(gone)} takes no part in the blend, which is "
                "the run's without it."
            )
        self.chosen = {name: float(weights.get(name, 0.0)) for name in names}
        if blend is not None:
            self._weigh(self.chosen)
            if self._saved:
                self.store_best()

    def _choose(self, valid_data: Any) -> None:
        blend, started = self.model.blend, time.perf_counter()
        draws = np.random.get_state()  # noqa: NPY002 # RecBole may sample the items to rank
        if not isinstance(valid_data, FullSortEvalDataLoader):  # the best epoch had other samples
            self._judge_alone(valid_data)
        alone, before = {"model": 1.0}, (self.best_valid_score, self.best_valid_result)

        def judged(weights: dict[str, float]) -> tuple[dict[str, float], tuple[float, Any]]:
            """Weights and their validation, or the model alone if that is as good."""
            after = self._validated(weights, valid_data)
            np.random.set_state(draws)  # noqa: NPY002 # as above
            better = after[0] > before[0] if self.valid_metric_bigger else after[0] < before[0]
            return (weights, after) if better else (alone, before)

        # one process decides: the last digits of a GPU's products may differ
        found, out_of_bag, refit = processes.from_first(self._searched(valid_data))
        np.random.set_state(draws)  # noqa: NPY002 # as above
        told: dict[str, Any] = {}
        if refit is not None:
            refit = judged(refit)[0]
            told["refit"] = {name: refit.get(name, 0.0) for name in blend.names}
        found, (self.best_valid_score, self.best_valid_result) = judged(found)
        self._weigh(found)
        apart = ""
        if out_of_bag is not None and found is not alone:
            told["out_of_bag"] = out_of_bag
            apart = f" ({out_of_bag:.4f} out of bag, as far from training as the test items are)"
        seconds = time.perf_counter() - started
        self.chosen = {name: found.get(name, 0.0) for name in blend.names}
        weights = [f"{name} {weight:.2f}" for name, weight in self.chosen.items() if weight]
        self.chosen |= {"before": float(before[0]), "seconds": seconds, **told}
        _log.info(
            f"blend chosen on validation: {', '.join(weights)}; {self.valid_metric} "
            f"{before[0]:.4f} -> {self.best_valid_score:.4f}{apart}"
        )

    def _judge_alone(self, valid_data: Any) -> None:
        """Take the validation of the weights as they are, without a blend, for the best one."""
        alone = self._validated({"model": 1.0}, valid_data)
        self.best_valid_score, self.best_valid_result = alone

    def _validated(self, weights: dict[str, float], valid_data: Any) -> tuple[float, Any]:
        """Score and result of the validation with these weights, which stay."""
        self._weigh(weights)
        result = self.evaluate(valid_data, load_best_model=False)
        return float(result[self.valid_metric]), result

    def _weigh(self, weights: dict[str, float]) -> None:
        self.model.blend.weigh(weights)
        if hasattr(self.model, "forget"):
            self.model.forget()

    def _searched(
        self, valid_data: Any
    ) -> tuple[dict[str, float], float | None, dict[str, float] | None]:
        """Weights by name, what they are worth out of their bags, and those of a refit."""
        name, k = self._metric()
        metric, numbered = metrics_dict[name](self.config), name not in _ALONE

        def values(hits: Any, held_out: Any) -> Any:
            found = metric.metric_info(hits, *([held_out] * numbered))
            return np.asarray(found, dtype=np.float64)[:, k - 1]

        with working("scoring for the blend"):
            data = HeldOut.gathered(self._scored(valid_data), values, k)
        names, recent = self.model.blend.names, self.model.blend.recent_names
        # a model that scores all alike has no scale
        speak = [n for n in range(len(names)) if n or self._spreads]
        with working("weighing the blend"):
            bagged = bagged_weights(data.part(speak))
            found, refit = dict(zip([names[n] for n in speak], bagged.weights, strict=True)), None
            if data.n_scores > len(names):
                at_once = {name: len(names) + n for n, name in enumerate(recent)}
                others = bagged_weights(data.part([at_once.get(names[n], n) for n in speak]))
                refit = dict(zip(found, others.weights, strict=True))
        # of another metric, other items to rank or some users it is none to stand beside it
        whole = isinstance(valid_data, FullSortEvalDataLoader)
        same = whole and len(valid_data.uid_list) <= _USERS
        same &= f"{name}@{k}" == self.valid_metric.lower()
        return found, bagged.out_of_bag if same else None, refit

    def _metric(self) -> tuple[str, int]:
        """What the weights are chosen by, and its k."""
        name, _, k = self.valid_metric.lower().partition("@")
        return (name, int(k)) if name in BY_RANK and k else ("ndcg", max(self.config["topk"]))

    def _scored(self, valid_data: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
        """Scores [1 + K, b, n_items] of users, what is masked, and their held-out items.

        Where the experts of recent interactions are weighed without the latest ones, what they say
        with these comes last: [1 + K + R, b, n_items].
        """
        loader = valid_data
        if not isinstance(loader, FullSortEvalDataLoader):
            loader = self._over_all_items(valid_data)
        users = np.asarray(loader.uid_list)
        if len(users) > _USERS:
            users = np.sort(np.random.default_rng(0).choice(users, _USERS, replace=False))
        order = {int(user): row for row, user in enumerate(np.asarray(loader.uid_list).tolist())}
        n_items, blend = self.model.n_items, self.model.blend
        earlier = self._earlier(loader)
        at_once = max(_SCORES // n_items, 1)
        self._weigh({"model": 1.0})
        self.model.eval()
        self._spreads = False
        for start in range(0, len(users), at_once):
            some = users[start : start + at_once]
            batch = loader.user_df[torch.tensor([order[int(user)] for user in some])]
            with torch.no_grad():
                own = self.model.full_sort_predict(batch.to(self.device)).view(len(some), -1)
            own = own.float().cpu().numpy()
            self._spreads |= bool(np.ptp(own[:, 1:], axis=1).any())
            masked = np.zeros(own.shape, dtype=bool)
            masked[:, 0] = True
            rows, items = [], []
            for row, user in enumerate(some.tolist()):
                known = loader.uid2history_item[user]
                if known is not None and not self.config["repeatable"]:
                    masked[row, np.asarray(known)] = True
                held_out = np.asarray(loader.uid2positive_item[user])
                rows.append(np.full(len(held_out), row))
                items.append(held_out)
            known, names = blend.known_of(some), blend.names[1:]
            if earlier is None:
                scores = blend.scores(names, known)
            else:
                scores = blend.scores(names, known, earlier.of(some))
                scores += blend.scores(blend.recent_names, known)
            yield np.stack([own, *scores]), masked, np.concatenate(rows), np.concatenate(items)

    def _earlier(self, loader: Any) -> Histories | None:
        """Recent interactions as far from the validation items as the last ones from test items.

        None where no expert asks for it, or validation isn't later than training.
        """
        if not self.model.blend.recent_names or self._train_data is None:
            return None
        train = self._train_data.dataset
        if not (train.is_in_order or is_later(loader._dataset, train)):
            return None
        hidden = np.zeros(train.user_num, dtype=np.int64)
        for user in np.asarray(loader.uid_list).tolist():
            hidden[user] = len(loader.uid2positive_item[user])
        return training_histories(train, hidden)

    def _over_all_items(self, valid_data: Any) -> Any:
        """RecBole's loader over all items, where validation samples them."""
        data, sampler = valid_data._dataset, valid_data._sampler
        data = data.copy(copy.deepcopy(data.inter_feat))  # the loader sorts what it reads
        if self.config["repeatable"]:  # then it knows of no user what to leave out
            nothing = np.array([set() for _ in range(data.user_num)])
            sampler = SimpleNamespace(used_ids=nothing)
        loader = FullSortEvalDataLoader(self.config, data, sampler)
        cold = getattr(self._train_data.dataset, "cold", None) if self._train_data else None
        if cold is not None:
            mask_removed(loader, cold)
        return loader

    def _unblended(self, state: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint as it was before the choice."""
        weights = dict(state["state_dict"])
        if "blend.weights" in weights:
            weights["blend.weights"] = torch.zeros_like(weights["blend.weights"])
            weights["blend.weights"][0] = 1
        return {**state, **state.get("without_blend", {}), "state_dict": weights}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(self._unblended(state))  # what is trained is judged without it

    def _vectors(self) -> dict[str, Any]:
        """Also what serving needs to place new users and items."""
        blend: Blend | None = self.model.blend
        more: dict[str, Any] = {}
        if blend is not None:
            more = blend.kept()
        return {**super()._vectors(), **more}

    def facts(self) -> dict[str, Any]:
        """The weights that were chosen."""
        return {**super().facts(), "blend": self.chosen}

    @property
    def further_seconds(self) -> float:
        """Of the choice."""
        return float(super().further_seconds + self.chosen.get("seconds", 0.0))


_ALONE = frozenset({"hit", "mrr", "precision"})
"""Metrics whose ``metric_info`` doesn't ask how many items are held out."""


class BlendTrainer(Blending, ReviewTrainer):
    """The trainer of our models that have a blend by themselves."""


def blending(trainer: type) -> type:
    """The class of a `Resumable` trainer with `Blending` in front, unless it is there already."""
    if issubclass(trainer, Blending):
        return trainer
    assert issubclass(trainer, Resumable)  # see `build_trainer`
    return type(f"Blending{trainer.__name__}", (Blending, trainer), {})
