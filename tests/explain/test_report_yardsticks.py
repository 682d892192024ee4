"""What the report tells of popularity and EASE beside a run."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from explain.planted import planted_rows, train
from explain.test_report_command import figures, rows_of

from recbole_symcere.cli import main
from recbole_symcere.evaluate.significance import Comparison, Interval, compare
from recbole_symcere.explain import report_command, yardsticks
from recbole_symcere.explain.run_page import Beside, _verdict, _yardsticks
from recbole_symcere.explain.yardsticks import Measured, _Split, refusal
from recbole_symcere.page.metric_words import shown, sureness
from recbole_symcere.run.catalogue import Catalogue

PROTOCOL = {
    "eval_args": {"mode": {"valid": "full", "test": "full"}},
    "ranked_for": "each user",
    "topk": [10],
}


def catalogue_of(pairs, n_users=4, n_items=5):
    """Of (user, item, part)."""
    user, item, part = np.array(pairs, np.int64).T
    users, items = (
        pa.array([f"{w}{n}" for n in range(k)]) for w, k in (("u", n_users), ("i", n_items))
    )
    return Catalogue(users, items, items, user, item, part.astype(np.int8))


ONCE = [(1, 1, 0), (1, 2, 1), (1, 3, 2), (2, 1, 0), (2, 3, 2), (3, 1, 0)]


def refused(catalogue, **protocol):
    return refusal({"test": {"ndcg@10": 0.1}, "protocol": {**PROTOCOL, **protocol}}, catalogue)


def measured(name, values, k=10):
    columns = {f"{what}@{k}": np.array(values, dtype=float) for what in ("ndcg", "hit")}
    return Measured(name, [f"u{n}" for n in range(len(values))], columns, {})


def test_pairs_that_may_be_held_out_again_are_not_measured():
    catalogue = catalogue_of(ONCE)
    assert refused(catalogue) is None
    assert refused(catalogue, repeated_when_held_out="nothing") is None
    said = "pairs may be repeated when held out"
    assert refused(catalogue, repeated_when_held_out="pairs of the training part") == said
    # a protocol that doesn't tell: a test pair in training, in validation, a validation pair
    for again in ((1, 1, 2), (1, 2, 2), (2, 1, 1)):
        assert refused(catalogue_of([*ONCE, again])) == said
    assert refused(catalogue_of([*ONCE, (3, 1, 0)])) is None  # twice in training


def test_the_cost_of_scores_is_bounded_too(monkeypatch):
    catalogue = catalogue_of(ONCE)
    monkeypatch.setattr(yardsticks, "_SCORES", 2 * 4 * 5)
    assert refused(catalogue) is None
    monkeypatch.setattr(yardsticks, "_SCORES", 2 * 4 * 5 - 1)
    assert refused(catalogue) == "scoring 4 items for 3 users would take too long"
    # two passes over test users, and four on validation
    monkeypatch.setattr(yardsticks, "_SCORES", 6 * 4 * 5)
    assert _Split(catalogue, 2, 2).regs() == (10.0, 100.0, 250.0, 1000.0)
    monkeypatch.setattr(yardsticks, "_SCORES", 6 * 4 * 5 - 1)
    assert _Split(catalogue, 2, 2).regs() == (250.0,)


def test_rounding_is_no_difference():
    values = np.random.default_rng(0).uniform(size=40)
    run, other = measured("Pop", values - 4e-8), measured("Popularity", values)
    (found,) = yardsticks.tested(run, [other], "ndcg@10")
    assert found.comparison.difference == 0
    assert found.p_holm == 1
    assert tuple(found.comparison.interval) == (0, 0)
    (found,) = yardsticks.tested(measured("Pop", values + 1e-6), [other], "ndcg@10")
    assert found.comparison.difference == pytest.approx(1e-6, rel=1e-6)
    mean = Comparison(40, 1, -4e-7, Interval(-1e-3, 1e-3), 0.9, 0.5, 0.5)
    said = _verdict(Beside(10, run, [yardsticks.Tested(other, mean, 0.9)]))
    assert said == f"By NDCG@10 that is the same as Popularity ({values.mean():.4f})."
    mean = mean._replace(difference=-6e-7)
    assert "below Popularity" in _verdict(Beside(10, run, [yardsticks.Tested(other, mean, 0.9)]))


def test_the_note_says_what_is_adjusted():
    run, other = measured("A", [0.2, 0.4]), measured("B", [0.1, 0.2])
    (comparison,) = compare([run.columns["ndcg@10"] - other.columns["ndcg@10"]])
    (table,) = _yardsticks(Beside(10, run, [yardsticks.Tested(other, comparison, 0.5)]))
    assert "adjusted for the number of rows, of this one seed; the interval isn't adjusted." in (
        table.note
    )
    assert [entry.text for entry in table.rows[0]] == ["A", "0.3000", "-", "-", "-", "0.3000"]


def test_a_run_of_ease_is_told_from_the_yardstick(small, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(report_command, "step", said.append)
    path = train(tmp_path, small, model="EASE")
    assert main(["report", f"--run={path}", "--geometry=False"]) == 0
    assert said == ["reading the run", "measuring popularity and EASE", "drawing"]
    page = (path / "report.html").read_text()
    rows = rows_of(page, "this run&#x27;s gain")
    assert [row[0] for row in rows[1:]] == ["this run (EASE)", "Popularity", "EASE"]
    found = figures(page)
    names = found["NDCG@10 of groups of items and users, with 95 % intervals over users"]
    assert names.count("EASE") == 1
    assert names.count("this run (EASE)") == 1


def test_a_run_with_repeats_has_no_yardsticks(small, tmp_path):
    rows = planted_rows()
    again = [(*row[:3], row[3] + 10**6, row[4]) for row in rows[::14]]
    more = {"rm_dup_inter": None, "allow_repeats": True}
    path = train(tmp_path, small, [*rows, *again], "Pop", **more)
    protocol = json.loads((path / "metrics.json").read_text())["protocol"]
    assert protocol["repeated_when_held_out"] == "pairs of the training part"
    assert main(["report", f"--run={path}", "--geometry=False"]) == 0
    page = (path / "report.html").read_text()
    assert re.search(r"beside it: pairs may be\s+repeated when held out\.", page)


def test_words_that_pages_share():
    assert sureness(0.049) == "more than chance"
    assert sureness(0.05) == "no more than chance could be"
    assert shown("NDCG@10") == "NDCG@10"
    assert shown([None, "ä"]) == '[null, "ä"]'
