"""Finished runs that stand side by side, and whether two of them were tested alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from recbole_symcere.base.sorted_ids import distinct
from recbole_symcere.explain.yardsticks import Measured, test_mode
from recbole_symcere.run.catalogue import Catalogue
from recbole_symcere.run.data_fingerprint import kinds_read

__all__ = ["OneRun", "ranked_items", "unlike"]

_Pairs = npt.NDArray[np.int64]

_KEYS = (
    *("ranked_for", "repeatable", "repeated_when_held_out", "cold_items", "cold_users"),
    *("topk", "tested_on"),
)


@dataclass(frozen=True)
class OneRun:
    """A finished run.

    Attributes:
        name: on the page.
        settings: config.yaml.
        metrics: metrics.json.
        users: what each test user gets; None where it can't be told.
        catalogue: its interactions; None of an earlier version's run.
    """

    name: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    users: Measured | None
    catalogue: Catalogue | None


def ranked_items(run: OneRun) -> str:
    """Which items were ranked for the test: all, or a sample by RecBole's name of it."""
    mode = test_mode(run.metrics)
    return "all" if mode == "full" else f"a sample ({mode})"


def unlike(one: OneRun, other: OneRun) -> str:
    """In what the tests of two runs differ, so that their figures can't be compared; "" if alike.

    Training and validation may differ as long as the same pairs are masked and held out. So may
    what one of them reads beside the interactions, a knowledge graph or columns of items.
    """
    read = [
        kinds_read(run.settings.get("load_col", {}), run.settings.get("additional_feat_suffix"))
        for run in (one, other)
    ]
    for key in ("dataset", "data_fingerprint")[: 2 if read[0] == read[1] else 1]:
        if one.metrics.get(key) != other.metrics.get(key):
            return "other data"
    if ranked_items(one) != ranked_items(other):
        return "other items ranked"
    first, second = one.metrics["protocol"], other.metrics["protocol"]
    for key in _KEYS:
        if first.get(key) != second.get(key):
            return f"other {key}"
    if one.catalogue is None or other.catalogue is None:
        return "its test pairs aren't known"
    return _unlike_pairs(one.catalogue, other.catalogue)


def _unlike_pairs(one: Catalogue, other: Catalogue) -> str:
    if len(one.items) != len(other.items):
        return "other items ranked"
    user = _places(one.users, other.users)[other.user]
    item = _places(one.items, other.items)[other.item]
    for parts, what in (((2,), "other test pairs"), ((0, 1), "other pairs masked")):
        ours, theirs = np.isin(one.part, parts), np.isin(other.part, parts)
        if not np.array_equal(
            _pairs(one, one.user[ours], one.item[ours]),
            _pairs(one, user[theirs], item[theirs]),
        ):
            return what
    return ""


def _places(names: Any, of_others: Any) -> npt.NDArray[np.int64]:
    """Where others' ids stand among ours; -1 for unknown ones."""
    found = pc.fill_null(pc.index_in(of_others, value_set=names), -1)
    return np.asarray(found, np.int64)


def _pairs(of: Catalogue, user: _Pairs, item: _Pairs) -> _Pairs:
    """Distinct pairs as single numbers; one with an unknown id equals no known pair."""
    known = (user >= 0) & (item >= 0)
    return distinct(np.where(known, user * len(of.items) + item, -1))
