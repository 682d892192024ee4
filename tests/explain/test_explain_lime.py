"""The command explain lime, and LIME against a regression done by hand."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from explain.planted import ATTRIBUTES, DISLIKED, LIKED

from recbole_symcere.cli import main
from recbole_symcere.explain.kinds import KINDS, WordKinds, word_kinds
from recbole_symcere.explain.lime_page import _strongest, _types, marked, summarise
from recbole_symcere.explain.loaded_run import load_text_run
from recbole_symcere.explain.surrogate import Explanation, explain_review, explain_reviews
from recbole_symcere.page.html_page import as_html
from recbole_symcere.page.page import Heading, Marked, Piece, Text, as_markdown


@pytest.fixture(scope="module")
def run(planted_run):
    return load_text_run(str(planted_run))


def explain(run, out, **options):
    given = {"n": 25, "n_samples": 80, "repeats": 2, **options, "out": out, "run": run}
    return main(["explain", "lime", *(f"--{key}={value}" for key, value in given.items())])


@pytest.fixture(scope="module")
def page(planted_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("lime")
    assert explain(planted_run, out) == 0
    return out


def test_weights_are_those_of_the_regression_on_all_subsets(run):
    # of 2^n subsets LIME draws thousands, so its sample covers them all; the weights of the
    # samples are LIME's kernel of the cosine distance, and sizes are drawn uniformly
    review = int(run.sample(1, 0)[0])
    words = [ATTRIBUTES[0], LIKED[0], ATTRIBUTES[4], DISLIKED[1]]
    run.texts[review], before = " ".join(words), run.texts[review]
    try:
        found = explain_review(run, review, 6000, [0])
        masks = np.array([[m >> k & 1 for k in range(4)] for m in range(16)], dtype=float)
        texts = [" ".join(w for w, keep in zip(words, row, strict=True) if keep) for row in masks]
        values = np.nan_to_num((run.text_vectors(texts) @ run.pairs[review]).numpy())
    finally:
        run.texts[review] = before
    kept = masks.sum(axis=1)
    size = 4 - kept
    chance = np.array([0 if s == 0 else 1 / (4 * [4, 6, 4, 1][int(s) - 1]) for s in size])
    distance = 100 * (1 - np.sqrt(kept / 4))
    weight = chance * np.sqrt(np.exp(-(distance**2) / 25**2))
    design = np.c_[np.ones(16), masks]
    root = np.sqrt(weight)[:, None]
    by_hand = np.linalg.lstsq(design * root, values * root[:, 0], rcond=None)[0][1:]
    assert found.words == words
    assert found.encoded == 16
    assert found.weights[0] == pytest.approx(by_hand, abs=0.02)
    assert found.similarity == pytest.approx(values[-1], abs=1e-6)


def test_one_seed_gives_one_answer_whatever_else_is_explained(run):
    reviews = run.sample(3, 1)
    alone = explain_reviews(run, reviews[1:2], 60, 2, seed=4)[0]
    among = explain_reviews(run, reviews, 60, 2, seed=4)[1]
    assert np.array_equal(alone.weights, among.weights)
    assert not np.array_equal(alone.weights[0], alone.weights[1])
    other = explain_reviews(run, reviews[1:2], 60, 2, seed=5)[0]
    assert not np.array_equal(alone.weights, other.weights)


def test_two_spellings_of_a_word_are_one(run):
    review = int(run.sample(1, 2)[0])
    word, *rest = run.texts[review].split()
    run.texts[review], before = f"{word.upper()} {word} {' '.join(rest)}", run.texts[review]
    try:
        found = explain_review(run, review, 50, [0])
    finally:
        run.texts[review] = before
    assert found.words == [word, *dict.fromkeys(rest)]


def test_summary_against_loops():
    kinds = WordKinds(list("abcd"), np.array([0, 1, 2, 0]), *[np.ones(4)] * 5, "English")
    rng = np.random.default_rng(0)
    found = [
        Explanation(n, list(words), rng.normal(size=(3, len(words))), 0.5, 0.5 * n, 9)
        for n, words in enumerate(["abc", "bcd", "ab"])
    ]
    occlusion = rng.normal(size=8)
    told = summarise(found, occlusion, kinds)
    mentions = [(w, one.weights[:, k]) for one in found for k, w in enumerate(one.words)]
    for word, mean, n in zip(told.words, told.mean, told.reviews, strict=True):
        mine = [column.mean() for w, column in mentions if w == word]
        assert (mean, n) == pytest.approx((np.mean(mine), len(mine)))
    rank = scipy.stats.spearmanr
    for one, stability in zip(found[:2], told.stability, strict=False):
        pairs = [
            rank(one.weights[a], one.weights[b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))
        ]
        assert stability == pytest.approx(np.mean(pairs))
    assert np.isnan(told.stability[2])  # two words have no rank correlation worth the name
    weights = [column.mean() for _, column in mentions]
    assert told.occlusion == pytest.approx(rank(weights, occlusion).statistic)
    assert told.fit == 0.5


def test_the_tables_and_the_marked_reviews(page, run):
    text = (page / "lime.md").read_text()
    table = re.search(r"\| keyword type \| words \| contribution .*?\n\n", text, re.S).group()
    rows = {
        row.split(" | ")[0].strip("| "): row.split(" | ")[1:3] for row in table.splitlines()[2:]
    }
    assert set(rows["objective"][0].split(", ")) <= set(ATTRIBUTES)
    assert set(rows["subjective"][0].split(", ")) <= {*LIKED, *DISLIKED}
    assert float(rows["objective"][1]) > 3 * abs(float(rows["subjective"][1]))
    assert "rank correlation" in text
    html = (page / "lime.html").read_text()
    assert html.count('<p class="caption">user ') == 25
    assert "<mark" in html
    assert "<mark" not in text
    assert not re.search(r"https?://|src=\"(?!data:)", html)
    assert (page / "stability.svg").read_bytes().startswith(b"<svg")
    rows = list(csv.DictReader((page / "weights.csv").read_text().splitlines()))
    assert len(rows[0]) == 6
    mentions = {(row["user"], row["item"]) for row in rows}
    assert len(mentions) == 25
    names = zip(
        run.tokens_of("user_id", run.users), run.tokens_of("item_id", run.items), strict=True
    )
    assert mentions <= set(names)
    by_kind = {k: [float(r["weight_0"]) for r in rows if r["kind"] == k] for k in KINDS[:2]}
    assert np.mean(by_kind["objective"]) > 3 * abs(np.mean(by_kind["subjective"]))


def test_the_same_seed_gives_the_same_page(page, planted_run, tmp_path):
    assert explain(planted_run, tmp_path) == 0
    for name in ("lime.md", "lime.html", "weights.csv"):
        assert (tmp_path / name).read_bytes() == (page / name).read_bytes()


def test_mistakes_are_told(planted_run, capsys):
    assert main(["explain", "lime", f"--run={planted_run}", "--n=0"]) == 2
    assert "n is 0, but it must be at least 1" in capsys.readouterr().err
    assert main(["explain", "lime", "--n=5"]) == 2
    assert "--run=... is missing" in capsys.readouterr().err
    assert not Path(planted_run, "explain").exists()
    json.loads(Path(planted_run, "metrics.json").read_text())


def test_marked_texts_in_both_formats():
    part = marked("of <u1>", "A <b>good</b> room", {"good": 2.0, "room": -1.0}, 2.0)
    assert "".join(piece.text for piece in part.pieces) == "A <b>good</b> room"
    assert {p.text: p.weight for p in part.pieces if p.weight} == {"good": 1.0, "room": -0.5}
    page = [Heading("H", 1), Text("x"), part, Marked("none", [Piece("plain")])]
    html = as_html(page, "T & t")
    assert '<mark style="background: rgba(31, 127, 196, 0.700)">good</mark>' in html
    assert '<mark style="background: rgba(213, 94, 0, 0.350)">room</mark>' in html
    assert "&lt;b&gt;" in html
    assert "<title>T &amp; t</title>" in html
    assert r"> A \<b>**good**\</b> room" in as_markdown(page)


def test_words_that_lower_the_similarity_are_not_among_those_that_raise_it():
    rng = np.random.default_rng(0)
    words = ["up", "down"]
    weights = np.array([[0.5, -0.9]])
    found = [Explanation(n, words, weights, 0.5, 0.5, 9) for n in range(4)]
    kinds = word_kinds(["up down"] * 4, np.arange(4), rng.normal(size=4))
    told = summarise(found, np.tile(weights[0], 4), kinds)
    raising, lowering = _strongest(told)
    assert [row[0].text for row in raising.rows] == ["up"]
    assert [row[0].text for row in lowering.rows] == ["down"]
    assert [row[1].text for row in _types(told).rows] == ["up"]


def test_all_reviews_of_a_page_share_one_scale(page):
    html = (page / "lime.html").read_text()
    reviews = re.findall(r'<p class="review">(.*?)</p>', html, re.S)
    strongest = [
        max(map(float, re.findall(r", ([\d.]+)\)\">", text)), default=0) for text in reviews
    ]
    assert max(strongest) == pytest.approx(0.7)
    assert sum(value == max(strongest) for value in strongest) == 1
