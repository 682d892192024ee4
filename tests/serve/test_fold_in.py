"""New users and items: by an oracle, by planted truth, and what is refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.sparse import csr_matrix
from small_data import START, write_rows
from tiny_models import WORDS

from recbole_symcere import run_recbole
from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.model.blend_options import EXPERTS, kind_of
from recbole_symcere.model.profiles import TextProfiles
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.catalogue import Catalogue, catalogue_of
from recbole_symcere.run.prepare import build_model, read_dataset, split_data
from recbole_symcere.run.stored_run import load_data_and_model
from recbole_symcere.serve.fold_in import FoldError, VectorFold
from recbole_symcere.serve.fold_stock import BlendedFold
from recbole_symcere.serve.recommender import Recommender
from recbole_symcere.text.text_options import EncoderOptions

GROUPS = 4  # of items and of users who like them; each has three words of its own
PER_GROUP = 8


def planted_rows(seed=0):
    """Users u<g>_<n> like items i<g>_<n> of their group, whose words are in every review."""
    rng, rows = np.random.default_rng(seed), []
    for user in range(12 * GROUPS):
        group = user % GROUPS
        for n, item in enumerate(rng.choice(PER_GROUP, 7, replace=False)):
            own = rng.choice(WORDS[3 * group : 3 * group + 3], 2, replace=False)
            text = " ".join([*own, *rng.choice(WORDS[100:110], 3)])
            time = START + 30 * n + 1000 * user
            rows.append((f"u{group}_{user}", f"i{group}_{item}", 4.0, time, text))
    return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_encoder):
    """A folder with planted data, and settings of runs in it."""
    folder = tmp_path_factory.mktemp("fold")
    write_rows(folder / "data", "small", planted_rows())
    (folder / "data" / "small" / "manifest.json").write_text(json.dumps({"notice": "SYNTHETIC"}))
    return {
        "data_path": str(folder / "data"),
        "cache_dir": str(folder / "cache"),
        "runs_dir": str(folder / "runs"),
        "checkpoint_dir": str(folder / "saved"),
        "text_encoder": str(tiny_encoder),
        "embedding_size": 16,
        "train_batch_size": 64,
        "max_length": 16,
        "learning_rate": 0.02,
        "epochs": 15,
        "show_progress": False,
    }


@pytest.fixture(scope="module")
def run_of(place):
    """The folder of a run, made once."""
    made = {}

    def run(model, **extra):
        key = (model, repr(sorted(extra.items())))
        if key not in made:
            result = run_recbole(model, "small", config_dict={**place, **extra})
            made[key] = result["run_dir"]
        return made[key]

    return run


def prepared(model, place, **settings):
    """The configuration, a model that isn't trained, and the loaders."""
    config = Config(model, "small", config_dict={**place, **settings})
    loaders = split_data(config, read_dataset(config))
    return config, build_model(config, loaders[0]).eval(), loaders


@pytest.fixture
def plus(run_of):
    return Recommender.load(run_of("SymCEREPlus", profile_text="lexical"))


def history_of(recommender, user, *parts):
    c = recommender.catalogue
    mine = (c.user == user) & np.isin(c.part, parts or (0,))
    return c.items.take(c.item[mine]).to_pylist()


# of a new user's history no times are known, so that experts of recent ones say another thing of it
STATIC = [name for name in EXPERTS if not kind_of(name).recent]
LIKE_ALL = {"profile_text": "lexical", "blend": STATIC}


def overlap(recommender, k=5, n_users=12, history=history_of, **how):
    """Mean share of a known user's list that a copy of his training history gets."""
    shares = []
    for user in range(1, n_users + 1):
        name = recommender.catalogue.users[user].as_py()
        own = recommender.recommend(name, k, exclude_seen=False)["item_id"]
        copy = recommender.fold_in(history(recommender, user), k=k, exclude_seen=False, **how)
        shares.append(len({*own} & {*copy["item_id"]}) / k)
    return np.mean(shares)


# --- the oracle ------------------------------------------------------------------------------


