"""A small synthetic data set in the project's format, with awkward rows and a planted answer."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tiny_models import WORDS

START = 1_500_000_000  # seconds; float32 has steps of 128 s there


def small_rows(n_users=24, n_items=30, per_user=8, seed=0):
    """Rows (user, item, rating, time, text): user u likes the items of its half of the catalogue.

    Times are 30 s apart, so that float32 can't order them; a tenth of the reviews is empty.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        half = np.arange(n_items // 2) + (user % 2) * (n_items // 2)
        for n, item in enumerate(rng.choice(half, per_user, replace=False)):
            words = [WORDS[int(item)], *rng.choice(WORDS[n_items : n_items + 40], 6)]
            text = "" if rng.random() < 0.1 else " ".join(words)
            time = START + 30 * n + 1000 * user
            rows.append((f"u{user}", f"i{item}", float(rng.integers(1, 6)), time, text))
    return rows


def write_rows(folder: Path, name: str, rows, part: str | None = None) -> Path:
    """``<name>[.part].inter`` and ``<name>[.part].reviews.parquet`` below ``folder / name``."""
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    stem = name if part is None else f"{name}.{part}"
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += [f"{u}\t{i}\t{r}\t{t}" for u, i, r, t, _ in rows]
    (target / f"{stem}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_reviews(target / f"{stem}.reviews.parquet", rows)
    return target


def write_reviews(path: Path, rows) -> None:
    users, items, _, _, texts = (list(column) for column in zip(*rows, strict=True))
    pq.write_table(pa.table({"user_id": users, "item_id": items, "text": texts}), path)


def write_small(folder: Path, name: str = "small", **shape) -> Path:
    target = write_rows(folder, name, small_rows(**shape))
    (target / "manifest.json").write_text(json.dumps({"notice": "small and SYNTHETIC"}))
    return target


def small_settings(data: Path, encoder: Path, cache: Path, own: Path) -> dict:
    """Settings of a run on "small" that takes a second or two, with files of its own in ``own``."""
    return {
        "data_path": str(data),
        "cache_dir": str(cache),
        "runs_dir": str(own / "runs"),
        "checkpoint_dir": str(own / "saved"),
        "text_encoder": str(encoder),
        "embedding_size": 16,
        "train_batch_size": 64,
        "max_length": 16,
        "epochs": 2,
        "show_progress": False,
    }
