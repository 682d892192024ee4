"""Answers and figures of the pages of explain anchor, from planted numbers."""

import math
import statistics

import pytest

from recbole_symcere.explain.verdict import _gone, _worse_trained
from recbole_symcere.explain.verdict_beside import over_data_sets
from recbole_symcere.page.page import as_markdown


def of_run(name, contrast, strength):
    keys = ("value", "low", "high")
    return {
        **{"run": name, "model": "SymCERE", "dataset": name, "reviews": 100, "tests": []},
        **{"contrast": dict(zip(keys, contrast, strict=True)), "specific_similarity": strength},
        **{"kinds": {kind: {"mean": None} for kind in ("objective", "subjective")}},
        **{"validation": None, "superiority": None},
    }


def plain_mean(runs):
    """DerSimonian & Laird over two contrasts as shares, Hartung & Knapp's interval."""
    y = [run["contrast"]["value"] / run["specific_similarity"] for run in runs]
    widths = [run["contrast"]["high"] - run["contrast"]["low"] for run in runs]
    v = [
        (width / run["specific_similarity"] / 3.92) ** 2
        for width, run in zip(widths, runs, strict=True)
    ]
    w = [1 / x for x in v]
    fixed = sum(a * b for a, b in zip(w, y, strict=True)) / sum(w)
    surplus = sum(a * (b - fixed) ** 2 for a, b in zip(w, y, strict=True)) - (len(y) - 1)
    tau2 = max(0.0, surplus / (sum(w) - sum(a * a for a in w) / sum(w)))
    w = [1 / (x + tau2) for x in v]
    mean = sum(a * b for a, b in zip(w, y, strict=True)) / sum(w)
    q = sum(a * (b - mean) ** 2 for a, b in zip(w, y, strict=True)) / (len(y) - 1)
    t = math.tan(math.pi * 0.475)  # of one degree of freedom
    half = t * (max(1, q) / sum(w)) ** 0.5
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


@pytest.mark.parametrize("strength", [-0.02, 0.0])
def test_a_run_without_specific_similarity_has_no_share_in_the_mean(strength):
    runs = [
        of_run("first", (0.025, 0.018, 0.033), 0.5),
        of_run("second", (0.02, 0.010, 0.031), 0.45),
    ]
    odd = of_run("odd", (0.004, -0.010, 0.018), strength)
    expected = f"pooled over 2 runs (random effects): {plain_mean(runs)};"
    alone, text = (
        as_markdown(over_data_sets(some)).replace("\\", "") for some in (runs, [*runs, odd])
    )
    assert expected in alone
    assert "Left out" not in alone
    assert expected in text
    assert "Left out, as no similarity is specific in them: odd." in text
    odd_row = next(line for line in text.splitlines() if line.startswith("| odd |"))
    assert odd_row.split(" | ")[6:8] == ["+0.0040 [-0.0100, +0.0180]", "-"]


def estimate(value, low, high):
    return {"value": value, "low": low, "high": high}


OURS = (0.025, 0.010, 0.040)


@pytest.mark.parametrize(
    ("theirs", "ours", "holds"),
    [
        ((0.001, -0.002, 0.004), OURS, True),
        ((0.002, 0.001, 0.003), OURS, True),  # noise of less than a tenth
        ((0.015, 0.004, 0.026), OURS, False),
        ((0.030, -0.001, 0.061), OURS, None),  # of 0, and of more than the trained encoder's
        ((0.005, -0.002, 0.012), OURS, None),
        ((0.001, -0.002, 0.004), (0.004, -0.010, 0.018), None),  # there was nothing to be gone
    ],
)
def test_a_contrast_is_gone_where_its_interval_leaves_out_the_trained_ones(theirs, ours, holds):
    opinion = {"contrast": estimate(*theirs), "occlusion_contrast": estimate(*ours)}
    assert _gone(opinion) is holds
    assert _gone({**opinion, "contrast": None}) is None


T = {2: 12.7062, 3: 4.30265}  # 97.5 % quantiles of t for so many seeds


@pytest.mark.parametrize(
    ("objective", "subjective", "holds"),
    [
        ([0.10000], [0.10001], None),  # one seed
        ([0.05], [0.10], None),
        ([0.100, 0.101], [0.102, 0.110], None),
        ([0.100, 0.101], [0.110, 0.1112], True),
        ([0.100, 0.101, 0.105], [0.110, 0.112, 0.114], True),
        ([0.110, 0.112, 0.114], [0.100, 0.101, 0.105], False),
        ([0.100, 0.101, 0.105], [0.101, 0.100, 0.107], None),
        ([0.100, 0.100], [0.101, 0.101], None),  # the seeds change nothing, so they tell nothing
    ],
)
def test_training_without_words_costs_more_where_seeds_agree(objective, subjective, holds):
    more = [b - a for a, b in zip(objective, subjective, strict=True)]
    if len(more) > 1 and len(set(objective)) > 1:
        half = T[len(more)] * statistics.stdev(more) / math.sqrt(len(more))
        apart = abs(statistics.mean(more)) > half
        assert holds is (statistics.mean(more) > 0 if apart else None)
    retrained = {"objective": {"ndcg@10": objective}, "subjective": {"ndcg@10": subjective}}
    assert _worse_trained({"whole": {}, **retrained}) is holds
    assert _worse_trained({"objective": retrained["objective"]}) is None
