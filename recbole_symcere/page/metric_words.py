"""Words that pages of runs and of comparisons share: of metrics, groups, chance and values."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "GROUPS_NOTE",
    "main_metric",
    "metrics_note",
    "places",
    "shown",
    "sureness",
    "with_interval",
]

GROUPS_NOTE = (
    "Items: a third of the training interactions each, from rare to popular; only a user's "
    "held-out items of the group count as right. Users: thirds by training interactions."
)
"""What groups of items and of users are."""

_CHANCE = 0.05
_LARGE = 10  # counts and bits; most metrics are shares

_MEANS = {
    "ndcg": "NDCG@k: held-out items among the first k, an earlier place counting more, from 0 to 1",
    "hit": "Hit@k: share of users with a held-out item among the first k",
    "recall": "Recall@k: share of a user's held-out items among the first k",
    "precision": "Precision@k: share of the first k that were held out",
    "mrr": "MRR@k: 1 over the place of the first held-out item, 0 beyond k",
    "map": "MAP@k: mean precision at the places of held-out items, from 0 to 1",
    "auc": "AUC: chance that a held-out item stands above another one",
    "gauc": "GAUC: AUC within each user",
    "arp": "ARP@k: training interactions of a recommended item, on average",
    "aplt": "APLT@k: share of recommended items that are rare",
    "novelty": "Novelty@k: how unlikely a recommended item is by its popularity, in bits",
    "gini": "Gini@k: 0 where all items are recommended equally often, 1 where one is",
    "coverage": "Coverage@k: share of the items that are recommended to anybody",
    "users": "Users: number of them",
}


def metrics_note(names: Iterable[str]) -> str:
    """A sentence for each metric, by names such as ``ndcg@10``; nothing for unknown ones."""
    words = dict.fromkeys(name.partition("@")[0].lower() for name in names)
    told = [_MEANS[word] for word in words if word in _MEANS]
    return "; ".join(told) + "." if told else ""


def main_metric(metrics: Mapping[str, Any], names: Sequence[str]) -> str:
    """The one of these names by which a run chose its epoch; the first where it is none of them.

    Args:
        metrics: metrics.json.
        names: such as "ndcg@10".
    """
    wanted = str(metrics["protocol"].get("valid_metric", "")).lower()
    return wanted if wanted in names else next(iter(names), wanted)


def with_interval(difference: float, interval: tuple[float, float]) -> str:
    """A difference and its confidence interval."""
    return "{:+.4f} [{:+.4f}, {:+.4f}]".format(difference, *interval)


def sureness(p_value: float) -> str:
    """Whether a difference is more than chance, by its p-value."""
    return "more than chance" if p_value < _CHANCE else "no more than chance could be"


def places(value: float) -> int:
    """Decimal places that a metric is written with: 4, or 1 of a large one."""
    return 4 if abs(value) < _LARGE else 1


def shown(value: Any) -> str:
    """The value of a setting: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
