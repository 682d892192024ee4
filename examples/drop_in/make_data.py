"""Generates the data of a small shop: RecBole's files as in ml-100k, and reviews in a CSV file.

Nothing in it is real. A user likes two of eight features and buys items that have them; reviews
name the features of the item.
"""

import csv
import random
from pathlib import Path

FEATURES = ("quiet", "sturdy", "cheap", "light", "colourful", "compact", "fast", "soft")
PRAISE = ("I like it", "does what it should", "bought it again", "a gift for a friend")
N_USERS, N_ITEMS, PER_USER = 120, 80, 10
START = 1_600_000_000

here = Path(__file__).parent
draw = random.Random(7)
items = [draw.sample(FEATURES, 2) for _ in range(N_ITEMS)]
bought, reviews = [], []
for user in range(N_USERS):
    liked = set(draw.sample(FEATURES, 2))
    weights = [1 + 20 * len(liked.intersection(features)) for features in items]
    basket = list(dict.fromkeys(draw.choices(range(N_ITEMS), weights, k=3 * PER_USER)))[:PER_USER]
    for n, item in enumerate(basket):
        time = START + 86_400 * (7 * n + user % 7) + user
        rating = min(5, 3 + len(liked.intersection(items[item])) + draw.randrange(2))
        first, second = draw.sample(items[item], 2)
        text = f"{draw.choice(PRAISE)}, {first} and really {second}"
        bought.append((f"u{user}", f"i{item}", rating, time))
        reviews.append((f"u{user}", f"i{item}", time, text))

folder = here / "dataset" / "shop"
folder.mkdir(parents=True, exist_ok=True)
lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
lines += ["\t".join(map(str, row)) for row in bought]
(folder / "shop.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
with (here / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(("user_id", "item_id", "timestamp", "text"))
    writer.writerows(reviews)
