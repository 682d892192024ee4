"""How good fold-in is: known users and items are hidden from training and placed afterwards.

A tenth of the users (or items) is drawn, all that is theirs is left out of the data, and each model
is trained on the rest with the settings of a usual run. Then every hidden user is folded in from
his training interactions, and every hidden item from its training reviews; both by the split of the
whole data set. The figure is NDCG@10 on the test interactions of the hidden users (of the users
whose test items are hidden, with the hidden items among all known ones), training and validation
items masked. Beside it stand the same model trained on everything, popularity, and words (the sum
of TF-IDF cosines to the history). Prints Markdown.

    python benchmarks/fold_in.py --datasets=magazine,giftcards --data_path=DIR [--seed=2020]
        [--models=LightGCN,SymCERE,SymCEREPlus] [--out=DIR] [--key=value]
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recbole_symcere import run_recbole
from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import parse_pairs
from recbole_symcere.serve.recommender import Recommender

SHARE = 0.1
LEAST = 5  # training reviews of a hidden item, so that there is something to hide


def ndcg(scores: np.ndarray, relevant: np.ndarray, barred: np.ndarray) -> float:
    """NDCG@10 of one list; item 0 is padding. An item without a place (0) is never found."""
    scores = scores.astype(np.float64).copy()
    scores[barred] = -np.inf
    scores[0] = -np.inf
    top = np.argsort(-scores, kind="stable")[:10]
    gains = np.isin(top, relevant[relevant > 0]) / np.log2(np.arange(2, 12))
    return float(gains.sum() / (1 / np.log2(np.arange(2, min(len(relevant), 10) + 2))).sum())


class Data:
    """A data set with its whole split, and copies of it that lack something."""

    def __init__(self, folder: Path, name: str, whole: Recommender) -> None:
        self.folder, self.name, self.c = folder / name, name, whole.catalogue
        self.users = np.array(self.c.users.to_pylist(), object)
        self.items = np.array(self.c.items.to_pylist(), object)

    def part(self, user: int, *parts: int) -> np.ndarray:
        """Places of a user's items."""
        return self.c.item[(self.c.user == user) & np.isin(self.c.part, parts)]

    def reviews_of(self, item: int) -> list[str]:
        """The training reviews of an item."""
        mine = (self.c.item == item) & (self.c.part == 0)
        table = pl.read_parquet(self.folder / f"{self.name}.reviews.parquet")
        table = table.filter(
            pl.col("item_id").cast(pl.String) == self.items[item],
            pl.col("user_id").cast(pl.String).is_in(self.users[self.c.user[mine]].tolist()),
        )
        return [text for text in table["text"].to_list() if text and text.strip()]

    def without(self, column: str, ids: list[str], target: Path) -> None:
        """A copy without the rows of some users or items."""
        there = target / self.name
        there.mkdir(parents=True, exist_ok=True)
        rows = (self.folder / f"{self.name}.inter").read_text(encoding="utf-8").splitlines()
        at = [field.split(":")[0] for field in rows[0].split("\t")].index(column)
        kept = [row for row in rows[1:] if row.split("\t")[at] not in set(ids)]
        text = "\n".join([rows[0], *kept]) + "\n"
        (there / f"{self.name}.inter").write_text(text, encoding="utf-8")
        reviews = pl.read_parquet(self.folder / f"{self.name}.reviews.parquet")
        reviews = reviews.filter(~pl.col(column).cast(pl.String).is_in(ids))
        reviews.write_parquet(there / f"{self.name}.reviews.parquet")


def trained(model: str, name: str, data_path: Path, settings: dict[str, Any]) -> Recommender:
    """A run that is finished, ready to recommend."""
    own = {"text_mode": "frozen"} if model.startswith("SymCERE") else {}
    given = {**own, **settings, "data_path": str(data_path), "show_progress": False}
    run = run_recbole(model=model, dataset=name, config_dict=given)["run_dir"]
    return Recommender.load(run, None, data_path=str(data_path))


def places_in(other: Recommender, names: np.ndarray) -> np.ndarray:
    """Places in another catalogue, 0 for what it lacks."""
    known = {name: n for n, name in enumerate(other.catalogue.items.to_pylist()) if n}
    return np.array([known.get(str(name), 0) for name in names], np.int64)


def known_scores(recommender: Recommender, user: str) -> np.ndarray:
    """Scores of all items for a known user."""
    import torch

    place = recommender.places("user", [user])
    return recommender._scorer.scores(torch.from_numpy(place))[0].float().numpy()


def popularity(recommender: Recommender) -> np.ndarray:
    """Training interactions of each item."""
    c = recommender.catalogue
    return np.bincount(c.item[c.part == 0], minlength=len(c.items)).astype(float)