def test_a_step_of_propagation_is_the_oracles():
    rng = np.random.default_rng(0)
    users, items = rng.integers(1, 9, 40), rng.integers(1, 7, 40)
    g_u, g_i = rng.normal(size=(9, 3)), rng.normal(size=(7, 3))
    names = [pa.array([f"{side}{n}" for n in range(size)]) for side, size in (("u", 9), ("i", 7))]
    part = np.zeros(40, np.int8)
    part[30:] = 2
    catalogue = Catalogue(*names, pa.array([""] * 7), users, items, part)
    raw = torch.from_numpy(g_u), torch.from_numpy(g_i)
    scored = tuple(torch.nn.functional.normalize(side, dim=1) for side in raw)
    state = {"settings": {"model": "SymCERE"}, "state_dict": {}}
    fold = VectorFold(catalogue, state, {"raw": raw, "scored": scored}, None)
    pairs = {(u, i) for u, i in zip(users[:30], items[:30], strict=True)}  # of training
    history = np.array([1, 4, 6])
    h = np.zeros(3)
    for item in history:
        degree = max(1, sum(i == item for _, i in pairs))
        h += g_i[item] / (3 * degree) ** 0.5
    expected = [h @ vector / np.linalg.norm(h) / np.linalg.norm(vector) for vector in g_i]
    found = fold.user_scores(history, [])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)

    h = np.zeros(3)
    for user in (2, 5):
        h += g_u[user] / (2 * max(1, sum(u == user for u, _ in pairs))) ** 0.5
    vector, row = fold.item([], np.array([2, 5]))
    np.testing.assert_allclose(vector.numpy(), h, rtol=1e-12)
    np.testing.assert_allclose(row.numpy(), h / np.linalg.norm(h), rtol=1e-12)


@pytest.mark.parametrize(
    ("weights", "exact"),
    [
        ({"model": 0.4, "words": 0.3, "ease_100": 0.3}, 10_000),
        ({"model": 0.4, "ease_100": 0.2, "ease_10": 0.4}, 5),
        ({"model": 0.7, "words": 0.3}, 10_000),
        ({"model": 0.2, "popularity": 0.2, "knn_10": 0.3, "words_20": 0.3}, 10_000),
        ({"model": 1.0}, 10_000),
        ({"knn_10": 0.5, "words": 0.5}, 10_000),
    ],
    ids=str,
)
@pytest.mark.parametrize("pairs", [50_000_000, 10])
def test_a_copy_of_a_user_of_symcereplus_has_his_vector(place, monkeypatch, weights, exact, pairs):
    monkeypatch.setattr("recbole_symcere.model.experts._PAIRS", pairs)  # fewer columns than items
    config, model, loaders = prepared(
        "SymCEREPlus", place, profile_text="lexical", blend_ease_exact=exact
    )
    torch.nn.init.normal_(model.item_bias)
    model.blend.weigh(weights)
    state = state_of(config, model)
    catalogue = catalogue_of(loaders[0].dataset, loaders)
    fold = VectorFold(catalogue, state, model.stored_vectors(), None)
    users, items = model.scoring_vectors()
    for user in (1, 7, 30):
        mine = (catalogue.user == user) & (catalogue.part == 0)
        found = fold.user_scores(catalogue.item[mine], [])
        torch.testing.assert_close(found, items @ users[user], rtol=1e-3, atol=1e-3)


def state_of(config, model):
    """What a checkpoint holds for it."""
    return {
        "settings": config.final_config_dict,
        "state_dict": model.state_dict(),
        **model.blend.kept(),
    }


def test_what_is_recent_counts_alike_for_new_users(place):
    """Nothing tells when they had what."""
    names = ["knn_100", "recent_knn_100"]
    config, model, loaders = prepared("SymCEREPlus", place, profile_text="lexical", blend=names)
    catalogue, found = catalogue_of(loaders[0].dataset, loaders), []
    for name in names:
        model.blend.weigh({"model": 0.5, name: 0.5})
        model.forget()
        fold = VectorFold(catalogue, state_of(config, model), model.stored_vectors(), None)
        found.append(fold.user_scores(np.array([3, 9, 12]), []))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_an_order_is_refused_where_what_is_recent_counted_otherwise(place):
    config, model, loaders = prepared(
        "Stack", place, profile_text="lexical", blend=["recent_knn_5"]
    )
    model.blend.weigh({"recent_knn_5": 1.0})
    catalogue, history = catalogue_of(loaders[0].dataset, loaders), np.array([5, 6])
    state = {**state_of(config, model), "blend_decay": 0.3}
    fold = VectorFold(catalogue, state, model.stored_vectors(), None)
    fold.user_scores(history, [])
    with pytest.raises(InputError, match="recent_knn_5 counted recent interactions otherwise"):
        fold.user_scores(history, [], ordered=True)


