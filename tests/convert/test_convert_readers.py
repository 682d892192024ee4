"""Each source in the layout that its owner gives out, in ten lines or fewer."""

import gzip
import io
import json
import tarfile
import zipfile

import pyarrow as pa
import pytest
from convert_tables import read_all

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_options import LayoutOptions
from recbole_symcere.convert.readers.amazon import read_amazon2014, read_amazon2018, read_amazon2023
from recbole_symcere.convert.readers.rakuten_travel import read_rakuten_travel
from recbole_symcere.convert.readers.tripadvisor import read_tripadvisor
from recbole_symcere.convert.readers.yelp import read_yelp
from recbole_symcere.convert.sources import SOURCES

AMAZON2018 = {
    "overall": 5.0, "verified": True, "reviewTime": "09 4, 2015", "reviewerID": "A1", "asin": "B1",
    "style": {"Size:": " Big", "text": ["x"]}, "reviewText": "body", "summary": "head",
    "unixReviewTime": 1_441_324_800,
}  # fmt: skip
AMAZON2023 = {
    "rating": 4.0, "title": "head", "text": "body", "images": [], "asin": "B2",
    "parent_asin": "B1", "user_id": "AG1", "timestamp": 1_588_687_728_923, "helpful_vote": 0,
    "verified_purchase": True,
}  # fmt: skip
YELP = {
    "review_id": "r", "user_id": "u1", "business_id": "b1", "stars": 4.0, "useful": 3, "funny": 1,
    "cool": 1, "text": 'so "good"\n\nit\twas', "date": "2018-07-07 22:09:11",
}  # fmt: skip
LARA = """<Overall Rating>4
<Avg. Price>$173
<URL>http://www.tripadvisor.com/ShowUserReviews-g60878-d72572-r23327047.html

<Author>Ann B.
<Content>Lovely place, "quiet".\u2028 showReview(123, 'full');
<Date>Jan 6, 2009
<img src="new.gif" alt="New"/>
<No. Reader>-1
<Overall>5
<Value>5

<Author>A TripAdvisor Member
<Content>Fine
<Date>December 26, 2008
<Overall>3

<Author>Bo
<Date>Dec 1, 2008
<Overall>-1

"""
HOTEL = {
    "Reviews": [
        {"Ratings": {"Overall": "4.0", "Value": "3"}, "Title": "\u201cGreat\u201d", "Author": "Ann",
         "ReviewID": "UR1", "Content": "Clean rooms.", "Date": "March 29, 2012"},
        {"Ratings": {}, "Title": None, "Author": "Bo", "Content": "x", "Date": "March 1, 2012"},
        ["no review"],
    ],
    "HotelInfo": {"Name": "Inn", "HotelID": "72572", "Price": "$1"},
}  # fmt: skip
RAKUTEN = [
    ["u1", "2012-05-30 08:15:43", "h1", "9", "plan", "t", "r", "leisure", "family",
     "5", "4", "3", "4", "5", "5", "4", "良い宿", "部屋が\u3000広い。"],
    ["匿名", "2012/06/01 00:00:00", "h1", *["-"] * 12, "3", "", "普通"],
    ["u2", "2012-06-02 00:00:00", "h2", *["-"] * 12, "0", "", ""],
    ["u3", "short row"],
]  # fmt: skip


def write(path, *records):
    text = "".join(json.dumps(record) + "\n" for record in records)
    data = text.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        data = sink.getvalue().to_pybytes()
    path.write_bytes(data)
    return path


