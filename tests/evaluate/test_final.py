"""Everything that a run says of its test split, against an evaluator written apart from it."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.utils import get_model
from tiny_models import WORDS

from recbole_symcere.base.errors import InputError
from recbole_symcere.evaluate.groups import bins, ndcg_by_item_bin
from recbole_symcere.run.quick_start import load_data_and_model, run_recbole

EXACT = {"metric_decimal_place": 12, "topk": [3, 10]}


def settings_of(model, small):
    ours = ("data_path", "runs_dir", "epochs", "cache_dir", "checkpoint_dir")
    given = small if model == "SymCERE" else {key: small[key] for key in ours}
    return {**given, **EXACT}


def finished(model, small, **more):
    settings = {**settings_of(model, small), **more}
    run = Path(run_recbole(model, "small", config_dict=settings)["run_dir"])
    return run, json.loads((run / "metrics.json").read_text())


def pairs(loader):
    features = loader.dataset.inter_feat
    return list(zip(features["user_id"].tolist(), features["item_id"].tolist(), strict=True))


def by_user(found):
    result = {}
    for user, item in found:
        result.setdefault(user, set()).add(item)
    return result


def scores_of(model, user):
    one = Interaction({"user_id": torch.tensor([user])})
    return model.full_sort_predict(one.to(model.device)).view(-1).tolist()


def plain_ndcg(ranked, right, k):
    gains = [1 / math.log2(n + 2) for n, item in enumerate(ranked[:k]) if item in right]
    return sum(gains) / sum(1 / math.log2(n + 2) for n in range(min(len(right), k)))


def plain_gini(counts):
    """Mean absolute difference over twice the mean."""
    n, total = len(counts), sum(counts)
    return sum(abs(a - b) for a in counts for b in counts) / (2 * n * total)


class Plain:
    """Lists of a stored run, ranked anew from scores, and what can be said of them."""

    def __init__(self, run, known=None):
        """``known`` are the masked training pairs, where those aren't the run's own."""
        _, model, self.dataset, train, valid, test = load_data_and_model(run)
        model.eval()
        self.train, self.truth = pairs(train), by_user(pairs(test))
        known, valid_items = by_user(known or self.train), by_user(pairs(valid))
        self.n_items, self.n_users = self.dataset.item_num - 1, self.dataset.user_num - 1
        self.counts = dict.fromkeys(range(1, self.n_items + 1), 0)
        for _, item in self.train:
            self.counts[item] += 1
        self.lists = {}
        for user in self.truth:
            scores = scores_of(model, user)
            masked = known.get(user, set()) | valid_items.get(user, set())
            left = [i for i in range(1, self.n_items + 1) if i not in masked]
            self.lists[user] = sorted(left, key=lambda i: -scores[i])
        self.model = model

    def mean(self, value):
        return sum(value(user) for user in self.lists) / len(self.lists)

    def metrics(self, k):
        lists, truth, counts = self.lists, self.truth, self.counts
        order = sorted(counts, key=lambda i: (-counts[i], i))
        head = set(order[: math.ceil(0.2 * self.n_items)])
        shown = dict.fromkeys(counts, 0)
        for ranked in lists.values():
            for item in ranked[:k]:
                shown[item] += 1

        def first_hit(user):
            hits = [n for n, item in enumerate(lists[user][:k]) if item in truth[user]]
            return 1 / (hits[0] + 1) if hits else 0.0

        def hits(user):
            return len(truth[user] & set(lists[user][:k]))

        def surprise(item):
            return -math.log2(max(counts[item], 1) / self.n_users)

        return {
            f"ndcg@{k}": self.mean(lambda u: plain_ndcg(lists[u], truth[u], k)),
            f"hit@{k}": self.mean(lambda u: float(hits(u) > 0)),
            f"recall@{k}": self.mean(lambda u: hits(u) / len(truth[u])),
            f"mrr@{k}": self.mean(first_hit),
            f"arp@{k}": self.mean(lambda u: sum(counts[i] for i in lists[u][:k]) / k),
            f"aplt@{k}": self.mean(lambda u: sum(i not in head for i in lists[u][:k]) / k),
            f"novelty@{k}": self.mean(lambda u: sum(map(surprise, lists[u][:k])) / k),
            f"coverage@{k}": sum(n > 0 for n in shown.values()) / self.n_items,
            f"gini@{k}": plain_gini(list(shown.values())),
        }


@pytest.mark.parametrize("model", ["SymCERE", "BPR", "LightGCN"])
def test_an_independent_evaluator_agrees_with_every_number(small, model):
    run, metrics = finished(model, small)
    found = {**metrics["test"], **metrics["beyond"]["popularity"]}
    plain = Plain(run)
    expected = {**plain.metrics(3), **plain.metrics(10)}
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def plain_bins(values, weights):
    """Thirds of the weight, by the middle of each value's."""
    total, before, result = sum(weights), 0.0, {}
    for value in sorted(set(values)):
        held = sum(w for v, w in zip(values, weights, strict=True) if v == value)
        result[value] = min(int(3 * (before + held / 2) / total), 2)
        before += held
    return [result[value] for value in values]


