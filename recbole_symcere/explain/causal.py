"""The causal check: delete words from the reviews, and see what the model loses.

Three deletions take away equally many places of words: of objective words, of subjective words, and
of words that are neither. The words of a kind go in the order of what they contribute in total.

Without training anew a review has to find its item: the items are ranked by t(x) . g_i. Trained
anew on the shortened reviews, the model is tested as any run is.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from recbole_symcere.base.storage import writing
from recbole_symcere.base.words import distinct_words, without
from recbole_symcere.data.dataset import ROW_FIELD
from recbole_symcere.data.intact import copy_to_change
from recbole_symcere.explain.anchor import Anchoring
from recbole_symcere.explain.anchor_stats import Estimate, by_kind, item_bootstrap
from recbole_symcere.explain.explain_options import AnchorOptions
from recbole_symcere.explain.kinds import KINDS
from recbole_symcere.explain.loaded_run import ExplainedRun

__all__ = ["DELETIONS", "Deletion", "Retrained", "deletions", "finding", "retrain", "retrieval"]

_Ints = npt.NDArray[np.int64]

DELETIONS = {
    "objective": ("objective",),
    "subjective": ("subjective",),
    "others": ("stop-word", "unsorted", "neither"),
}
"""Name of a deletion -> the kinds of words that go."""


class Deletion(NamedTuple):
    """Reviews with words taken out.

    Attributes:
        name: which of `DELETIONS`.
        places: number of words' places deleted, in all training reviews.
        words: the words, those with the largest contributions first.
        texts: every training review, as far as the model reads it, without them.
        ndcg: change in NDCG@10 of finding the review's item; None if not asked for.
    """

    name: str
    places: int
    words: list[str]
    texts: list[str]
    ndcg: Estimate | None = None


class Retrained(NamedTuple):
    """A model trained anew.

    Attributes:
        name: "whole" or which of `DELETIONS`.
        metrics: test metric -> its value for each seed.
    """

    name: str
    metrics: dict[str, list[float]]


def deletions(run: ExplainedRun, anchoring: Anchoring, seed: int) -> list[Deletion]:
    """Shortened reviews for each of `DELETIONS` that has words; as many places for all."""
    table, vocabulary = anchoring.table, anchoring.occlusions.vocabulary
    total = np.nan_to_num(table.mean) * table.reviews
    places_of: dict[str, list[tuple[int, tuple[int, int]]]] = {}
    for row, text in enumerate(run.texts):
        for word, places in distinct_words(text).items():
            places_of.setdefault(word, []).extend((row, place) for place in places)
    chosen: dict[str, list[str]] = {}
    for name, kinds in DELETIONS.items():
        inside = np.flatnonzero(np.isin(anchoring.kind_of, [KINDS.index(kind) for kind in kinds]))
        words = [vocabulary[n] for n in inside[np.argsort(-total[inside], kind="stable")]]
        if words:
            chosen[name] = words
    if not chosen:
        return []
    budget = min(sum(len(places_of[word]) for word in words) for words in chosen.values())
    rng = np.random.default_rng(seed)
    return [
        _deleted(run.texts, name, words, places_of, budget, rng) for name, words in chosen.items()
    ]


def _deleted(
    texts: Sequence[str],
    name: str,
    words: Sequence[str],
    places_of: Mapping[str, list[tuple[int, tuple[int, int]]]],
    budget: int,
    rng: np.random.Generator,
) -> Deletion:
    gone: dict[int, list[tuple[int, int]]] = {}
    left, used = budget, []
    for word in words:
        if not left:
            break
        places = places_of[word]
        if len(places) > left:  # the last word goes from as many reviews, drawn at random
            places = [places[n] for n in rng.choice(len(places), left, replace=False)]
        for row, place in places:
            gone.setdefault(row, []).append(place)
        left -= len(places)
        used.append(word)
    shortened = [without(text, gone.get(row, ())) for row, text in enumerate(texts)]
    return Deletion(name, budget, used, shortened)


def retrieval(
    run: ExplainedRun, found: Sequence[Deletion], options: AnchorOptions
) -> tuple[float, list[Deletion]]:
    """How well a review finds its item among all items, whole and shortened.

    Args:
        run: the run.
        found: the deletions.
        options: how many reviews, and the bootstrap.

    Returns:
        NDCG@10 of the whole reviews, and the deletions with the change that each makes.
    """
    reviews = run.sample(options.n_retrieval, options.seed)
    items = run.items[reviews]
    whole = _ndcg(run, [run.texts[n] for n in reviews], items)
    told = []
    for deletion in found:
        change = _ndcg(run, [deletion.texts[n] for n in reviews], items) - whole
        parts = by_kind(np.zeros(len(items), dtype=np.int64), items, change, 1)
        estimate = item_bootstrap(*parts, lambda m: m, options.bootstrap, options.seed)[0]
        told.append(deletion._replace(ndcg=estimate))
    return float(whole.mean()), told


def finding(run: ExplainedRun, options: AnchorOptions) -> float:
    """NDCG@10 with which whole reviews find their items, as `retrieval` gives it."""
    reviews = run.sample(options.n_retrieval, options.seed)
    return float(_ndcg(run, [run.texts[n] for n in reviews], run.items[reviews]).mean())


def _ndcg(run: ExplainedRun, texts: Sequence[str], items: _Ints) -> npt.NDArray[np.float64]:
    """NDCG@10 of each text's item; 0 for a text without a word."""
    scores = run.text_vectors(texts) @ run.item_vectors.T  # [n, n_items]
    scores[:, 0] = -torch.inf  # the padding id
    own = scores.gather(1, torch.from_numpy(items)[:, None])
    rank = (scores > own).sum(dim=1) + 1  # [n]
    gain = torch.where((rank <= 10) & own.isfinite().flatten(), 1 / torch.log2(rank + 1.0), 0.0)
    return gain.double().numpy()


