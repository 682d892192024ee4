"""What metrics are given, beside what RecBole's own collector gives them and plain sets."""

import math
from types import MethodType, SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.evaluator import Collector, Evaluator
from recbole.trainer import Trainer
from recbole.utils import init_seed
from small_data import write_small

from recbole_symcere.evaluate.collector import ListCollector
from recbole_symcere.model.base import VectorRecommender
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.divergence import DivergedError
from recbole_symcere.run.prepare import build_model, build_trainer, read_dataset, split_data

METRICS = [
    *("Recall", "MRR", "NDCG", "Hit", "MAP", "Precision", "GAUC", "ItemCoverage"),
    *("AveragePopularity", "GiniIndex", "ShannonEntropy", "TailPercentage"),
]
KINDS = ["rec.items", "rec.topk", "rec.meanrank"]


def collectors(metrics=METRICS, topk=(3, 10)):
    config = {
        "metrics": metrics,
        "topk": list(topk),
        "eval_args": {"mode": "full"},
        "device": torch.device("cpu"),
        "LABEL_FIELD": "label",
    }
    return Collector(config), ListCollector(config)


def batch_of(rng, n_items, held_out):
    """Scores, and rows and items of what is held out: so many of each user, in any order."""
    scores = torch.from_numpy(rng.normal(size=(len(held_out), n_items)).astype(np.float32))
    if rng.random() < 0.5:
        scores = scores.round()  # many ties
    scores[torch.from_numpy(rng.random(scores.shape) < 0.2)] = -math.inf
    scores[:, 0] = -math.inf
    pairs = [
        (row, item)
        for row, n in enumerate(held_out)
        for item in rng.choice(np.arange(1, n_items), n, replace=False)
    ]
    pairs += pairs[: rng.integers(3)]  # a pair twice is one
    rng.shuffle(pairs)
    return scores, *torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T


def collect(collector, batches):
    for scores, users, items in batches:
        collector.eval_batch_collect(scores.clone(), None, users, items)
    return collector.get_data_struct()


held_out_of_batches = st.lists(
    st.lists(st.sampled_from([0, 1, 2, 9, 25]), min_size=1, max_size=5), min_size=1, max_size=3
)


@given(st.integers(0, 2**32 - 1), st.sampled_from([40, 4500]), held_out_of_batches)
def test_it_gives_what_recboles_gives(seed, n_items, held_out):
    rng = np.random.default_rng(seed)
    batches = [batch_of(rng, n_items, of_batch) for of_batch in held_out]
    theirs, ours = (collect(collector, batches) for collector in collectors())
    for kind in KINDS:
        assert theirs.get(kind).dtype == ours.get(kind).dtype, kind
        assert torch.equal(theirs.get(kind), ours.get(kind)), kind


@given(st.integers(0, 2**32 - 1), held_out_of_batches)
def test_what_is_right_is_what_is_held_out(seed, held_out):
    rng = np.random.default_rng(seed)
    batches = [batch_of(rng, 4500, of_batch) for of_batch in held_out]
    found = collect(collectors(["Recall", "ItemCoverage"])[1], batches)
    lists, right = found.get("rec.items").tolist(), found.get("rec.topk").tolist()
    expected = []
    for scores, users, items in batches:
        pairs = set(zip(users.tolist(), items.tolist(), strict=True))
        for row in range(len(scores)):
            of_user = lists[len(expected)]
            flags = [int((row, item) in pairs) for item in of_user]
            expected.append([*flags, sum(user == row for user, _ in pairs)])
    assert right == expected


@pytest.mark.parametrize(
    ("metrics", "kinds"),
    [
        (["Recall"], {"rec.topk"}),
        (["ItemCoverage"], {"rec.items"}),
        (["GAUC"], {"rec.meanrank"}),
        (["AUC"], {"rec.score", "data.label"}),
    ],
)
def test_it_keeps_what_the_metrics_ask_for_and_nothing_else(metrics, kinds):
    batches = [batch_of(np.random.default_rng(0), 40, [1, 2])]
    labels = {"label": torch.tensor([1.0, 0.0])}
    for collector in collectors(metrics):
        for scores, users, items in batches:
            collector.eval_batch_collect(scores, labels, users, items)
        assert set(collector.get_data_struct()._data_dict) == kinds
        assert not collector.data_struct._data_dict


