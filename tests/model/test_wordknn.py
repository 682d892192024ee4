"""Word neighbours and the stack against float64 oracles."""

import numpy as np
import pytest
import torch
from model.test_contract import all_scores, prepare

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.chronology import row_times
from recbole_symcere.model import experts
from recbole_symcere.model.catalogue_words import item_words


@pytest.mark.parametrize("k", [3, 29])
def test_items_near_what_a_user_knows_by_their_words(small, k):
    model, _, loaders = prepare("WordKNN", small, word_neighbours=k)[1:]
    words = item_words(loaders[0].dataset).double().numpy()
    known = loaders[0].dataset.history().toarray().astype(float)
    lengths = np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-12)
    cosines = np.round((words / lengths) @ (words / lengths).T, 5)
    near = np.zeros_like(cosines)
    for i in range(len(cosines)):  # of equals the lower items
        others = sorted(set(range(len(cosines))) - {i}, key=lambda j: (-cosines[j, i], j))[:k]
        near[others, i] = np.maximum(cosines[others, i], 0)
    wanted = (known @ near)[1:]
    wanted /= np.maximum(wanted[:, 1:].std(axis=1, keepdims=True), 1e-12)
    assert np.allclose(all_scores(model.eval()), wanted, atol=1e-3)


def test_scores_of_too_many_pairs_are_approximate_which_is_told(small, caplog, monkeypatch):
    caplog.set_level("INFO")
    exact = prepare("WordKNN", small)[1].eval()
    wanted = all_scores(exact)
    assert exact.protocol == {}
    assert "approximate" not in caplog.text
    monkeypatch.setattr(experts, "_PAIRS", 10)
    monkeypatch.setattr(experts, "_COLUMNS", (7, 7))
    rough = prepare("WordKNN", small)[1].eval()
    assert not torch.allclose(all_scores(rough), wanted, atol=0.1)
    assert rough.protocol == {"score_columns": 7}
    assert (
        "WordKNN's scores are approximate: 7 columns of a user stand for his scores of 30 items"
    ) in caplog.text


def test_what_users_took_after_what_a_user_took_last(small):
    model, _, (train, *_) = prepare("SequentialRules", small)[1:]
    feat = train.dataset.inter_feat
    rows = [feat[field].tolist() for field in ("user_id", "item_id")]
    took = {}
    for user, item, time in zip(*rows, row_times(train.dataset).tolist(), strict=True):
        took.setdefault(user, {})[item] = time
    share = np.zeros((model.n_items, model.n_items))
    for j in range(1, model.n_items):
        those = [mine for mine in took.values() if j in mine]
        for mine in those:
            for i, time in mine.items():
                share[j, i] += i != j and time >= mine[j]
        share[j] /= max(len(those), 1)
    scores = all_scores(model.eval()).numpy()
    for user, mine in took.items():
        wanted = sum(0.1 ** sum(t > mine[j] for t in mine.values()) * share[j] for j in mine)
        assert scores[user - 1] == pytest.approx(wanted / wanted[1:].std(), abs=1e-3)


def test_the_stack_is_its_experts(small):
    model = prepare("Stack", small, blend=["knn_4", "ease_20"])[1].eval()
    assert not all_scores(model).any()  # before anything is weighed
    model.blend.weigh({"knn_4": 0.3, "ease_20": 0.7})
    model.forget()
    known = model.blend.known_of(np.arange(1, model.n_users))
    found = model.blend.scores(model.blend.names[1:], known)
    one, two = (scores.astype(float)[:, 1:] for scores in found)
    wanted = 0.3 * one / one.std(1, keepdims=True) + 0.7 * two / two.std(1, keepdims=True)
    assert np.allclose(all_scores(model)[:, 1:], wanted, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "extra", "message"),
    [
        ("WordKNN", {}, r"WordKNN has nothing to rank small by: fewer than two words stand in the "
         r"texts of at least 2 items and of at most 30% of them\. Take another model; compare "),
        ("Stack", {"blend": ["words", "words_20"]}, r"Stack is its blend and nothing else, but no "
         r"expert is left of blend: \['words', 'words_20'\]\. Name others, such as knn_10"),
        ("Stack", {"blend": None}, r"no expert is left of blend: None"),
        ("SymCEREPlus", {"profile_text": "lexical"}, r"profile_text is lexical, but fewer than two "
         r"words .* Take both, or dense\."),
    ],
)  # fmt: skip
def test_texts_that_tell_no_items_apart_are_refused(small, name, extra, message):
    with pytest.raises(InputError, match=message):
        prepare(name, small, text_control="constant", **extra)


def test_a_blend_without_words_says_why(small, caplog):
    caplog.set_level("INFO")
    model = prepare("SymCEREPlus", small, text_control="constant", blend=["words", "knn_4"])[1]
    assert model.blend.names == ["model", "knn_4"]
    assert "words take no part in the blend: fewer than two words stand in the texts of" in (
        caplog.text
    )


def test_the_profile_does_not_decide_whether_words_take_part_in_the_blend(small, caplog):
    caplog.set_level("INFO")
    settings = {"profile_text": "dense", "blend": ["words", "words_4", "knn_4"]}
    model, _, (train, *_) = prepare("SymCEREPlus", small, **settings)[1:]
    assert model.blend.names == ["model", "words", "words_4", "knn_4"]
    assert torch.equal(model.blend.words, item_words(train.dataset))
    assert model.profiles.shape[1] == 32  # of the encoder alone
    assert "take no part" not in caplog.text


def test_there_is_nothing_to_learn(small):
    for name in ("WordKNN", "SequentialRules", "Stack"):
        model = prepare(name, small)[1]
        loss = model.calculate_loss(None)
        loss.backward()
        assert loss.item() == 0
        assert torch.equal(model.nothing.grad, torch.zeros(1))
