"""The command explain anchor on reviews whose truth is planted."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from explain.planted import ATTRIBUTES, DISLIKED, LIKED, train
from page.test_html_page import check_structure
from small_data import small_rows

from recbole_symcere.base.options import take_options
from recbole_symcere.base.words import distinct_words
from recbole_symcere.cli import main
from recbole_symcere.data.dataset import ROW_FIELD
from recbole_symcere.explain.anchor import analyse
from recbole_symcere.explain.causal import deletions, retrieval
from recbole_symcere.explain.explain_options import AnchorOptions
from recbole_symcere.explain.loaded_run import load_text_run
from recbole_symcere.explain.verdict import summarise
from recbole_symcere.explain.verdict_page import page as page_of
from recbole_symcere.page.page import as_markdown

QUICK = {
    **{"n": 200, "n_control": "40", "n_gradients": "20", "n_retrieval": "100"},
    **{"bootstrap": "200", "permutations": "19"},
}


def explain(run, out, **options):
    given = {**QUICK, **options, "out": out, "run": run}
    return main(["explain", "anchor", *(f"--{key}={value}" for key, value in given.items())])


@pytest.fixture(scope="module")
def page(planted_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    assert explain(planted_run, out) == 0
    return out


def test_planted_attributes_come_out_on_top_and_sentiment_does_not(page):
    rows = list(csv.DictReader((page / "words.csv").read_text().splitlines()))
    top = [row["word"] for row in rows[: len(ATTRIBUTES)]]
    assert set(top) == set(ATTRIBUTES)
    kind = {row["word"]: row["kind"] for row in rows}
    assert {kind[word] for word in ATTRIBUTES} == {"objective"}
    assert {kind[word] for word in (*LIKED, *DISLIKED)} == {"subjective"}
    found = json.loads((page / "anchor.json").read_text())
    assert found["superiority"] == 1
    objective, subjective = (found["kinds"][k]["mean"] for k in ("objective", "subjective"))
    assert objective["low"] > 5 * max(subjective["high"], 0)
    answers = [test["holds"] for test in found["tests"]]
    assert len(answers) == 12
    assert False not in answers, found["tests"]
    # shuffled pairs and a random encoder find nothing
    assert max(map(abs, found["shuffled"]["contrasts"])) < 0.2 * found["contrast"]["value"]
    assert abs(found["random_encoder"]["contrast"]["value"]) < 0.2 * found["contrast"]["value"]
    assert found["gradients"]["contrast"]["low"] > 0
    change = {name: d["change"] for name, d in found["retrieval"]["deleted"].items()}
    assert change["objective"]["high"] < change["subjective"]["low"]


def test_validation_reviews_are_explained_beside_training_ones(page, planted_run):
    run = load_text_run(str(planted_run))
    held_out = run.validation()
    table = pq.read_table(planted_run.parent / "planted" / "planted.reviews.parquet")
    text_of = {
        pair: text
        for *pair, text in zip(
            *(table[c].to_pylist() for c in ("user_id", "item_id", "text")), strict=True
        )
        for pair in [tuple(pair)]
    }
    pairs = zip(
        held_out.tokens_of("user_id", held_out.users),
        held_out.tokens_of("item_id", held_out.items),
        strict=True,
    )
    assert held_out.texts == [text_of[pair] for pair in pairs]
    assert len(held_out.texts) == 30
    trained = set(zip(run.users.tolist(), run.items.tolist(), strict=True))
    assert trained.isdisjoint(zip(held_out.users.tolist(), held_out.items.tolist(), strict=True))
    user, item = run.model.forward()
    expected = (user[held_out.users] + item[held_out.items]) / 2
    expected = torch.nn.functional.normalize(expected, dim=-1)
    torch.testing.assert_close(held_out.pairs, expected.detach(), atol=1e-6, rtol=0)
    assert torch.equal(held_out.centre, run.pairs.mean(dim=0))
    found = json.loads((page / "anchor.json").read_text())["validation"]
    assert found["reviews"] == 30
    own = held_out.text_vectors(held_out.texts)
    similarity = (own * expected.detach()).sum(dim=1).mean()
    assert found["similarity"] == pytest.approx(float(similarity), abs=1e-5)
    assert found["contrast"]["low"] > 0
    assert found["shuffled"]["p"] == found["shuffled_labels"]["p"] == 0.05
    assert 0 < found["finding"] <= 1
    text = (page / "verdict.md").read_text()
    assert "## Training and validation reviews" in text


def test_a_contrast_that_is_not_there_has_no_p_value(planted_run):
    run = load_text_run(str(planted_run))
    quick = {**QUICK, "n": "30", "n_gradients": "0", "n_control": "5"}
    options = take_options(AnchorOptions, {"run": str(planted_run), **quick})
    found = analyse(run, options)
    kind = np.where(found.kinds.kind == 1, 0, found.kinds.kind)  # no word is subjective
    held_out = analyse(run.validation(), options, found.kinds._replace(kind=kind))
    assert held_out.random_encoder is None
    numbers = summarise(run, found, None, [], [], (held_out, None))
    assert numbers["validation"]["contrast"] is None
    assert numbers["validation"]["shuffled"]["p"] is None
    assert numbers["validation"]["shuffled_labels"]["p"] is None
    answers = {test["question"]: test["holds"] for test in numbers["tests"]}
    assert [holds for question, holds in answers.items() if "here too" in question] == [None, None]
    page = as_markdown(page_of(numbers, found, []))
    assert re.search(r"\| p, shuffled pairings \| 0\.\d+ \| - \|", page)


def test_validation_reviews_may_be_left_out(planted_run, tmp_path):
    assert explain(planted_run, tmp_path, n=40, n_gradients=0, validation=False) == 0
    found = json.loads((tmp_path / "anchor.json").read_text())
    assert found["validation"] is None
    assert "validation" not in (tmp_path / "verdict.md").read_text()


def test_no_negative_contribution_is_listed_as_most_contributing(planted_run):
    run = load_text_run(str(planted_run))
    quick = {**QUICK, "n": "60", "n_control": "5", "n_gradients": "0"}
    found = analyse(run, take_options(AnchorOptions, {"run": str(planted_run), **quick}))
    table, vocabulary = found.table, found.occlusions.vocabulary
    enough = {vocabulary[n] for n in np.flatnonzero(table.reviews >= 5)}
    objective = [word for word in ATTRIBUTES if word in enough]
    # half of the objective words and all subjective ones are below 0 now
    level = np.median([table.mean[vocabulary.index(word)] for word in objective])
    found = replace(found, table=table._replace(mean=table.mean - level))
    numbers = summarise(run, found, None, [], [])
    listed = numbers["kinds"]["objective"]["top"]
    assert 0 < len(listed) < len(objective)
    assert numbers["kinds"]["subjective"]["top"] == []
    tables = as_markdown(page_of(numbers, found, []))
    tables = tables[tables.index("Most contributing objective") : tables.index("## Controls")]
    assert [word for word in objective if f"| {word} |" in tables] == [
        word for word in objective if word in listed
    ]
    assert not any(f"| {word} |" in tables for word in (*LIKED, *DISLIKED))


def test_the_page_stands_alone(page):
    html = (page / "verdict.html").read_text()
    check_structure(html)
    assert html.count("data:image/svg+xml;base64,") == 3
    assert not re.search(r"https?://|src=\"(?!data:)", html)
    text = (page / "verdict.md").read_text()
    assert "Alignment rests on objective words:" in text
    for name in re.findall(r"\]\((.*?)\)", text):
        assert (page / name).stat().st_size > 2000
    for line in re.findall(r"^\|.*", text, re.M):
        assert line.endswith("|")


def test_the_same_seed_gives_the_same_page(page, planted_run, tmp_path):
    assert explain(planted_run, tmp_path) == 0
    for name in ("anchor.json", "words.csv", "verdict.md"):
        assert (tmp_path / name).read_bytes() == (page / name).read_bytes()


def test_a_model_that_learnt_nothing_is_anchored_on_nothing(tmp_path, small):
    run = train(tmp_path / "r", small, epochs=1, learning_rate=1e-9, alpha=0)
    assert explain(run, tmp_path / "out", n=100, n_gradients=0) == 0
    found = json.loads((tmp_path / "out" / "anchor.json").read_text())
    assert found["tests"][0]["holds"] is False
    text = (tmp_path / "out" / "verdict.md").read_text()
    assert "Alignment does not rest on objective words more than on subjective ones" in text


def test_deletions_take_equally_many_places(planted_run):
    run = load_text_run(str(planted_run))
    options = take_options(AnchorOptions, {"run": str(planted_run), **QUICK, "n": "200"})
    found = deletions(run, analyse(run, options), seed=0)
    assert [d.name for d in found] == ["objective", "subjective", "others"]
    n_words = sum(len(text.split()) for text in run.texts)
    for deletion in found:
        assert n_words - sum(len(text.split()) for text in deletion.texts) == deletion.places
        gone = [
            word
            for before, after in zip(run.texts, deletion.texts, strict=True)
            for word in distinct_words(before).keys() - distinct_words(after).keys()
        ]
        assert set(gone) == set(deletion.words)
    assert set(found[0].words) <= set(ATTRIBUTES)
    assert set(found[1].words) == {*LIKED, *DISLIKED}
    whole, _ = retrieval(run, found, options)
    scores = run.text_vectors(run.texts) @ run.item_vectors.T
    rows = run.sample(100, 0)
    by_hand = []
    for row in rows:
        order = sorted(range(1, scores.shape[1]), key=lambda i: -scores[row, i])
        rank = order.index(run.items[row]) + 1
        by_hand.append(1 / np.log2(rank + 1) if rank <= 10 else 0.0)
    assert whole == pytest.approx(np.mean(by_hand))


def test_training_anew_reads_shortened_training_reviews_only(planted_run, tmp_path):
    assert explain(planted_run, tmp_path, n=80, n_gradients=0, retrain_seeds=1) == 0
    found = json.loads((tmp_path / "anchor.json").read_text())
    assert set(found["retrained"]) == {"whole", "objective", "subjective", "others"}
    own = json.loads((planted_run / "metrics.json").read_text())
    assert found["retrained"]["whole"]["ndcg@10"] == [own["test"]["ndcg@10"]]
    run = load_text_run(str(planted_run))
    file = "planted/planted.reviews.parquet"
    before, after = (
        pq.read_table(folder / file)["text"].to_pylist()
        for folder in (planted_run.parent, tmp_path / "retrained" / "objective" / "data")
    )
    changed = {
        row for row, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]
    }
    assert changed
    assert changed <= set(run.dataset.inter_feat[ROW_FIELD].tolist())
    gone = " ".join(after[row] for row in changed).split()
    assert sum(word in ATTRIBUTES for word in gone) < 0.5 * 2 * len(changed)
    text = (tmp_path / "verdict.md").read_text()
    assert "trained anew" in text
    # one seed says nothing of luck; the answer isn't bold, as "no" is
    assert (
        "than training without equally many places of subjective ones. | can't be judged |" in text
    )


def test_two_runs_have_one_page(planted_run, tmp_path):
    assert explain(f"{planted_run},{planted_run}", tmp_path, n=60, n_gradients=0) == 0
    text = (tmp_path / "verdict.md").read_text()
    assert text.startswith("# Semantic anchoring over data sets")
    assert "pooled over 2 runs" in text
    both = json.loads((tmp_path / "anchor.json").read_text())
    assert both[0] == both[1]
    assert len(list(tmp_path.glob("*/verdict.html"))) == 2


def test_mistakes_are_told(small, tmp_path, planted_run, capsys):
    def told(*words):
        assert main(["explain", *words]) == 2
        return capsys.readouterr().err

    assert "expected one of anchor" in told("ancor")
    assert "Did you mean 'anchor'?" in told("ancor")
    assert "--run=... is missing" in told("anchor")
    assert "explain anchor has no option --bootstraps. Did you mean 'bootstrap'?" in told(
        "anchor", "--run=x", "--bootstraps=5"
    )
    assert "bootstrap is 5, but it must be at least 100" in told(
        "anchor", "--run=x", "--bootstrap=5"
    )
    assert "--run=x: there is no such folder" in told("anchor", f"--run={planted_run},x")
    rows = small_rows()
    run = train(
        tmp_path, small, rows, epochs=1, load_col="{'inter': ['user_id','item_id','timestamp']}"
    )
    assert "the run's data have no ratings" in told("anchor", f"--run={run}")
    assert not Path("explain").exists()
    assert main(["explain", "--help"]) == 0
    assert "anchor --run=RUN" in capsys.readouterr().out
