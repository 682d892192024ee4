"""The command explain recommendation."""

import re

import numpy as np
import pytest
import torch
from explain.planted import ATTRIBUTES, DISLIKED, FILLERS, LIKED
from page.test_html_page import check_structure
from recbole.data.interaction import Interaction

from recbole_symcere.cli import main
from recbole_symcere.explain.loaded_run import load_text_run
from recbole_symcere.explain.recommendation import explain_pair
from recbole_symcere.explain.recommendation_page import page
from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.model.experts import ItemMap
from recbole_symcere.page.html_page import as_html
from recbole_symcere.page.page import Marked, TextTable
from recbole_symcere.run.quick_start import run_recbole

SOLD = "i3"


@pytest.fixture(scope="module")
def run(planted_run):
    return load_text_run(str(planted_run))


def scores_of(run, rows):
    """Scores [n_users, n_items] by LightGCN with one layer over the given training interactions."""
    n_users, n_items = run.model.n_users, run.model.n_items
    r = np.zeros((n_users, n_items))
    r[run.users[rows], run.items[rows]] = 1
    degrees = np.maximum(r.sum(1), 1)[:, None] * np.maximum(r.sum(0), 1)[None]
    r /= np.sqrt(degrees)
    ego = run.model.embedding.weight.detach().double().numpy()
    users, items = ego[:n_users], ego[n_users:]
    users, items = (users + r @ items) / 2, (items + r.T @ users) / 2
    users, items = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (users, items))
    return users @ items.T


def test_score_effects_and_pulls_against_a_dense_graph(run):
    rows = np.arange(len(run.users))
    scores = scores_of(run, rows)
    user, item = 3, 7
    found = explain_pair(run, user, item, 50)
    asked = Interaction({"user_id": torch.tensor([user]), "item_id": torch.tensor([item])})
    assert found.score == pytest.approx(run.model.predict(asked).item(), abs=1e-6)
    assert found.score == pytest.approx(scores[user, item], abs=1e-5)
    assert found.common == pytest.approx(scores[1:, item].mean(), abs=1e-5)
    seen = set(run.items[run.users == user])
    better = [
        i
        for i in range(1, run.model.n_items)
        if i not in seen and scores[user, i] > scores[user, item]
    ]
    assert (found.rank, found.known) == (1 + len(better), item in seen)
    assert found.interactions == (run.items == item).sum()
    mine = [n for n in rows if run.users[n] == user and run.items[n] != item]
    theirs = [n for n in rows if run.items[n] == item and run.users[n] != user]
    for reasons, expected in ((found.from_user, mine), (found.from_item, theirs)):
        assert sorted(reason.interaction for reason in reasons) == expected
        effects = [reason.effect for reason in reasons]
        assert effects == sorted(effects, reverse=True)
        for reason in reasons:
            without = scores_of(run, np.setdiff1d(rows, [reason.interaction]))[user, item]
            assert reason.effect == pytest.approx(found.score - without, abs=1e-5)
    _, items = run.model.scoring_vectors()
    reason = found.from_user[0]
    text = run.texts[reason.interaction]
    target = items[item] - items[1:].mean(0)
    assert reason.pull == pytest.approx((run.text_vectors([text])[0] @ target).item(), abs=1e-5)
    word = text.split()[0]
    left = " ".join(w for w in text.split() if w != word)
    less = (run.text_vectors([left])[0] @ target).item()
    assert reason.words[word] == pytest.approx(reason.pull - less, abs=1e-5)


def test_an_items_own_words_pull(run):
    # words of the item's reviews pull to its readers by its attributes, not by its ratings
    item = run.dataset.field2token_id["item_id"][SOLD]
    user = int(run.users[run.items == item][0])
    found = explain_pair(run, user, item, 50)
    assert found.known
    weights = [pair for reason in found.from_user for pair in reason.words.items()]
    spread = {
        name: np.mean([abs(value) for word, value in weights if word in words])
        for name, words in (("a", ATTRIBUTES), ("s", {*LIKED, *DISLIKED}), ("f", FILLERS))
    }
    assert spread["a"] > 3 * max(spread["s"], spread["f"])


def test_a_pair_without_reviews(run):
    before = list(run.texts)
    run.texts[:] = [""] * len(before)
    try:
        found = explain_pair(run, 1, 1, 2)
    finally:
        run.texts[:] = before
    assert all(reason.pull is None for reason in (*found.from_user, *found.from_item))
    assert len(found.from_user) == len(found.from_item) == 2


