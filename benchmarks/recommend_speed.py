"""Top-10 lists of all users: ours beside RecBole's full_sort_topk, on the same weights.

    python benchmarks/recommend_speed.py --users=20000 --items=100000 [--at_once=500]

Both sides leave out what a user has in training and validation. RecBole is asked for so many users
at once, by default for all of a turn; the sides are timed in turns on the same users.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import recbole_symcere  # noqa: F401 # makes RecBole importable


def data(folder: Path, users: int, items: int, per_user: int = 12) -> None:
    """A data set of random interactions in ``folder``."""
    rng = np.random.default_rng(0)
    target = folder / "random"
    target.mkdir()
    with (target / "random.inter").open("w") as out:
        out.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user in range(users):
            for n, item in enumerate(rng.choice(items, per_user, replace=False)):
                out.write(f"u{user}\ti{item}\t{n}\n")


def sides(folder: Path, size: int) -> tuple[Any, Any, Any]:
    """RecBole's model and test loader, and our recommender of the same weights."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model

    from recbole_symcere.run.catalogue import Catalogue, catalogue_of
    from recbole_symcere.serve.recommender import Recommender
    from recbole_symcere.serve.scorers import VectorScorer

    settings = {
        "data_path": str(folder), "embedding_size": size, "use_gpu": False, "state": "ERROR",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
        "checkpoint_dir": str(folder),
    }  # fmt: skip
    config = Config("BPR", "random", config_dict=settings)
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    model = get_model("BPR")(config, loaders[0].dataset).eval()
    whole = catalogue_of(loaders[0].dataset, loaders)
    masked = whole.part < 2
    known = Catalogue(
        whole.users,
        whole.items,
        whole.titles,
        *(column[masked] for column in (whole.user, whole.item, whole.part)),
    )
    vectors = {"raw": (model.user_embedding.weight.data, model.item_embedding.weight.data)}
    ours = Recommender(known, VectorScorer({**vectors, "scored": None}), (folder, "random"))
    return model, loaders[2], ours


def main() -> None:
    """Time both sides and print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--at_once", type=int)
    given = parser.parse_args()
    from recbole.utils.case_study import full_sort_topk

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data(folder, given.users, given.items)
        model, test, ours = sides(folder, given.size)
        everybody = np.arange(1, given.users + 1)
        share = given.users // given.turns
        at_once = given.at_once or share
        theirs_rate, ours_rate, equal = [], [], 0
        for turn in range(given.turns):
            some = everybody[turn * share : (turn + 1) * share]
            began = time.perf_counter()
            found = [
                full_sort_topk(some[at : at + at_once], model, test, given.k, torch.device("cpu"))
                for at in range(0, len(some), at_once)
            ]
            middle = time.perf_counter()
            step = ours._scorer.at_once
            lists = [ours.lists(some[at : at + step], given.k) for at in range(0, len(some), step)]
            end = time.perf_counter()
            scores = np.concatenate([values.numpy() for values, _ in found])
            mine = np.concatenate([of.scores for of in lists])
            their_items = np.concatenate([items.numpy() for _, items in found])
            equal += int((their_items == np.concatenate([of.items for of in lists])).all(1).sum())
            np.testing.assert_allclose(mine, scores, rtol=1e-4, atol=1e-6)
            theirs_rate.append(len(some) / (middle - began))
            ours_rate.append(len(some) / (end - middle))
        ratios = [ours / theirs for ours, theirs in zip(ours_rate, theirs_rate, strict=True)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{given.users:,} users, {given.items:,} items, {given.size} columns, top {given.k}")
        print(f"RecBole {statistics.median(theirs_rate):,.0f} users/s")
        print(f"ours    {statistics.median(ours_rate):,.0f} users/s")
        print(f"ratio   {statistics.median(ratios):.2f} (median of {given.turns} turns)")
        print(f"equal lists: {equal:,} of {share * given.turns:,}; peak of both {peak:.2f} GB")


if __name__ == "__main__":
    main()
