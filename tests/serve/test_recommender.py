"""Lists out of a run: an oracle's, the evaluation's bits, without encoder or data."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch
from small_data import small_settings

from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.plugin import checkpoint
from recbole_symcere.run.quick_start import load_data_and_model, run_recbole
from recbole_symcere.serve.recommender import Recommender

MODELS = {
    "SymCERE": {},
    "SymCEREPlus": {"lexical_size": 8},
    "CollabContext": {"first_phase_epochs": 1},
    "LightGCN": {},
    "BPR": {},
    "EASE": {},
    "Pop": {},
    "NeuMF": {},
    "FM": {},
}
_TEXT = {"text_encoder", "max_length", "cache_dir"}


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, small_folder, tiny_encoder):
    """Model -> the folder of a finished run."""
    known = {}

    def run(model):
        if model not in known:
            folder = tmp_path_factory.mktemp("serve")
            settings = small_settings(small_folder, tiny_encoder, folder / "cache", folder)
            settings |= {"epochs": 2, "run_dir": str(folder / "run"), **MODELS[model]}
            if model not in {"SymCERE", "SymCEREPlus", "CollabContext"}:
                settings = {key: value for key, value in settings.items() if key not in _TEXT}
            run_recbole(model, "small", config_dict=settings)
            known[model] = folder / "run"
        return known[model]

    return run


def oracle(run, keep_seen=False):
    """user -> item ids and scores, all of them in order, by the model itself in float64."""
    _, model, _, *loaders = load_data_and_model(run)
    model.eval()
    train = loaders[0].dataset
    users, items = train.field2id_token["user_id"], train.field2id_token["item_id"]
    seen = {user: set() for user in range(1, len(users))}
    for loader in loaders:
        table = loader.dataset.inter_feat
        for user, item in zip(table["user_id"].tolist(), table["item_id"].tolist(), strict=True):
            seen[user].add(item)
    from recbole.data.interaction import Interaction

    lists = {}
    with torch.no_grad():
        for user in seen:
            pairs = Interaction(
                {"user_id": torch.full((len(items),), user), "item_id": torch.arange(len(items))}
            )
            scores = model.predict(train.join(pairs)).numpy().astype(np.float64).reshape(-1)
            left = [i for i in range(1, len(items)) if keep_seen or i not in seen[user]]
            order = sorted(left, key=lambda i: (-scores[i], i))
            lists[users[user]] = [(items[i], scores[i]) for i in order]
    return lists


@pytest.mark.parametrize("model", MODELS)
def test_lists_are_those_of_the_model(run_of, model):
    run = run_of(model)
    expected, found = oracle(run), Recommender.load(run).recommend(k=5)
    assert len(found) == 5 * len(expected)
    for user, rows in found.groupby("user_id"):
        wanted = expected[user][:5]
        np.testing.assert_allclose(rows["score"], [score for _, score in wanted], rtol=1e-5)
        scores = dict(expected[user])
        for item, score in zip(rows["item_id"], rows["score"], strict=True):
            assert scores[item] == pytest.approx(score, rel=1e-5)
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("model", MODELS)
def test_scores_are_those_of_the_evaluation_bit_for_bit(run_of, model):
    config, trained, _, _, _, test = load_data_and_model(run_of(model))
    from recbole.trainer import Trainer

    seen = {}
    trainer = Trainer(config, trained)
    full = trainer._full_sort_batch_eval
    trainer.tot_item_num = test.dataset.item_num
    trainer.item_tensor = test.dataset.get_item_feature()
    trained.eval()
    for batch in test:
        with torch.no_grad():
            _, scores, *_ = full(batch)
        for user, row in zip(batch[0]["user_id"].tolist(), scores, strict=True):
            seen[user] = row.detach().clone()
    recommender = Recommender.load(run_of(model))
    users, items = (
        ids.to_pylist() for ids in (recommender.catalogue.users, recommender.catalogue.items)
    )
    for user, row in list(seen.items())[:6]:
        there = [i for i in range(1, len(items)) if torch.isfinite(row[i])]
        found = recommender.score([users[user]] * len(there), [items[i] for i in there])
        assert torch.equal(torch.from_numpy(found), row[there].float())


def test_neither_encoder_nor_data_nor_recbole_are_needed(run_of, tmp_path):
    run = shutil.copytree(run_of("SymCERE"), tmp_path / "run")
    settings = (run / "config.yaml").read_text()
    lists = Recommender.load(run).recommend(k=3)
    code = (
        "import sys; from recbole_symcere import Recommender;"
        f"found = Recommender.load({str(run)!r}).recommend(k=3);"
        "print(found.to_json()); assert 'recbole' not in sys.modules"
    )
    gone = {"data_path": "nowhere/data", "text_encoder": "nowhere/bert", "cache_dir": "nowhere/c"}
    for key, place in gone.items():
        settings = "\n".join(
            f"{key}: {place}" if line.startswith(f"{key}:") else line
            for line in settings.splitlines()
        )
    (run / "config.yaml").write_text(settings)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == lists.to_json()


def test_seen_items_stay_out_unless_asked_for(run_of):
    recommender = Recommender.load(run_of("SymCERE"))
    known = recommender.catalogue
    for user in range(1, 6):
        name = known.users[user].as_py()
        mine = {known.items[i].as_py() for i in known.item[known.user == user].tolist()}
        assert len(mine) == 8  # of training, validation and test
        left = recommender.recommend(name, k=30)
        assert len(left) == 30 - len(mine)
        assert not mine & set(left["item_id"])
        assert set(recommender.recommend(name, k=30, exclude_seen=False)["item_id"]) >= mine


def test_only_allowed_items_are_recommended(run_of):
    recommender = Recommender.load(run_of("SymCERE"))
    all_items = recommender.catalogue.items.to_pylist()[1:]
    found = recommender.recommend(k=3, items=all_items[:12])
    assert set(found["item_id"]) <= set(all_items[:12])
    with pytest.raises(InputError, match=r"k is 13: expected 1 to 12"):
        recommender.recommend(k=13, items=all_items[:12])


def test_frames_come_back_as_they_came(run_of):
    recommender = Recommender.load(run_of("SymCERE"))
    users = recommender.catalogue.users.to_pylist()[1:4]
    plain = recommender.recommend(users, k=2)
    assert isinstance(plain, pd.DataFrame)
    assert plain["user_id"].tolist() == [name for name in users for _ in range(2)]
    for some in (pd.DataFrame({"user_id": users}), pd.Series(users), np.array(users)):
        pd.testing.assert_frame_equal(recommender.recommend(some, k=2), plain)
    polars = recommender.recommend(pl.DataFrame({"user_id": users}), k=2)
    assert isinstance(polars, pl.DataFrame)
    assert polars["item_id"].to_list() == plain["item_id"].tolist()
    scored = recommender.score(plain[["user_id", "item_id"]])
    np.testing.assert_array_equal(scored["score"], plain["score"])
    with pytest.raises(InputError, match="The frame has no column user_id; it has who"):
        recommender.recommend(pd.DataFrame({"who": users}))


def test_unknown_users_are_named_or_get_popular_items(run_of):
    recommender = Recommender.load(run_of("SymCERE"))
    known = recommender.catalogue
    user = known.users[1].as_py()
    with pytest.raises(InputError, match=r"There is no user 'nobody' and 1 more; the run knows 24"):
        recommender.recommend([user, "nobody", "neither"])
    found = recommender.recommend(["nobody", user], k=3, fallback="popular")
    counts = np.bincount(known.item[known.part == 0], minlength=31)
    order = sorted(range(1, 31), key=lambda i: (-counts[i], i))[:3]
    assert found["item_id"][:3].tolist() == [known.items[i].as_py() for i in order]
    assert found["score"][:3].isna().all()
    assert found["user_id"].tolist() == ["nobody"] * 3 + [user] * 3


@pytest.mark.parametrize("popularity", [0.0, 0.4, 3.0])
@pytest.mark.parametrize("share", [0.5, 0.0])
def test_the_dial_is_that_of_the_model(run_of, popularity, share):
    run = run_of("SymCEREPlus")
    state = checkpoint.load(run / "checkpoint" / "best.safetensors")
    _, model, *_ = load_data_and_model(run)
    model.blend.weigh({"model": share, "knn_10": 0.2, "ease_10": 0.3})
    state["vectors"] = model.eval().stored_vectors()
    from recbole_symcere.serve.popularity_dial import with_popularity

    users, items = with_popularity(state, popularity)["scored"]
    model.plus = model.plus.__class__(**{**vars(model.plus), "popularity": popularity})
    model.forget()
    found, expected = (
        users @ items.T,
        (lambda left, right: left @ right.T)(*model.scoring_vectors()),
    )
    if not share:  # then what the dial turns sets the scale of a user's scores alone
        found, expected = (
            x / x.std(dim=1, keepdim=True).clamp_min(1e-6) for x in (found, expected)
        )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_run_of_an_earlier_version_recommends_too(run_of, tmp_path):
    run = shutil.copytree(run_of("SymCERE"), tmp_path / "run")
    lists = Recommender.load(run).recommend(k=3)
    metrics = json.loads((run / "metrics.json").read_text())
    for key in ("catalogue_sha256", "checksum"):
        del metrics[key]
    metrics["history"] = metrics.pop("history")
    (run / "metrics.json").write_text(json.dumps(metrics))
    shutil.rmtree(run / "catalogue")
    pd.testing.assert_frame_equal(Recommender.load(run).recommend(k=3), lists)
    (run / "metrics.json").unlink()  # a run that hasn't finished
    pd.testing.assert_frame_equal(Recommender.load(run).recommend(k=3), lists)


def test_a_damaged_catalogue_is_named(run_of, tmp_path):
    run = shutil.copytree(run_of("SymCERE"), tmp_path / "run")
    file = run / "catalogue" / "interactions.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"interactions\.parquet can't be read: it isn't the file"):
        Recommender.load(run)


def test_similar_items_are_an_oracles(run_of):
    recommender = Recommender.load(run_of("SymCERE"))
    stored = checkpoint.load(run_of("SymCERE") / "checkpoint" / "best.safetensors")["vectors"]
    items = np.asarray(stored["raw"][1], np.float64)
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    cosine = unit @ unit.T
    names = recommender.catalogue.items.to_pylist()
    found = recommender.similar(names[3], k=4)
    others = sorted((i for i in range(1, 31) if i != 3), key=lambda i: -cosine[3, i])[:4]
    assert found["similar_id"].tolist() == [names[i] for i in others]
    np.testing.assert_allclose(found["similarity"], cosine[3, others], rtol=1e-5)
    with pytest.raises(InputError, match=r"k is 30: expected 1 to 29"):
        recommender.similar(names[3], k=30)


def test_words_find_the_items_that_share_them(run_of, tmp_path, small_folder):
    data = shutil.copytree(small_folder, tmp_path / "data")
    file = data / "small" / "small.reviews.parquet"
    table = pq.read_table(file).to_pandas()
    recommender = Recommender.load(run_of("SymCERE"), data_path=str(data))
    known = recommender.catalogue
    planted, held_out = 5, known.item[known.part == 2][0]
    for item, word in ((planted, "zorbium quell"), (planted + 1, "zorbium quell"), (held_out, "")):
        name = known.items[item].as_py()
        pairs = known.user[(known.item == item) & (known.part == 0)]
        users = {known.users[user].as_py() for user in pairs}
        rows = (table["item_id"] == name) & table["user_id"].isin(users)
        table.loc[rows, "text"] = table.loc[rows, "text"] + " " + word
    # the same words in the test split must not be seen
    test = set(zip(known.user[known.part == 2], known.item[known.part == 2], strict=True))
    secret = [
        (known.users[user].as_py(), known.items[item].as_py()) for user, item in sorted(test)[:4]
    ]
    for user, item in secret:
        rows = (table["user_id"] == user) & (table["item_id"] == item)
        assert rows.any()
        table.loc[rows, "text"] = "zorbium quell"
    table.to_parquet(file)
    near = recommender.similar_by_words(known.items[planted].as_py(), 3)
    assert near[0].item == planted + 1
    assert {"zorbium", "quell"} <= set(near[0].shared)
    others = {item.item for item in near[1:] if {"zorbium"} & set(item.shared)}
    assert not others


# --- the commands --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_command_writes_what_python_gives(run_of, capsys, suffix):
    run = run_of("SymCERE")
    assert main(["recommend", f"--run={run}", "--k=4", f"--out=lists.{suffix}"]) == 0
    assert "96 rows of 24 users are in" in capsys.readouterr().out
    read = {
        "csv": pd.read_csv,
        "jsonl": lambda f: pd.read_json(f, lines=True),
        "parquet": pd.read_parquet,
    }
    found = read[suffix](f"lists.{suffix}")
    expected = Recommender.load(run).recommend(k=4)
    assert found["item_id"].tolist() == expected["item_id"].tolist()
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-6)


def test_the_command_prints_lists_and_neighbours(run_of, capsys):
    run = run_of("SymCERE")
    recommender = Recommender.load(run)
    user, item = (
        ids[1].as_py() for ids in (recommender.catalogue.users, recommender.catalogue.items)
    )
    assert main(["recommend", f"--run={run}", f"--users={user}", "--k=2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{user}\n    1  ")
    assert main(["recommend", f"--run={run}", "--k=2"]) == 0
    assert "and 14 users more" in capsys.readouterr().out
    assert main(["recommend", f"--run={run}", "--k=2", "--all=True"]) == 0
    out = capsys.readouterr().out
    assert "more" not in out
    assert out.count("\n\n") == 24
    assert main(["similar", f"--run={run}", f"--item={item}", "--k=3"]) == 0
    out = capsys.readouterr().out
    assert f"Nearest to {item} by vectors" in out
    assert "by words" in out
    Path("some.txt").write_text(f"{user}\n\n{user}\n")
    assert main(["recommend", f"--run={run}", "--users_file=some.txt", "--out=a.csv"]) == 0
    assert "10 rows of 1 users" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--run=nowhere", "--run=nowhere: there is no such folder"),
        ("--run=RUN --users=nobody", "There is no user 'nobody'; the run knows 24 users."),
        ("--run=RUN --k=31", "k is 31: expected 1 to 30, the number of items"),
        ("--run=RUN --k=0", "k"),
        ("--run=RUN --out=lists.xls", "--out=lists.xls: expected a name that ends in .csv"),
        ("--run=RUN --users_file=no.txt", "no.txt can't be read as a list of ids"),
        ("--run=RUN --users_file=empty.txt", "empty.txt names nothing"),
        ("--run=RUN --items_file=odd.txt", "There is no item 'odd'"),
        ("--run=RUN --popularity=2", "whose scores have no term of popularity"),
        ("--run=RUN --fallback=best", "fallback"),
        ("--run=RUN --user=u1", "recommend has no option --user. Did you mean 'users'?"),
    ],
)
def test_bad_input_is_one_line(run_of, capsys, words, message):
    Path("empty.txt").write_text("\n")
    Path("odd.txt").write_text("odd\n")
    given = words.replace("RUN", str(run_of("SymCERE"))).split()
    assert main(["recommend", *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_run_without_a_best_checkpoint_is_named(run_of, tmp_path, capsys):
    run = shutil.copytree(run_of("SymCERE"), tmp_path / "run")
    (run / "checkpoint" / "best.safetensors").unlink()
    assert main(["recommend", f"--run={run}"]) == 2
    assert "the run has no checkpoint/best.safetensors" in capsys.readouterr().err
