"""Per-user metrics against RecBole's averages and against the definitions."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recbole_symcere.run.quick_start import load_data_and_model, run_recbole


@pytest.fixture
def run(small):
    return Path(run_recbole("SymCERE", "small", config_dict=small)["run_dir"])


def test_they_average_to_recboles_numbers(run):
    table = pq.read_table(run / "per_user.parquet").to_pydict()
    test = json.loads((run / "metrics.json").read_text())["test"]
    assert set(test) | {"user_id", "n_test", "n_train"} <= set(table)
    for name, value in test.items():
        assert np.mean(table[name]) == pytest.approx(value, abs=1e-6)  # RecBole rounds


def test_they_follow_the_definitions(run):
    table = pq.read_table(run / "per_user.parquet").to_pylist()
    _, model, dataset, train, valid, test = load_data_and_model(run)
    model.eval()
    users, items = (vectors.numpy() for vectors in model.scoring_vectors())
    known = {}
    for part in (train, valid):
        for user, item in zip(*part.dataset.history().nonzero(), strict=True):
            known.setdefault(user, set()).add(item)
    truth = {}
    for user, item in zip(*test.dataset.history().nonzero(), strict=True):
        truth.setdefault(user, set()).add(item)
    for row in table:
        user = dataset.token2id("user_id", row["user_id"])
        scores = users[user].astype(np.float64) @ items.T
        candidates = [i for i in range(1, len(items)) if i not in known[user]]
        ranked = sorted(candidates, key=lambda i: -scores[i])[:10]
        gains = [float(item in truth[user]) for item in ranked]
        ideal = sum(1 / np.log2(n + 2) for n in range(min(len(truth[user]), 10)))
        ndcg = sum(gain / np.log2(n + 2) for n, gain in enumerate(gains)) / ideal
        assert row["ndcg@10"] == pytest.approx(ndcg, abs=1e-9)
        assert row["hit@10"] == float(any(gains))
        assert row["recall@10"] == pytest.approx(sum(gains) / len(truth[user]))
        assert row["n_test"] == len(truth[user])
        assert row["ndcg@10"] <= row["hit@10"]


def test_sampled_evaluation_has_them_too_and_value_metrics_have_none(small):
    ours = {key: small[key] for key in ("data_path", "runs_dir", "epochs")}
    split = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
    sampled = {**ours, "eval_args": {**split, "mode": "uni5"}}
    run = Path(run_recbole("BPR", "small", config_dict=sampled)["run_dir"])
    table = pq.read_table(run / "per_user.parquet").to_pydict()
    test = json.loads((run / "metrics.json").read_text())["test"]
    assert np.mean(table["ndcg@10"]) == pytest.approx(test["ndcg@10"], abs=1e-6)
    labelled = {**ours, "eval_args": {**split, "mode": "uni1"}}
    labelled |= {"metrics": ["AUC"], "valid_metric": "AUC"}
    run = Path(run_recbole("BPR", "small", config_dict=labelled)["run_dir"])
    assert (run / "metrics.json").exists()
    assert not (run / "per_user.parquet").exists()
