"""Full ranking through RecBole's evaluation beside a bare product, mask and torch.topk.

    python benchmarks/evaluation_speed.py [--users=20000] [--items=100000] [--rounds=3]
        [--model=BPR] [--key=value ...]

Random vectors of a model of ours, or a model of RecBole's untrained; 30 training, 5 validation and
5 test items a user. The sides take turns on the same vectors, users and batches; ratios are medians
over the rounds. A model of ours whose scores are looked at shows what the check of others costs.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

# Threads that wait by spinning would be counted as work; to be known before torch is loaded
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numpy as np
import torch

import recbole_symcere  # noqa: F401 # makes RecBole importable

PER_USER = 40


def data(folder: Path, users: int, items: int) -> None:
    """A data set of random interactions in ``folder``."""
    rng = np.random.default_rng(0)
    target = folder / "random"
    target.mkdir()
    with (target / "random.inter").open("w") as out:
        out.write("user_id:token\titem_id:token\ttimestamp:float\n")
        left = list(range(items))[::-1]  # so that every item is in the data
        for user in range(users):
            own = {left.pop() for _ in range(min(PER_USER, len(left)))}
            while len(own) < PER_USER:
                own.add(int(rng.integers(items)))
            out.writelines(f"u{user}\ti{item}\t{n}\n" for n, item in enumerate(own))


def case(
    folder: Path, size: int, name: str | None, more: dict[str, Any]
) -> tuple[Any, Any, Any, Any]:
    """A trainer of ours over a model, by default one of random vectors, and the three loaders."""
    from recbole_symcere.model.base import VectorRecommender
    from recbole_symcere.plugin.config import Config
    from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

    class RandomVectors(VectorRecommender):
        def __init__(self, config: Any, dataset: Any) -> None:
            super().__init__(config, dataset)
            self.users = torch.nn.Parameter(torch.randn(self.n_users, size))
            self.items = torch.nn.Parameter(torch.randn(self.n_items, size))

        def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
            return self.users, self.items

    settings = {
        "data_path": str(folder), "use_gpu": False, "state": "ERROR", "topk": [10],
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "eval_args": {"split": {"RS": [0.75, 0.125, 0.125]}},
        "checkpoint_dir": str(folder), **more,
    }  # fmt: skip
    config = Config(name or "DirectAU", "random", config_dict=settings)
    loaders = split_data(config, read_dataset(config))
    model = build_model(config, loaders[0]) if name else RandomVectors(config, loaders[0].dataset)
    trainer = build_trainer(config, model)
    trainer.eval_collector.data_collect(loaders[0])
    return trainer, *loaders


@torch.no_grad()
def bare(model: Any, loader: Any, k: int, at_once: int) -> torch.Tensor:
    """What no evaluation can do without: the product, the mask and the best k."""
    if hasattr(model, "scoring_vectors"):
        users, items = model.scoring_vectors()
    else:
        users, items = model.user_embedding.weight, model.item_embedding.weight
    everybody = loader.uid_list
    known = [loader.uid2history_item[user] for user in everybody.tolist()]
    buffer = torch.empty(at_once, len(items))
    found = []
    for at in range(0, len(everybody), at_once):
        some, theirs = everybody[at : at + at_once], known[at : at + at_once]
        scores = torch.mm(users[some], items.T, out=buffer[: len(some)])
        scores[:, 0] = -torch.inf
        rows = torch.arange(len(some)).repeat_interleave(torch.tensor([*map(len, theirs)]))
        scores[rows, torch.cat(theirs)] = -torch.inf
        found.append(torch.topk(scores, k, dim=1).indices)
    return torch.cat(found)


def stock(trainer: Any, train: Any, test: Any) -> Any:
    """RecBole's evaluation of the same model, unchanged."""
    from recbole.data.dataloader import FullSortEvalDataLoader
    from recbole.trainer import Trainer

    theirs = Trainer(trainer.config, trainer.model)
    theirs.eval_collector.data_collect(train)
    ours = test.collate_fn
    test.collate_fn = MethodType(FullSortEvalDataLoader.collate_fn.__wrapped__, test)
    try:
        return theirs.evaluate(test, load_best_model=False)
    finally:
        test.collate_fn = ours


def looked_at(trainer: Any, valid: Any) -> Any:
    """The validation of a model that scores in a way of its own."""
    model = trainer.model
    model.full_sort_predict = MethodType(type(model).full_sort_predict, model)
    try:
        return trainer.evaluate(valid, load_best_model=False)
    finally:
        del model.full_sort_predict


def seconds(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU and wall seconds of a call, and what it gave."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    return time.process_time() - cpu, time.perf_counter() - wall, found


def main() -> None:
    """Time the sides in turn and print their ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model")
    given, further = parser.parse_known_args()
    from recbole_symcere.base.options import parse_pairs
    from recbole_symcere.evaluate.final import evaluate_final

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data(folder, given.users, given.items)
        more = parse_pairs(further)
        trainer, train, valid, test = case(folder, given.size, given.model, more)
        model = trainer.model.eval()
        sides = {
            "bare": partial(bare, model, test, 10, test.step),
            "bare, 256 users at once": partial(bare, model, test, 10, 256),
            "RecBole's evaluate": partial(stock, trainer, train, test),
            "ours, validation": partial(trainer.evaluate, valid, load_best_model=False),
            "ours, scores looked at": partial(looked_at, trainer, valid),
            "ours, final test": partial(evaluate_final, trainer, train, test, load_best=False),
        }
        if given.model:
            del sides["ours, scores looked at"]  # as any model's of RecBole's
        times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        results: dict[str, Any] = {}
        for _ in range(given.rounds):
            for side, work in sides.items():
                cpu, wall, results[side] = seconds(work)
                times[side].append((cpu, wall))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{given.users:,} users, {model.n_items - 1:,} items, {given.size} columns, top 10, "
        f"{test.step} users a batch, {torch.get_num_threads()} threads, peak {peak:.2f} GB"
    )
    for side, found in times.items():
        pairs = [
            zip(mine, theirs, strict=True)
            for mine, theirs in zip(found, times["bare"], strict=True)
        ]
        ratios = [[a / b for a, b in pair] for pair in pairs]
        cpu, wall = (statistics.median(column) for column in zip(*found, strict=True))
        of_cpu, of_wall = (statistics.median(column) for column in zip(*ratios, strict=True))
        print(
            f"{side:<24} {cpu:6.2f} CPU s, {wall:6.2f} s; of bare {of_cpu:.2f}, wall {of_wall:.2f}"
        )
    theirs, ours = results["RecBole's evaluate"], results["ours, final test"].test
    apart = max(abs(float(theirs[key]) - float(ours[key])) for key in theirs)
    print(f"largest difference of a metric from RecBole's: {apart:.1e}")


if __name__ == "__main__":
    main()
