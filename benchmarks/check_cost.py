"""What it costs to know that a data set's files are what was converted, beside its preparation.

    python benchmarks/check_cost.py --dataset=yelp [--models=LightGCN,SymCERE] [--key=value ...]

Preparation is what a run does before its first epoch. The check reads the files the first time;
later only their sizes and times, until they change.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from recbole_symcere.base.known_hashes import known_sha256
from recbole_symcere.base.options import parse_pairs
from recbole_symcere.data.intact import memory_of
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

REPEATS = 5


def seconds(work: Callable[[], object]) -> float:
    """Median time of calls."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def prepare(config: Config) -> None:
    """Everything before the first epoch."""
    train, *_ = split_data(config, read_dataset(config))
    build_trainer(config, build_model(config, train))


def main() -> None:
    """Print a line per model."""
    pairs = parse_pairs(sys.argv[1:])
    models, dataset = pairs.pop("models", "LightGCN,SymCERE").split(","), pairs.pop("dataset")
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            config = Config(model, dataset, config_dict=pairs)
            data = Path(config["data_path"])
            names = [f"{dataset}.inter"]
            if model not in {"LightGCN", "BPR", "Pop"}:
                names.append(f"{dataset}.reviews.parquet")
            files = [data / name for name in names]
            prepare(config)  # the cache of vectors is filled, as from the second run on
            whole = seconds(lambda config=config: prepare(config))
            first = seconds(lambda files=files: [known_sha256(file, None) for file in files])
            memory = memory_of(folder)
            for file in files:
                known_sha256(file, memory)
            later = seconds(lambda files=files, m=memory: [known_sha256(f, m) for f in files])
        size = sum(file.stat().st_size for file in files) / 1e6
        print(
            f"{model} on {dataset} ({size:.1f} MB): preparation {whole:.2f} s; check "
            f"{1000 * first:.1f} ms ({first / whole:.2%}), remembered {1000 * later:.2f} ms "
            f"({later / whole:.2%})"
        )


if __name__ == "__main__":
    main()
