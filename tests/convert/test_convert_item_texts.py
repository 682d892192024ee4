import gzip
import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.item_texts import item_writer

IDS = pl.Series(["B1", "B2", "B3"])


def write(tmp_path, source, lines, ids=IDS, name="meta.json.gz"):
    path = tmp_path / name
    text = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    account = item_writer(source, path)(tmp_path / "d.items.parquet", ids)
    return account, pl.read_parquet(tmp_path / "d.items.parquet")


def test_amazon_2018(tmp_path):
    product = {
        "asin": "B2", "title": "Big &amp; Small Card", "brand": "Acme",
        "category": ["Gift Cards", "Birthday", "Kids"], "description": ["A <b>card</b>.", "New"],
    }  # fmt: skip
    other = {"asin": "B9", "title": "not in the data set"}
    account, table = write(
        tmp_path, "amazon2018", [json.dumps(p) for p in (other, product, product)]
    )
    assert table.columns == ["item_id", "title", "brand", "category", "description", "text"]
    assert table.rows() == [
        ("B1", "", "", "", "", ""),
        ("B2", "Big & Small Card", "Acme", "Gift Cards, Birthday, Kids", "A card ., New",
         "Big & Small Card Acme Birthday, Kids."),
        ("B3", "", "", "", "", ""),
    ]  # fmt: skip
    assert account == {"rows_read": 3, "rows_skipped": 0, "items": 1}
    assert set(pq.read_schema(tmp_path / "d.items.parquet").types) == {pa.string()}


def test_amazon_2014_is_written_in_python(tmp_path):
    line = "{'asin': 'B1', 'title': \"Joe's String\", 'brand': None, "
    line += "'categories': [['Instruments', 'Guitars'], ['Other']], 'price': 1.5}"
    _, table = write(tmp_path, "amazon2014", [line])
    assert table.row(0) == ("B1", "Joe's String", "", "Instruments, Guitars", "",
                            "Joe's String Guitars.")  # fmt: skip


def test_python_lines_run_nothing(tmp_path):
    good = ["{'asin': 'B1', 'title': 't'}"] * 200
    bad = f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()"
    account, _ = write(tmp_path, "amazon2014", [*good, bad])
    assert account["rows_skipped"] == 1
    assert not (tmp_path / "ran").exists()


def test_amazon_2023_and_yelp(tmp_path):
    product = {
        "main_category": "All Beauty", "title": "Spray", "store": "Herb", "parent_asin": "B1",
        "categories": [], "description": ["Sea", "salt"], "features": [],
    }  # fmt: skip
    _, table = write(tmp_path, "amazon2023", [json.dumps(product)], name="meta.jsonl")
    assert table.row(0) == ("B1", "Spray", "Herb", "", "Sea, salt", "Spray Herb.")
    business = {"business_id": "B3", "name": "Inn", "categories": "Hotels, Bars", "city": "X"}
    _, table = write(tmp_path, "yelp", [json.dumps(business)], name="business.json")
    assert table.row(2) == ("B3", "Inn", "", "Hotels, Bars", "", "Inn Bars.")


def test_titles_that_are_web_pages_give_no_text(tmp_path):
    _, table = write(tmp_path, "amazon2018", [json.dumps({"asin": "B1", "title": "x " * 1500})])
    assert table["text"].to_list() == ["", "", ""]


def test_metadata_of_another_kind_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"--meta: 1 of 1 rows of meta\.json\.gz are no object with 'asin'"
    ):
        write(tmp_path, "amazon2018", ['{"business_id": "B1"}'])
    with pytest.raises(InputError, match="--meta: there is no file"):
        item_writer("amazon2018", tmp_path / "none")
    with pytest.raises(InputError, match=r"--meta: .* is a folder"):
        item_writer("yelp", tmp_path)


def test_item_texts_that_lost_their_characters_are_refused(tmp_path):
    lines = [f'{{"asin": "i{n}", "title": "caf\xe9"}}\n' for n in range(3)]
    (tmp_path / "meta.json").write_bytes("".join(lines).encode("latin-1"))
    write = item_writer("amazon2018", tmp_path / "meta.json")
    with pytest.raises(
        InputError, match=r"--meta: 3 of 3 rows of meta\.json hold bytes that are not"
    ):
        write(tmp_path / "items.parquet", pl.Series(["i0"]))
