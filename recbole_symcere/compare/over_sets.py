"""Rows over several data sets: how many times another row's metric theirs is, on average."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from recbole_symcere.compare.differences import paired
from recbole_symcere.compare.table import Block, Line, baselines_of, best_of
from recbole_symcere.evaluate.meta_analysis import Effect, Pooled, log_ratio, random_effects

__all__ = ["OnSet", "OverSets", "over_sets"]


class OnSet(NamedTuple):
    """A row on a data set: the label of the row it is compared with, and the ratio."""

    dataset: str
    other: str
    ratio: Effect


class OverSets(NamedTuple):
    """A row over the data sets.

    Attributes:
        label: of the row.
        against: the labels of which the best is what it is compared with, a slash between them;
            None for every baseline.
        sets: those that have a ratio: both rows have two common seeds, the other's metric isn't 0.
        pooled: mean over them; None without any.
    """

    label: str
    against: str | None
    sets: tuple[OnSet, ...]
    pooled: Pooled | None


def over_sets(blocks: Sequence[Block], against: Sequence[Sequence[str]] = ()) -> list[OverSets]:
    """Every row against the best other baseline of each set, then against named rows.

    Args:
        blocks: of the data sets, with the same rows; with what their users have.
        against: groups of labels; of several it is the best of each set.

    Returns:
        Those that have a ratio on some set; nothing for a single data set.
    """
    if len(blocks) < 2:
        return []
    found = [
        OverSets(
            line.row.label,
            None if names is None else "/".join(names),
            sets,
            random_effects([on.ratio for on in sets]),
        )
        for names in (None, *against)
        for line in blocks[0].lines
        for sets in [tuple(_on_sets(blocks, line.row.label, names))]
    ]
    return [row for row in found if row.pooled is not None]


def _on_sets(blocks: Sequence[Block], label: str, against: Sequence[str] | None) -> Iterator[OnSet]:
    for block in blocks:
        other = best_of(_others(block, label, against), block.metric)
        if other is None:
            continue
        both = paired(block.values[label], block.values[other.row.label])
        ratio = log_ratio(*both) if both else None
        if ratio is not None:
            yield OnSet(block.dataset, other.row.label, ratio)


def _others(block: Block, label: str, against: Sequence[str] | None) -> list[Line]:
    """What a row may be compared with: other rows that have two seeds in common with it."""
    lines = [
        line
        for line in block.lines
        if line.row.label != label and len(_common_seeds(block, label, line.row.label)) > 1
    ]
    if against is None:
        return baselines_of(lines, block.metric)
    return [line for line in lines if line.row.label in against]


def _common_seeds(block: Block, *labels: str) -> set[int]:
    seeds = [set(block.values[x].seeds) if x in block.values else set() for x in labels]
    return set.intersection(*seeds)
