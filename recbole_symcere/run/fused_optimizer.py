"""Adam as one kernel per step, where RecBole's is a few per weight."""

from typing import Any

import torch

__all__ = ["fused"]


def fused(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The same optimizer before its first step, in torch's fused version if it is Adam or AdamW."""
    kind: Any = type(optimizer)
    if kind not in (torch.optim.Adam, torch.optim.AdamW):
        return optimizer
    groups = [{**group, "fused": True} for group in optimizer.param_groups]
    found: torch.optim.Optimizer = kind(groups, fused=True)
    return found
