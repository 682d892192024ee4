import numpy as np
import pyarrow.parquet as pq
import pytest
from recbole.data import create_dataset, data_preparation
from recbole.utils import init_seed
from small_data import START, small_rows, write_rows, write_small

from recbole_symcere.base.errors import InputError
from recbole_symcere.data import dataset as data_set
from recbole_symcere.data.chronology import row_times
from recbole_symcere.data.dataset import ROW_FIELD
from recbole_symcere.data.left_out import pair_keys
from recbole_symcere.model.blend_of import training_histories
from recbole_symcere.plugin.config import Config


def built(settings, model="SymCERE", **extra):
    config = Config(model, "small", config_dict={**settings, **extra})
    init_seed(1, True)
    return create_dataset(config).build()


def pairs_by_row(part):
    """(row, user, item) of a split, with the names of the file."""
    data = part.inter_feat
    rows = data[ROW_FIELD].tolist() if ROW_FIELD in data else [None] * len(data)
    users = part.id2token(part.uid_field, data[part.uid_field].numpy())
    items = part.id2token(part.iid_field, data[part.iid_field].numpy())
    return list(zip(rows, users.tolist(), items.tolist(), strict=True))


def names_of(part):
    return [(user, item) for _, user, item in pairs_by_row(part)]


ROWS = small_rows()
REPEATED = [*ROWS, (ROWS[0][0], ROWS[0][1], 1.0, START - 5, "an earlier review of the same pair")]
FILTERS = [
    {},
    {"rm_dup_inter": "last"},
    {"rm_dup_inter": None},
    {"user_inter_num_interval": "[5,inf)", "item_inter_num_interval": "[5,inf)"},
    {"val_interval": {"rating": "[2,5]"}},
    {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user"}},
    {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}},
    {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": None}},
]


@pytest.mark.parametrize("extra", FILTERS, ids=str)
def test_the_row_number_survives_every_step(extra, small, tmp_path):
    write_rows(tmp_path, "small", REPEATED)
    for part in built({**small, "data_path": str(tmp_path)}, **extra):
        for row, user, item in pairs_by_row(part):
            assert REPEATED[row][:2] == (user, item)


def test_of_a_repeated_pair_the_earliest_review_stays(small, tmp_path):
    write_rows(tmp_path, "small", REPEATED)
    parts = built({**small, "data_path": str(tmp_path)})
    rows = {row for part in parts for row, *_ in pairs_by_row(part)}
    assert len(REPEATED) - 1 in rows
    assert 0 not in rows


@pytest.mark.parametrize("duplicates", ["first", None])
@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
def test_times_half_a_minute_apart_keep_their_order(small, tmp_path, model, duplicates):
    # float32, in which RecBole stores times, has steps of 128 s here (RecBole #2204); where it
    # removes duplicates, it sorts too
    rows = [*ROWS]
    np.random.default_rng(3).shuffle(rows)
    write_rows(tmp_path, "small", rows)
    settings = {**small, "data_path": str(tmp_path), "rm_dup_inter": duplicates}
    parts = built(settings, model=model)
    time = {(user, item): t for user, item, _, t, _ in rows}
    order = [[time[pair[1:]] for pair in pairs_by_row(part)] for part in parts]
    users = [[pair[1] for pair in pairs_by_row(part)] for part in parts]
    for user in {row[0] for row in rows}:
        split = [
            [t for t, u in zip(ts, us, strict=True) if u == user]
            for ts, us in zip(order, users, strict=True)
        ]
        assert [len(part) for part in split] == [6, 1, 1]
        assert split[0] + split[1] + split[2] == sorted(split[0] + split[1] + split[2])


@pytest.mark.parametrize("model", ["SymCERE", "BPR"])
@pytest.mark.parametrize("order", ["TO", "RO"])
def test_times_of_rows_are_those_of_the_file(small, tmp_path, model, order):
    rows = sorted(small_rows(), key=lambda row: row[4])
    write_rows(tmp_path / "data", "small", rows)
    settings = {**small, "data_path": str(tmp_path / "data"), "eval_args": {"order": order}}
    parts = built(settings, model)
    times = {row[:2]: row[3] for row in rows}
    for part in parts:
        pairs = names_of(part)
        assert row_times(part).tolist() == [times[pair] for pair in pairs]
    assert len(set(parts[0].inter_feat["timestamp"].tolist())) < len(names_of(parts[0])) / 2
    recent = training_histories(parts[0]).recent  # .1 ^ number of the user's later ones
    for (user, item), key in zip(names_of(parts[0]), pair_keys(parts[0]).tolist(), strict=True):
        later = [times[u, i] > times[user, item] for u, i in names_of(parts[0]) if u == user]
        found = recent[key // parts[0].item_num, key % parts[0].item_num]
        assert found == pytest.approx(0.1 ** sum(later))


def test_times_of_repeated_pairs_are_those_of_their_rows(small, tmp_path):
    rows = [row for row in small_rows() if row[0] != "u3"]
    rows += [("u3", f"i{n % 3}", 5.0, START + 10 * n, "words") for n in range(12)]
    write_rows(tmp_path / "data", "small", rows[::-1])
    settings = {**small, "data_path": str(tmp_path / "data"), "rm_dup_inter": None}
    train, *_ = built({**settings, "allow_repeats": True}, "BPR")
    mine = [n for n, (user, _) in enumerate(names_of(train)) if user == "u3"]
    assert len(mine) > 6
    assert row_times(train)[mine].tolist() == [START + 10 * n for n in range(len(mine))]


@pytest.mark.parametrize("order", ["TO", "RO"])
def test_times_of_pairs_that_come_again_are_those_of_their_rows(small, tmp_path, order):
    days = [(u, n) for u in range(20) for n in range(9)]  # the rating tells the row
    rows = [(f"u{u}", f"i{(u + n % 4) % 30}", n + 1.0, START + 86400 * n, "") for u, n in days]
    write_rows(tmp_path / "data", "small", rows)
    settings = {**small, "data_path": str(tmp_path / "data"), "rm_dup_inter": None}
    args = {"eval_args": {"order": order}, "allow_repeats": True}
    for part in built({**settings, **args}, "BPR"):
        wanted = START + 86400 * (part.inter_feat["rating"].numpy().astype(float) - 1)
        assert row_times(part).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (5, (3, 1, 1)), (10, (8, 1, 1)),
     (19, (17, 1, 1)), (20, (16, 2, 2)), (30, (24, 3, 3))],
)  # fmt: skip
def test_split_sizes_per_user(small, tmp_path, n, sizes):
    rows = [("u", f"i{k}", 5.0, START + k, f"text {k}") for k in range(n)]
    write_rows(tmp_path, "small", [*rows, ("other", "spare", 5.0, START + 1, "")])
    parts = built({**small, "data_path": str(tmp_path)})
    counts = tuple(sum(user == "u" for _, user, _ in pairs_by_row(part)) for part in parts)
    assert counts == sizes


