"""The map of profiles into layer 0 of a graph, as it is before training."""

from typing import Literal

from recbole.model.init import xavier_uniform_initialization
from torch import Tensor, nn

from recbole_symcere.text.adaptor import FromDirections, linear_or_mlp

__all__ = ["profile_map"]

_SLOWNESS = 5.0  # 3 to 10 are alike


def profile_map(
    profiles: Tensor, width: int, hidden: int, start: Literal["directions", "random"]
) -> nn.Module:
    """F, from profiles [..., d_p] to [..., d].

    Args:
        profiles: [n, d_p], those that it will be given.
        width: d.
        hidden: width of a hidden layer; 0 for a matrix.
        start: where a matrix starts: at the leading directions of the profiles, see
            `FromDirections`, or at random, as anything with a hidden layer does.
    """
    if start == "directions" and not hidden:
        return FromDirections(profiles, width, _SLOWNESS)
    return linear_or_mlp(profiles.shape[1], hidden, width).apply(xavier_uniform_initialization)