def tar(members, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def skipped(read):
    return {s.reason: s.count for s in read.report.skipped}


@pytest.mark.parametrize("ending", ["json", "json.gz", "json.zst"])
def test_amazon_2018(tmp_path, ending):
    lone = {key: AMAZON2018[key] for key in ("overall", "reviewerID", "asin", "unixReviewTime")}
    path = write(
        tmp_path / f"Gift_Cards_5.{ending}", AMAZON2018, {**AMAZON2018, "overall": 6}, lone
    )
    read = read_all(read_amazon2018(path))
    assert read.reviews.rows() == [
        ("A1", "B1", 5.0, 1_441_324_800, "head. body", 1),
        ("A1", "B1", 5.0, 1_441_324_800, "", 3),
    ]
    assert skipped(read) == {"overall is out of range": 1}


def test_amazon_2023_counts_products_and_milliseconds(tmp_path):
    read = read_all(read_amazon2023(write(tmp_path / "All_Beauty.jsonl.gz", AMAZON2023)))
    assert read.reviews.rows() == [("AG1", "B1", 4.0, 1_588_687_728, "head. body", 1)]
    assert read.report.notes == ("timestamp is in milliseconds; converted to seconds",)


def test_amazon_2014_leaves_out_the_unknown_user(tmp_path):
    record = {
        "reviewerID": "unknown", "asin": "1", "overall": 5.0, "unixReviewTime": 5,
        "reviewText": "b", "summary": "s", "helpful": [0, 0],
    }  # fmt: skip
    path = write(tmp_path / "r.json", record, {**record, "reviewerID": "A"})
    read = read_all(read_amazon2014(path, SOURCES["amazon2014"].anonymous))
    assert read.reviews["user_id"].to_list() == ["A"]
    assert (read.report.anonymous, read.report.rows_read, read.report.rows_kept) == (1, 2, 1)


def yelp_files():
    review = (json.dumps(YELP) + "\n").encode()
    other = b'{"business_id": "b1", "name": "Inn", "categories": "Hotels, Bars"}\n'
    members = {
        "yelp_academic_dataset_business.json": other,
        "yelp_academic_dataset_review.json": review,
        "Dataset_User_Agreement.pdf": b"%PDF",
    }
    return {
        "yelp_academic_dataset_review.json": review,
        "yelp_dataset.tar": tar(members),
        "yelp_dataset.tgz": tar(members, "w:gz"),
        "Yelp-JSON.zip": zipped({"Yelp JSON/": b"", "Yelp JSON/yelp_dataset.tar": tar(members)}),
        "plain.zip": zipped(members),
    }


@pytest.mark.parametrize("name", yelp_files())
def test_yelp_from_the_file_or_the_archive(tmp_path, name):
    (tmp_path / name).write_bytes(yelp_files()[name])
    read = read_all(read_yelp(tmp_path / name))
    assert read.reviews.rows() == [("u1", "b1", 4.0, 1_531_001_351, 'so "good"\n\nit\twas', 1)]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_archive_without_reviews_or_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(tar({"other.txt": b"x"}))
    with pytest.raises(InputError, match=r"a\.tar: the archive holds no \.\.\.review\.json"):
        read_all(read_yelp(path))
    path.write_bytes(tar({"review.json": (json.dumps(YELP) + "\n").encode() * 9000})[:300_000])
    with pytest.raises(InputError, match=r"a\.tar: the file is damaged or cut short"):
        read_all(read_yelp(path))


def rakuten(rows, encoding):
    return "".join("\t".join(row) + "\r\n" for row in rows).encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_rakuten_travel_in_both_encodings(tmp_path, encoding):
    path = tmp_path / "review.tsv"
    path.write_bytes(rakuten(RAKUTEN, encoding))
    read = read_all(read_rakuten_travel(path, LayoutOptions(), SOURCES["rakuten_travel"].anonymous))
    # Japan's 08:15:43 is 23:15:43 of the day before in UTC
    assert read.reviews.rows() == [
        ("u1", "h1", 4.0, 1_338_333_343, "良い宿。部屋が\u3000広い。", 1)
    ]
    assert read.report.anonymous == 1
    assert skipped(read) == {"rating is out of range": 1, "wrong number of fields": 1}


def test_the_columns_of_rakuten_travel_can_be_named(tmp_path):
    path = tmp_path / "review.tsv"
    path.write_text('h1\t5\tu1\t"quote\t2012-05-30 09:00:00\tignored\n')
    columns = "item_id,rating,user_id,text,timestamp,-"
    options = LayoutOptions(columns=columns, encoding="UTF-8")
    read = read_all(read_rakuten_travel(path, options))
    assert read.reviews.rows() == [("u1", "h1", 5.0, 1_338_336_000, '"quote', 1)]


@pytest.mark.parametrize(
    ("columns", "encoding", "message"),
    [
        ("user_id,item_id", None, "--columns: rating stands there 0 times"),
        ("user_id,user_id,item_id,rating,timestamp,text", None, "user_id stands there 2 times"),
        ("user_id,item_id,rating,timestamp,text,star", None, "--columns: 'star' is unknown"),
        (None, "latin-1", "--encoding: 'latin-1' is unknown; expected auto, utf-8 or cp932"),
    ],
)
def test_wrong_columns_and_encodings_are_refused(tmp_path, columns, encoding, message):
    options = LayoutOptions(columns=columns, encoding=encoding or "auto")
    with pytest.raises(InputError, match=message):
        read_rakuten_travel(tmp_path / "review.tsv", options)


def test_a_named_encoding_that_is_wrong_is_counted(tmp_path):
    path = tmp_path / "review.tsv"
    path.write_bytes(rakuten(RAKUTEN[:1], "cp932"))
    read = read_all(read_rakuten_travel(path, LayoutOptions(encoding="utf-8")))
    assert read.report.notes == ("1 lines held bytes that are not UTF-8; replaced by U+FFFD",)


def tripadvisor_files():
    dat, hotel = LARA.encode(), json.dumps(HOTEL).encode()
    return {
        "hotel_72572.dat": dat,
        "Review_Texts.zip": zipped({"Review_Texts/hotel_72572.dat": dat, "readme.md": b"hi"}),
        "texts.tar": tar({"hotel_72572.dat": dat}),
        "72572.json": hotel,
        "TripAdvisorJson.tar.bz2": tar({"json/72572.json": hotel}, "w:bz2"),
    }


@pytest.mark.parametrize("name", tripadvisor_files())
def test_tripadvisor_text_blocks_and_json(tmp_path, name):
    (tmp_path / name).write_bytes(tripadvisor_files()[name])
    read = read_all(read_tripadvisor(tmp_path / name, SOURCES["tripadvisor"].anonymous))
    if "son" in name:
        assert read.reviews.rows() == [
            ("Ann", "72572", 4.0, 1_332_979_200, "Great. Clean rooms.", 1)
        ]
        assert skipped(read) == {"no Overall": 1, "not a JSON object of a review": 1}
    else:
        assert read.reviews.rows() == [
            ("Ann B.", "72572", 5.0, 1_231_200_000, 'Lovely place, "quiet".', 1)
        ]
        assert read.report.anonymous == 1
        assert skipped(read) == {"Overall is out of range": 1}
    assert read.report.rows_read == 3
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_several_hotels_are_numbered_through(tmp_path):
    path = tmp_path / "h.zip"
    path.write_bytes(zipped({f"hotel_{n}.dat": LARA for n in (1, 2)}))
    read = read_all(read_tripadvisor(path))
    assert read.reviews.select("item_id", "source_line").rows() == [
        ("1", 1), ("1", 2), ("2", 4), ("2", 5),
    ]  # fmt: skip
