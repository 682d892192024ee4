"""One process against two, a thread each: seconds per epoch, and what the two give.

python benchmarks/processes.py [--nproc=2] [--modes=frozen,LoRA] [--key=value ...]

Both runs are made one after the other on the same machine, which should have a free core for each
process. The median of the epochs is compared, the first left out; frozen on 400,000 interactions,
where propagation is what an epoch takes, LoRA on 800, where encoding is.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recbole_symcere.base.options import parse_pairs

ROOT = Path(__file__).parents[1]
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


def run(folder: Path, nproc: int, settings: dict[str, object]) -> dict[str, object]:
    """metrics.json of a run."""
    words = [f"--{key}={value}" for key, value in settings.items()]
    command = [sys.executable, str(ROOT / "run_recbole_symcere.py"), "--model=SymCERE"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*command, *words, f"--nproc={nproc}", f"--run_dir={folder}"],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    return json.loads((folder / "metrics.json").read_text())


def main() -> None:
    """Print a line for each mode."""
    pairs = parse_pairs(sys.argv[1:])
    nproc = int(pairs.pop("nproc", 2))
    modes = pairs.pop("modes", "frozen,LoRA").split(",")
    with tempfile.TemporaryDirectory() as name:
        for mode in modes:
            folder = Path(name, mode)
            own, shape = MODES[mode]
            write(folder, *shape)
            common = {"data_path": folder, "dataset": "sized", "epochs": 4}
            settings = {**common, "cache_dir": folder / "cache", **own, **pairs}
            found = [run(folder / f"{mode}{n}", n, settings) for n in (1, nproc)]
            seconds = [
                statistics.median(epoch["seconds"] for epoch in metrics["history"][1:])
                for metrics in found
            ]
            evaluation = [
                statistics.median(epoch["valid_seconds"] for epoch in metrics["history"])
                for metrics in found
            ]
            apart = max(
                abs(one["loss"][term] - many["loss"][term])
                for one, many in zip(*(metrics["history"] for metrics in found), strict=True)
                for term in one["loss"]
            )
            print(
                f"{mode}: an epoch {seconds[0]:.2f} s in one process, {seconds[1]:.2f} s in "
                f"{nproc} (ratio {seconds[1] / seconds[0]:.2f}), a validation "
                f"{evaluation[0]:.2f} and {evaluation[1]:.2f} s; losses differ by {apart:.1e}"
            )


if __name__ == "__main__":
    main()
