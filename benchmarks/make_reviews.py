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
ODD = ("it&#39;s ", "a<br />b ", 'so "good" ', "two\nlines ", "caf\u00e9 ", "tab\tbed ")
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
    words = ["".join(rng.choice(SYLLABLES, size)) for size in rng.integers(1, 5, 5000)]
    phrases = np.array([" ".join(rng.choice(words, 7)) for _ in range(20_000)], dtype=object)
    n_users, n_items = max(n_rows // 12, 10), max(n_rows // 40, 10)
    with out.open("w", encoding="utf-8") as file:
        for start in range(0, n_rows, BLOCK):
            file.writelines(_block(rng, phrases, min(BLOCK, n_rows - start), n_users, n_items))


def _block(
    rng: np.random.Generator, phrases: np.ndarray, n_rows: int, n_users: int, n_items: int
) -> list[str]:
    users = (n_users * rng.random(n_rows) ** 2).astype(np.int64)
    items = (n_items * rng.random(n_rows) ** 2).astype(np.int64)
    times = rng.integers(1_262_304_000, 1_538_352_000, n_rows) // 86_400 * 86_400
    stars = rng.integers(1, 6, n_rows)
    lengths = np.clip(rng.geometric(0.1, n_rows), 1, 60)
    chosen = phrases[rng.integers(0, len(phrases), lengths.sum())]
    ends = np.cumsum(lengths)
    odd = rng.random(n_rows)
    lines = []
    for row in range(n_rows):
        body = ". ".join(chosen[ends[row] - lengths[row] : ends[row]])
        if odd[row] < 0.05:
            body = "" if odd[row] < 0.001 else ODD[int(odd[row] * 1e6) % len(ODD)] + body
        lines.append(
            f'{{"overall": {stars[row]}.0, "verified": true, "reviewTime": "01 1, 2015", '
            f'"reviewerID": "A{users[row]:012d}X", "asin": "B{items[row]:09d}", '
            f'"style": {{"Size:": " Big"}}, "reviewText": {json.dumps(body)}, '
            f'"summary": {json.dumps(chosen[ends[row] - 1][:30])}, "unixReviewTime": {times[row]}}}\n'
        )
    return lines


if __name__ == "__main__":
    main()
