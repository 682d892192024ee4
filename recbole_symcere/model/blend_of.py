"""The blend of a run, made of its settings and its training split."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from recbole_symcere.base.options import read_options
from recbole_symcere.data.chronology import row_times
from recbole_symcere.data.recency import Histories, histories
from recbole_symcere.model.blend import Blend
from recbole_symcere.model.blend_options import BlendOptions, kind_of
from recbole_symcere.model.experts import Expert, basis_columns, expert
from recbole_symcere.model.trend import trend
from recbole_symcere.text.lexical import NO_WORDS

__all__ = ["blend_of", "tell_of_columns", "training_histories"]

_log = logging.getLogger(__name__)


def training_histories(dataset: Any, hidden: npt.NDArray[np.int64] | None = None) -> Histories:
    """What all users know, from the training split; ``hidden`` as in `histories`."""
    feat = dataset.inter_feat
    users, items = (feat[field].numpy() for field in (dataset.uid_field, dataset.iid_field))
    return histories(users, items, row_times(dataset), dataset.user_num, dataset.item_num, hidden)


def tell_of_columns(what: str, known: Histories) -> dict[str, int]:
    """Log where fewer columns than items stand for what the experts say, see `basis_columns`.

    Args:
        what: is approximate then, with its verb.
        known: the training interactions of all users.

    Returns:
        What a result should tell of it; nothing where nothing is lost.
    """
    n_users, n_items = known.flat.shape
    columns = basis_columns(n_users, n_items)
    if columns == n_items:
        return {}
    _log.info(
        f"{what} approximate: {columns:,} columns of a user stand for his scores of "
        f"{n_items - 1:,} items"
    )
    return {"score_columns": columns}


def blend_of(config: Any, dataset: Any, words: Callable[[], Tensor]) -> Blend | None:
    """The blend that the configuration asks for; None for none.

    Args:
        config: RecBole's configuration.
        dataset: the training split.
        words: gives [n_items, d], what the words of each item's reviews say; no columns for
            nothing.
    """
    o = read_options(BlendOptions, config)
    names, vectors = _with_words(o.experts, dataset, words)
    if not names:
        return None
    n_items = dataset.item_num - 1
    if n_items > o.blend_ease_exact and any(kind_of(name).what == "ease" for name in names):
        _log.warning(
            f"EASE in the blend is approximate: {n_items:,} items are more than "
            f"blend_ease_exact, {o.blend_ease_exact:,}. Exactly it would take "
            f"{12 * n_items**2 / 1e9:.1f} GB: --blend_ease_exact={n_items}."
        )
    known = training_histories(dataset)
    if o.refit_blend:
        known = Histories(known.later)  # its lists are for now
    if any(name != "words" for name in names):
        tell_of_columns("what the blend adds is", known)

    def make(name: str) -> Expert:
        if kind_of(name).what == "trend":
            items = dataset.inter_feat[dataset.iid_field].numpy()
            return trend(items, row_times(dataset), dataset.item_num)
        array = None if vectors is None else vectors.numpy()
        return expert(name, known, array, o.blend_ease_exact)

    return Blend(names, make, known, vectors)


def _with_words(
    names: tuple[str, ...], dataset: Any, words: Callable[[], Tensor]
) -> tuple[tuple[str, ...], Tensor | None]:
    """The experts, without those of words where words say nothing, and the vectors of words."""
    if not any(kind_of(name).what == "words" for name in names):
        return names, None
    vectors = words()
    if not vectors.shape[1]:
        why = NO_WORDS if hasattr(dataset, "training_reviews") else "no reviews"
        _log.info(f"words take no part in the blend: {why}")
        names = tuple(name for name in names if kind_of(name).what != "words")
    return names, vectors
