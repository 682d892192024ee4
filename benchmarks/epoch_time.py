"""How long an epoch of our models takes beside RecBole's own LightGCN of the same width.

A model and LightGCN train in turn in one process, A B A B ..., with one batch size, width and
number of layers, through RecBole's trainer and its loader (SymCERE's adds reviews and masks). Times
are CPU seconds of all threads. Quote the ratio: the machine's speed cancels out.
``CollabContext:2`` is CollabContext in phase 2.

    python benchmarks/epoch_time.py [--models=SymCERE,SymCEREPlus,CollabContext,CollabContext:2]
        [--dataset=yelp] [--rounds=15] [--threads=1] [--key=value ...]
"""

import statistics
import sys
import time
from typing import Any

import torch

from recbole_symcere.base.options import parse_pairs
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

OWN = {name: {"text_mode": "frozen"} for name in ("SymCERE", "SymCEREPlus")}


def prepare(model: str, dataset: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    """A trainer and its training loader."""
    config = Config(model, dataset, config_dict={**settings, **OWN.get(model, {})})
    train_data, _, _ = split_data(config, read_dataset(config))
    return build_trainer(config, build_model(config, train_data)), train_data


def compare(model: str, dataset: str, rounds: int, settings: dict[str, Any]) -> None:
    """Time a model and LightGCN of its width; print their medians and the ratio."""
    name, _, phase = model.partition(":")
    ours = prepare(name, dataset, settings)
    if phase:
        ours[0].begin_phase(int(phase))
    width = ours[0].model.forward()[0].shape[1]
    theirs = prepare("LightGCN", dataset, {**settings, "embedding_size": width})
    seconds: dict[str, list[float]] = {model: [], "LightGCN": []}
    for epoch in range(rounds + 2):
        for key, (trainer, train_data) in zip(seconds, (ours, theirs), strict=True):
            started = time.process_time()
            trainer._train_epoch(train_data, epoch)
            if epoch >= 2:  # the first two warm up
                seconds[key].append(time.process_time() - started)
    for key, times in seconds.items():
        print(
            f"{key:<15} median {statistics.median(times):.3f} CPU s per epoch "
            f"(min {min(times):.3f}, max {max(times):.3f}, {rounds} epochs, width {width}, "
            f"{torch.get_num_threads()} threads)"
        )
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    print(
        f"{model} / LightGCN: median ratio {statistics.median(ratios):.2f} "
        f"(min {min(ratios):.2f}, max {max(ratios):.2f})\n"
    )


def main() -> None:
    """Compare each model that is asked for."""
    pairs = parse_pairs(sys.argv[1:])
    every = "SymCERE,SymCEREPlus,CollabContext,CollabContext:2"
    models = pairs.pop("models", every).split(",")
    torch.set_num_threads(int(pairs.pop("threads", 1)))
    dataset, rounds = pairs.pop("dataset", "yelp"), int(pairs.pop("rounds", 15))
    shared = {"train_batch_size": 512, "embedding_size": 64, "n_layers": 3, **pairs}
    shared["checkpoint_dir"] = "runs/benchmark"
    for model in models:
        compare(model, dataset, rounds, shared)


if __name__ == "__main__":
    main()
