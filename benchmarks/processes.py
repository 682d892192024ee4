"""One process against two, a thread each: seconds per epoch, and what the two give.

python benchmarks/processes.py [--nproc=2] [--modes=frozen,LoRA] [--key=value ...]

Both runs are made one after the other on the same machine. Wall time tells something only where
each process has a free core; the CPU seconds of the first process are those that it needs then,
without what it waits for the others. The median of the epochs is compared, the first left out:
frozen on 400,000 interactions, where propagation is what an epoch takes, LoRA on 800, where
encoding is.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_symcere.base.options import parse_pairs
from recbole_symcere.plugin.run_options import ProcessOptions
from recbole_symcere.run.launch import launch

_EPOCHS = 4
MODES = {
    "frozen": ({"text_mode": "frozen", "train_batch_size": 8192}, (20_000, 5_000, 20)),
    "LoRA": ({"text_mode": "lora", "train_batch_size": 64}, (40, 60, 20)),
}
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def write(folder: Path, users: int, items: int, per_user: int) -> None:
    """A data set "sized" of random interactions, whose reviews are 300 texts of 5 to 60 words."""
    rng = np.random.default_rng(0)
    target = folder / "sized"
    target.mkdir(parents=True)
    chosen = [rng.choice(items, per_user, replace=False) for _ in range(users)]
    pairs = [(f"u{u}", f"i{i}") for u, row in enumerate(chosen) for i in row]
    words = ["".join(rng.choice(SYLLABLES, 3)) for _ in range(2000)]
    pool = [" ".join(rng.choice(words, rng.integers(5, 61))) for _ in range(300)]
    texts = [pool[n] for n in rng.integers(0, 300, len(pairs))]
    lines = [f"{u}\t{i}\t5.0\t{1_500_000_000 + n}" for n, (u, i) in enumerate(pairs)]
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    (target / "sized.inter").write_text("\n".join([head, *lines]) + "\n")
    columns = list(zip(*pairs, strict=True))
    table = pa.table({"user_id": columns[0], "item_id": columns[1], "text": texts})
    pq.write_table(table, target / "sized.reviews.parquet")


def epochs(settings: dict[str, Any]) -> dict[str, list[float]]:
    """What each process does: seconds of epochs and validations, and the losses."""
    from recbole_symcere.plugin.config import Config
    from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

    config = Config("SymCERE", "sized", config_dict=settings)
    train_data, valid_data, _ = split_data(config, read_dataset(config))
    trainer = build_trainer(config, build_model(config, train_data))
    trainer.eval_collector.data_collect(train_data)
    found: dict[str, list[float]] = {"loss": []}
    for epoch in range(_EPOCHS):
        for name, work in (
            ("epoch", lambda: trainer._train_epoch(train_data, epoch)),  # noqa: B023 # at once
            ("validation", lambda: trainer.evaluate(valid_data, load_best_model=False)),
        ):
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            found.setdefault(f"{name} wall", []).append(time.perf_counter() - wall)
            found.setdefault(f"{name} CPU", []).append(time.process_time() - cpu)
        found["loss"].append(sum(trainer.history[-1]["loss"].values()))
    return found


def main() -> None:
    """Print lines for each mode."""
    os.environ |= {"OMP_NUM_THREADS": "1"}
    places = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)  # where the processes find this file
    pairs = parse_pairs(sys.argv[1:])
    nproc, modes = int(pairs.pop("nproc", 2)), pairs.pop("modes", "frozen,LoRA").split(",")
    for mode in modes:
        with tempfile.TemporaryDirectory() as name:
            own, shape = MODES[mode]
            write(Path(name), *shape)
            settings = {"data_path": name, "cache_dir": f"{name}/cache", **own, **pairs}
            one, many = (
                launch(ProcessOptions(nproc=n), "processes:epochs", settings) for n in (1, nproc)
            )
        print(f"{mode}: seconds in one process, in the first of {nproc}, and their ratio")
        for what in sorted(one.keys() - {"loss"}):
            times = [statistics.median(found[what][1:]) for found in (one, many)]
            print(f"  {what:16} {times[0]:8.2f} {times[1]:8.2f} {times[1] / times[0]:6.2f}")
        apart = max(abs(a - b) for a, b in zip(one["loss"], many["loss"], strict=True))
        print(f"  losses of the epochs differ by at most {apart:.1e}")


if __name__ == "__main__":
    main()
