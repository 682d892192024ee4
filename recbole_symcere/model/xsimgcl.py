"""XSimGCL (Yu et al., TKDE 2023): SimGCL in one pass, which contrasts layers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option
from recbole_symcere.model.base import PropagationOptions
from recbole_symcere.model.simgcl import SimGCL, SimGCLOptions

__all__ = ["XSimGCL", "XSimGCLOptions"]


@dataclass(frozen=True)
class XSimGCLOptions(SimGCLOptions):
    """Hyper-parameters; values as in RecBole-GNN."""

    layer_cl: int = option(1, "l*, the layer that the mean of all is contrasted with", minimum=1)

    def __post_init__(self) -> None:
        """Refuse a layer that the graph doesn't have."""
        if self.layer_cl > self.n_layers:
            raise InputError(
                f"layer_cl is {self.layer_cl}, but it must be one of the {self.n_layers} layers "
                "(n_layers). Lower it."
            )


class XSimGCL(SimGCL):
    """SimGCL's loss on one noisy pass, whose mean is ranked, and contrasted with one layer.

    With z the mean of the noisy layers 1 to K and z* the noisy layer l*::

        L_cl = mean_u -log( exp(z_u.z*_u / t) / sum_v exp(z_u.z*_v / t) )  + the same of items

    The noise is left out when items are ranked for users.

    Args:
        config: RecBole's configuration.
        dataset: the training split.

    Differs from the paper: as SimGCL; the L2 of the authors' code is here one of noisy vectors.
    """

    options: XSimGCLOptions
    option_groups = (XSimGCLOptions, PropagationOptions)

    def views(self) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of all nodes [n_nodes, d]: those that are ranked and the two that contrast."""
        layers = self.perturbed()
        mean = torch.stack(layers).mean(0)
        return mean, mean, layers[self.options.layer_cl - 1]