# --- whole evaluations ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many_users(tmp_path_factory):
    """A data_path with a set of 150 users."""
    folder = tmp_path_factory.mktemp("many")
    write_small(folder, n_users=150)
    return str(folder)


@pytest.fixture
def many(small, many_users):
    return {**small, "data_path": many_users}


def parts_of(name, small, **more):
    """Config, model and loaders; a batch has 64 users."""
    text = {"text_encoder", "max_length", "cache_dir"}
    kept = {key: value for key, value in small.items() if key not in text}
    settings = {**kept, "topk": [3, 10], "metrics": METRICS, "metric_decimal_place": 15}
    settings |= {"valid_metric": "NDCG@10", "eval_batch_size": 64 * 31, **more}
    config = Config(name, "small", config_dict=settings)
    loaders = split_data(config, read_dataset(config))
    model = build_model(config, loaders[0])
    return config, model.eval(), loaders


def stock_evaluation(config, model, loaders, loader):
    """By RecBole's trainer, collector and loader."""
    theirs = Trainer(config, model)
    assert type(theirs.eval_collector) is Collector
    assert type(theirs.evaluator) is Evaluator
    theirs.eval_collector.data_collect(loaders[0])
    if isinstance(loader, FullSortEvalDataLoader):
        loader.collate_fn = MethodType(FullSortEvalDataLoader.collate_fn.__wrapped__, loader)
    return theirs.evaluate(loader, load_best_model=False)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *((name, "full") for name in ("DirectAU", "LightGCN", "FM", "GRU4Rec")),
        *((name, "uni5") for name in ("DirectAU", "FM")),
    ],
)
def test_every_metric_of_recboles_is_the_same(many, name, mode):
    more = {"eval_args": {"mode": mode}} if mode != "full" else {}
    config, model, loaders = parts_of(name, many, **more)
    trainer = build_trainer(config, model)
    trainer.eval_collector.data_collect(loaders[0])
    for loader in loaders[1:]:
        init_seed(0, True)
        ours = trainer.evaluate(loader, load_best_model=False)
        init_seed(0, True)
        theirs = stock_evaluation(config, model, loaders, loader)
        assert {key.split("@")[0] for key in ours} == {name.lower() for name in METRICS}
        assert dict(ours) == dict(theirs)


def test_batches_hold_what_they_held(many):
    _, _, (_, valid, test) = parts_of("LightGCN", many, cold_users=0.5)
    for loader in (valid, test):
        loader.uid2history_item[int(loader.uid_list[3])] = torch.tensor([], dtype=torch.int64)
        for start in (0, 3, 140):
            index = [*range(start, min(start + 64, len(loader.uid_list)))]
            batch, known, *right = loader.collate_fn(index)
            expected = FullSortEvalDataLoader.collate_fn.__wrapped__(loader, index)
            assert torch.equal(batch["user_id"], expected[0]["user_id"])
            pairs = [*zip((*known, *right), (*expected[1], *expected[2:]), strict=True)]
            assert len(pairs) == 4
            for found, theirs in pairs:
                assert found.dtype == theirs.dtype
                assert torch.equal(found, theirs)


@pytest.mark.parametrize(
    ("name", "given", "users"),
    [("DirectAU", 3, 64), ("DirectAU", 100, 100), ("LightGCN", 3, 3), ("LightGCN", 100, 100)],
)
def test_a_model_of_ours_ranks_64_users_at_once(many, name, given, users):
    _, _, (_, _, test) = parts_of(name, many, eval_batch_size=given * 31)
    assert test.step == users
    assert len(next(iter(test))[0]) == users


@pytest.mark.parametrize(("n_items", "users"), [(2**17, 64), (2**18, 32), (2**24, 16)])
def test_a_batch_is_no_larger_than_32_mb_or_what_a_product_takes(n_items, users):
    config = {"eval_batch_size": 1, "model": "DirectAU"}
    loader = SimpleNamespace(
        config=config,
        is_sequential=False,
        _dataset=SimpleNamespace(item_num=n_items),
        set_batch_size=lambda _: None,
    )
    FullSortEvalDataLoader._init_batch_size_and_step(loader)
    assert loader.step == users


