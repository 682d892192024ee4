"""One text per item: where it comes from, and what is wrong with it."""

from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model.test_contract import prepare
from small_data import small_rows, write_rows, write_small

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.items import item_texts


def training_split(small, folder):
    _, _, _, (train, *_) = prepare("SymCERE", {**small, "data_path": str(folder)})
    return train.dataset


@pytest.fixture
def split(small, tmp_path):
    """The training split, and where its item texts would lie."""
    folder = write_small(tmp_path / "d")
    return training_split(small, tmp_path / "d"), folder / "small.items.parquet"


def test_each_item_gets_its_own_text(split):
    dataset, path = split
    names = [f"i{n}" for n in reversed(range(30))] + ["unseen"]
    texts = [f"title of {name}" for name in names]
    texts[names.index("i7")] = None
    pq.write_table(pa.table({"text": texts, "item_id": names}), path)
    found, source = item_texts(dataset)
    assert source == "items.parquet"
    assert len(found) == dataset.item_num
    for item, text in enumerate(found.to_pylist()):
        name = dataset.id2token("item_id", item)
        assert text == ("" if name in {"[PAD]", "i7"} else f"title of {name}")


def test_without_a_file_it_is_the_training_reviews(split):
    dataset, _ = split
    found, source = item_texts(dataset)
    assert source == "training reviews"
    assert found.equals(dataset.training_item_texts())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": ["i1", "i2", "i1"], "text": ["a"] * 3}, r"data row 3: item_id 'i1' .* row 1 "),
        ({"item_id": ["i1"], "title": ["a"]}, "has no column text; it has item_id, title"),
        ({"item_id": ["other"], "text": ["a"]}, r"No item of small has a text \(items.parquet\)"),
        ({"item_id": ["i1"], "text": [" "]}, r"No item of small has a text"),
    ],
)
def test_a_bad_file_is_refused(split, columns, message):
    dataset, path = split
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match=message):
        item_texts(dataset)


def test_a_file_that_is_no_parquet(split):
    dataset, path = split
    path.write_text("item_id,text")
    with pytest.raises(InputError, match=r"small\.items\.parquet can't be read as Parquet"):
        item_texts(dataset)


def test_a_data_set_without_any_text(small, tmp_path):
    write_rows(tmp_path / "d", "small", [(*row[:4], "") for row in small_rows()])
    settings = {**small, "data_path": str(tmp_path / "d")}
    for how, message in (
        ("joined", r"No item of small has a text \(training reviews\)"),
        ("mean", "All training reviews of small are empty"),
    ):
        with pytest.raises(InputError, match=message):
            prepare("CollabContext", settings, item_text=how)


def test_item_texts_belong_to_the_datas_fingerprint(split):
    from recbole_symcere.run.data_fingerprint import data_fingerprint

    dataset, path = split
    before = data_fingerprint(dataset.config)
    pq.write_table(pa.table({"item_id": ["i1"], "text": ["a"]}), path)
    assert data_fingerprint(dataset.config) != before


def test_item_texts_are_controlled(small, tmp_path):
    folder = write_small(tmp_path / "d")
    names = [f"i{n}" for n in range(30)]
    table = pa.table({"item_id": names, "text": [f"title of {name}" for name in names]})
    pq.write_table(table, folder / "small.items.parquet")
    found = {
        control: item_texts(training_split({**small, "text_control": control}, tmp_path / "d"))[0]
        for control in ("none", "shuffled", "constant", "random")
    }
    assert found["shuffled"] != found["none"]
    assert Counter(found["shuffled"].to_pylist()) == Counter(found["none"].to_pylist())
    assert len(set(found["constant"].to_pylist())) == 2  # "" of the padding is the other
    assert len({str(texts.to_pylist()) for texts in found.values()}) == 4
