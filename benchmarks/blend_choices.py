"""What a blend should be made of, and how weighed: judged on validation, over several data sets.

A model is trained once for each data set and seed. Each way to blend chooses its weights on one
half of the validation users and is measured on the other, and the other way round, so that a way
with more freedom wins nothing by it. The last table leaves one data set out at a time: the way that
is best on the others, by the mean log ratio to the model alone, and what it is worth on the one
left out. The test split is never read. As in a run, experts of recent interactions are judged as
far from the validation items as the test items are from the training items.

    python benchmarks/blend_choices.py --datasets=A,B,C [--seeds=0,1] [--model=SymCEREPlus]
        [--key=value ...]
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_symcere.base.options import parse_pairs
from recbole_symcere.evaluate.weights import HeldOut, bagged_weights, single_weights
from recbole_symcere.model.blend_options import EXPERTS
from recbole_symcere.plugin import checkpoint
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

_Floats = npt.NDArray[np.floating]
K = 10


def bagged(data: HeldOut) -> list[float]:
    """The mean of what is found on 20 samples."""
    return bagged_weights(data).weights


WAYS: dict[str, tuple[tuple[str, ...], Callable[[HeldOut], list[float]] | None]] = {
    "model alone": ((), None),
    "words and EASE 100, one search": (("words", "ease_100"), single_weights),
    "all, one search": (EXPERTS, single_weights),
    "all, equal weights": (EXPERTS, lambda data: [1 / data.n_scores] * data.n_scores),
    "all, mean of 20 samples": (EXPERTS, bagged),
    "without what comes next": (tuple(n for n in EXPERTS if n != "next"), bagged),
    "without words": (tuple(n for n in EXPERTS if "words" not in n), bagged),
    "without neighbours": (tuple(n for n in EXPERTS if "knn" not in n), bagged),
    "without EASE": (tuple(n for n in EXPERTS if "ease" not in n), bagged),
    "without directions": (tuple(n for n in EXPERTS if "svd" not in n), bagged),
    "without popularity": (EXPERTS[1:], bagged),
}


def ndcg(hits: npt.NDArray[np.bool_], held_out: npt.NDArray[np.int64]) -> _Floats:
    """NDCG@10 of each user."""
    discounts = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discounts)[np.minimum(held_out, K) - 1]
    found: _Floats = (hits * discounts).sum(axis=1) / ideal
    return found


def held_out_of(model: str, dataset: str, settings: dict[str, Any]) -> tuple[list[str], HeldOut]:
    """Names of the scores, and what they say of the validation users."""
    config = Config(model, dataset, config_dict={**settings, "blend": ["all"]})
    train_data, valid_data, _ = split_data(config, read_dataset(config))
    trainer = build_trainer(config, build_model(config, train_data))
    trainer.in_search = True  # nothing is chosen
    trainer.fit(train_data, valid_data, verbose=False)
    checkpoint.load_weights(trainer.model, checkpoint.load(trainer.saved_model_file))
    return trainer.model.blend.names, HeldOut.gathered(trainer._scored(valid_data), ndcg, K)


def measured(names: list[str], data: HeldOut, way: str) -> float:
    """NDCG@10 of users by weights that were chosen on the others."""
    experts, choose = WAYS[way]
    taken = [0, *(names.index(name) for name in experts if name in names)]
    half = np.random.default_rng(7).permutation(data.n_users) % 2 == 0
    values = np.zeros(data.n_users)
    for mine in (half, ~half):
        weights = choose(data.part(taken, ~mine)) if choose else [1.0]
        values[mine] = data.part(taken, mine).values(tuple(weights))
    return float(values.mean())


def main() -> None:
    """Measure every way on every data set."""
    pairs = parse_pairs(sys.argv[1:])
    model, datasets = pairs.pop("model", "SymCEREPlus"), pairs.pop("datasets").split(",")
    seeds = [int(seed) for seed in pairs.pop("seeds", "0").split(",")]
    settings = {"checkpoint_dir": "runs/benchmark", **pairs}
    print(f"| {model} | {' | '.join(datasets)} | mean |\n|{'---|' * (len(datasets) + 2)}")
    gains: dict[str, list[float]] = {way: [] for way in WAYS}
    table: dict[str, list[float]] = {way: [] for way in WAYS}
    for dataset in datasets:
        runs = [held_out_of(model, dataset, {**settings, "seed": seed}) for seed in seeds]
        for way in WAYS:
            table[way].append(sum(measured(*run, way) for run in runs) / len(runs))
            gains[way].append(math.log(table[way][-1] / table["model alone"][-1]))
        print(f"{dataset} is measured", file=sys.stderr, flush=True)
    for way, values in table.items():
        mean = 100 * math.expm1(sum(gains[way]) / len(datasets))
        print(f"| {way} | {' | '.join(f'{value:.4f}' for value in values)} | {mean:+.1f} % |")
    print("\n| left out | best on the others | on it, against the model alone |\n|---|---|---|")
    for n, dataset in enumerate(datasets):
        others = {way: sum(found) - found[n] for way, found in gains.items()}
        best = max(others, key=lambda way: others[way])
        print(f"| {dataset} | {best} | {100 * math.expm1(gains[best][n]):+.1f} % |")


if __name__ == "__main__":
    main()
