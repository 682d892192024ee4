"""Write reviews.csv: reviews of a shop that doesn't exist, for the tutorials. Needs Python alone.

    python make_reviews.py [FILE]

150 customers rate 90 products, a dozen each. A customer cares for two properties out of eight and
mostly buys what has them; the text says which property was noticed. Nothing in it is real.
"""

import csv
import datetime
import random
import sys
from pathlib import Path

N_USERS, REVIEWS_EACH = 150, 12
KINDS = ("kettle", "lamp", "backpack", "headphones", "chair", "blender", "tent", "watch", "jacket")
PROPERTIES = ("quiet", "waterproof", "lightweight", "colourful", "sturdy", "foldable", "warm",
              "quick to set up")  # fmt: skip
REMARKS = {
    "quiet": ("I hardly hear it, it is so quiet", "quiet enough for the night"),
    "waterproof": ("waterproof, even in heavy rain", "stood in a puddle and stayed dry inside"),
    "lightweight": ("so lightweight that I forget it", "weighs next to nothing"),
    "colourful": ("a colourful thing, brighter than the picture", "the colours cheer up the room"),
    "sturdy": ("sturdy, it fell twice and took no harm", "thick metal, nothing wobbles"),
    "foldable": ("folds flat and fits under the bed", "foldable within seconds"),
    "warm": ("keeps warm for hours", "warm on the coldest day"),
    "quick to set up": ("quick to set up, no tools needed", "ready in two minutes"),
}
PLACES = ("at home", "at work", "on the balcony", "in the camper", "on a trip", "at my parents'")
OPINIONS = {1: "Sent it back.", 2: "Not for me.", 3: "It will do.", 4: "Good.", 5: "Love it."}
START = datetime.datetime(2023, 1, 1, tzinfo=datetime.UTC)


def rows(seed: int = 1) -> list[list[object]]:
    """One row per review, in the order of time."""
    rng = random.Random(seed)
    items = {f"{kind}-{n:02}": rng.sample(PROPERTIES, 2) for kind in KINDS for n in range(1, 11)}
    found = []
    for user in range(1, N_USERS + 1):
        wanted = set(rng.sample(PROPERTIES, 2))
        weights = {item: 1 + 12 * len(wanted & set(has)) for item, has in items.items()}
        day = rng.randrange(300)
        for _ in range(REVIEWS_EACH):
            item = rng.choices(list(weights), list(weights.values()))[0]
            del weights[item]
            noticed = next((p for p in items[item] if p in wanted), rng.choice(items[item]))
            stars = rng.choice((4, 5)) if noticed in wanted else rng.choice((1, 2, 3, 4))
            time = START + datetime.timedelta(days=day, seconds=rng.randrange(80_000))
            said = rng.choice(REMARKS[noticed])
            text = f"{OPINIONS[stars]} {said[0].upper()}{said[1:]}. Used {rng.choice(PLACES)}."
            found.append([f"c{user:03}", item, stars, time.strftime("%Y-%m-%d %H:%M"), text])
            day += rng.randrange(1, 20)
    return sorted(found, key=lambda row: row[3])


def main() -> None:
    """Write the file."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "reviews.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "rating", "timestamp", "text"])
        writer.writerows(rows())


if __name__ == "__main__":
    main()
