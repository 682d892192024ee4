"""What RecBole's knowledge-aware and feature models read beside ``.inter``, for the set "small"."""

import random
from pathlib import Path

INTER = ["user_id", "item_id", "rating", "timestamp"]
WITH_CLASS = {"inter": INTER, "item": ["item_id", "class"]}
"""``load_col`` with the column of `write_features`."""


def _items(folder: Path, name: str) -> list[str]:
    rows = (folder / name / f"{name}.inter").read_text(encoding="utf-8").splitlines()[1:]
    return sorted({row.split("\t")[1] for row in rows})


def write_knowledge(folder: Path, name: str = "small") -> None:
    """``<name>.kg`` and ``<name>.link``: every item is an entity with three random triples."""
    rng, items = random.Random(0), _items(folder, name)
    triples = [
        f"e{n}\tr{rng.randrange(3)}\ta{rng.randrange(10)}" for n in range(len(items)) for _ in "abc"
    ]
    links = [f"{item}\te{n}" for n, item in enumerate(items)]
    _write(folder / name / f"{name}.kg", "head_id:token\trelation_id:token\ttail_id:token", triples)
    _write(folder / name / f"{name}.link", "item_id:token\tentity_id:token", links)


def write_features(folder: Path, name: str = "small") -> None:
    """``<name>.item`` with two random classes for each item but the first, which has none."""
    rng = random.Random(0)
    first, *items = _items(folder, name)
    rows = [f"{first}\t", *(f"{i}\tc{rng.randrange(5)} c{rng.randrange(5)}" for i in items)]
    _write(folder / name / f"{name}.item", "item_id:token\tclass:token_seq", rows)


def _write(path: Path, head: str, rows: list[str]) -> None:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