def test_bins_of_items_and_users(small):
    run, metrics = finished("BPR", small)
    plain, table = Plain(run), pq.read_table(run / "per_user.parquet").to_pylist()
    rows = {plain.dataset.token2id("user_id", row["user_id"]): row for row in table}
    counts = [plain.counts[i] for i in sorted(plain.counts)]
    bin_of = dict(zip(sorted(plain.counts), plain_bins(counts, counts), strict=True))
    for place, name in enumerate(("rare", "middle", "popular")):
        right = {u: {i for i in items if bin_of[i] == place} for u, items in plain.truth.items()}
        values = {u: plain_ndcg(plain.lists[u], r, 10) for u, r in right.items() if r}
        group = metrics["beyond"]["by_item_popularity"][name]
        assert group["users"] == len(values)
        assert group["ndcg@10"] == pytest.approx(sum(values.values()) / len(values), abs=1e-9)
        for user, row in rows.items():
            if user in values:
                assert row[f"ndcg@10/{name}"] == pytest.approx(values[user], abs=1e-9)
            else:
                assert row[f"ndcg@10/{name}"] is None
    n_train = {user: sum(u == user for u, _ in plain.train) for user in range(1, 25)}
    assert {user: row["n_train"] for user, row in rows.items()} == n_train
    active = plain_bins([n_train[u] for u in sorted(n_train)], [1] * 24)
    found = metrics["beyond"]["by_user_activity"]
    assert sum(group["users"] for group in found.values()) == 24
    assert len(found) == len(set(active))


def test_bins_hold_equal_weight_and_keep_equal_values_together():
    rng = np.random.default_rng(0)
    values = rng.zipf(1.7, 500).clip(max=60)
    found = bins(values, values)
    assert found.tolist() == plain_bins(values.tolist(), values.tolist())
    assert len({(v, b) for v, b in zip(values, found, strict=True)}) == len(set(values.tolist()))
    assert bins([3, 3, 3], [0, 0, 0]).tolist() == [0, 0, 0]


