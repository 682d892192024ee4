"""Plots of a search as PNG files; the log says why one isn't drawn where it can't be."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from recbole_symcere.base.files import write_bytes
from recbole_symcere.page.figures import COLOURS, GREY, INK, drawing, png, whole_numbers
from recbole_symcere.tune.axes import ABSENT, Axis, axis_of, label
from recbole_symcere.tune.space import SearchSpace
from recbole_symcere.tune.trial_table import Mode, TrialRecord, best

__all__ = ["best_so_far", "importance", "parallel_coordinates"]

_LOG = logging.getLogger(__name__)
_BEST = COLOURS[1]
_UNSCORED = GREY
_DOTS = {  # colour and marker: they differ also in print and for the colour-blind
    "finished": (COLOURS[0], "o"),
    "stopped": (COLOURS[4], "v"),
    "failed": (INK, "x"),
    "running": (GREY, "D"),
    "paused": (GREY, "D"),
}
_FAINTEST = 0.15  # place on the colour map: its end is too light for a white page
_FEWEST = 8  # scored trials from which on a forest says something
_WEAK = 0.1  # share of variance up to which the importance plot warns
_FOLDS = 4
_REPEATS = 10


def best_so_far(
    trials: Sequence[TrialRecord], path: str | os.PathLike[str], metric: str, mode: Mode
) -> Path | None:
    """Draw the score of each trial and the best so far.

    Args:
        trials: in the order in which they ended.
        path: the PNG file to write.
        metric: the name of the validation metric.
        mode: whether more of it is better.

    Returns:
        ``path``, or None if no trial has a score; the reason is logged.
    """
    top = best(trials, mode)
    if top is None:
        return _skip(path, "no trial has a validation value")
    with drawing(7.5, 4.2) as (figure, axes):
        for status, (colour, marker) in _DOTS.items():
            ends = [(i, t) for i, t in enumerate(trials, 1) if t.status == status and not t.scored]
            dots = [(i, t) for i, t in enumerate(trials, 1) if t.status == status and t.scored]
            look: dict[str, Any] = {"color": colour, "linestyle": "", "marker": marker, "zorder": 3}
            if dots:
                axes.plot([i for i, _ in dots], [_score(t) for _, t in dots], label=status, **look)
            if ends:  # no score that counts: a mark at the foot
                name = status if status == "failed" else f"{status}, no score"
                foot, transform = [0.025] * len(ends), axes.get_xaxis_transform()
                axes.plot([i for i, _ in ends], foot, label=name, transform=transform, **look)
        better = np.fmax if mode == "max" else np.fmin
        curve = better.accumulate([_score(t) if t.scored else math.nan for t in trials])
        steps = range(1, len(trials) + 1)
        axes.plot(steps, curve, drawstyle="steps-post", color=_BEST, label="best so far")
        axes.set_xlim(0.5, len(trials) + 0.5)
        axes.margins(y=0.12)
        whole_numbers(axes.xaxis)
        axes.set_xlabel("trials in the order in which they ended")
        axes.set_ylabel(f"{label(metric)} on the validation split")
        axes.set_title(f"Best: trial {top.number}, {label(metric)} {_score(top):.4g}", fontsize=11)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
        return _save(figure, path)


def parallel_coordinates(
    trials: Sequence[TrialRecord],
    path: str | os.PathLike[str],
    metric: str,
    mode: Mode,
    space: SearchSpace | None = None,
) -> Path | None:
    """Draw each trial as a line through its settings to its score.

    Args:
        trials: in any order.
        path: the PNG file to write.
        metric: the name of the validation metric.
        mode: whether more of it is better.
        space: gives the axes their bounds and log scales; without it the trials' values do.

    Returns:
        ``path``, or None if no trial has a score or a setting; the reason is logged.
    """
    top, scales = best(trials, mode), _axes_of(trials, space)
    if top is None or not scales:
        return _skip(path, "no setting is tuned" if top else "no trial has a validation value")
    scores = [_score(trial) for trial in trials if trial.scored]
    last = Axis(f"validation {label(metric)}", (), min(scores), max(scores))
    with drawing(max(5.5, 1.35 * (len(scales) + 1) + 0.6), 5.2) as (figure, axes):
        colours = colormaps["viridis_r"]
        norm = Normalize(last.low, last.high)
        for trial in trials:
            places = [scale.place(trial.config) for scale in scales]
            look: dict[str, Any] = {
                "color": _UNSCORED,
                "linestyle": ":",
                "linewidth": 1,
                "zorder": 1,
            }
            if trial.scored:
                place = float(norm(_score(trial)))
                goodness = place if mode == "max" else 1 - place
                places.append(last.position(_score(trial)))
                look = {
                    "color": colours(_FAINTEST + (1 - _FAINTEST) * goodness),
                    "linewidth": 1.2,
                    "zorder": 2,
                }
            if trial is top:
                look = {"color": _BEST, "linewidth": 3, "zorder": 3}
            axes.plot(places, **look)
        absent = {s.name for s in scales for trial in trials if s.name not in trial.config}
        _draw_scales(axes, [*scales, last], absent)
        shown: dict[str, tuple[Any, Any]] = {
            f"best: trial {top.number}, {label(metric)} {_score(top):.4g}": (_BEST, "-")
        }
        if len(scores) > 1:
            shown["others: the darker, the better"] = (colours(0.9), "-")
        if len(scores) < len(trials):
            shown[f"failed or no score ({len(trials) - len(scores)})"] = (_UNSCORED, ":")
        lines = [Line2D([], [], color=c, linestyle=s, linewidth=2) for c, s in shown.values()]
        columns = 1 if len(scales) < 4 else 3
        figure.legend(lines, list(shown), loc="outside lower center", ncols=columns)
        return _save(figure, path)


def _axes_of(trials: Sequence[TrialRecord], space: SearchSpace | None) -> list[Axis]:
    """An axis for each setting that a trial has, in the order of the space."""
    parameters = {p.name: p for p in space.parameters} if space else {}
    seen = list(dict.fromkeys(key for trial in trials for key in trial.config))
    names = [name for name in parameters if name in seen]
    names += [name for name in seen if name not in parameters]
    return [axis_of(name, trials, parameters.get(name)) for name in names]


def _draw_scales(axes: Axes, scales: Sequence[Axis], absent: set[str]) -> None:
    """Vertical lines with ticks; every second name is higher, so that long ones don't meet."""
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    for x, scale in enumerate(scales):
        axes.plot([x, x], [0, 1], color=INK, linewidth=1, zorder=5)
        ticks = scale.ticks()
        if scale.name in absent:
            ticks.append((ABSENT, "-"))
        for y, text in ticks:
            axes.plot([x - 0.03, x + 0.03], [y, y], color=INK, linewidth=1, zorder=5)
            axes.text(x + 0.05, y, text, fontsize=8, va="center", bbox=box, zorder=6)
        height = 1.05 if x % 2 else 1.12
        note = " (log)" if scale.logarithmic else ""
        axes.text(x, height, f"{label(scale.name, 28)}{note}", fontsize=9, ha="center")
    axes.set_xlim(-0.4, len(scales) - 0.4)
    axes.set_ylim((ABSENT if absent else 0) - 0.05, 1.18)
    axes.axis("off")