def test_scores_of_an_evaluation_share_their_memory_and_no_others_do(many, monkeypatch):
    config, model, loaders = parts_of("DirectAU", many)
    predict, places = VectorRecommender.full_sort_predict, []

    def noted(self, interaction):
        scores = predict(self, interaction)
        places.append(scores.data_ptr())
        return scores

    monkeypatch.setattr(type(model), "full_sort_predict", noted)
    trainer = build_trainer(config, model)
    trainer.eval_collector.data_collect(loaders[0])
    trainer.evaluate(loaders[1], load_best_model=False)
    assert len(places) == 3
    assert len(set(places)) == 1
    batches = [batch[0] for batch in loaders[1]]
    kept = [model.full_sort_predict(batch) for batch in batches]
    again = [model.full_sort_predict(batch) for batch in batches]
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))
    assert len({scores.data_ptr() for scores in (*kept, *again)}) == 6


def test_an_evaluation_that_was_broken_off_leaves_nothing(many, monkeypatch):
    config, model, loaders = parts_of("LightGCN", many)
    trainer = build_trainer(config, model)
    trainer.eval_collector.data_collect(loaders[0])
    expected = trainer.evaluate(loaders[1], load_best_model=False)
    predict, calls = type(model).full_sort_predict, []

    def broken(self, interaction):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(self, interaction)

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "full_sort_predict", broken)
        with pytest.raises(KeyboardInterrupt):
            trainer.evaluate(loaders[1], load_best_model=False)
    assert dict(trainer.evaluate(loaders[1], load_best_model=False)) == dict(expected)


# --- scores that are no numbers -------------------------------------------------------------------


def evaluate(small, users, items):
    """The evaluation of a model with these vectors."""
    config, model, loaders = parts_of("DirectAU", small, metrics=["NDCG"])
    trainer = build_trainer(config, model)
    object.__setattr__(model, "forward", lambda: (users, items))
    return dict(trainer.evaluate(loaders[1], load_best_model=False))


def vectors():
    """Of 150 users and 30 items beside the padding; item 30 is nobody's choice."""
    rng = np.random.default_rng(0)
    users, items = (torch.from_numpy(rng.random((n, 4)) + 1).float() for n in (151, 31))
    items[30] = -items[30]
    return users, items


WHAT = r"1 of 1,984 scores of a batch aren't finite before training, so that they rank nothing"


@pytest.mark.parametrize("large", [1e25, -1e25])
def test_a_product_beyond_all_numbers_is_noticed_far_from_the_best(many, large):
    users, items = vectors()
    users[:, 3], items[:, 3] = 0, 0  # only user 5 and item 30 have both
    users[5, 3], items[30, 3] = 1e20, large
    with pytest.raises(DivergedError, match=WHAT):
        evaluate(many, users, items)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_vector_that_is_not_finite_is_noticed(many, side, bad):
    both = vectors()
    both[side][[5, 30][side], 2] = bad
    wrong = [31, 64][side]
    message = f"{wrong} of 1,984 scores of a batch aren't finite before training"
    with pytest.raises(DivergedError, match=message):
        evaluate(many, *both)


def test_long_vectors_with_finite_scores_are_evaluated(many):
    users, items = vectors()
    users[:, 3], items[:, 3] = 1e25, 0
    items[:, 2], users[:, 2] = 1e25, 0
    expected = evaluate(many, *(side[:, :2].contiguous() for side in (users, items)))
    assert evaluate(many, users, items) == expected


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["class", "base", "instance"])
def test_another_way_to_score_is_looked_at(many, monkeypatch, place, bad):
    predict = VectorRecommender.full_sort_predict

    def poisoned(self, interaction):
        scores = predict(self, interaction)
        scores[31 * 3 + 30] = bad
        return scores

    config, model, loaders = parts_of("DirectAU", many, metrics=["NDCG"])
    if place == "instance":
        object.__setattr__(model, "full_sort_predict", MethodType(poisoned, model))
    else:
        of = type(model) if place == "class" else VectorRecommender
        monkeypatch.setattr(of, "full_sort_predict", poisoned)
    trainer = build_trainer(config, model)
    with pytest.raises(DivergedError, match=WHAT):
        trainer.evaluate(loaders[1], load_best_model=False)
