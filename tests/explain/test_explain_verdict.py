"""Answers and figures of the pages of explain anchor, from planted numbers."""

import pytest

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
    """DerSimonian & Laird over the contrasts as shares, in plain Python."""
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
    mean, half = sum(a * b for a, b in zip(w, y, strict=True)) / sum(w), 1.96 / sum(w) ** 0.5
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
