"""What autograd's anomaly mode costs, which RecBole turns on with any sequential model.

An epoch with it and one without in turn, through RecBole's trainer. Times are CPU seconds of all
threads. Quote the ratio: the machine's speed cancels out.

    python benchmarks/anomaly_mode.py [--models=SASRec,LightGCN] [--dataset=yelp] [--rounds=10]
        [--key=value ...]
"""

import statistics
import sys
import time

import torch
from epoch_time import prepare

from recbole_symcere.base.options import parse_pairs


def main() -> None:
    """Print the median epoch of each model with the mode and without it, and their ratio."""
    settings = parse_pairs(sys.argv[1:])
    models = str(settings.pop("models", "SASRec,LightGCN")).split(",")
    dataset, rounds = str(settings.pop("dataset", "yelp")), int(settings.pop("rounds", 10))
    settings.setdefault("show_progress", False)
    for model in models:
        trainer, train_data = prepare(model, dataset, settings)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for epoch in range(rounds + 1):
            for mode, times in seconds.items():
                started = time.process_time()
                with torch.autograd.set_detect_anomaly(mode):
                    trainer._train_epoch(train_data, epoch)
                if epoch:  # the first warms up
                    times.append(time.process_time() - started)
        with_it, without = map(statistics.median, seconds.values())
        ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
        print(
            f"{model:<10} {with_it:.3f} CPU s per epoch with anomaly mode, {without:.3f} without: "
            f"median ratio {statistics.median(ratios):.2f} (min {min(ratios):.2f}, "
            f"max {max(ratios):.2f}, {rounds} epochs)"
        )


if __name__ == "__main__":
    main()
