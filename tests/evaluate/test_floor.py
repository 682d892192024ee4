"""A run whose model ranks worse than popularity says so."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_data import START, write_rows

from recbole_symcere.evaluate import floor
from recbole_symcere.run.quick_start import run_recbole

WORDS = (
    "{} is below popularity alone on validation: NDCG@10 {:.4f} against {:.4f}. It ended after {} "
    "batches; a higher stopping_step or learning_rate or a smaller train_batch_size may let it "
    "learn more."
)


def skewed_rows(n_users=30, seed=0):
    """Every user has four of five popular items and four of 25 others, in any order."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        items = [*rng.choice(5, 4, replace=False), *(5 + rng.choice(25, 4, replace=False))]
        for n, item in enumerate(rng.permutation(items)):
            rows.append((f"u{user}", f"i{item}", 5.0, START + 30 * n + 1000 * user, "words"))
    return rows


@pytest.fixture
def skewed(small, tmp_path):
    write_rows(tmp_path / "data", "skewed", skewed_rows())
    own = {"cache_dir", "text_encoder", "max_length"}
    settings = {key: value for key, value in small.items() if key not in own}
    return {**settings, "data_path": str(tmp_path / "data")}


def trained(model, settings, **changes):
    result = run_recbole(model=model, dataset="skewed", config_dict={**settings, **changes})
    return json.loads(Path(result["run_dir"], "metrics.json").read_text())


@pytest.fixture
def floors(monkeypatch):
    """What every run takes for the score of popularity."""
    found, score = [], floor.popularity_score

    def noted(*args):
        found.append(score(*args))
        return found[-1]

    monkeypatch.setattr(floor, "popularity_score", noted)
    return found


def test_the_floor_is_what_a_run_of_popularity_has(skewed, floors, capsys):
    pop = trained("Pop", skewed)
    assert pop["valid"]["ndcg@10"] > 0.2  # it is planted
    assert pop["notice"] is None
    slow = {"learning_rate": 1e-9, "epochs": 3, "embedding_size": 8}
    lightgcn = trained("LightGCN", skewed, **slow)
    assert floors == [pop["valid"]["ndcg@10"]] * 2
    batches = 3 * -(-lightgcn["data"]["train"] // 64)
    said = WORDS.format("LightGCN", lightgcn["valid"]["ndcg@10"], floors[0], batches)
    assert lightgcn["notice"] == said
    assert capsys.readouterr().out.count(said) == 1


def test_looking_at_popularity_changes_no_figure(skewed, monkeypatch):
    settings = {**skewed, "blend": ["popularity", "ease_50"], "learning_rate": 0.01}
    whole = trained("LightGCN", settings)
    monkeypatch.setattr(floor, "popularity_score", lambda *_: None)
    without = trained("LightGCN", settings)
    for name in ("valid", "test", "beyond", "blend"):
        parts = [{k: v for k, v in run[name].items() if k != "seconds"} for run in (whole, without)]
        assert parts[0] == parts[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"eval_step": 0},
        {"valid_metric": "AUC", "metrics": ["AUC"], "eval_args": {"mode": "uni20"}},
        {"eval_args": {"mode": {"valid": "uni20", "test": "full"}}},
    ],
)
def test_there_is_no_floor_without_a_full_ranking(skewed, changes):
    assert trained("BPR", skewed, learning_rate=1e-9, **changes)["notice"] is None