def hidden_users(
    data: Data, models: dict[str, Recommender], path: Path, settings: dict[str, Any], seed: int
) -> dict[str, list[float]]:
    """Name of a way -> NDCG of each hidden user."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(np.arange(1, len(data.users)), int(SHARE * len(data.users)), replace=False)
    drawn = [user for user in drawn if len(data.part(user, 2))]
    data.without("user_id", data.users[drawn].tolist(), path)
    found: dict[str, list[float]] = {}
    for model, whole in models.items():
        less = trained(model, data.name, path, settings)
        by_text = model.startswith("SymCERE")
        for user in drawn:
            test = data.part(user, 2)
            history = places_in(less, data.items[data.part(user, 0)])
            barred = places_in(less, data.items[data.part(user, 0, 1)])
            relevant, known = places_in(less, data.items[test]), history[history > 0]
            scores = less._fold.user_scores(known, [])
            ways = {f"{model}, folded in": (scores.numpy(), relevant, barred)}
            full = known_scores(whole, data.users[user])
            ways[f"{model}, trained on all"] = (full, test, data.part(user, 0, 1))
            if by_text:
                texts = user_texts(data, user)
                if texts:
                    both = less._fold.user_scores(known, texts).numpy()
                    alone = less._fold.user_scores(known[:0], texts).numpy()
                else:
                    both = alone = scores.numpy()
                ways[f"{model}, folded in, history and reviews"] = (both, relevant, barred)
                ways[f"{model}, folded in, reviews alone"] = (alone, relevant, barred)
            if model == next(iter(models)):
                ways["popularity"] = (popularity(less), relevant, barred)
                ways["words"] = (less.words.sums(known), relevant, barred)
            for way, given in ways.items():
                found.setdefault(way, []).append(ndcg(*given))
    return found


def user_texts(data: Data, user: int) -> list[str]:
    """The training reviews of a user."""
    mine = data.items[data.part(user, 0)].tolist()
    table = pl.read_parquet(data.folder / f"{data.name}.reviews.parquet").filter(
        pl.col("user_id").cast(pl.String) == data.users[user],
        pl.col("item_id").cast(pl.String).is_in(mine),
    )
    return [text for text in table["text"].to_list() if text and any(map(str.isalnum, text))]


def hidden_items(
    data: Data, models: dict[str, Recommender], path: Path, settings: dict[str, Any], seed: int
) -> dict[str, list[float]]:
    """Name of a way -> NDCG of each user whose test item was hidden."""
    rng = np.random.default_rng(seed)
    n = np.bincount(data.c.item[data.c.part == 0], minlength=len(data.items))
    many = np.flatnonzero(n >= LEAST)
    drawn = rng.choice(many, max(1, int(SHARE * len(many))), replace=False)
    texts = {int(item): data.reviews_of(item) for item in drawn}
    drawn = np.array([item for item in drawn if texts[int(item)]])
    data.without("item_id", data.items[drawn].tolist(), path)
    asked = np.unique(data.c.user[(data.c.part == 2) & np.isin(data.c.item, drawn)])
    found: dict[str, list[float]] = {}
    for model, whole in models.items():
        less = trained(model, data.name, path, settings)
        n_items = len(less.catalogue.items)
        new = item_rows(less, [texts[int(item)] for item in drawn])
        first = model == next(iter(models))
        if first:
            words = np.stack([less.words.cosines(" ".join(texts[int(i)])) for i in drawn])
        for user in asked:
            if not less.knows_user(data.users[user]):
                continue
            test = data.part(user, 2)
            relevant = test[np.isin(test, drawn)]
            of_hidden = {int(item): n_items + at for at, item in enumerate(drawn)}
            places = np.array([of_hidden[int(item)] for item in relevant])
            seen = data.part(user, 0, 1)
            barred = places_in(less, data.items[seen])
            barred = np.r_[barred, [of_hidden[int(i)] for i in seen if int(i) in of_hidden]]
            barred = barred.astype(np.int64)
            full = known_scores(whole, data.users[user])
            ways = {f"{model}, trained on all": (full, relevant, seen)}
            known = known_scores(less, data.users[user])
            if new is not None:
                row = less._fold.users[less.places("user", [data.users[user]])[0]].numpy()
                ways[f"{model}, folded in"] = (np.r_[known, new @ row], places, barred)
            if first:
                counts = np.r_[popularity(less), np.zeros(len(drawn))]
                ways["popularity (knows none of them)"] = (counts, places, barred)
                history = places_in(less, data.items[data.part(user, 0)])
                history = history[history > 0]
                by_words = np.r_[less.words.sums(history), words[:, history].sum(axis=1)]
                ways["words"] = (by_words, places, barred)
            for way, given in ways.items():
                found.setdefault(way, []).append(ndcg(*given))
    return found


def item_rows(less: Recommender, texts: list[list[str]]) -> np.ndarray | None:
    """Scoring vectors of new items; None for a model that can't."""
    try:
        return np.stack([less._fold.item(mine, np.zeros(0, np.int64))[1] for mine in texts])
    except InputError as error:
        print(error, file=sys.stderr)
        return None


def table(title: str, found: dict[str, list[float]], rng: np.random.Generator) -> None:
    """Print means with bootstrap intervals of 95 %."""
    n = len(next(iter(found.values())))
    print(f"\n| {title}: {n:,} lists | NDCG@10 | 95 % of the mean |\n|---|---|---|")
    draws = rng.integers(0, n, (1000, n))
    for way, values in sorted(found.items()):
        mean = np.array(values)
        low, high = np.quantile(mean[draws].mean(axis=1), (0.025, 0.975))
        print(f"| {way} | {mean.mean():.4f} | {low:.4f} to {high:.4f} |", flush=True)


def main() -> None:
    """Measure the data sets that are asked for."""
    pairs: dict[str, Any] = parse_pairs(sys.argv[1:])
    names = str(pairs.pop("datasets")).split(",")
    models = str(pairs.pop("models", "LightGCN,SymCERE,SymCEREPlus")).split(",")
    folder, seed = Path(str(pairs.pop("data_path", "dataset_atomic"))), int(pairs.pop("seed", 2020))
    out = Path(str(pairs.pop("out", "runs/benchmark")))
    settings = {"runs_dir": str(out), "checkpoint_dir": str(out / "saved"), **pairs, "seed": seed}
    for name in names:
        whole = {model: trained(model, name, folder, settings) for model in models}
        data = Data(folder, name, whole[models[0]])
        for what, measure in (("hidden users", hidden_users), ("hidden items", hidden_items)):
            with tempfile.TemporaryDirectory() as less:
                found = measure(data, whole, Path(less), settings, seed)
            table(f"{name}, {what}", found, np.random.default_rng(seed))


if __name__ == "__main__":
    main()
