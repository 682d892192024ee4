"""Reviews whose truth is known, in words that a tiny encoder can tell apart, and a run on them."""

import contextlib
import io
from pathlib import Path

import numpy as np
from small_data import START, write_rows
from tiny_models import WORDS

from recbole_symcere.cli import main

ATTRIBUTES, LIKED, DISLIKED = WORDS[:180:20], WORDS[7:127:60], WORDS[187:307:60]
FILLERS = WORDS[33:333:75]


def planted_rows(n_users=30, n_items=24, per_user=14, seed=0):
    """An item has 3 attributes, of which a review names 2; one more word follows the rating."""
    rng = np.random.default_rng(seed)
    steps = np.array([1, 2, 4])
    of_item = [(n + steps * (1 + n // 9)) % len(ATTRIBUTES) for n in range(n_items)]
    liked = [set(rng.choice(len(ATTRIBUTES), 4, replace=False)) for _ in range(n_users)]
    rows = []
    for user in range(n_users):
        match = np.array([len(liked[user] & set(words)) for words in of_item])
        chosen = np.argsort(-(2 * match + rng.gumbel(size=n_items)))[:per_user]
        for n, item in enumerate(rng.permutation(chosen)):
            rating = float(rng.integers(1, 6))
            felt = rng.choice(LIKED if rating >= 3 else DISLIKED)
            words = [
                *(ATTRIBUTES[w] for w in rng.choice(of_item[item], 2, replace=False)),
                *rng.choice(FILLERS, 2, replace=False),
                felt,
            ]
            text = " ".join(rng.permutation(words))
            rows.append((f"u{user}", f"i{item}", rating, START + 60 * n + 9000 * user, text))
    return rows


def train(folder: Path, settings, rows=None, model="SymCERE", **extra) -> Path:
    """A quiet run on the planted data; its folder."""
    write_rows(folder, "planted", rows or planted_rows())
    given = {
        **{key: settings[key] for key in ("cache_dir", "text_encoder", "embedding_size")},
        **{
            "data_path": folder,
            "max_length": 32,
            "epochs": 15,
            "alpha": 0,
            "run_dir": folder / "run",
        },
        **{"train_batch_size": 128, "learning_rate": 0.02, "pooling": "mean", "n_layers": 1},
        **{"stopping_step": 100, **extra},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        status = main(
            [f"--model={model}", "--dataset=planted", *(f"--{k}={v}" for k, v in given.items())]
        )
    assert status == 0
    return folder / "run"
