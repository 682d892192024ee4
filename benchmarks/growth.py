"""How preparation, an epoch and memory grow with the data: LightGCN (RecBole) and our models.

Random interactions with the long tail of real ones: 12 a user, 40 an item. Each cell of the table
has a process of its own. Texts are 1,000 short ones, whatever the size, so that their encoding,
whose cost is per text, is hardly measured; with texts that all differ, vectors of 384 numbers take
1.5 KB each on top. Where an epoch takes longer than ``--seconds``, as many optimizer steps as fit,
at least three, are measured and multiplied. Wall and CPU seconds; peak memory of preparing (data,
loaders, model) and of the whole.

    python benchmarks/growth.py [--sizes=10000,100000,1000000,10000000] [--threads=2]
        [--seconds=120]
        [--models=LightGCN,SymCERE,SymCEREPlus] [--text_encoder=NAME] [--work=DIR] [--out=DIR]
        [--key=value ...]

A cell that exists in OUT/growth.json is taken from there, so that a table can be made in pieces.
"""

import itertools
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from recbole_symcere.base.options import parse_pairs

SIZES, MODELS = "10000,100000,1000000,10000000", "LightGCN,SymCERE,SymCEREPlus"
N_TEXTS = 1_000
SYLLABLES = ("ba", "do", "fi", "gu", "ka", "le", "mi", "no", "pu", "ra")


