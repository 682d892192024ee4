"""What held for runs of versions before, which don't tell of it."""

from collections.abc import Mapping
from typing import Any

from recbole_symcere.base.options import hints_of
from recbole_symcere.model.registry import class_of, is_ours

__all__ = ["completed"]

_TIES = {"tie_order": "file"}  # interactions of one time stayed as the file has them
_PROPAGATION = {"batches_per_propagation": 1}


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a stored run or search, with what was so before there was a setting for it.

    Args:
        settings: with the model's name.
    """
    before: dict[str, Any] = dict(_TIES)
    model = str(settings.get("model"))
    if is_ours(model) and _PROPAGATION.keys() <= hints_of(*class_of(model).option_groups).keys():
        before |= _PROPAGATION
    return before | dict(settings)
