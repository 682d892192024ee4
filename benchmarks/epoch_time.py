"""How long an epoch of SymCERE takes beside RecBole's own LightGCN on the same data.

Both models train in turn in one process, A B A B ..., with one batch size, width and number of
layers, through RecBole's trainer and its loader (ours adds reviews and masks). Quote the ratio: the
machine's speed cancels out.

    python benchmarks/epoch_time.py [--dataset=yelp] [--rounds=15] [--key=value ...]
"""

import statistics
import sys
import time
from typing import Any

from recbole_symcere.cli import parse_pairs
from recbole_symcere.config import Config
from recbole_symcere.prepare import build_model, build_trainer, read_dataset, split_data


def prepare(model: str, dataset: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    """A trainer and its training loader."""
    config = Config(model, dataset, config_dict=settings)
    train_data, _, _ = split_data(config, read_dataset(config))
    return build_trainer(config, build_model(config, train_data)), train_data


def main() -> None:
    """Time both models and print their medians and the ratio."""
    pairs = parse_pairs(sys.argv[1:])
    dataset, rounds = pairs.pop("dataset", "yelp"), int(pairs.pop("rounds", 15))
    shared = {"train_batch_size": 512, "embedding_size": 64, "n_layers": 3, **pairs}
    shared["checkpoint_dir"] = "runs/benchmark"
    own: dict[str, dict[str, Any]] = {"SymCERE": {"text_mode": "frozen"}, "LightGCN": {}}
    models = {name: prepare(name, dataset, {**shared, **extra}) for name, extra in own.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for epoch in range(rounds + 2):
        for name, (trainer, train_data) in models.items():
            started = time.perf_counter()
            trainer._train_epoch(train_data, epoch)
            if epoch >= 2:  # the first two warm up
                seconds[name].append(time.perf_counter() - started)
    for name, times in seconds.items():
        print(
            f"{name:<9} median {statistics.median(times):.3f} s per epoch "
            f"(min {min(times):.3f}, max {max(times):.3f}, {rounds} epochs)"
        )
    ratios = [a / b for a, b in zip(seconds["SymCERE"], seconds["LightGCN"], strict=True)]
    print(
        f"SymCERE / LightGCN: median ratio {statistics.median(ratios):.2f} "
        f"(min {min(ratios):.2f}, max {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