def importance(
    trials: Sequence[TrialRecord],
    path: str | os.PathLike[str],
    metric: str,
    space: SearchSpace | None = None,
    seed: int = 0,
) -> Path | None:
    """Draw how much of the scores' variance each setting explains.

    A random forest is fitted to some of the trials and predicts the others (4-fold cross-fitting).
    A setting's importance is how much the share of variance that it predicts (R squared) falls when
    the setting's values are shuffled among those others: 0 for one that doesn't matter. The share
    itself is in the title, with a warning where it is near 0. Scores of trials that the
    scheduler stopped count as they are, although those trials trained for fewer epochs.

    Args:
        trials: in any order.
        path: the PNG file to write.
        metric: the name of the validation metric.
        space: gives settings their log scales; without it the trials' values do.
        seed: of the forest, the folds and the shuffling.

    Returns:
        ``path``, or None for fewer than 8 scored trials, scores that are all equal, or no setting
        that varies; the reason is logged.
    """
    scored = [trial for trial in trials if trial.scored]
    if len(scored) < _FEWEST:
        return _skip(path, f"{len(scored)} trials have a score, and it takes {_FEWEST}")
    scores = np.array([_score(trial) for trial in scored])
    if np.ptp(scores) == 0:
        return _skip(path, "all scores are equal")
    scales = _axes_of(scored, space)
    features = np.array([[scale.place(t.config) for scale in scales] for t in scored])
    varied = [i for i in range(len(scales)) if np.ptp(features[:, i]) > 0]
    if not varied:
        return _skip(path, "no setting differs between trials")
    share, falls = _explained(features[:, varied], scores, seed)
    names = [label(scales[i].name, 40) for i in varied]
    order = np.argsort(falls.mean(axis=0), kind="stable")
    with drawing(7.0, 1.3 + 0.36 * len(order)) as (figure, axes):
        axes.barh(
            [names[i] for i in order],
            np.maximum(falls.mean(axis=0)[order], 0),
            xerr=falls.std(axis=0)[order],
            color=_DOTS["finished"][0],
            error_kw={"ecolor": INK, "capsize": 2, "linewidth": 1},
        )
        axes.set_xlim(left=0)
        figure.supxlabel(
            "fall of R² when the setting is shuffled (bar: mean, line: ± 1 SD)", size=9
        )
        weak = "" if share > _WEAK else ":\ntoo little for the bars to mean anything"
        figure.suptitle(
            f"{label(metric)}: the settings predict {max(share, 0):.0%} of the variance of "
            f"{len(scored)} trials{weak}",
            size=10,
        )
        return _save(figure, path)


