"""Write a file of random reviews in the layout of Amazon 2018: seeded, any size.

    python benchmarks/make_reviews.py --rows 1000000 --out reviews.json

Users and items follow a long tail, texts have about 70 words of a made-up language, and some rows
are what real dumps hold: repeated pairs, HTML, quotes, line breaks, empty texts, accents.
"""

import argparse
import json
from pathlib import Path

import numpy as np

SYLLABLES = ("ba", "do", "fi", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "to", "vi", "zo")
ODD = ("it&#39;s ", "a<br />b ", 'so "good" ', "two\nlines ", "caf\u00e9 ", "tab\tbed ", "")
BLOCK = 50_000


def main() -> None:
    """Read the options and write the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write_reviews(args.out, args.rows, args.seed)


def write_reviews(out: Path, n_rows: int, seed: int) -> None:
    """Write ``n_rows`` reviews as JSON lines."""
    rng = np.random.default_rng(seed)
    words = np.array(["".join(rng.choice(SYLLABLES, n)) for n in rng.integers(1, 5, 5000)])
    phrases = [" ".join(row) for row in words[rng.integers(0, 5000, (20_000, 7))]]
    n_users, n_items = max(n_rows // 12, 10), max(n_rows // 40, 10)
    with out.open("w", encoding="utf-8") as file:
        for start in range(0, n_rows, BLOCK):
            file.writelines(_block(rng, phrases, min(BLOCK, n_rows - start), n_users, n_items))


def _block(
    rng: np.random.Generator, phrases: list[str], n_rows: int, n_users: int, n_items: int
) -> list[str]:
    users = (n_users * rng.random(n_rows) ** 2).astype(np.int64).tolist()
    items = (n_items * rng.random(n_rows) ** 2).astype(np.int64).tolist()
    times = (rng.integers(1_262_304_000, 1_538_352_000, n_rows) // 86_400 * 86_400).tolist()
    stars = rng.integers(1, 6, n_rows).tolist()
    lengths = np.clip(rng.geometric(0.1, n_rows), 1, 60)
    chosen = [phrases[n] for n in rng.integers(0, len(phrases), lengths.sum()).tolist()]
    ends = np.cumsum(lengths).tolist()
    odd = rng.integers(0, 20 * len(ODD), n_rows).tolist()  # one row in twenty is odd
    lines = []
    start = 0
    for user, item, time, star, end, kind in zip(
        users, items, times, stars, ends, odd, strict=True
    ):
        body = ". ".join(chosen[start:end])
        if kind < len(ODD):
            body = json.dumps(ODD[kind] and ODD[kind] + body)[1:-1]
        lines.append(
            f'{{"overall": {star}.0, "verified": true, "reviewTime": "01 1, 2015", '
            f'"reviewerID": "A{user:012d}X", "asin": "B{item:09d}", '
            f'"style": {{"Size:": " Big"}}, "reviewText": "{body}", '
            f'"summary": "{chosen[start][:30]}", "unixReviewTime": {time}}}\n'
        )
        start = end
    return lines


if __name__ == "__main__":
    main()
