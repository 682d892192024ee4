"""SymCEREPlus's dial of popularity, turned on vectors that are there."""

from collections.abc import Mapping
from typing import Any

import torch

from recbole_symcere.base.errors import InputError
from recbole_symcere.model.blend import deviation

__all__ = ["with_popularity"]


def with_popularity(state: Mapping[str, Any], popularity: float) -> dict[str, Any]:
    """The vectors of a checkpoint as they would be with another ``popularity``.

    The model's part of a score is cos / tau + popularity b_i. A blend is weighed by the deviation
    of that part (`Blend`), so it is scaled anew.

    Args:
        state: of a checkpoint of SymCEREPlus.
        popularity: lambda of b_i.

    Raises:
        InputError: for a model without a popularity of its own.
    """
    bias = state["state_dict"].get("item_bias")
    if state["settings"]["model"] != "SymCEREPlus" or bias is None:
        raise InputError(
            f"--popularity: the run is of {state['settings']['model']}, whose scores have no term "
            "of popularity to turn. It belongs to SymCEREPlus with item_bias: True."
        )
    stored = state["vectors"]
    users, items = stored["scored"]
    width = stored["raw"][0].shape[1] + 1
    old_users, rest = users[:, :width], users[:, width:]
    new_items = torch.cat([items[:, : width - 1], popularity * bias[:, None]], dim=1)
    if rest.shape[1]:
        before = deviation(old_users, items[:, :width])
        ratio = deviation(old_users, new_items) / before
        rest = rest * torch.where(before > 0, ratio, torch.ones_like(ratio))[:, None]
    users = torch.cat([old_users, rest], dim=1).contiguous()
    items = torch.cat([new_items, items[:, width:]], dim=1).contiguous()
    return {**stored, "scored": (users, items)}
