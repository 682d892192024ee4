"""No bytes make a reader crash or lose a row."""

import gzip
import itertools
import json

import polars as pl
import pytest
from convert_tables import READERS, read_all
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert import jsonlines
from recbole_symcere.convert.clean import clean_texts
from recbole_symcere.convert.jsonlines import JsonLines, _numbered
from recbole_symcere.convert.lines import Block
from recbole_symcere.convert.raw import Columns
from recbole_symcere.convert.readers.generic import read_generic

GOOD = {
    "user_id": "u", "reviewerID": "u", "item_id": "i", "asin": "i", "parent_asin": "i",
    "business_id": "i", "rating": 4, "overall": 4, "stars": 4, "timestamp": 1_500_000_000,
    "unixReviewTime": 1_500_000_000, "date": "2018-07-07 22:09:11", "text": "t",
    "reviewText": "t", "summary": "s", "title": "s",
}  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["NA", 'a"b', "\ud83d", "\0", "1e3", "-1", "4", "9" * 15, "2099-01-01"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)  # fmt: skip
RECORDS = st.dictionaries(st.sampled_from(sorted(GOOD)), VALUES).map(
    lambda changes: json.dumps({**GOOD, **changes}).encode()
)
CSV_HEADER = b"user_id,item_id,rating,timestamp,text"
FRAGMENTS = st.one_of(
    RECORDS,
    RECORDS.map(lambda line: line[: len(line) // 2]),
    st.binary(max_size=20),
    st.sampled_from(
        [b"", b"\n", b"\r\n", b"\xef\xbb\xbf", b"{}", b"[1]", b"null", b'{"a":"\\ud83d"}',
         b'{"user_id": 1.10}', b'{"user_id": 7} {"user_id": 8}', b"u,i,4,1500000000,t",
         b'u,i,4,1500000000,"a\nb"', b'"', b"u\ti\t4\t1500000000\tt", CSV_HEADER,
         CSV_HEADER.replace(b",", b"\t"), b"<Author>a\n<Content>c\n<Date>Jan 6, 2009\n<Overall>5",
         b'{"Reviews": [{"Author": "a"}, 5]}', b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04",
         b"\x82\xa0\t" * 17 + b"x", b"PAR1"]
    ),
)  # fmt: skip
FILES = st.lists(FRAGMENTS, max_size=8).map(b"\n".join)


def check(reader, path):
    """Read and clean; what comes out must add up."""
    try:
        read = read_all(READERS[reader](path))
    except InputError:
        return
    for batch in read.batches:
        assert batch.n_read == len(batch.reviews) + len(batch.rejected) + batch.n_anonymous
        assert batch.rejected["reason"].null_count() == 0
        clean_texts(batch.reviews, 10)
    report = read.report
    lost = sum(skipped.count for skipped in report.skipped) + report.anonymous
    assert report.rows_read == report.rows_kept + lost
    assert report.rows_kept == len(read.reviews)
    assert len(report.rejected) == min(lost - report.anonymous, 1000)
    present = read.reviews.drop(report.absent)
    assert present.null_count().sum_horizontal()[0] == 0


@pytest.mark.parametrize("reader", READERS)
@given(content=FILES)
@example(content=b"")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_bytes_crash_a_reader_or_lose_a_row(tmp_path, reader, content):
    path = tmp_path / "f"
    path.write_bytes(content)
    check(reader, path)
    path.write_bytes(gzip.compress(content))
    check(reader, path)


@given(
    lines=st.lists(st.one_of(RECORDS, FRAGMENTS.map(lambda f: f.replace(b"\n", b" "))), min_size=1)
)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("piece", [1, 200, 64 << 10])
def test_the_fast_parser_agrees_with_the_careful_one(piece, lines):
    columns = Columns({"user_id": "user_id", "item_id": "item_id", "text": "text"})
    parse = JsonLines(columns, "f")
    parse._checked = True
    block = Block(b"".join(line + b"\n" for line in lines), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonlines, "_PIECE", piece)
        fast, careful = parse(block), parse._careful(_numbered(block))
    assert fast.frame.equals(careful.frame.select(fast.frame.columns))
    assert fast.notes == careful.notes
    good = Block(b"".join(json.dumps(GOOD).encode() + b"\n" for _ in lines) or b"{}\n", 1)
    assert parse._fast(good.data, pl.Series(range(good.n_lines))) is not None


def test_every_line_of_a_file_is_a_row_or_blank(tmp_path):
    kinds = [json.dumps(GOOD).encode(), b"{cut", b"", b"[1]", b'{"user_id": "u"}', b"\xff"]
    lines = list(itertools.islice(itertools.cycle(kinds), 60_000))
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\n".join(lines))
    report = read_all(read_generic(path)).report
    assert report.rows_read == 50_000
    assert {s.reason: s.count for s in report.skipped} == {
        "not valid JSON": 20_000, "not a JSON object": 10_000, "no item_id": 10_000,
    }  # fmt: skip
    assert report.notes == (
        "the file is not UTF-8; read as cp1252, which its bytes look like; --encoding names "
        "another",
        "10000 blank lines passed over",
    )
    assert report.skipped[0].lines == (2, 6, 8)


def test_a_few_broken_lines_leave_the_others_to_the_fast_parser(monkeypatch):
    """25 of 300,000 made a conversion 2.6 times as dear."""
    columns = Columns({"user_id": "user_id", "item_id": "item_id", "text": "text"})
    parse = JsonLines(columns, "f")
    row = b'{"user_id": "u", "item_id": "i", "text": "%s"}' % (b"x" * 400)
    lines = [row] * 20_000
    broken = {
        99: row[:200],
        5_000: b"",
        9_999: b"no JSON",
        15_000: row.replace(b"xx", b"\xff\xfe", 1),
    }
    for number, line in broken.items():
        lines[number] = line
    counts = {"careful": 0, "fast": 0}
    careful, fast = JsonLines._careful, JsonLines._fast

    def counting_careful(self, lines):
        lines = list(lines)
        counts["careful"] += len(lines)
        return careful(self, lines)

    def counting_fast(self, data, numbers):
        counts["fast"] += 1
        return fast(self, data, numbers)

    monkeypatch.setattr(JsonLines, "_careful", counting_careful)
    monkeypatch.setattr(JsonLines, "_fast", counting_fast)
    table = parse(Block(b"\n".join(lines), 1))
    assert counts["careful"] < 200  # a piece of 64 KB beside those that are seen to be broken
    assert counts["fast"] < 20
    assert table.frame["source_line"].to_list() == [n for n in range(1, 20_001) if n != 5_001]
    assert table.frame.filter(pl.col("problem").is_not_null())["source_line"].to_list() == [
        100, 10_000,
    ]  # fmt: skip
    assert "\ufffd" in table.frame.filter(pl.col("source_line") == 15_001)["text"][0]