def test_ndcg_of_a_bin_needs_no_answer_of_another():
    ranked = np.array([[5, 3, 1], [2, 4, 1]])
    values = ndcg_by_item_bin(ranked, [np.array([3, 1]), np.array([4])], np.arange(6) % 2, 2, 3)
    both = (1 / math.log2(3) + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert values[0, 1] == pytest.approx(both)
    assert values[1, 0] == pytest.approx(1 / math.log2(3))
    assert np.isnan(values[0, 0])
    assert np.isnan(values[1, 1])


def test_recboles_own_popularity_metrics_run_again(small):
    metrics = ["NDCG", "ItemCoverage", "AveragePopularity", "GiniIndex", "TailPercentage", "ARP"]
    _, found = finished("BPR", small, metrics=metrics)
    assert found["test"]["averagepopularity@10"] == pytest.approx(found["test"]["arp@10"])
    # a metric that was asked for isn't told of twice
    assert "arp@10" not in found["beyond"]["popularity"]
    assert "aplt@10" in found["beyond"]["popularity"]


# --- cold start ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["EASE", "ItemKNN", "Pop", "CollabContext"])
def test_cold_items_that_a_model_cannot_tell_apart_are_not_ranked(small, model, caplog):
    text = {"text_encoder": small["text_encoder"], "max_length": 64}
    text = text if model == "CollabContext" else {}
    _, metrics = finished(model, small, cold_items=0.2, **text)
    cold = metrics["beyond"]["cold_items"]
    assert cold["items"] == 6
    assert not any("@" in name for name in cold)
    assert "All items without training interactions have the same score" in caplog.text


def test_texts_of_their_own_rank_the_cold_items_of_collabcontext(small, small_folder, tmp_path):
    folder = shutil.copytree(small_folder, tmp_path / "data")
    names = [f"i{n}" for n in range(30)]
    texts = [f"{a} {b}" for a, b in zip(WORDS[:30], WORDS[40:70], strict=True)]
    table = pa.table({"item_id": names, "text": texts})
    pq.write_table(table, folder / "small" / "small.items.parquet")
    own = {
        "data_path": str(folder),
        "text_encoder": small["text_encoder"],
        "epochs": 4,
        "max_length": 64,
    }
    run, metrics = finished("CollabContext", small, cold_items=0.2, learning_rate=0.01, **own)
    plain = Plain(run)
    held = sorted(i for i, count in plain.counts.items() if count == 0)
    known, read = {u for u, _ in plain.train}, plain.dataset.inter_feat
    pairs_read = zip(read["user_id"].tolist(), read["item_id"].tolist(), strict=True)
    truth = by_user((u, i) for u, i in pairs_read if i in held and u in known)
    # LightGCN's outputs of the users, where items are their texts: an item's is C / (n_layers + 1)
    model, values = plain.model, []
    table = torch.cat([model.user_embedding.weight, model.item_text]).double().detach()
    layers, matrix = [table], model.graph.matrix().to_dense().double()
    for _ in range(model.options.n_layers):
        layers.append(matrix @ layers[-1])
    users = torch.stack(layers).mean(0)[: model.n_users]
    for user, right in truth.items():
        scores = (users[user] @ model.item_text.double().T).tolist()
        values.append(plain_ndcg(sorted(held, key=lambda i: -scores[i]), right, 3))
    assert metrics["beyond"]["cold_items"]["ndcg@3"] == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize("model", ["SymCERE", "BPR", "LightGCN"])
def test_cold_items_are_unknown_to_every_model_and_ranked_among_themselves(small, model):
    run, metrics = finished(model, small, cold_items=0.2)
    cold = metrics["beyond"]["cold_items"]
    assert cold["items"] == 6
    assert 0 <= cold["ndcg@3"] <= 1
    if model not in {"SymCERE", "BPR"}:
        return
    plain = Plain(run)
    dataset = plain.dataset
    held_items = [i for i, count in plain.counts.items() if count == 0]
    assert len(held_items) == 6
    assert not any(i in held_items for items in plain.truth.values() for i in items)
    read = dataset.inter_feat
    known = {u for u, _ in plain.train}
    truth = by_user(
        (u, i)
        for u, i in zip(read["user_id"].tolist(), read["item_id"].tolist(), strict=True)
        if i in held_items and u in known
    )
    values = []
    for user, right in truth.items():
        scores = scores_of(plain.model, user)
        values.append(plain_ndcg(sorted(held_items, key=lambda i: -scores[i]), right, 3))
    assert cold["users"] == len(values)
    assert cold["ndcg@3"] == pytest.approx(sum(values) / len(values), abs=1e-9)
    # every model is asked the same
    other = finished("BPR", small, cold_items=0.2, seed=3)[1]
    assert metrics["data"] == other["data"]


def test_shortened_users_keep_their_latest_interactions(small):
    whole = Plain(finished("BPR", small)[0])
    run, metrics = finished("BPR", small, cold_users=0.5)
    plain = Plain(run, known=whole.train)  # what a user lost is no candidate
    rows = {u: [i for v, i in whole.train if v == u] for u in range(1, 25)}
    left = {u: [i for v, i in plain.train if v == u] for u in range(1, 25)}
    shortened = {u: len(left[u]) for u in rows if left[u] != rows[u]}
    assert sorted(shortened.values()) == sorted([0, 1, 2, 4] * 3)
    for user, kept in shortened.items():
        assert left[user] == rows[user][len(rows[user]) - kept :]
    assert plain.truth == whole.truth
    groups = metrics["beyond"]["by_training_interactions"]
    assert list(groups) == ["0", "1", "2", "4"]
    for kept, group in groups.items():
        users = [u for u, n in shortened.items() if n == int(kept)]
        assert group["users"] == len(users) == 3
        values = [plain_ndcg(plain.lists[u], plain.truth[u], 10) for u in users]
        assert group["ndcg@10"] == pytest.approx(sum(values) / 3, abs=1e-9)


@pytest.mark.parametrize("model", ["SymCERE", "LightGCN", "EASE", "ItemKNN", "NeuMF"])
def test_models_stand_users_and_items_without_training(small, model):
    _, metrics = finished(model, small, cold_users=0.5, cold_items=0.1)
    assert {"cold_items", "by_training_interactions"} <= set(metrics["beyond"])
    assert metrics["protocol"]["cold_users"] == 0.5


def test_too_few_users_to_shorten(small):
    with pytest.raises(InputError, match=r"cold_users is 0.1, but that is fewer than 4 of the 24"):
        finished("BPR", small, cold_users=0.1)


@pytest.mark.parametrize("name", ["BPR", "CollabContext"])
def test_a_model_may_score_cold_items_its_own_way(small, monkeypatch, name):
    model = get_model(name)

    def reversed_scores(self, interaction):
        return -torch.arange(self.n_items, dtype=torch.float).repeat(len(interaction))

    # CollabContext has that method; a stock model is given it
    monkeypatch.setattr(model, "full_sort_predict_cold", reversed_scores, raising=name != "BPR")
    run, metrics = finished(name, small, cold_items=0.2)
    plain = Plain(run)
    held = sorted(i for i, count in plain.counts.items() if count == 0)
    read = plain.dataset.inter_feat
    truth = by_user(
        (u, i)
        for u, i in zip(read["user_id"].tolist(), read["item_id"].tolist(), strict=True)
        if i in held
    )
    values = [plain_ndcg(held, right, 3) for right in truth.values()]
    assert metrics["beyond"]["cold_items"]["ndcg@3"] == pytest.approx(np.mean(values), abs=1e-9)
    assert metrics["test"] == {**finished(name, small, cold_items=0.2)[1]["test"]}
