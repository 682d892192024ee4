"""EASE of the blend at rank 256: inverted as before, by Cholesky's decomposition, and solved for.

Each way runs in a process of its own, on the same interactions; NDCG@10 is of EASE alone, on an
interaction of each user that was held out. Sizes are of synthetic interactions (tastes in 40
groups of items with a long tail), names of converted data sets.

    python benchmarks/ease_speed.py [--items=1000,2500,5000,10000,100000] [--reg=100]
        [--datasets=NAME,NAME] [--data_path=DIR]
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recbole_symcere.cli import parse_pairs

RANK, K, GROUPS = 256, 10, 40
WAYS = {"inverse (before)": 10_000, "Cholesky": 10_000, "solved": None}  # -> the most items
Sides = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def before(history: csr_matrix, reg: float) -> Sides:
    """The way of before: a general inverse in float64, decomposed by scikit-learn."""
    from sklearn.utils.extmath import randomized_svd

    counts = csr_matrix(history, dtype=np.float64)
    gram = (counts.T @ counts).toarray()
    gram[np.diag_indices_from(gram)] += reg
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    left, values, right = randomized_svd(weights, min(RANK, len(weights)), random_state=0)
    return left * values, right.T


def of(way: str, history: csr_matrix, reg: float) -> Sides:
    """The factors by a way."""
    from recbole_symcere.model.ease_weights import ease_factors

    if way.startswith("inverse"):
        return before(history, reg)
    exact = history.shape[1] if way == "Cholesky" else 0
    near, far = ease_factors(history, reg, RANK, exact)
    return near.numpy(), far.numpy()


def drawn(n_items: int, seed: int = 0) -> tuple[csr_matrix, csr_matrix]:
    """Ten interactions for each of as many users as items, and one more of each, held out."""
    rng = np.random.default_rng(seed)
    popular = rng.permutation(1 / np.arange(1, n_items + 1) ** 0.8)
    group, tastes = rng.integers(0, GROUPS, n_items), rng.dirichlet([0.08] * GROUPS, n_items)
    users = np.repeat(np.arange(n_items), 14)
    wanted = (tastes.cumsum(axis=1)[users] < rng.random(len(users))[:, None]).sum(axis=1)
    items = rng.choice(n_items, len(users), p=popular / popular.sum())
    for number in range(GROUPS):
        mine, own = np.flatnonzero(wanted == number), np.flatnonzero(group == number)
        mine = mine[rng.random(len(mine)) < 0.7]  # the others are chosen by popularity alone
        items[mine] = rng.choice(own, len(mine), p=popular[own] / popular[own].sum())
    users, items = np.divmod(rng.permutation(np.unique(users * n_items + items)), n_items)
    order = np.argsort(users, kind="stable")
    users, items = users[order], items[order]
    last = np.append(users[1:] != users[:-1], True)
    return matrix(users[~last], items[~last], n_items), matrix(users[last], items[last], n_items)


def matrix(users: Any, items: Any, n_items: int, n_users: int | None = None) -> csr_matrix:
    """A matrix of ones; item 0 is padding."""
    shape = (n_users or n_items), n_items + 1
    return csr_matrix((np.ones(len(users)), (users, items + 1)), shape)


def of_dataset(name: str, folder: str) -> tuple[csr_matrix, csr_matrix]:
    """The training split, and test interactions."""
    from recbole_symcere.plugin.config import Config
    from recbole_symcere.run.prepare import read_dataset, split_data

    with tempfile.TemporaryDirectory() as saved:
        config = Config("BPR", name, config_dict={"data_path": folder, "checkpoint_dir": saved})
        train, _, test = (loader.dataset for loader in split_data(config, read_dataset(config)))
    sides = []
    for part in (train, test):
        users, items = (part.inter_feat[f].numpy() for f in (part.uid_field, part.iid_field))
        sides.append(matrix(users, items - 1, part.item_num - 1, part.user_num))
    return sides[0], sides[1]


def ndcg(sides: Sides, known: csr_matrix, held_out: csr_matrix, most: int = 3000) -> float:
    """Mean NDCG@10 of at most 3,000 users."""
    users = np.flatnonzero(np.diff(held_out.indptr))[:most]
    gains, values = 1 / np.log2(np.arange(2, K + 2)), []
    for start in range(0, len(users), 256):
        batch = users[start : start + 256]
        scores = (known[batch] @ sides[0]) @ sides[1].T
        scores[known[batch].nonzero()] = -np.inf
        scores[:, 0] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        wanted = held_out[batch]
        hits = wanted[np.arange(len(batch))[:, None], best].toarray()
        ideal = np.cumsum(gains)[np.minimum(np.diff(wanted.indptr), K) - 1]
        values.append((hits * gains).sum(axis=1) / ideal)
    return float(np.concatenate(values).mean())


def measured(what: str, way: str, reg: float, folder: str) -> None:
    """Make the factors in this process; print what it took."""
    known, held_out = drawn(int(what)) if what.isdigit() else of_dataset(what, folder)
    of(way, *(known[:50, :60], reg))  # imports
    memory, started = _peak(), time.process_time()
    sides = of(way, known, reg)
    seconds, memory = time.process_time() - started, _peak() - memory
    print(json.dumps([known.shape[1] - 1, seconds, memory, ndcg(sides, known, held_out)]))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.024e-6  # KiB on Linux


def main() -> None:
    """Measure all ways at each size."""
    if sys.argv[1:2] == ["--child"]:
        measured(sys.argv[2], sys.argv[3], float(sys.argv[4]), sys.argv[5])
        return
    pairs: dict[str, Any] = parse_pairs(sys.argv[1:])
    reg, folder = str(pairs.get("reg", 100)), str(pairs.get("data_path", "dataset_atomic"))
    sets = [name for name in str(pairs.get("datasets", "")).split(",") if name]
    sizes = str(pairs.get("items", "" if sets else "1000,2500,5000,10000,100000")).split(",")
    print("| interactions | items | way | CPU s | of before | memory, GB | NDCG@10 |")
    print("|---|---|---|---|---|---|---|")
    for what in (*sets, *(size for size in sizes if size)):
        first = None
        for way, most in WAYS.items():
            if what.isdigit() and most is not None and int(what) > most:
                continue
            done = subprocess.run(
                [sys.executable, __file__, "--child", what, way, reg, folder],
                stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            n_items, seconds, memory, quality = json.loads(done.stdout.splitlines()[-1])
            first = first or (seconds if way in [*WAYS][:1] else None)
            ratio = f"{seconds / first:.2f}" if first else ""
            name = "drawn" if what.isdigit() else what
            print(
                f"| {name} | {n_items:,} | {way} | {seconds:.1f} | {ratio} | {memory:.2f} | "
                f"{quality:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
