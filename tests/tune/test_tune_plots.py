import logging
import math
import random
from pathlib import Path

import matplotlib
import matplotlib.figure
import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from recbole_symcere.tune.axes import ABSENT, Axis, axis_of, label
from recbole_symcere.tune.plots import _explained, best_so_far, importance, parallel_coordinates
from recbole_symcere.tune.space import SearchSpace
from recbole_symcere.tune.trial_table import TrialRecord

SPACE = SearchSpace.of(
    {
        "learning_rate": {"loguniform": [1e-4, 1e-2]},
        "n_layers": {"int": [1, 4]},
        "embedding_size": [32, 128, 64],
        "loss": ["sincere", "info_nce"],
        "intra_temperature": {"uniform": [0.05, 0.5], "when": {"loss": "sincere"}},
        "mlp_hidden_size": [[64, 64], [128, 128, 128, 128]],
        "weight_decay": {"loguniform": [1e-6, 1e-2]},
        "a_setting_with_a_very_long_name_indeed": {"uniform": [0, 1]},
        "history_len": {"logint": [10, 200]},
        "l2_normalize": [True, False],
        "cost in $ or $$": ["first", "評価", None],
        "edge_dropout": {"quniform": [0, 0.5, 0.1]},
    }
)


def trials(n, space=SPACE, status=None):
    """Trials whose score is a function of the learning rate and the layers alone."""
    draw = random.Random(0)
    found = []
    for number, config in enumerate(space.configurations(n, 0)):
        score = 0.05 - 0.01 * (math.log10(config["learning_rate"]) + 3) ** 2
        score += 0.001 * config["n_layers"]
        how = status or draw.choice(["finished", "finished", "stopped", "failed"])
        score = None if how == "failed" else score
        found.append(TrialRecord(number, how, config, score, 2, 5, 1.0))
    return found


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, as objects."""
    saved = []
    save = matplotlib.figure.Figure.savefig

    def kept(self, *args, **kwargs):
        saved.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", kept)
    return saved


def check_png(path):
    picture = imread(path)
    assert picture.shape[0] > 200
    assert picture.shape[1] > 500
    assert picture.std() > 0.01  # something is drawn


def boxes(figure):
    """The places of the texts that are drawn in the axes or at their ticks, in pixels."""
    axes = figure.axes[0]
    texts = [*figure.texts] if axes.axison else [*axes.texts, *figure.texts]
    if axes.axison:
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            ticks = axis.get_major_ticks()
            texts += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
        texts += [axes.xaxis.label, axes.yaxis.label]
        texts += [child for child in axes.get_children() if isinstance(child, Text)]  # titles
    renderer = figure.canvas.get_renderer()
    return [t.get_window_extent(renderer) for t in texts if t.get_text()]


def overlapping(found):
    return [
        (a, b) for i, a in enumerate(found) for b in found[:i] if a.shrunk(0.9, 0.9).overlaps(b)
    ]


def check_texts(figure):
    """No text is cut off or overlaps another."""
    found = boxes(figure)
    assert len(found) > 4
    assert not overlapping(found)
    for box in found:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("n", [1, 2, 40])
@pytest.mark.parametrize("mode", ["max", "min"])
def test_plots_are_legible_whatever_the_number_of_trials(n, mode, drawn):
    given = trials(n, status="finished" if n < 3 else None)
    assert best_so_far(given, "a/best.png", "NDCG@10", mode) == Path("a/best.png")
    assert parallel_coordinates(given, "par.png", "NDCG@10", mode, SPACE) == Path("par.png")
    assert parallel_coordinates(given, "free.png", "NDCG@10", mode) == Path("free.png")
    for path in ("a/best.png", "par.png", "free.png"):
        check_png(path)
    for figure in drawn:
        check_texts(figure)


def test_no_figure_stays_open():
    import matplotlib.pyplot as plt

    best_so_far(trials(3), "best.png", "N", "max")
    assert plt.get_fignums() == []


def steps(figure):
    return next(x for x in figure.axes[0].lines if x.get_drawstyle() == "steps-post").get_ydata()


def test_the_step_line_is_the_best_so_far_without_failed_trials(drawn):
    scores = [None, 0.2, 0.1, 0.9, 0.3, math.nan]
    how = ["finished", "stopped", "finished", "failed", "finished", "running"]
    given = [
        TrialRecord(i, s, {"a": i}, x) for i, (x, s) in enumerate(zip(scores, how, strict=True))
    ]
    best_so_far(given, "max.png", "N", "max")
    best_so_far(given, "min.png", "N", "min")
    np.testing.assert_equal(steps(drawn[0]), [math.nan, 0.2, 0.2, 0.2, 0.3, 0.3])
    np.testing.assert_equal(steps(drawn[1]), [math.nan, 0.2, 0.1, 0.1, 0.1, 0.1])
    legend = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert legend == [
        *("finished", "finished, no score", "stopped", "failed", "running, no score"),
        "best so far",
    ]
    assert "Best: trial 4" in drawn[0].axes[0].get_title("left")


def test_the_best_line_is_on_top_and_ends_at_its_score(drawn):
    given = trials(12, status="finished")
    parallel_coordinates(given, "par.png", "N", "max", SPACE)
    top = max(given, key=lambda trial: trial.score)
    lines = [x for x in drawn[0].axes[0].lines if len(x.get_xdata()) == 13]
    assert len(lines) == 12
    highest = max(lines, key=lambda line: line.get_zorder())
    assert lines.index(highest) == top.number
    assert highest.get_ydata()[-1] == 1.0
    rate = math.log10(top.config["learning_rate"])
    assert highest.get_ydata()[0] == pytest.approx((rate + 4) / 2)
    assert highest.get_ydata()[1] == pytest.approx((top.config["n_layers"] - 1) / 3)
    assert (highest.get_ydata()[4] == ABSENT) == (top.config["loss"] == "info_nce")


def test_a_0_lies_at_the_lower_end_of_a_logarithmic_axis():
    parameter = SearchSpace.of({"x": {"loguniform": [1e-6, 1e-2]}}).parameters[0]
    records = [TrialRecord(i, "finished", {"x": x}) for i, x in enumerate([0.0, 1e-4, 1e-1])]
    axis = axis_of("x", records, parameter)
    assert (axis.logarithmic, axis.low, axis.high) == (True, 1e-6, 1e-1)
    assert [axis.position(x) for x in (0.0, 1e-6, 1e-1)] == [0.0, 0.0, 1.0]
    assert axis.position(1e-4) == pytest.approx(0.4)


def test_axes_scale_as_the_space_says_or_as_the_values_look():
    records = [TrialRecord(i, "finished", {"x": x}) for i, x in enumerate([0.001, 0.1, 0.01])]
    wide = axis_of("x", records)
    assert (wide.logarithmic, wide.low, wide.high) == (True, 0.001, 0.1)
    assert wide.position(0.01) == pytest.approx(0.5)
    parameter = SearchSpace.of({"x": {"uniform": [0, 0.4]}}).parameters[0]
    assert axis_of("x", records, parameter).position(0.1) == pytest.approx(0.25)
    words = [TrialRecord(i, "finished", {"x": x}) for i, x in enumerate(["b", True, 1])]
    assert axis_of("x", words).categories == ("b", True, 1)
    numbers = SearchSpace.of({"x": [64, 32]}).parameters[0]
    assert axis_of("x", [], numbers).categories == (32, 64)
    assert Axis("x", ("one",)).position("one") == 0.5
    assert Axis("x", (), 3, 3).ticks() == [(0.5, "3")]
    assert Axis("x", tuple(range(40))).ticks()[1] == (4 / 39, "4")


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis("x", (), 1e-4, 1e-2, True), ["0.0001", "0.0003", "0.001", "0.003", "0.01"]),
        (Axis("x", (), 1e-7, 1e-3, True), ["1e-07", "1e-06", "1e-05", "0.0001", "0.001"]),
        (Axis("x", (), 0.05, 0.5), ["0.05", "0.2", "0.4", "0.5"]),
        (Axis("x", (), 10, 200), ["10", "50", "100", "150", "200"]),
        (Axis("x", (), -1.0, 1.0), ["-1", "-0.5", "0", "0.5", "1"]),
    ],
)
def test_ticks_are_round_numbers_between_the_bounds(axis, expected):
    assert [text for _, text in axis.ticks()] == expected


def test_labels_are_short_and_no_formulas():
    assert label("x" * 50) == "x" * 11 + "..."
    assert label("$a$ b\nc") == r"\$a\$ b c"
    assert (label(None), label(0.123456), label([64, 64])) == ("None", "0.123", "[64, 64]")


def test_importance_finds_the_settings_that_the_score_is_made_of(drawn):
    given = trials(60, status="finished")
    assert importance(given, "importance.png", "NDCG@10", SPACE) == Path("importance.png")
    check_png("importance.png")
    axes = drawn[0].axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names[-1] == "learning_rate"  # the bar at the top
    assert widths == sorted(widths)
    assert widths[-1] > 5 * widths[-3]
    check_texts(drawn[0])


def test_importance_is_the_same_each_time(drawn):
    space = SearchSpace(SPACE.parameters[:2])
    importance(trials(14, space), "one.png", "N", space)
    importance(trials(14, space), "two.png", "N", space)
    check_texts(drawn[0])
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()


def test_explained_variance_is_high_for_a_function_and_not_for_noise():
    rng = np.random.default_rng(0)
    features = rng.random((80, 3))
    share, falls = _explained(features, 3 * features[:, 1], seed=0)
    assert share > 0.9
    mean = falls.mean(axis=0)
    assert mean[1] > 1  # shuffled, it predicts worse than the mean does
    assert abs(mean[[0, 2]]).max() < 0.05
    share, _ = _explained(features, rng.random(80), seed=0)
    assert share < 0.1


FEW = trials(7, status="finished")
EQUAL = [TrialRecord(i, "finished", {"a": i}, 0.5) for i in range(9)]
ALIKE = [TrialRecord(i, "finished", {"a": 1}, 0.5 + i) for i in range(9)]
FAILED = trials(5, status="failed")
BARE = [TrialRecord(0, "finished", {}, 0.5)]


@pytest.mark.parametrize(
    ("draw", "given", "reason"),
    [
        (lambda t: best_so_far(t, "x.png", "N", "max"), FAILED, "no trial has a validation value"),
        (lambda t: best_so_far(t, "x.png", "N", "max"), [], "no trial has a validation value"),
        (lambda t: parallel_coordinates(t, "x.png", "N", "max"), FAILED, "no trial has a valid"),
        (lambda t: parallel_coordinates(t, "x.png", "N", "max"), BARE, "no setting is tuned"),
        (lambda t: importance(t, "x.png", "N"), FEW, "7 trials have a score, and it takes 8"),
        (lambda t: importance(t, "x.png", "N"), FAILED, "0 trials have a score"),
        (lambda t: importance(t, "x.png", "N"), EQUAL, "all scores are equal"),
        (lambda t: importance(t, "x.png", "N"), ALIKE, "no setting differs between trials"),
    ],
)
def test_a_plot_that_cannot_be_drawn_says_why(draw, given, reason, caplog):
    with caplog.at_level(logging.WARNING, logger="recbole_symcere"):
        assert draw(given) is None
    assert f"x.png isn't drawn: {reason}" in caplog.text
    assert not Path("x.png").exists()