def write_data(folder: Path, n: int) -> None:
    """A data set of ``n`` interactions as `convert` lays one out, but for the manifest."""
    if (folder / f"{folder.name}.reviews.parquet").exists():
        return
    rng = np.random.default_rng(1)
    n_users, n_items = max(n // 12, 10), max(n // 40, 10)
    users = np.concatenate([np.arange(n_users), n_users * rng.random(n - n_users) ** 2])
    items = n_items * rng.random(n) ** 2
    words = ["".join(rng.choice(SYLLABLES, k)) for k in rng.integers(1, 4, 800)]
    texts = [" ".join(words[word] for word in row) for row in rng.integers(0, 800, (N_TEXTS, 30))]
    user, item = (pa.array(ids.astype(np.int64)).cast(pa.string()) for ids in (users, items))
    table = pa.table(
        {
            "user_id": user,
            "item_id": item,
            "rating": rng.integers(1, 6, n).astype(float),
            "timestamp": rng.integers(1_262_304_000, 1_538_352_000, n).astype(float),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{folder.name}.inter").open("wb") as file:
        file.write(b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n")
        how = pc.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
        pc.write_csv(table, file, how)
    text = pa.array(texts).take(pa.array(rng.integers(0, N_TEXTS, n)))
    reviews = pa.table({"user_id": user, "item_id": item, "text": text})
    pq.write_table(reviews, folder / f"{folder.name}.reviews.parquet")


def measure(model: str, folder: Path, seconds: float, settings: dict[str, Any]) -> dict[str, Any]:
    """One cell: what it takes to prepare a model and to train it for an epoch."""
    from recbole_symcere.model.loss_batches import grouped
    from recbole_symcere.plugin.config import Config
    from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

    started = time.perf_counter(), time.process_time()
    own = {"text_mode": "frozen"} if model.startswith("SymCERE") else {}
    shared = {"train_batch_size": 512, "embedding_size": 64, "n_layers": 3}
    config = Config(
        model, folder.name, config_dict={**shared, **own, **settings, "data_path": folder.parent}
    )
    train_data, *held_out = split_data(config, read_dataset(config))
    trainer = build_trainer(config, build_model(config, train_data))
    cell = {
        "prepare_wall_s": time.perf_counter() - started[0],
        "prepare_cpu_s": time.process_time() - started[1],
        "prepare_peak_gb": _peak_gb(),
    }
    batches = grouped(train_data, trainer.model)
    trainer.model._group_size = 1  # what is trained on below are groups already
    cell |= {"steps": len(batches), "batches_per_step": getattr(batches, "size", 1)}
    trainer._train_epoch(_First(batches, 1), 0)  # warms up
    one = _timed(trainer, _First(batches, 1), 1)
    n = min(len(batches), max(3, math.floor(seconds / one[0])))
    wall, cpu = _timed(trainer, _First(batches, n), 2)
    cell |= {"steps_measured": n, "epoch_wall_s": wall / n * len(batches)}
    cell |= {"epoch_cpu_s": cpu / n * len(batches), "peak_gb": _peak_gb()}
    del held_out
    return cell


class _First:
    """The first steps of a loader."""

    def __init__(self, steps: Any, n: int) -> None:
        self._steps, self._n = steps, n

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Any:
        return itertools.islice(iter(self._steps), self._n)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._steps, name)


def _timed(trainer: Any, steps: _First, epoch: int) -> tuple[float, float]:
    started = time.perf_counter(), time.process_time()
    trainer._train_epoch(steps, epoch)
    return time.perf_counter() - started[0], time.process_time() - started[1]


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def written(cells: dict[str, Any], threads: int) -> str:
    """The table in Markdown."""
    lines = [
        f"`python benchmarks/growth.py`, {threads} threads, batches of 512, width 64, 3 layers.",
        "Epochs whose steps were measured in part are marked ~; LightGCN is RecBole's own.",
        "",
        "| interactions | model | prepare, s (CPU s) | its peak, GB | an epoch, s (CPU s) | steps "
        "| batches a step | peak, GB |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, cell in cells.items():
        size, model = name.split()
        if "failed" in cell:
            lines.append(f"| {int(size):,} | {model} | {cell['failed']} | | | | | |")
            continue
        about = "~" if cell["steps_measured"] < cell["steps"] else ""
        lines.append(
            f"| {int(size):,} | {model} | {cell['prepare_wall_s']:,.0f} "
            f"({cell['prepare_cpu_s']:,.0f}) | {cell['prepare_peak_gb']:.2f} | "
            f"{about}{cell['epoch_wall_s']:,.1f} ({cell['epoch_cpu_s']:,.1f}) | "
            f"{cell['steps']:,} | {cell['batches_per_step']} | {cell['peak_gb']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what isn't known yet and write the table."""
    pairs = parse_pairs(sys.argv[1:])
    sizes = [int(size) for size in str(pairs.pop("sizes", SIZES)).split(",")]
    models = str(pairs.pop("models", MODELS)).split(",")
    threads, seconds = int(pairs.pop("threads", 2)), float(pairs.pop("seconds", 120))
    work, out = Path(pairs.pop("work", "runs/growth")), Path(pairs.pop("out", "benchmarks/results"))
    cell = pairs.pop("cell", None)
    pairs = {"checkpoint_dir": str(work / "saved"), "cache_dir": str(work / "cache"), **pairs}
    if cell:  # the process of one cell
        import torch

        torch.set_num_threads(threads)
        model, size = cell.split(":")
        print("CELL " + json.dumps(measure(model, work / f"growth{size}", seconds, pairs)))
        return
    kept = out / "growth.json"
    cells: dict[str, Any] = json.loads(kept.read_text())["cells"] if kept.exists() else {}
    for size, model in itertools.product(sizes, models):
        if f"{size} {model}" in cells:
            continue
        write_data(work / f"growth{size}", size)
        given = [f"--{key}={value}" for key, value in pairs.items()]
        more = [
            f"--cell={model}:{size}",
            f"--threads={threads}",
            f"--seconds={seconds}",
            f"--work={work}",
        ]
        done = subprocess.run(
            [sys.executable, __file__, *more, *given],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        said = [line for line in done.stdout.splitlines() if line.startswith("CELL ")]
        ended = f"ended with {done.returncode}"
        cells[f"{size} {model}"] = json.loads(said[0][5:]) if said else {"failed": ended}
        ordered = sorted(cells, key=lambda name: (int(name.split()[0]), name))
        cells = {name: cells[name] for name in ordered}
        out.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"threads": threads, "cells": cells}, indent=1) + "\n")
        (out / "growth.md").write_text(written(cells, threads))
        print((out / "growth.md").read_text())


if __name__ == "__main__":
    main()