def test_the_page_and_mistakes(planted_run, tmp_path, capsys):
    base = ["explain", "recommendation", f"--run={planted_run}", f"--out={tmp_path}"]
    assert main([*base, "--user=u2", f"--item={SOLD}", "--k=3"]) == 0
    text = (tmp_path / "recommendation.md").read_text()
    assert text.startswith(f"# Why item {SOLD} for user u2")
    shown, _, place = capsys.readouterr().out.partition("\nsee ")
    assert re.findall(r"\w+", shown) == re.findall(r"\w+", text)  # without Markdown's marks
    assert (place, set("|\\#>") & set(shown)) == ("recommendation.html\n", set())
    html = (tmp_path / "recommendation.html").read_text()
    check_structure(html)
    assert 3 <= html.count('"caption">item ') + html.count('"caption">user ') <= 6
    assert "<mark" in html
    parts = [float(v) for v in re.findall(r"\| ([+-]\d\.\d{4}) \|\n", text)[:3]]
    assert parts[0] + parts[1] == pytest.approx(parts[2], abs=2e-4)
    for words, message in (
        (["--user=u99", f"--item={SOLD}"], "--user=u99: planted has no such user; it has 30. Did"),
        (["--user=u2", "--item=[PAD]"], "planted has no such item"),
        (["--user=u2"], "--item=... is missing"),
    ):
        assert main([*base, *words]) == 2
        assert message in capsys.readouterr().err


def texts_of(parts):
    return [row[0].text for part in parts if isinstance(part, TextTable) for row in part.rows]


def test_what_lowers_the_score_is_not_listed_and_titles_stand_beside_ids(run, monkeypatch):
    monkeypatch.setitem(run.__dict__, "_titles", {"i3": "A <b>title</b>", "i5": ""})
    user, item = 3, 7
    found = explain_pair(run, user, item, 50)
    effects = {reason.effect > 0 for reason in (*found.from_user, *found.from_item)}
    assert effects == {True, False}
    parts = page(run, found)
    listed = texts_of(parts)[3:]
    raising = [r for r in (*found.from_user, *found.from_item) if r.effect > 0]
    assert len(listed) == len(raising)
    ids = run.tokens_of("item_id", run.items[[r.interaction for r in raising]])
    if "i3" in ids[: len(found.from_user)]:
        assert "i3: A <b>title</b>" in listed
    assert run.named_items([run.dataset.field2token_id["item_id"]["i3"]]) == ["i3: A <b>title</b>"]
    assert run.named_items([run.dataset.field2token_id["item_id"]["i5"]]) == ["i5"]
    html = as_html(parts, "T")
    assert "<b>" not in html


def test_the_colour_of_a_word_is_its_pull_on_one_scale_for_the_page(run):
    found = explain_pair(run, 3, 7, 50)
    weights = [
        (piece.text, piece.weight)
        for part in page(run, found)
        if isinstance(part, Marked)
        for piece in part.pieces
        if piece.weight
    ]
    raising = [r for r in (*found.from_user, *found.from_item) if r.effect > 0]
    largest = max(abs(pull) for reason in raising for pull in reason.words.values())
    expected = [
        (word, reason.words[word] / largest)
        for reason in raising
        for word in run.texts[reason.interaction].split()
    ]
    assert [text for text, _ in weights] == [word for word, weight in expected if weight]
    assert [w for _, w in weights] == pytest.approx([w for _, w in expected if w])
    assert max(abs(weight) for _, weight in weights) == pytest.approx(1)


def test_neighbours_by_words_are_part_of_score_and_effect(small, tmp_path):
    settings = {**small, "run_dir": str(tmp_path / "run"), "blend": ["words", "recent_knn_5"]}
    run_recbole("SymCEREPlus", "small", config_dict=settings)
    run = load_text_run(str(tmp_path / "run"))
    model = run.model
    model.blend.weigh({"model": 1.0, "words": 0.5, "recent_knn_5": 0.4})
    words = np.random.default_rng(0).normal(size=(model.n_items, 3))  # all items differ
    single = words.astype(np.float32)
    model.blend._made["words"] = ItemMap(single, single)
    near = model.blend.expert("knn_5").near.toarray().astype(float)
    model.forget()
    user, item = 4, 9
    found = explain_pair(run, user, item, 50)

    def score(rows):
        graph = BipartiteGraph(run.users[rows], run.items[rows], model.n_users, model.n_items)
        nodes = torch.split(model.nodes(graph), [model.n_users, model.n_items])
        users, items = (v.detach().double().numpy() for v in model.as_scored(*nodes))
        own = items @ users[user]
        mine = run.users[rows] == user
        known, times = run.items[rows][mine], run.times[rows][mine]
        added = words @ words[known].sum(axis=0)
        later = [(times > time).sum() for time in times]
        recent = 0.1 ** np.array(later) @ near[known]
        return own[item] + own[1:].std() * (
            0.5 * added[item] / added[1:].std() + 0.4 * recent[item] / recent[1:].std()
        )

    every = np.arange(len(run.users))
    assert found.score == pytest.approx(score(every), abs=1e-4)
    assert len(found.from_user) > 1
    for reason in found.from_user:
        without = score(np.setdiff1d(every, [reason.interaction]))
        assert reason.effect == pytest.approx(found.score - without, abs=2e-4)
