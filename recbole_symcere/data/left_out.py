"""Pairs of a user and an item that the data have and the splits may lack.

``val_interval`` takes them before the split and cold starts after it, and a user's only interaction
gives a sequential model no row. Nothing is trained or tested on them, but who makes lists leaves
them out, for the user knows these items. A data set holds their keys as ``left_out``, among others
that a split has; which those are is looked up once, where a run's catalogue is written.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["keys_of_names", "pair_keys"]

_Keys = npt.NDArray[np.int64]


def pair_keys(part: Any) -> _Keys:
    """Each interaction's user * item_num + item [n], of a RecBole data set with its ids."""
    users, items = (np.asarray(part.inter_feat[f], np.int64) for f in _fields(part))
    keys: _Keys = users * part.item_num + items
    return keys


def keys_of_names(dataset: Any, users: Any, items: Any) -> _Keys:
    """The keys of pairs by the file's ids, without what has no id any more.

    Args:
        dataset: after RecBole has given ids.
        users: pandas Series of ids as in the file [n], and
        items: the same.
    """
    ids = [
        names.map(dataset.field2token_id[field]).to_numpy(np.float64, na_value=-1)
        for names, field in zip((users, items), _fields(dataset), strict=True)
    ]
    known = (ids[0] > 0) & (ids[1] > 0)
    user, item = (side[known].astype(np.int64) for side in ids)
    keys: _Keys = user * dataset.item_num + item
    return keys


def _fields(dataset: Any) -> tuple[str, str]:
    return dataset.uid_field, dataset.iid_field