def test_benchmark_parts_keep_their_rows(small, tmp_path):
    parts = {"a": ROWS[:100], "b": ROWS[100:150], "c": ROWS[150:]}
    for name, rows in parts.items():
        write_rows(tmp_path, "small", rows, part=name)
    built_parts = built({**small, "data_path": str(tmp_path)}, benchmark_filename=[*parts])
    for part, rows in zip(built_parts, parts.values(), strict=True):
        found = pairs_by_row(part)
        assert [pair[1:] for pair in found] == [row[:2] for row in rows]
        assert all(ROWS[row][:2] == (user, item) for row, user, item in found)
    texts = built_parts[0].training_reviews().to_pylist()
    assert texts == [row[4] for row in parts["a"]]


def test_only_the_training_split_hands_out_texts(small):
    train, valid, test = built(small)
    rows = train.inter_feat[ROW_FIELD].numpy()
    assert train.training_reviews().to_pylist() == [ROWS[row][4] for row in rows]
    config = Config("SymCERE", "small", config_dict=small)
    for part, split in ((valid, "'valid'"), (test, "'test'"), (create_dataset(config), "None")):
        with pytest.raises(RuntimeError, match=f"this is split {split}"):
            part.training_reviews()


def test_a_review_is_found_whatever_the_order_of_the_file(small, tmp_path, monkeypatch):
    monkeypatch.setattr(data_set, "_PIECE", 50)
    mixed = [ROWS[n] for n in np.random.default_rng(0).permutation(len(ROWS))]
    write_rows(tmp_path, "small", mixed)
    train, *_ = built({**small, "data_path": str(tmp_path)})
    rows = train.inter_feat[ROW_FIELD].tolist()
    assert rows != sorted(rows)
    assert train.training_reviews().to_pylist() == [mixed[row][4] for row in rows]
    for places, texts in train.review_pieces():
        assert texts.to_pylist() == [mixed[rows[place]][4] for place in places]


