"""A small run from reviews to lists whose outcome is known.

Users of one half of a catalogue write about that half alone. What is trained on their reviews must
recommend that half; and the metric that the run has stored must be the one that its lists give,
counted here from the reviews themselves.
"""

import contextlib
import csv
import io
import json
import math
import random
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["SelfTestError", "planted_reviews", "run_self_test"]

_NAME = "planted"
_USERS, _ITEMS, _EACH = 40, 24, 10
_WORDS = (("quiet", "sea", "beach", "garden", "sleep"), ("loud", "city", "bar", "music", "late"))

_K = 10
_UNKNOWN = _ITEMS // 2 - (_EACH - 1)  # items of the own half without a training or validation pair
_SHARE = 0.95  # of so long lists; without training it is about a half
_START = 1_500_000_000  # seconds
_SETTINGS = {
    "epochs": 6,
    "eval_step": 6,
    "embedding_size": 32,
    "max_length": 16,
    "masked_views": 1,
    "text_mode": "frozen",
    "alpha": 0.0,
    "beta": 1.0,
    "learning_rate": 0.005,
    "train_batch_size": 128,
    "seed": 1,
    "show_progress": False,
}


class SelfTestError(Exception):
    """What went otherwise than it must."""


class Review(NamedTuple):
    """A planted review; ``item % 2`` is the half that user and item belong to."""

    user: int
    item: int
    time: int
    text: str


def planted_reviews() -> list[Review]:
    """Each user's, in order of time."""
    draw = random.Random(0)
    reviews = []
    for user in range(_USERS):
        half = user % 2
        for n, item in enumerate(draw.sample(range(half, _ITEMS, 2), _EACH)):
            text = " ".join(draw.sample(_WORDS[half], 3))
            reviews.append(Review(user, item, _START + 1000 * user + n, text))
    return reviews


def run_self_test(folder: Path, encoder: str) -> str:
    """Convert, train, store, load, recommend, and compare with what must come out.

    Args:
        folder: an empty one, which everything is written to.
        encoder: the text encoder.

    Returns:
        What was done, in a line.

    Raises:
        SelfTestError: where the outcome is another than the planted one.
    """
    reviews = planted_reviews()
    with contextlib.redirect_stdout(io.StringIO()):
        _convert(reviews, folder)
        run = _train(folder, encoder)
    lists = _lists(run)
    check(reviews, lists, json.loads((run / "metrics.json").read_text(encoding="utf-8")))
    return "SymCERE was trained, stored, loaded and asked for lists, which are the planted ones"


def _convert(reviews: list[Review], folder: Path) -> None:
    from recbole_symcere.convert.convert_command import main as convert

    with (folder / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("user_id", "item_id", "timestamp", "text"))
        rows.writerows((f"u{r.user}", f"i{r.item}", r.time, r.text) for r in reviews)
    source = f"--input={folder / 'reviews.csv'}"
    convert(["generic", source, f"--name={_NAME}", f"--output_dir={folder / 'data'}"])


def _train(folder: Path, encoder: str) -> Path:
    from recbole_symcere.run.quick_start import run_recbole

    places = {"data_path": "data", "runs_dir": "runs", "cache_dir": "cache"}
    settings = {key: str(folder / name) for key, name in places.items()}
    result = run_recbole(
        "SymCERE", _NAME, config_dict={**_SETTINGS, **settings, "text_encoder": encoder}
    )
    return Path(result["run_dir"])


def _lists(run: Path) -> dict[int, list[int]]:
    """All items for each user, the best first, from what the run has stored."""
    from recbole_symcere.serve.recommender import Recommender

    users = [f"u{user}" for user in range(_USERS)]
    table = Recommender.load(run).recommend(users, k=_ITEMS, exclude_seen=False)
    lists: dict[int, list[int]] = {user: [] for user in range(_USERS)}
    for user, item in zip(table["user_id"], table["item_id"], strict=True):
        lists[int(user[1:])].append(int(item[1:]))
    return lists


def check(reviews: list[Review], lists: dict[int, list[int]], metrics: dict[str, Any]) -> None:
    """Stop where lists or metrics aren't what the reviews demand.

    NDCG@10 of one held-out item is 1 / log2(1 + its rank) where that is at most 10, else 0.

    Raises:
        SelfTestError: naming what is found and what it must be.
    """
    gains, own = [], []
    for user, ranked in lists.items():
        chosen = [review.item for review in reviews if review.user == user]
        known = set(chosen[:-1])
        best = [item for item in ranked if item not in known][:_K]
        rank = best.index(chosen[-1]) + 1 if chosen[-1] in best else math.inf
        gains.append(1 / math.log2(1 + rank) if rank < math.inf else 0.0)
        own += [item % 2 == user % 2 for item in best[:_UNKNOWN]]
    share, ndcg = sum(own) / len(own), sum(gains) / len(gains)
    if share < _SHARE:
        raise SelfTestError(
            f"{share:.0%} of what is recommended is of the half that its user likes; at least "
            f"{_SHARE:.0%} must be"
        )
    stored = metrics["test"]["ndcg@10"]
    if not math.isclose(ndcg, stored, abs_tol=1e-4):
        raise SelfTestError(
            f"the run has stored NDCG@10 {stored:.4f}, but its lists have {ndcg:.4f}"
        )
