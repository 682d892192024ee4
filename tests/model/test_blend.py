"""What is added to a score against a float64 oracle."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model.test_contract import all_scores, prepare
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from scipy.sparse import csr_matrix

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.recency import Histories
from recbole_symcere.model import blend as module
from recbole_symcere.model import experts
from recbole_symcere.model.blend import Blend, deviation
from recbole_symcere.model.blend_options import EXPERTS
from recbole_symcere.model.blended_stock import with_blend
from recbole_symcere.model.experts import ItemMap, basis_columns
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import build_model, read_dataset, split_data

USERS, ITEMS = 7, 9
NAMES = ("words", "knn_3", "recent_ease_5")


class Planted:
    """Vectors, known items and maps of items; some users know nothing."""

    def __init__(self, seed, idle=(0, 3)):
        rng = np.random.default_rng(seed)
        self.users, self.items = rng.normal(size=(USERS, 4)), rng.normal(size=(ITEMS, 4))
        self.flat = (rng.random((USERS, ITEMS)) < 0.4).astype(float)
        self.flat[:, 0] = 0
        self.flat[list(idle)] = 0
        self.later = self.flat * rng.integers(1, 4, (USERS, ITEMS))
        self.recent = self.flat * 0.1 ** (self.later - 1)
        self.words = rng.normal(size=(ITEMS, 3))
        self.maps = {name: rng.normal(size=(ITEMS, ITEMS)) for name in ("knn_3", "ease_5")}

    def known(self):
        return Histories(csr_matrix(self.later, dtype=np.int32))

    def blend(self, weights):
        def make(name):
            if name == "words":
                words = self.words.astype(np.float32)
                return ItemMap(words, words)
            return ItemMap(self.maps[name].astype(np.float32))

        blend = Blend(NAMES, make, self.known())
        blend.weigh(dict(zip(("model", *NAMES), weights, strict=True)))
        return blend

    def vectors(self):
        return [torch.from_numpy(side).float() for side in (self.users, self.items)]

    def wanted(self, weights):
        own = self.users @ self.items.T
        added = (
            self.flat @ self.words @ self.words.T,
            self.flat @ self.maps["knn_3"],
            self.recent @ self.maps["ease_5"],
        )
        total = weights[0] * own
        for weight, scores in zip(weights[1:], added, strict=True):
            for user in range(USERS):
                if self.flat[user].any():  # the padding item has no part in the scale
                    scale = own[user, 1:].std() / scores[user, 1:].std()
                    total[user] += weight * scale * scores[user]
        return total


weight = st.just(0.0) | st.floats(0.01, 1)
weights_of_four = st.lists(weight, min_size=4, max_size=4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), weights=weights_of_four)
def test_all_scores_are_brought_to_one_scale(seed, weights):
    planted = Planted(seed)
    weights[1] = weights[1] or 0.5  # with no weight but the model's nothing is scaled at all
    blend = planted.blend(weights)
    left, right = blend(*planted.vectors())
    assert (left @ right.T).numpy() == pytest.approx(planted.wanted(weights), abs=2e-3)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), weights=weights_of_four)
def test_scores_that_come_from_no_vectors_get_the_same(seed, weights):
    planted = Planted(seed)
    weights[2] = weights[2] or 0.5
    blend, some = planted.blend(weights), np.array([5, 0, 2])
    own = torch.from_numpy(planted.users @ planted.items.T).float()
    found = blend.added(own[some], blend.known_of(some)).numpy()
    assert found == pytest.approx(planted.wanted(weights)[some], abs=2e-3)


def test_the_model_counts_alone_until_weights_are_chosen():
    planted = Planted(1)
    blend = planted.blend([1, 0, 0, 0])
    assert blend.alone
    users, items = planted.vectors()
    assert blend(users, items) == (users, items)
    scores = torch.ones(2, ITEMS)
    assert blend.added(scores, blend.known_of(np.array([1, 2]))) is scores


def test_users_are_blended_in_pieces(monkeypatch):
    planted = Planted(3)
    given = planted.blend([0.2, 0.3, 0.4, 0.1]), *planted.vectors()
    whole = [side.numpy() for side in given[0](*given[1:])]
    monkeypatch.setattr(module, "_ROWS", 3)
    for found, side in zip(given[0](*given[1:]), whole, strict=True):
        np.testing.assert_allclose(found.numpy(), side, rtol=1e-5, atol=1e-5)


def test_few_columns_stand_for_many_items(monkeypatch):
    planted, weights = Planted(4), [0.2, 0.3, 0.4, 0.1]
    monkeypatch.setattr(experts, "_PAIRS", 10)
    monkeypatch.setattr(experts, "_COLUMNS", (7, 7))  # as many as users: nothing is lost
    left, right = planted.blend(weights)(*planted.vectors())
    assert left.shape[1] == 4 + 3 + 7
    assert (left @ right.T).numpy() == pytest.approx(planted.wanted(weights), abs=2e-3)
    monkeypatch.setattr(experts, "_COLUMNS", (2, 2))
    fewer = planted.blend(weights)(*planted.vectors())
    exact = planted.wanted([0, 0, 0.4, 0.1])
    found = (fewer[0][:, 7:] @ fewer[1][:, 7:].T).numpy()
    best = np.linalg.svd(exact, compute_uv=False)[2:]
    assert np.linalg.norm(found - exact) < 1.2 * np.linalg.norm(best)


def test_few_items_get_a_column_each_however_many_users(monkeypatch):
    planted, weights = Planted(4), [0.2, 0.3, 0.4, 0.1]
    monkeypatch.setattr(experts, "_PAIRS", 10)  # of 9 items, fewer than the columns
    left, right = planted.blend(weights)(*planted.vectors())
    assert (left @ right.T).numpy() == pytest.approx(planted.wanted(weights), abs=2e-3)


@pytest.mark.parametrize(
    ("n_users", "n_items", "columns"),
    [
        (5_884, 1_494, 1_494),  # 9 million scores are held as they are
        (20_000, 5_000, 1_024),
        (83_334, 25_001, 599),
        (833_334, 250_001, 128),
        (600_000, 100, 100),
        (500, 50_000, 1_000),
    ],
)
def test_columns_of_a_user(n_users, n_items, columns):
    assert basis_columns(n_users, n_items) == columns


def test_the_deviation_of_few_scores_is_exact(monkeypatch):
    """An expert of neighbours scores most items 0, and a sample of items would see nothing else."""
    monkeypatch.setattr(module, "_SOME", 3)
    rng = np.random.default_rng(0)
    near = rng.random((200, 200)) * (rng.random((200, 200)) < 0.02)
    known = csr_matrix(rng.random((9, 200)) < 0.02, dtype=np.float32)
    for one in (ItemMap(csr_matrix(near)), ItemMap(near)):
        found = module._spread(one, known, 200)
        exact = (known.toarray() @ near)[:, 1:].std(axis=1)
        if one.near is near:
            assert (found[exact > 0] == 0).any()  # so it would be, were it no sparse matrix
        else:
            assert found == pytest.approx(exact, abs=1e-6)


def test_other_users_and_more_words():
    planted, weights = Planted(5), [0.5, 0.6, 0.3, 0.2]
    blend, (users, items) = planted.blend(weights), planted.vectors()
    every = (lambda left, right: left @ right.T)(*blend(users, items))
    left, right = blend(users[2:4], items, planted.known().of(slice(2, 4)))
    assert torch.allclose(left @ right.T, every[2:4], atol=1e-4)
    extra = np.zeros((USERS, 3))
    extra[4] = planted.words[6] + planted.words[7]  # as if the user knew these words too
    known = planted.known().of(slice(4, 5))
    left, right = blend(users[4:5], items, known, torch.from_numpy(extra[4]).float(), None)
    words = (planted.flat @ planted.words + extra)[4] @ planted.words.T
    before = planted.flat[4] @ planted.words @ planted.words.T
    own = planted.users[4] @ planted.items.T
    change = [own[1:].std() / scores[1:].std() * scores for scores in (words, before)]
    wanted = planted.wanted(weights)[4] + 0.6 * (change[0] - change[1])
    assert (left @ right.T)[0].numpy() == pytest.approx(wanted, abs=2e-3)


def test_deviation():
    users, items = Planted(6).vectors()
    scores = (users @ items.T).numpy()[:, 1:]
    assert deviation(users, items).numpy() == pytest.approx(scores.std(axis=1), rel=1e-5)


def test_weights_of_other_experts_are_refused():
    planted = Planted(7)
    state = {"weights": torch.tensor([0.4, 0.2])}
    with pytest.raises(InputError, match="has 2 weights of a blend, and these settings give 4"):
        planted.blend([1, 0, 0, 0]).load_state_dict(state)


# --- of a model ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, len(EXPERTS)),
        ({"blend": None}, 0),
        ({"blend": ["ease_7", "words"]}, 2),
        ({"profile_text": "dense"}, len(EXPERTS)),  # words take part all the same
    ],
    ids=str,
)
def test_what_takes_part(small, options, names):
    blend = prepare("SymCEREPlus", small, **options)[1].blend
    assert len(blend.names) - 1 == names if names else blend is None


def test_fewer_columns_than_items_are_told(small, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(experts, "_PAIRS", 10)
    monkeypatch.setattr(experts, "_COLUMNS", (7, 7))
    prepare("SymCEREPlus", small, blend=["words"])
    assert "approximate" not in caplog.text
    prepare("SymCEREPlus", small, blend=["knn_10"])
    assert (
        "what the blend adds is approximate: 7 columns of a user stand for his scores of 30 items"
    ) in caplog.text


def test_above_its_limit_ease_is_approximate_and_says_so(small, caplog):
    given = {"blend": ["ease_100"]}
    exact = prepare("SymCEREPlus", small, blend_ease_exact=30, **given)[1].blend
    assert "approximate" not in caplog.text
    rough = prepare("SymCEREPlus", small, blend_ease_exact=29, **given)[1].blend
    told = [r for r in caplog.records if "EASE" in r.message]
    assert [r.levelname for r in told] == ["WARNING"]
    assert told[0].message == (
        "EASE in the blend is approximate: 30 items are more than blend_ease_exact, 29. Exactly it "
        "would take 0.0 GB: --blend_ease_exact=30."
    )
    # 31 items have fewer eigenvectors than the approximation takes
    one, other = (b.scores(["ease_100"], b.known_of(np.arange(1, 25))) for b in (exact, rough))
    assert np.allclose(one, other, atol=1e-4)


def built(name, small, **extra):
    config = Config(name, "small", config_dict={**small, **extra})
    loaders = split_data(config, read_dataset(config))
    return build_model(config, loaders[0]).eval(), loaders


@pytest.mark.parametrize("name", ["LightGCN", "EASE", "XSimGCL", "CollabContext"])
def test_any_model_takes_a_blend(small, name):
    plain = built(name, small)[0]
    model, _ = built(name, small, blend=["words", "knn_5"])
    assert type(model).__name__ == name
    assert model.blend.names == ["model", "words", "knn_5"]
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if "blend" not in k})
    with torch.no_grad():
        own = all_scores(plain)
        assert torch.allclose(all_scores(model), own, atol=1e-5)
        model.blend.weigh({"model": 0.4, "knn_5": 0.6})
        if hasattr(model, "forget"):
            model.forget()
        found = all_scores(model).double().numpy()[:, 1:]
    known = model.blend.known_of(np.arange(1, model.n_users))
    added = model.blend.scores(["knn_5"], known)[0].astype(float)[:, 1:]
    own = own.double().numpy()[:, 1:]
    scale = own.std(axis=1) / np.maximum(added.std(axis=1), 1e-12)
    assert np.allclose(found, 0.4 * own + 0.6 * scale[:, None] * added, atol=1e-3)
    pairs = {model.USER_ID: torch.tensor([3, 1, 3]), model.ITEM_ID: torch.tensor([7, 2, 1])}
    with torch.no_grad():
        single = model.predict(Interaction(pairs)).double().numpy()
    assert np.allclose(single, found[[2, 0, 2], [6, 1, 0]], atol=1e-3)


def test_words_take_no_part_without_reviews(small, tmp_path):
    folder = tmp_path / "data" / "small"
    folder.mkdir(parents=True)
    shutil.copy(f"{small['data_path']}/small/small.inter", folder)
    given = {"data_path": str(tmp_path / "data"), "blend": ["words", "knn_5"]}
    model, _ = built("LightGCN", small, **given)
    assert model.blend.names == ["model", "knn_5"]


@pytest.mark.parametrize("name", ["GRU4Rec", "DeepFM"])
def test_models_that_score_something_else_are_refused_before_data_are_read(small, name):
    with pytest.raises(InputError, match=f"but {name} is a .* model, and what is blended"):
        Config(name, "small", config_dict={**small, "blend": ["all"]})


class OneByOne(GeneralRecommender):
    def __init__(self):
        """Nothing of RecBole's."""


def test_a_model_with_something_of_its_own_called_blend_is_left_alone():
    model = OneByOne()
    model.__dict__["blend"] = 0.5
    with pytest.raises(InputError, match="OneByOne has something of its own called blend"):
        with_blend(model, Planted(1).blend([1, 0, 0, 0]))


def test_a_model_that_scores_pairs_alone_is_refused():
    with pytest.raises(InputError, match="OneByOne scores pairs of users and items one by one"):
        with_blend(OneByOne(), Planted(1).blend([1, 0, 0, 0]))