def test_a_history_in_order_gets_the_list_of_a_user_who_had_it_in_that_order(run_of, place):
    run = run_of("SymCEREPlus", profile_text="lexical", blend=["next"])
    recommender = Recommender.load(run)
    time = pd.read_csv(Path(place["data_path"], "small", "small.inter"), sep="\t")
    time = time.set_index(["user_id:token", "item_id:token"])["timestamp:float"]

    def in_order(recommender, user):
        name = recommender.catalogue.users[user].as_py()
        mine = history_of(recommender, user)
        ordered = sorted(mine, key=lambda item: time[name, item])
        return [ordered[-1], *ordered]  # of a repeated item the last place counts

    weights = json.loads(Path(run, "metrics.json").read_text())["blend"]
    assert weights["next"] > 0.4
    alike = overlap(recommender, history=in_order, ordered=True)
    assert alike > 0.99
    assert overlap(recommender, history=in_order) < alike - 0.1
    items = in_order(recommender, 3)
    told = ["recommend", "--run", run, f"--history={','.join(items)}", "--out=one.csv"]
    for more, ordered in (([], False), (["--ordered=True"], True)):
        assert main([*told, *more]) == 0
        wanted = recommender.fold_in(items, ordered=ordered)["item_id"]
        assert pd.read_csv("one.csv")["item_id"].tolist() == wanted.tolist()
    turned = overlap(recommender, history=lambda *of: in_order(*of)[:0:-1], ordered=True)
    assert turned < alike - 0.1


def test_what_follows_an_item_is_what_the_run_saw_following_it(run_of):
    run = run_of("Stack", profile_text="lexical", blend=["next"])
    recommender = Recommender.load(run)
    history = recommender.catalogue.items[5:8].to_pylist()
    found = recommender.fold_in(history, k=32, exclude_seen=False)
    _, model, *_ = load_data_and_model(run)
    sums = model.blend.expert("next").near.toarray()[5:8].sum(axis=0)
    score = dict(zip(found["item_id"], found["score"], strict=True))
    wanted = [score[name] for name in recommender.catalogue.items[1:].to_pylist()]
    assert np.corrcoef(wanted, sums[1:])[0, 1] == pytest.approx(1, abs=1e-5)
    alike = np.asarray((model.blend.known.flat.T @ model.blend.known.flat).todense())[5:8].sum(0)
    assert np.corrcoef(wanted, alike[1:])[0, 1] < 0.99  # and not what was taken before it, too


@pytest.mark.parametrize("ordered", [False, True])
def test_a_new_user_asks_for_what_all_take_now(place, ordered):
    config, model, loaders = prepared("Stack", place, profile_text="lexical", blend=["trend"])
    model.blend.weigh({"model": 0.4, "trend": 0.6})
    catalogue, history = catalogue_of(loaders[0].dataset, loaders), np.array([5, 6, 7])
    fold = VectorFold(catalogue, state_of(config, model), model.stored_vectors(), None)
    now = model.blend.expert("trend").near[-1][1:]
    scores = fold.user_scores(history, [], ordered).numpy()[1:]
    assert scores == pytest.approx(0.6 * now / now.std(), rel=1e-4)  # the model says nothing
    own = np.arange(1, model.n_items)
    said = torch.arange(model.n_items).float()
    alone = SimpleNamespace(name="LightGCN", user_scores=lambda *_: said)
    blended = BlendedFold(alone, model.blend).user_scores(history, [], ordered).numpy()[1:]
    assert blended == pytest.approx(0.4 * own + 0.6 * own.std() / now.std() * now, rel=1e-4)


def test_columns_that_no_blend_has_are_refused(run_of):
    """WordKNN's own columns, beside a blend's."""
    recommender = Recommender.load(run_of("WordKNN", blend=["knn_5"]))
    with pytest.raises(InputError, match="of WordKNN, which adds columns of its own"):
        recommender.fold_in(["i0_0"])


def test_models_without_vectors_of_items_know_none_that_are_alike(run_of):
    with pytest.raises(InputError, match="has no vectors of items"):
        Recommender.load(run_of("Stack", blend=["knn_5"])).similar("i0_0")


