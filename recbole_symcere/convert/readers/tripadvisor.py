"""TripAdvisor hotel reviews of the LARA project (Wang, Lu, Zhai), as text blocks or as JSON.

There is one file per hotel: ``hotel_<id>.dat`` with blocks of lines <Author>, <Content>, <Date>,
<Overall>, separated by blank lines, or ``<id>.json`` with {"Reviews": [{"Author", "Title",
"Content", "Date", "Ratings": {"Overall"}}], "HotelInfo": {"HotelID"}}. Given is one such file or
the archive of them as downloaded. A JSON review's title and content are joined as
`amazon.with_summary` tells; the text blocks have no title. A review's "line" is its number in the
whole input. "Jan 6, 2009" is taken as midnight UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.archives import is_archive, members
from recbole_symcere.convert.json_reviews import with_summary
from recbole_symcere.convert.lines import DAMAGED, check_file, decompressed
from recbole_symcere.convert.raw import RawBuilder, RawTable
from recbole_symcere.convert.records import Batch, Reading
from recbole_symcere.convert.validate import Expectations, Validator

SOURCE = "tripadvisor"

NOT_JSON = "not valid JSON"
NOT_REVIEW = "not a JSON object of a review"
_NAMES = {
    "user_id": "Author",
    "item_id": "HotelID",
    "rating": "Overall",
    "timestamp": "Date",
    "text": "Content",
    "summary": "Title",
}
_RATINGS = (1.0, 5.0)
_BATCH = 5_000
_TAG = re.compile(r"<(Author|Content|Date|Overall)>(.*)")
_QUOTES = '\u201c\u201d"'
_LARGEST_HOTEL = 256 << 20


class _Review(NamedTuple):
    """Values by `_NAMES`, or what is wrong with them."""

    values: list[str | None]
    problem: str | None = None


def read_tripadvisor(path: Path, anonymous: frozenset[str] = frozenset()) -> Reading:
    """Read the reviews.

    Args:
        path: a hotel's .dat or .json file, or a .zip or .tar (plain or compressed) of them.
        anonymous: user names that many people share, lower case.

    Returns:
        The reading; ratings are 1 to 5.

    Raises:
        InputError: if the file cannot be read.
    """
    check_file(path)
    validate = Validator(
        path.name, Expectations(_NAMES, rating_range=_RATINGS, anonymous=anonymous)
    )

    def read(table: RawTable) -> Batch:
        return validate(with_summary(table))

    return Reading(SOURCE, path.name, _tables(path), read, (path,))


def _tables(path: Path) -> Iterator[RawTable]:
    builder = RawBuilder(list(_NAMES))
    number = 0
    try:
        for name, content in _hotels(path):
            for review in _reviews(name, content):
                number += 1
                if review.problem is None:
                    builder.add(review.values, number)
                else:
                    builder.add_problem(review.problem, number)
            if len(builder) >= _BATCH:
                yield builder.build()
    except (*DAMAGED, OSError) as error:
        raise InputError(
            f"{path.name}: the file is damaged or cut short after review {number} ({error}); "
            "expected a complete file; download it again"
        ) from error
    yield builder.build()


def _hotels(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as raw:
        if is_archive(path):
            for member in members(raw, _is_hotel):
                yield member.name, _whole(member.stream, member.name)
        else:
            yield path.name.removesuffix(".gz"), _whole(decompressed(raw), path.name)


def _is_hotel(name: str) -> bool:
    file = PurePosixPath(name)
    return file.suffix in {".dat", ".json", ".txt"} and not file.name.startswith(".")


def _whole(stream: Any, name: str) -> bytes:
    content: bytes = stream.read(_LARGEST_HOTEL + 1)
    if len(content) > _LARGEST_HOTEL:
        raise InputError(
            f"{name}: the file is larger than {_LARGEST_HOTEL >> 20} MB; expected the reviews of "
            "one hotel, or an archive of such files"
        )
    return content


def _reviews(name: str, content: bytes) -> Iterable[_Review]:
    text = content.decode("utf-8-sig", errors="replace")
    hotel = re.sub(r"^hotel_", "", PurePosixPath(name).stem)
    if text.lstrip()[:1] in {"{", "["}:
        return _json_reviews(hotel, text)
    return _block_reviews(hotel, text)


def _block_reviews(hotel: str, text: str) -> Iterator[_Review]:
    """A review starts at <Author>; what comes before the first is about the hotel."""
    found: dict[str, str] | None = None
    for line in text.split("\n"):
        match = _TAG.match(line.strip())
        if match and match[1] == "Author":
            if found is not None:
                yield _block_review(hotel, found)
            found = {}
        if match and found is not None:
            found.setdefault(match[1], match[2].strip())
    if found is not None:
        yield _block_review(hotel, found)


def _block_review(hotel: str, found: dict[str, str]) -> _Review:
    # the crawl left the link to the rest of the text at its end
    content = re.sub(r"\s*showReview\([^)]*\);?\s*$", "", found.get("Content", ""))
    return _Review(
        [found.get("Author"), hotel, found.get("Overall"), found.get("Date"), content, None]
    )


def _json_reviews(hotel: str, text: str) -> Iterator[_Review]:
    try:
        record = json.loads(text, parse_int=str, parse_float=str, strict=False)
    except (ValueError, RecursionError):
        yield _Review([], NOT_JSON)
        return
    reviews = record.get("Reviews") if isinstance(record, dict) else record
    info = record.get("HotelInfo") if isinstance(record, dict) else None
    if isinstance(info, dict) and isinstance(info.get("HotelID"), str):
        hotel = info["HotelID"]
    if not isinstance(reviews, list):
        yield _Review([], NOT_REVIEW)
        return
    for review in reviews:
        yield _json_review(hotel, review)


def _json_review(hotel: str, review: Any) -> _Review:
    if not isinstance(review, dict):
        return _Review([], NOT_REVIEW)
    ratings = review.get("Ratings")
    overall = ratings.get("Overall") if isinstance(ratings, dict) else None
    title = review.get("Title")
    if isinstance(title, str):
        title = title.strip().strip(_QUOTES)
    values = [review.get("Author"), hotel, overall, review.get("Date"), review.get("Content")]
    values.append(title)
    if any(not isinstance(value, str | None) for value in values):
        return _Review([], NOT_REVIEW)
    return _Review(values)
