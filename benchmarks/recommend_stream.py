"""Lists of very many users, written as `recommend` writes them: rate and peak memory.

python benchmarks/recommend_stream.py --users=1000000 --items=100000
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from recbole_symcere.run.catalogue import Catalogue
from recbole_symcere.serve.recommend_command import writer
from recbole_symcere.serve.recommender import Recommender
from recbole_symcere.serve.scorers import VectorScorer


def main() -> None:
    """Print the rate and the peak."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--per_user", type=int, default=12)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    names = [
        pa.array(["[PAD]", *(f"{letter}{n}" for n in range(count))])
        for letter, count in (("u", given.users), ("i", given.items))
    ]
    user = np.repeat(np.arange(1, given.users + 1), given.per_user)
    item = rng.integers(1, given.items + 1, len(user))
    titles = pa.array([""] * (given.items + 1))
    known = Catalogue(*names, titles, user, item, np.zeros(len(user), np.int8))
    vectors = tuple(torch.randn(len(ids), given.size) for ids in names)
    recommender = Recommender(known, VectorScorer({"raw": vectors, "scored": None}), (Path(), ""))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "lists.parquet")
        with writer(out) as write:
            for table in recommender.tables(names[0].to_pylist()[1:], 10):
                write(table)
        size = out.stat().st_size / 1e6
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{given.users:,} users, {given.items:,} items: {given.users / seconds:,.0f} users/s")
    print(
        f"{seconds:.0f} s, {size:.0f} MB of Parquet; peak {peak:.2f} GB, of it {before:.2f} before"
    )


if __name__ == "__main__":
    main()
