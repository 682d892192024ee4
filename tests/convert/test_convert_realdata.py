"""The real files that lie beside a checkout, with the counts that are known of them."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_command import main

REALDATA = Path(
    os.environ.get("RECBOLE_SYMCERE_REALDATA")
    or Path(__file__).parents[2].parent / "shared" / "data"
)
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not REALDATA.is_dir(), reason=f"no real reviews: {REALDATA} is absent"),
]


@pytest.fixture
def convert(tmp_path, capsys):
    def convert(source, file, *options):
        path = REALDATA / file
        if not list(REALDATA.glob(file)):
            pytest.skip(f"no real reviews: {path} is absent")
        options = [option.replace("REALDATA", str(REALDATA)) for option in options]
        main([source, f"--input={path}", "--name=d", f"--output_dir={tmp_path}", *options])
        manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
        return manifest, capsys.readouterr().out

    return convert


def size(manifest):
    return tuple(manifest["counts"][name] for name in ("users", "items", "reviews"))


def test_musical_instruments_is_a_true_5_core(convert):
    manifest, _ = convert("amazon2014", "reviews_Musical_Instruments_5.json.gz", "--k_core=5")
    assert size(manifest) == (1429, 900, 10_261)
    assert manifest["read_report"]["removed_by_core"] == 0
    assert manifest["read_report"]["texts_html_removed"] > 0


def test_gift_cards_without_repeats_and_with_item_texts(convert, tmp_path):
    manifest, _ = convert(
        "amazon2018",
        "Gift_Cards_5.json.gz",
        "--k_core=5",
        "--meta=REALDATA/meta_Gift_Cards.json.gz",
    )
    assert manifest["read_report"]["rows_read"] == 2972
    assert size(manifest) == (453, 147, 2941)
    assert manifest["items"]["items"] == 147
    items = pl.read_parquet(tmp_path / "d" / "d.items.parquet")
    assert (items["title"] != "").sum() == 147


def test_fashion_has_one_text_under_many_variants(convert):
    manifest, out = convert("amazon2018", "AMAZON_FASHION_5.json.gz")
    assert manifest["read_report"]["rows_read"] == 3176
    assert size(manifest)[:2] == (406, 31)
    copied = manifest["read_report"]["copied_texts"]
    assert copied > 2000
    assert f"{copied:,} texts copied from another item" in out
    merged, _ = convert(
        "amazon2018", "AMAZON_FASHION_5.json.gz", "--copied_texts=merge", "--overwrite=True"
    )
    assert merged["counts"]["reviews"] == manifest["counts"]["reviews"] - copied


def test_appliances_have_no_5_core_and_the_message_says_what_there_is(convert, tmp_path):
    with pytest.raises(
        InputError,
        match=r"--k_core=5: no review is left of 47 users, 48 items and 183 reviews; .*--k_core=4",
    ):
        convert("amazon2018", "Appliances_5.json.gz", "--k_core=5")
    assert list(tmp_path.iterdir()) == []
    manifest, _ = convert("amazon2018", "Appliances_5.json.gz")
    assert manifest["read_report"]["rows_read"] == 2277
    assert size(manifest) == (47, 48, 183)


def test_the_one_review_of_amazon_2023(convert, tmp_path):
    manifest, _ = convert(
        "amazon2023", "amazon2023_All_Beauty.sample1.jsonl",
        "--meta=REALDATA/amazon2023_meta_All_Beauty.sample1.jsonl",
    )  # fmt: skip
    assert size(manifest) == (1, 1, 1)
    inter = (tmp_path / "d" / "d.inter").read_text().splitlines()[1]
    assert inter.split("\t")[2:] == ["5.0", "1588687728"]
    assert pl.read_parquet(tmp_path / "d" / "d.items.parquet")["text"][0].startswith("Herbivore")


def test_the_cut_line_of_yelp_is_counted(convert, tmp_path):
    manifest, _ = convert("yelp", "yelp_academic_dataset_review.sample.json.gz")
    assert size(manifest) == (3494, 2219, 3609)
    report = manifest["read_report"]
    assert (report["rows_read"], report["rows_kept"]) == (3611, 3610)
    skipped = {"reason": "not valid JSON", "count": 1, "first_lines": [3611]}
    assert report["skipped"] == [{"file": "yelp_academic_dataset_review.sample.json.gz", **skipped}]
    assert report["repeats_removed"] == 1
    rejected = json.loads((tmp_path / "d" / "rejected.jsonl").read_text())
    assert (rejected["line"], rejected["reason"]) == (3611, "not valid JSON")
    with pytest.raises(InputError, match="--k_core=5: no review is left"):
        convert(
            "yelp", "yelp_academic_dataset_review.sample.json.gz", "--k_core=5", "--overwrite=True"
        )


def test_tripadvisor_is_a_3_core(convert):
    manifest, _ = convert("generic", "tripadvisor_lara_3core.jsonl.gz", "--k_core=3")
    assert size(manifest) == (5883, 1493, 22_105)


@pytest.mark.parametrize(
    ("source", "file", "options", "expected"),
    [
        ("amazon2018", "Magazine_Subscriptions_5.json.gz", ["--k_core=5"], (294, 132, 2027)),
        ("amazon2014", "reviews_Digital_Music_5.head.json.gz", ["--k_core=5"], (268, 206, 2480)),
        ("generic", "film_critics_5core.jsonl.gz", ["--k_core=5"], (1420, 899, 47_441)),
        (
            "generic",
            "food_com_sample.csv.gz",
            ["--item_field=recipe_id", "--time_field=date", "--text_field=review", "--k_core=3"],
            (226, 614, 3385),
        ),
    ],
)
def test_the_other_files_have_their_known_sizes(convert, source, file, options, expected):
    manifest, _ = convert(source, file, *options)
    assert size(manifest) == expected
    assert manifest["order"] == "time"


def test_columns_of_other_names_are_told_in_one_line(convert):
    with pytest.raises(
        InputError,
        match=r"no column 'item_id'; found 'user_id', 'recipe_id', 'date', 'rating', 'review'; .*"
        r"--item_field=NAME, and the others with --text_field=NAME --time_field=date",
    ):
        convert("generic", "food_com_sample.csv.gz")


def test_several_dumps_are_one_data_set(convert):
    manifest, out = convert("amazon2018", "[GM]*_5.json.gz")
    names = ["Gift_Cards_5.json.gz", "Magazine_Subscriptions_5.json.gz"]
    assert [entry["file"] for entry in manifest["inputs"]] == names
    assert size(manifest) == (804, 305, 5267)
    assert "warning: 1,096 of 5,267 reviews (20.8%) are copies" in out