def retrain(
    run: ExplainedRun, found: Sequence[Deletion], out: Path, n_seeds: int
) -> list[Retrained]:
    """Train the run's model on the whole and on the shortened reviews, with ``n_seeds`` seeds.

    Data and runs go below ``out``; the settings are those of the run, the seeds follow its own.
    """
    conditions = [("whole", run.texts), *((deletion.name, deletion.texts) for deletion in found)]
    return [
        Retrained(name, _trained(run, texts, out / name, n_seeds)) for name, texts in conditions
    ]


def _trained(
    run: ExplainedRun, texts: Sequence[str], folder: Path, n_seeds: int
) -> dict[str, list[float]]:
    from recbole_symcere.run.quick_start import run_recbole
    from recbole_symcere.run.run_directory import portable_settings

    with writing(folder):
        data = _write_data(run, texts, folder / "data")
    settings = {**portable_settings(run.config), "data_path": str(data), "run_dir": None}
    # the texts are those that the model read, so a control has been applied to them already
    settings |= {"text_mode": "lora" if _is_tuned(run) else "frozen", "text_control": "none"}
    metrics: dict[str, list[float]] = {}
    for n in range(n_seeds):
        own: dict[str, Any] = {**settings, "seed": int(settings["seed"]) + n}
        names = (own.pop("model"), own.pop("dataset"))
        target = folder / f"seed{own['seed']}"
        shutil.rmtree(target, ignore_errors=True)
        result = run_recbole(*names, config_dict={**own, "run_dir": str(target)})
        for name, value in result["test_result"].items():
            metrics.setdefault(name, []).append(float(value))
    return metrics


def _is_tuned(run: ExplainedRun) -> bool:
    return any(parameter.requires_grad for parameter in run.encoder.parameters())


def _write_data(run: ExplainedRun, texts: Sequence[str], folder: Path) -> Path:
    """A copy of the data set whose training reviews are ``texts``."""
    source = Path(run.dataset.dataset_path)
    target = folder / source.name
    shutil.rmtree(target, ignore_errors=True)
    copy_to_change(source, target)
    first = 0
    rows = run.dataset.inter_feat[ROW_FIELD].numpy()
    for path in run.dataset.review_files():
        table = pq.read_table(path)
        column = table["text"].to_pylist()
        for row, text in zip(rows, texts, strict=True):
            if first <= row < first + len(column):
                column[row - first] = text
        first += len(column)
        at = table.column_names.index("text")
        changed = table.set_column(at, "text", pa.array(column, table.schema.field("text").type))
        pq.write_table(changed, target / path.name)
    return folder