def _explained(
    features: NDArray[np.float64], scores: NDArray[np.float64], seed: int
) -> tuple[float, NDArray[np.float64]]:
    """The share of variance predicted for held-out trials, and its fall for each shuffled column.

    Args:
        features: (n_trials, n_settings), positions on the settings' axes.
        scores: (n_trials,), not all equal.
        seed: of everything that is random here.

    Returns:
        R squared over all held-out trials, and (n_repeats, n_settings) falls of it.
    """
    from sklearn.ensemble import RandomForestRegressor  # has none
    from sklearn.model_selection import KFold  # has none

    rng = np.random.default_rng(seed)
    total = float(((scores - scores.mean()) ** 2).sum())
    error = 0.0
    shuffled = np.zeros((_REPEATS, features.shape[1]))
    for train, test in KFold(_FOLDS, shuffle=True, random_state=seed).split(features):
        forest = RandomForestRegressor(100, min_samples_leaf=2, random_state=seed)
        forest.fit(features[train], scores[train])
        error += float(((forest.predict(features[test]) - scores[test]) ** 2).sum())
        changed = np.tile(features[test], (*shuffled.shape, 1, 1))
        for repeat, column in np.ndindex(shuffled.shape):
            # from all trials: a fold of two would often be shuffled into itself
            changed[repeat, column, :, column] = rng.choice(features[:, column], len(test))
        # all at once: a call costs more than its rows
        predicted = forest.predict(changed.reshape(-1, features.shape[1]))
        wrong = predicted.reshape(changed.shape[:-1]) - scores[test]
        shuffled += (wrong**2).sum(axis=2)
    return 1 - error / total, (shuffled - error) / total


def _score(trial: TrialRecord) -> float:
    return math.nan if trial.score is None else trial.score


def _skip(path: str | os.PathLike[str], reason: str) -> Path | None:
    _LOG.warning("%s isn't drawn: %s.", os.fspath(path), reason)
    return None


def _save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    write_bytes(path, png(figure))
    return Path(path)
