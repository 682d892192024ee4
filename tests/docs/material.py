"""What the tutorials start from: files in the form of real dumps, with made-up reviews in them."""

import gzip
import io
import json
import runpy
import tarfile
import zipfile
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS.parent / "examples" / "drop_in"
MAKE_REVIEWS = DOCS / "tutorials" / "make_reviews.py"


def shop_rows() -> list[list]:
    """The rows of make_reviews.py: user, item, rating, time, text."""
    return runpy.run_path(str(MAKE_REVIEWS))["rows"]()


def write_yelp(path: Path) -> None:
    """Yelp's archive as it is downloaded: a zip with a tar of JSON lines in it."""
    rows = shop_rows()
    reviews = [
        {"review_id": f"r{n}", "user_id": user, "business_id": item, "stars": float(stars),
         "useful": 0, "funny": 0, "cool": 0, "text": text, "date": f"{time}:11"}
        for n, (user, item, stars, time, text) in enumerate(rows)
    ]  # fmt: skip
    businesses = [
        {"business_id": item, "name": f"Café {item}", "city": "Nowhere", "categories": "Coffee"}
        for item in sorted({row[1] for row in rows})
    ]
    members = {"review": reviews, "business": businesses}
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        for kind, found in members.items():
            data = _lines(found)
            info = tarfile.TarInfo(f"yelp_academic_dataset_{kind}.json")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Yelp JSON/yelp_dataset.tar", inner.getvalue())


def write_amazon_2018(reviews: Path, meta: Path) -> None:
    """A 5-core of 2018 and its metadata."""
    import datetime

    rows = shop_rows()

    def seconds(time: str) -> int:
        return int(datetime.datetime.fromisoformat(f"{time}+00:00").timestamp())

    reviews.write_bytes(gzip.compress(_lines([
        {"overall": float(stars), "verified": True, "reviewerID": user, "asin": item,
         "reviewText": text, "summary": text.split(".")[0], "unixReviewTime": seconds(time)}
        for user, item, stars, time, text in rows
    ])))  # fmt: skip
    items = sorted({row[1] for row in rows})
    meta.write_bytes(gzip.compress(_lines(
        {"asin": item, "title": f"{item} card", "description": ["A card."], "category": ["Gifts"]}
        for item in items
    )))  # fmt: skip


def _lines(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