@pytest.mark.parametrize("control", ["none", "shuffled"])
@pytest.mark.parametrize("size", [7, 1000])
def test_reviews_in_pieces_are_the_training_reviews(small, monkeypatch, control, size):
    monkeypatch.setattr(data_set, "_PIECE", size)
    train, valid, _ = built({**small, "text_control": control})
    whole, found = train.training_reviews().to_pylist(), {}
    for places, texts in train.review_pieces():
        assert len(places) == len(texts) <= size
        found |= dict(zip(places.tolist(), texts.to_pylist(), strict=True))
    assert [found[place] for place in range(len(whole))] == whole
    assert len(found) == len(whole) > 100
    with pytest.raises(RuntimeError, match="Only the training split"):
        next(valid.review_pieces())


def test_pieces_run_over_the_parts_of_a_benchmark(small, tmp_path, monkeypatch):
    monkeypatch.setattr(data_set, "_PIECE", 7)
    for number, part in enumerate(("train", "valid", "test")):
        write_rows(tmp_path, "small", small_rows(seed=number), part)
    parts = ["train", "valid", "test"]
    given = {"data_path": str(tmp_path), "benchmark_filename": parts, "allow_repeats": True}
    train = built({**small, **given})[0]
    found = [pair for piece in train.review_pieces() for pair in zip(*piece, strict=True)]
    whole = train.training_reviews().to_pylist()
    assert sorted((int(place), text.as_py()) for place, text in found) == [*enumerate(whole)]


def test_validation_reviews_are_handed_out_by_their_split_alone(small):
    train, valid, test = built(small)
    expected = [ROWS[row][4] for row in valid.inter_feat[ROW_FIELD].tolist()]
    assert valid.validation_reviews().to_pylist() == expected
    for part in (train, test):
        with pytest.raises(RuntimeError, match="not the validation split"):
            part.validation_reviews()


@pytest.mark.parametrize("in_order", [True, False])
def test_item_texts_are_the_items_training_reviews_in_order_of_time(small, tmp_path, in_order):
    rows = [*ROWS] if in_order else sorted(ROWS, key=lambda row: row[4])
    write_rows(tmp_path / "data", "small", rows)
    train, *_ = built({**small, "data_path": str(tmp_path / "data")})
    texts = train.training_item_texts().to_pylist()
    assert texts[0] == ""  # padding
    expected = {}
    for row in sorted(train.inter_feat[ROW_FIELD].tolist(), key=lambda row: (rows[row][3], row)):
        expected.setdefault(rows[row][1], []).append(rows[row][4])
    for item in range(1, train.item_num):
        name = train.id2token(train.iid_field, item)
        assert texts[item] == " ".join(expected.get(name, []))


def test_the_history_is_the_training_splits(small):
    train, *others = built(small)
    users, items = train.history().nonzero()
    data = train.inter_feat
    assert set(zip(users, items, strict=True)) == set(
        zip(data["user_id"].tolist(), data["item_id"].tolist(), strict=True)
    )
    for part in others:
        assert part.history().multiply(train.history()).nnz == 0
        assert part.history().multiply(train.all_history).nnz == len(part.inter_feat)


