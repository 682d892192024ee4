"""Several runs on one page: which may be compared."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from explain.test_report_yardsticks import ONCE, PROTOCOL, catalogue_of, measured

from recbole_symcere.explain.runs_page import _reached
from recbole_symcere.explain.side_by_side import OneRun, ranked_items, unlike


def run_of(name, values, catalogue=None, data="same", **protocol):
    users = measured("Pop", values)
    metrics = {
        **{"dataset": "d", "model": "Pop", "seed": 1, "data_fingerprint": data, "valid": {}},
        "test": {"ndcg@10": float(np.mean(values))},
        "protocol": {**PROTOCOL, **protocol},
    }
    return OneRun(name, {}, metrics, users, catalogue or catalogue_of(ONCE))


SAMPLED = {"eval_args": {"mode": {"valid": "uni10", "test": "uni10"}}}
OTHERS = [
    ({"data": "other"}, "other data"),
    (SAMPLED, "other items ranked"),
    ({"topk": [20]}, "other topk"),
    ({"repeatable": True}, "other repeatable"),
    (
        {"repeated_when_held_out": "pairs of the training part"},
        "other repeated_when_held_out",
    ),
    ({"cold_items": 0.1}, "other cold_items"),
    ({"cold_users": 0.1}, "other cold_users"),
    ({"catalogue": catalogue_of([*ONCE[:2], (1, 4, 2), *ONCE[3:]])}, "other test pairs"),
    ({"catalogue": catalogue_of([*ONCE, (3, 2, 0)])}, "other pairs masked"),
    ({"catalogue": catalogue_of(ONCE, n_items=6)}, "other items ranked"),
]


@pytest.mark.parametrize(("more", "why"), OTHERS)
def test_runs_that_were_tested_otherwise_have_neither_test_nor_best(more, why):
    first, alike = run_of("a", [0.1, 0.2, 0.3, 0.4]), run_of("b", [0.3, 0.3, 0.5, 0.4])
    other = run_of("c", [0.9, 0.9, 0.9, 0.9], **more)
    assert unlike(first, other) == why
    table = _reached([first, alike, other], "ndcg@10")
    texts = [[entry.text for entry in row] for row in table.rows]
    assert texts[2][2:4] == [f"not tested: {why}", "-"]
    assert texts[1][2].startswith("+0.1250 [")  # of the others the test still stands
    assert not any(entry.mark for row in table.rows for entry in row)
    assert "the interval isn't adjusted" in table.note


def test_runs_that_were_tested_alike_have_both():
    # the same pairs under other places, another border of training and validation
    pairs = [(4 - u, i, 0 if part == 1 else part) for u, i, part in ONCE]
    moved = catalogue_of(pairs, n_users=4)
    moved = replace(moved, users=pa.array(["u0", "u3", "u2", "u1"]))
    first, other = run_of("a", [0.1, 0.2]), run_of("b", [0.3, 0.3], moved)
    assert unlike(first, other) == ""
    table = _reached([first, other], "ndcg@10")
    assert [row[1].mark for row in table.rows] == ["", "best"]
    assert table.rows[1][2].text.startswith("+0.1500 [")
    assert [row[-1].text for row in table.rows] == ["all", "all"]
    assert table.head[-1] == "items ranked"


def test_a_run_that_reads_more_than_the_interactions_may_stand_beside_others():
    first, other = run_of("a", [0.1, 0.2]), run_of("b", [0.3, 0.3], data="with a graph")
    graph = {"inter": ["user_id"], "kg": ["head_id"], "link": ["item_id"]}
    beside = replace(other, settings={"load_col": graph})
    assert unlike(first, other) == "other data"
    assert unlike(first, beside) == ""
    assert unlike(first, replace(beside, catalogue=catalogue_of(ONCE, n_items=6)))


def test_what_was_ranked_is_told():
    assert ranked_items(run_of("a", [0.1, 0.2])) == "all"
    assert ranked_items(run_of("a", [0.1, 0.2], **SAMPLED)) == "a sample (uni10)"
    assert ranked_items(run_of("a", [0.1, 0.2], eval_args={"mode": "full"})) == "all"


def test_a_run_that_keeps_no_single_users_says_so():
    first, other = run_of("a", [0.1, 0.2]), run_of("b", [0.3, 0.3])
    table = _reached([first, replace(other, users=None)], "ndcg@10")
    assert table.rows[1][2].text == "not tested: b keeps no NDCG@10 of single users"
    assert unlike(first, replace(other, catalogue=None)) == "its test pairs aren't known"
