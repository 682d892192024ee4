"""Held-out items and shortened histories, drawn alike for every model and seed.

It works on the splits of any RecBole data set, so that a baseline without text is asked the same.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from recbole_symcere.base.errors import InputError
from recbole_symcere.data.chronology import row_times
from recbole_symcere.data.known_pairs import KnownPairs
from recbole_symcere.data.left_out import pair_keys

__all__ = ["KEPT", "ColdStart", "mask_removed", "with_cold_start"]

KEPT = (0, 1, 2, 4)
"""Numbers of training interactions that shortened users keep."""

_SEED = 0  # not the run's: all runs on a data set hold out the same


class ColdStart(NamedTuple):
    """What was held out of training.

    Attributes:
        items: ids of the items without a training interaction.
        interactions: of these items with users that training knows; a split of its own, or None.
        users: number of training interactions that were kept -> ids of the users.
        removed: id of a user -> the items of the interactions that were not kept.
    """

    items: np.ndarray
    interactions: Any
    users: dict[int, np.ndarray]
    removed: dict[int, np.ndarray]


def with_cold_start(dataset: Any, item_share: float, user_share: float) -> Any:
    """Let the data set's next `build` hold out items and shorten histories.

    Of the items a share leaves all three splits (CollabContext holds out 5 %). Of the users with at
    least four training interactions a share keeps 0, 1, 2 or 4 of them, the latest (the last rows
    where no time is loaded); as many users each. Their validation and test interactions stay;
    `mask_removed` keeps what they lost out of their rankings, for it would be no wrong
    recommendation.

    Args:
        dataset: a RecBole data set, not yet split.
        item_share: 0 holds out none.
        user_share: 0 shortens none.

    Returns:
        The data set; after `build` its training split has an attribute ``cold``, a `ColdStart`, and
        what no split has any more is among its ``left_out``, see `recbole_symcere.data.left_out`.

    Raises:
        InputError: by `build`, if the share of the users is fewer than four.
    """
    if not item_share and not user_share:
        return dataset
    build = dataset.build

    def with_less() -> list[Any]:
        rng = np.random.default_rng(_SEED)
        whole = build()
        all_of_them = np.concatenate([whole[0].left_out, *map(pair_keys, whole)])
        parts, items, interactions = _without_items(whole, item_share, rng)
        users, keep = _shortened(parts[0], user_share, rng)
        lost_by, lost = (_ids(parts[0], kind)[~keep] for kind in ("uid", "iid"))
        removed = {int(user): lost[lost_by == user] for user in np.unique(lost_by)}
        train = _rows(parts[0], keep)
        if interactions is not None:
            known = np.isin(_ids(interactions, "uid"), _ids(train, "uid"))
            interactions = _rows(interactions, known) if known.any() else None
        train.cold = ColdStart(items, interactions, users, removed)
        train.left_out = all_of_them
        return [train, *parts[1:]]

    dataset.build = with_less
    return dataset


def mask_removed(loader: Any, cold: ColdStart) -> None:
    """Let RecBole's loader rank nothing that shortened users lost, as the rest that they know.

    Raises:
        InputError: if items are sampled, and a user is left none to sample from.
    """
    if loader.config["repeatable"]:
        return
    known = getattr(loader, "uid2history_item", None)
    if known is None:
        _never_draw(loader, cold.removed)
        return
    for user, items in cold.removed.items():
        if known[user] is not None:  # None: the user isn't evaluated
            known[user] = torch.from_numpy(np.union1d(known[user].numpy(), items))


def _never_draw(loader: Any, removed: dict[int, np.ndarray]) -> None:
    """Let the sampler of a held-out part take what users lost for what they know."""
    used = getattr(loader._sampler, "used_ids", None)
    if used is None:  # nothing is sampled
        return
    n_items = loader.dataset.item_num
    if isinstance(used, KnownPairs):
        lost = [user * n_items + items for user, items in removed.items()]
        used = KnownPairs(np.concatenate([used.keys, *lost]), n_items, len(used))
        loader._sampler.used_ids = used
    else:
        for user, items in removed.items():
            used[user].update(items.tolist())
    n = sum(len(used[user]) + 1 == n_items for user in removed)  # one is padding
    if n:
        raise InputError(
            f"cold_users is {loader.config['cold_users']}, but {n} of the users that lost "
            "interactions had all items, so that none is left to sample for their ranking. Filter "
            "them by user_inter_num_interval, or rank all items: --eval_args={mode: full}."
        )


def _without_items(
    parts: list[Any], share: float, rng: np.random.Generator
) -> tuple[list[Any], np.ndarray, Any]:
    """The splits without the drawn items, these items, and a split of their interactions."""
    if not share:
        return parts, np.array([], dtype=np.int64), None
    there = np.unique(np.concatenate([_ids(part, "iid") for part in parts]))
    items = np.sort(rng.choice(there, max(1, round(share * len(there))), replace=False))
    cold = [np.isin(_ids(part, "iid"), items) for part in parts]
    columns = parts[0].inter_feat.columns
    held = {
        name: torch.cat(
            [
                part.inter_feat[name][torch.from_numpy(c)]
                for part, c in zip(parts, cold, strict=True)
            ]
        )
        for name in columns
    }
    interactions = parts[-1].copy(type(parts[0].inter_feat)(held))
    return [_rows(part, ~c) for part, c in zip(parts, cold, strict=True)], items, interactions


def _shortened(
    train: Any, share: float, rng: np.random.Generator
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """The drawn users by the number of interactions they keep, and which rows stay."""
    users, times = _ids(train, "uid"), row_times(train)
    keep = np.ones(len(users), dtype=bool)
    if not share:
        return {}, keep
    long_enough = np.flatnonzero(np.bincount(users) >= max(KEPT))
    each = round(share * len(long_enough)) // len(KEPT)
    if not each:
        raise InputError(
            f"cold_users is {share}, but that is fewer than {len(KEPT)} of the {len(long_enough)} "
            f"users with {max(KEPT)} training interactions; one is needed for each of {KEPT}. Give "
            "a larger share."
        )
    drawn = rng.choice(long_enough, each * len(KEPT), replace=False).reshape(len(KEPT), each)
    for kept, group in zip(KEPT, drawn, strict=True):
        for user in group:
            rows = np.flatnonzero(users == user)
            if times is not None:  # a random split or parts of one's own may have another order
                rows = rows[np.argsort(times[rows], kind="stable")]
            keep[rows[: len(rows) - kept]] = False
    return {kept: np.sort(group) for kept, group in zip(KEPT, drawn, strict=True)}, keep


def _ids(part: Any, kind: str) -> np.ndarray:
    ids: np.ndarray = part.inter_feat[getattr(part, f"{kind}_field")].numpy()
    return ids


def _rows(part: Any, keep: np.ndarray) -> Any:
    return part.copy(part.inter_feat[torch.from_numpy(keep)])