def test_the_blend_of_a_run_of_before_is_refused(place):
    config, model, loaders = prepared("SymCEREPlus", place, profile_text="lexical")
    state = state_of(config, model) | {"blend_names": ["words", "ease"]}
    with pytest.raises(FoldError, match="has the blend of a run before version"):
        VectorFold(catalogue_of(loaders[0].dataset, loaders), state, model.stored_vectors(), None)


def test_a_run_with_approximate_ease_takes_new_users(run_of):
    settings = {"profile_text": "lexical", "blend": ["ease_100"], "blend_ease_exact": 5}
    recommender = Recommender.load(run_of("SymCEREPlus", **settings))
    assert recommender._fold._names == ["model", "ease_100"]
    assert overlap(recommender) > 0.8


def deviation(scores):
    return np.std(scores[1:])  # item 0 is padding


@pytest.mark.parametrize("with_history", [False, True])
def test_the_blend_of_a_text_is_the_oracles(place, with_history):
    config, model, loaders = prepared("SymCEREPlus", place, profile_text="lexical", blend=["words"])
    torch.nn.init.normal_(model.item_bias)
    model.blend.weigh({"model": 0.2, "words": 0.8})
    words, d = model.blend.words.double().numpy(), 16
    rng = np.random.default_rng(0)
    own, its_words = rng.normal(size=(2, d)), rng.normal(size=(2, words.shape[1]))

    class Texts:
        def items(self, owners):
            assert owners == [["first"], ["second"]]
            return torch.from_numpy(own).float(), torch.from_numpy(its_words).float()

    state = state_of(config, model)
    catalogue = catalogue_of(loaders[0].dataset, loaders)
    vectors = model.stored_vectors()
    history = np.array([3, 9]) if with_history else np.zeros(0, np.int64)
    found = VectorFold(catalogue, state, vectors, Texts).user_scores(history, ["first", "second"])

    g = vectors["raw"][1].detach().double().numpy()
    user = own.mean(axis=0)
    summed = its_words.sum(axis=0)
    if with_history:
        n = np.bincount(catalogue.item[catalogue.part == 0])
        h = sum(g[item] / (2 * n[item]) ** 0.5 for item in history)
        user = user / np.linalg.norm(user) + h / np.linalg.norm(h)
        summed = summed + words[3] + words[9]
    lengths = np.maximum(np.linalg.norm(g, axis=1), 1e-12)
    s = g @ user / np.linalg.norm(user) / lengths / 0.4 + model.item_bias.detach().double().numpy()
    x = words @ summed
    expected = 0.2 * s + 0.8 * deviation(s) / deviation(x) * x
    np.testing.assert_allclose(found.numpy()[1:], expected[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("with_words", [True, False])
def test_a_new_items_row_is_the_oracles(place, with_words):
    config, model, loaders = prepared(
        "SymCEREPlus", place, profile_text="lexical", blend=["words", "ease_100"]
    )
    torch.nn.init.normal_(model.item_bias)
    model.blend.weigh({"model": 0.4, "words": 0.4, "ease_100": 0.2})
    words = model.blend.words[5]
    vector = model.stored_vectors()["raw"][1][5]

    class Texts:
        def items(self, _):
            return vector[None], words[None] if with_words else words[None] * 0

    state = state_of(config, model)
    catalogue = catalogue_of(loaders[0].dataset, loaders)
    fold = VectorFold(catalogue, state, model.stored_vectors(), Texts)
    row = fold.item(["text"], np.zeros(0, np.int64))[1]
    # a copy of item 5, but for its popularity, and EASE's part, which is that of items like it
    known = model.scoring_vectors()[1][5]
    width = 16 + 1 + len(words)
    trained = np.unique(catalogue.item[catalogue.part == 0])
    sides = model.blend.words if with_words else model.stored_vectors()["raw"][1]
    sides = sides.double().numpy()
    lengths = np.maximum(np.linalg.norm(sides, axis=1), 1e-12) * np.linalg.norm(sides[5])
    like = sorted(trained, key=lambda item: -(sides @ sides[5] / lengths)[item])[:10]
    rest = model.scoring_vectors()[1][like, width:].mean(dim=0)
    assert 5 in like
    assert rest.any()
    own = known[: width - len(words)] if not with_words else known[:width]
    nothing = torch.zeros(width - len(own))
    expected = torch.cat([own, nothing, rest])
    expected[16] = model.item_bias.detach()[trained].median()
    torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


def test_the_profile_of_a_new_items_text_is_that_of_a_known_one(place, tmp_path):
    """Of an item that has no review and is placed by its own text, beside others that have both."""
    rows = [row if row[1] != "i0_2" else (*row[:4], "") for row in planted_rows()]
    folder = write_rows(tmp_path, "small", rows)
    names = [f"i0_{n}" for n in range(5)]
    texts = [" ".join(WORDS[n : n + 6]) for n in range(5)]
    pq.write_table(pa.table({"item_id": names, "text": texts}), folder / "small.items.parquet")
    model, dataset, profiles = known_profiles({**place, "data_path": str(tmp_path)})
    profile, _ = profiles([[texts[2]]])
    own = model.profiles[dataset.token2id("item_id", "i0_2")]
    torch.testing.assert_close(profile[0], own, rtol=1e-3, atol=1e-3)


def test_the_profile_of_a_known_items_reviews_is_its_own(place):
    model, dataset, profiles = known_profiles(place)
    texts = dataset.training_reviews().to_pylist()
    of_item = dataset.inter_feat["item_id"].numpy()
    for item in (1, 5, 20):
        mine = [text for text, owner in zip(texts, of_item, strict=True) if owner == item]
        profile, _ = profiles([mine])
        own = model.profiles[item]
        torch.testing.assert_close(profile[0], own, rtol=1e-3, atol=1e-3)


def known_profiles(place):
    _, model, loaders = prepared("SymCEREPlus", place)
    dataset = loaders[0].dataset
    from recbole_symcere.text.encode import encode_texts
    from recbole_symcere.text.encoder import TextEncoder, load_encoder

    backbone, tokenizer = load_encoder(place["text_encoder"])
    encoder = TextEncoder(backbone, "auto", False)
    options = EncoderOptions(
        text_encoder=place["text_encoder"], cache_dir=place["cache_dir"], max_length=16
    )
    cpu = torch.device("cpu")
    profiles = TextProfiles(
        dataset, options, cpu, 256, 512, True,
        lambda texts: encode_texts(encoder, tokenizer, texts, 16, cpu),
    )  # fmt: skip
    return model, dataset, profiles


# --- planted truth ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "least"),
    [
        *(("SymCEREPlus", 0.99), ("EASE", 1.0), ("ItemKNN", 1.0), ("LightGCN", 0.8)),
        *(("XSimGCL", 0.8), ("SimGCL", 0.65), ("DirectAU", 0.8), ("CollabContext", 0.75)),
        *(("AlphaRec", 0.65), ("SMORET", 0.75), ("RLMRecCon", 0.8)),
        *(("SymCERE", 0.5), ("SymCERE on NGCF", 0.5)),  # after few epochs; by chance it is .16
    ],
)
def test_a_copy_of_a_known_users_history_gets_his_list(run_of, model, least):
    model, _, backbone = model.partition(" on ")
    extra = LIKE_ALL if model == "SymCEREPlus" else {}
    extra = extra | ({"backbone": backbone} if backbone else {})
    assert overlap(Recommender.load(run_of(model, **extra))) >= least


@pytest.mark.parametrize("model", ["EASE", "ItemKNN", "Pop", "LightGCN", "XSimGCL"])
def test_the_blend_counts_for_new_users_of_any_model(run_of, model):
    """y = w s + sum_k w_k sd(s) / sd(x_k) x_k, with s what the model alone gives a new user."""
    names = ["words", "knn_5", "recent_knn_5"]
    blended = Recommender.load(run_of(model, blend=names))
    alone = Recommender.load(run_of(model, blend=names))
    history = np.array([3, 9, 12])
    fold = blended._fold
    blend = fold._blend
    assert not blend.alone
    if model == "XSimGCL":
        alone._fold.__dict__["_blend"] = blend
        alone._fold._weights = torch.eye(4)[0]
        alone._fold.items = alone._fold.items[:, : alone._fold._own]
        s = alone._fold.user_scores(history, []).double().numpy()
    else:
        s = alone._fold._alone.user_scores(history, []).double().numpy()
    known = np.zeros(len(s))
    known[history] = 1
    wanted, one = blend.weights[0].item() * s, csr_matrix(known[None].astype(np.float32))
    for name, weight in zip(names, blend.weights[1:].tolist(), strict=True):
        x = blend.expert(name).scores(one)[0].astype(float)
        wanted = wanted + weight * deviation(s) / deviation(x) * x
    found = fold.user_scores(history, []).numpy()
    ordered = fold.user_scores(history, [], ordered=True).numpy()
    assert np.abs(found - ordered).max() > 0.05 * found.std()
    # vectors of a model may have any length: what is compared is the order that they give
    scale = (found / found.std()) - (wanted / wanted.std())
    assert np.ptp(scale) < 1e-3


def test_the_dial_of_popularity_turns_the_list_of_a_new_user_too(run_of):
    run = run_of("SymCEREPlus", **LIKE_ALL)
    turned = Recommender.load(run, 0.0)
    assert overlap(turned) >= 0.99
    history = history_of(turned, 1)
    usual = Recommender.load(run).fold_in(history, exclude_seen=False)
    assert not np.allclose(usual["score"], turned.fold_in(history, exclude_seen=False)["score"])


def test_everybody_new_gets_the_popular_items_of_pop(run_of):
    recommender = Recommender.load(run_of("Pop"))
    first = recommender.fold_in(["i0_0"], k=3, exclude_seen=False)
    assert first["item_id"].tolist() == recommender.recommend("u0_0", 3, False)["item_id"].tolist()


@pytest.mark.parametrize("group", [0, 3])
def test_words_find_the_users_group(plus, group):
    found = plus.fold_in(reviews=" ".join(WORDS[3 * group : 3 * group + 3]), k=5)
    assert {name[:2] for name in found["item_id"]} == {f"i{group}"}
    assert (found["user_id"] == "new").all()
    both = plus.fold_in([f"i{group}_1"], [" ".join(WORDS[3 * group : 3 * group + 2])], k=5)
    assert f"i{group}_1" not in set(both["item_id"])
    assert {name[:2] for name in both["item_id"]} == {f"i{group}"}


def test_what_a_new_user_knows_is_left_out_unless_asked_for(plus):
    history = ["i1_1", "i1_2", "i2_3"]
    everything = {f"i{group}_{n}" for group in range(GROUPS) for n in range(PER_GROUP)}
    assert set(plus.fold_in(history, k=32)["item_id"]) == everything - {*history}
    assert set(plus.fold_in(history, k=32, exclude_seen=False)["item_id"]) == everything
    few = plus.fold_in(history, k=2, items=["i1_1", "i0_0"])
    assert few["item_id"].tolist() == ["i0_0"]


@pytest.mark.parametrize("model", ["SymCEREPlus", "AlphaRec", "SymCERE"])
def test_every_model_that_reads_text_takes_it(run_of, model):
    extra = {"profile_text": "lexical"} if model == "SymCEREPlus" else {}
    recommender = Recommender.load(run_of(model, **extra))
    reviews = [f"{WORDS[0]} {WORDS[1]}", WORDS[2]]
    assert len(recommender.fold_in(reviews=reviews, k=4)) == 4
    new = recommender.fold_in_item(reviews[0], reviews, ["u0_0"], k=4)
    assert len(new.similar) == len(new.users) == 4
    assert "u0_0" not in set(new.users["user_id"])
    assert np.isfinite(new.scores).all()


@pytest.mark.parametrize("group", [1, 2])
def test_an_item_is_found_by_its_words(plus, group):
    new = plus.fold_in_item(" ".join(WORDS[3 * group : 3 * group + 3]), k=6)
    assert {name[:2] for name in new.similar["item_id"]} == {f"i{group}"}
    assert {name[:2] for name in new.users["user_id"]} == {f"u{group}"}
    by_users = plus.fold_in_item(users=[f"u{group}_{group}", f"u{group}_{group + 4}"], k=5)
    assert {name[:2] for name in by_users.similar["item_id"]} == {f"i{group}"}


# --- what stays as it is -----------------------------------------------------------------------


def test_known_vectors_stay_bit_equal(plus):
    scorer = plus._scorer
    before = [side.clone() for side in (scorer.users, scorer.items, scorer.item_vectors())]
    lists = plus.recommend(k=5)
    plus.fold_in(["i1_1", "i1_2"], [WORDS[4]])
    plus.fold_in_item(WORDS[0], users=["u0_0"])
    after = (scorer.users, scorer.items, scorer.item_vectors())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    pd.testing.assert_frame_equal(lists, plus.recommend(k=5))


def test_a_history_needs_the_runs_folder_alone(run_of, place, tmp_path):
    run = Path(run_of("SymCEREPlus", profile_text="lexical"))
    expected = Recommender.load(run).fold_in(["i1_1", "i1_2"])
    shutil.copytree(run, tmp_path / "elsewhere" / run.name)
    places = {"data_path": str(tmp_path / "gone"), "text_encoder": str(tmp_path / "gone")}
    alone = Recommender.load(tmp_path / "elsewhere" / run.name, None, **places)
    pd.testing.assert_frame_equal(alone.fold_in(["i1_1", "i1_2"]), expected)
    with pytest.raises(InputError):
        alone.fold_in(reviews=WORDS[0])


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"The history is empty"),
        ({"history": []}, r"The history is empty"),
        ({"history": ["i1_1", "i1_99"]}, r"There is no item 'i1_99'"),
        ({"reviews": "  \n"}, r"reviews is '  \\n', without a word"),
        ({"reviews": [WORDS[0], "?!"]}, r"reviews\[1\] is '\?!', without a word"),
        ({"history": ["i1_1"], "k": 99}, r"k is 99: expected 1 to 32"),
        ({"history": ["i1_1"], "items": ["i1_9"]}, r"There is no item 'i1_9'"),
    ],
)
def test_a_mistake_is_told_in_one_line(plus, given, said):
    with pytest.raises(InputError, match=said) as error:
        plus.fold_in(**given)
    assert "\n" not in str(error.value)


