import gzip
import json

import pytest
from convert_tables import read_all

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.readers import amazon as amazon2014


def read_amazon2014(path):
    return read_all(amazon2014.read_amazon2014(path))


def dump(path, *records):
    base = {
        "reviewerID": "A1", "asin": "0001", "helpful": [0, 0], "overall": 5.0,
        "unixReviewTime": 1_393_545_600, "reviewText": "body", "summary": "head",
    }  # fmt: skip
    lines = (json.dumps({**base, **record}) + "\n" for record in records)
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def test_a_dump_becomes_reviews(tmp_path):
    path = dump(tmp_path / "r.json.gz", {}, {"asin": "B2", "overall": 1})
    reading = read_amazon2014(path)
    assert reading.reviews.rows() == [
        ("A1", "0001", 5.0, 1_393_545_600, "head. body", 1),
        ("A1", "B2", 1.0, 1_393_545_600, "head. body", 2),
    ]
    assert reading.reading.inputs == (path,)
    assert reading.reading.source == "amazon2014"


@pytest.mark.parametrize(
    ("summary", "body", "text"),
    [
        ("Good", "It works.", "Good. It works."),
        ("Good!", "It works.", "Good! It works."),
        ("Good... ", " It works.", "Good... It works."),
        ("", "It works.", "It works."),
        ("Good", "", "Good"),
        (None, None, ""),
        (" ", "", ""),
    ],
)
def test_the_text_is_the_summary_and_the_body(tmp_path, summary, body, text):
    path = dump(tmp_path / "r.json.gz", {"summary": summary, "reviewText": body})
    assert read_amazon2014(path).reviews["text"].to_list() == [text]


def test_a_file_of_another_layout_is_refused(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"user_id": "u", "overall": 5}\n')
    with pytest.raises(
        InputError, match=r"no column 'reviewerID'; found 'user_id', 'overall'; .*convert generic"
    ):
        read_amazon2014(path)


def test_the_reasons_speak_of_the_keys_of_the_file(tmp_path):
    path = dump(tmp_path / "r.json.gz", {}, {"overall": None}, {"unixReviewTime": "soon"})
    reasons = {skipped.reason for skipped in read_amazon2014(path).report.skipped}
    assert reasons == {"no overall", "unixReviewTime is no time of 1970-2099"}