# --- bad input ---------------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path, small):
    """A data set of its own to damage: (folder, settings)."""
    return write_small(tmp_path / "d"), {**small, "data_path": str(tmp_path / "d")}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_missing_review_file(damaged):
    folder, settings = damaged
    (folder / "small.reviews.parquet").unlink()
    with pytest.raises(
        InputError,
        match=r"small\.reviews\.parquet doesn't exist, but SymCERE learns from reviews\. .*"
        r" convert attach --input=FILE --name=small --output_dir=/",
    ):
        built(settings)
    built(settings, model="BPR")  # which reads no reviews


def test_reviews_of_other_rows(damaged):
    folder, settings = damaged
    table = pq.read_table(folder / "small.reviews.parquet")
    pq.write_table(table.slice(0, len(table) - 1), folder / "small.reviews.parquet")
    with pytest.raises(InputError, match=r"has 191 rows, but the \.inter file has 192"):
        built(settings)
    swapped = table.take([0, 2, 1, *range(3, len(table))])
    pq.write_table(swapped, folder / "small.reviews.parquet")
    message = rf"in data row 2 the review is of item_id '{ROWS[2][1]}', .* of '{ROWS[1][1]}'"
    with pytest.raises(InputError, match=message):
        built(settings)


def test_a_review_file_without_texts(damaged):
    folder, settings = damaged
    path = folder / "small.reviews.parquet"
    pq.write_table(pq.read_table(path).rename_columns(["user_id", "item_id", "review"]), path)
    with pytest.raises(InputError, match="has no column text; it has user_id, item_id, review"):
        built(settings)[0].training_reviews()
    path.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="can't be read as Parquet"):
        built(settings)


def test_a_time_that_is_no_number(damaged):
    folder, settings = damaged
    edit(folder / "small.inter", f"\t{ROWS[4][3]}\n", "\tyesterday\n")
    with pytest.raises(InputError, match=r"small\.inter, row 6: timestamp is 'yesterday'"):
        built(settings)


def test_a_row_with_too_few_columns(damaged):
    folder, settings = damaged
    edit(folder / "small.inter", f"\t{ROWS[4][3]}\n", "\n")
    with pytest.raises(InputError, match=r"small\.inter, row 6: 3 columns, but the header has 4"):
        built(settings)


def test_wrong_columns(damaged):
    folder, settings = damaged
    edit(folder / "small.inter", "item_id:token", "business:token")
    with pytest.raises(InputError, match="no column 'item_id'; it has user_id, business, rating"):
        built(settings)
    edit(folder / "small.inter", "business:token", "item_id")
    with pytest.raises(InputError, match="row 1: column 'item_id' isn't of the form name:type"):
        built(settings)
    edit(folder / "small.inter", "item_id\t", "item_id:token\t")
    edit(folder / "small.inter", "timestamp:float", "when:float")
    with pytest.raises(InputError, match="no column 'timestamp'"):
        built(settings)


def test_filters_that_leave_nothing(small):
    with pytest.raises(InputError, match=r"no interaction is left.*user_inter_num_interval"):
        built(small, user_inter_num_interval="[500,inf)")


def test_the_row_field_cannot_be_dropped(small):
    with pytest.raises(InputError, match="unused_col can't name 'inter_row'"):
        built(small, unused_col={"inter": [ROW_FIELD]})


def test_a_saved_dataset_still_finds_its_reviews(small):
    from recbole.config import Config as RecBoleConfig

    with pytest.raises(InputError, match="save_dataset makes RecBole write and read pickles"):
        Config("SymCERE", "small", config_dict={**small, "save_dataset": True})
    config = RecBoleConfig("SymCERE", "small", config_dict={**small, "save_dataset": True})
    create_dataset(config)
    again = create_dataset(config)  # unpickled by RecBole, from the folder it wrote to
    train, *_ = data_preparation(config, again)
    rows = train.dataset.inter_feat[ROW_FIELD].numpy()
    assert train.dataset.training_reviews().to_pylist() == [ROWS[row][4] for row in rows]