def test_an_item_of_nothing_is_refused(plus):
    with pytest.raises(InputError, match="Nothing tells what the item is"):
        plus.fold_in_item()
    with pytest.raises(InputError, match="There is no user 'nobody'"):
        plus.fold_in_item(users=["nobody"])
    with pytest.raises(InputError, match=r"text is '', without a word"):
        plus.fold_in_item("")


@pytest.mark.parametrize(
    ("model", "call", "said"),
    [
        ("BPR", {"history": ["i1_1"]}, "of BPR, which learns a vector of each user in training"),
        ("DGCLR", {"history": ["i1_1"]}, "of DGCLR, which weighs each edge of its graph"),
        ("EASE", {"reviews": "word"}, "of EASE, which reads no text"),
        ("LightGCN", {"reviews": "word"}, "of LightGCN, in which a text alone has no vector"),
        ("DirectAU", {"reviews": "word"}, "of DirectAU, in which a text alone has no vector"),
    ],
)
def test_a_model_that_cant_says_so(run_of, model, call, said):
    short = {"epochs": 1} if model == "DGCLR" else {}  # no other test reads its run
    with pytest.raises(InputError, match=said):
        Recommender.load(run_of(model, **short)).fold_in(**call)


def test_new_items_of_a_model_without_vectors_are_refused(run_of):
    with pytest.raises(InputError, match="of EASE, which has no vectors"):
        Recommender.load(run_of("EASE")).fold_in_item("word")


def test_text_in_another_language_is_warned_of(plus, caplog):
    plus.fold_in(["i1_1"], ["日本語 の 評価"])
    assert "are unknown to" in caplog.text
    caplog.clear()
    plus.fold_in(["i1_1"], [WORDS[0]])
    assert "are unknown to" not in caplog.text


# --- the command -----------------------------------------------------------------------------


def test_the_command_lists_for_a_new_user(run_of, capsys, tmp_path):
    run = run_of("SymCEREPlus", profile_text="lexical")
    assert main(["recommend", f"--run={run}", "--history=i2_1,i2_2", "--k=3"]) == 0
    expected = Recommender.load(run).fold_in(["i2_1", "i2_2"], k=3)
    said = capsys.readouterr().out
    assert said.startswith("new\n")
    assert all(name in said for name in expected["item_id"])
    out = tmp_path / "new.csv"
    arguments = [f"--run={run}", "--history", "i2_1", f"--text={WORDS[6]}", f"--out={out}"]
    assert main(["recommend", *arguments]) == 0
    assert len(pd.read_csv(out)) == 10
    assert main(["recommend", f"--run={run}", "--history=i2_1", "--users=u0_0"]) != 0
    assert "don't go with them" in capsys.readouterr().err
