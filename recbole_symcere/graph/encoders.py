"""Graph encoders over the user-item graph: LightGCN, SimGCL's variant of it, and NGCF."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_symcere.graph.bipartite import BipartiteGraph, Side, check_probability
from recbole_symcere.graph.layers import layer_mean, side_mean

__all__ = ["NGCF", "LightGCN", "NoisyLightGCN"]


class LightGCN(nn.Module):
    """LightGCN (He et al., SIGIR 2020; SymCERE eq. 1-2): the mean of the layers 0 to K.

    Layer 0 is the input, layer k + 1 is the normalised adjacency matrix times layer k. There are
    no weights: the embedding tables are the caller's.

    Args:
        n_layers: K, at least 0; 0 returns the input.

    Raises:
        ValueError: if ``n_layers`` is negative.

    Example:
        >>> one = torch.tensor([0])
        >>> graph = BipartiteGraph(one, one, 1, 1)
        >>> LightGCN(1)(graph, torch.tensor([[2.0], [4.0]])).tolist()
        [[3.0], [3.0]]
    """

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        if n_layers < 0:
            raise ValueError(f"n_layers is {n_layers}, expected 0 or more")
        self.n_layers = n_layers

    def output_size(self, embedding_size: int) -> int:
        """Width of the output for tables of the given width: the same."""
        return embedding_size

    def forward(self, graph: BipartiteGraph, x: Tensor) -> Tensor:
        """[n_nodes, d] -> [n_nodes, d]; types and errors as `BipartiteGraph.propagate`."""
        return layer_mean(graph, x, self.n_layers)

    def of_side(self, graph: BipartiteGraph, x: Tensor, side: Side) -> Tensor:
        """What one side's table adds to the output: [n_users or n_items, d] -> [n_nodes, d]."""
        return side_mean(graph, x, side, self.n_layers)


class NoisyLightGCN(nn.Module):
    """The encoder of SimGCL and XSimGCL: the mean of the layers 1 to K, which may be perturbed.

    A perturbed layer is M e + eps * sign(M e) * n / |n| with n uniform in [0, 1)^d (SimGCL, Yu et
    al., SIGIR 2022). The next layer is made of the perturbed one.

    Args:
        n_layers: K, at least 1. Layer 0 is no part of the mean.
        eps: length of the noise.

    Raises:
        ValueError: if ``n_layers`` is below 1.
    """

    def __init__(self, n_layers: int, eps: float) -> None:
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"n_layers is {n_layers}, expected 1 or more")
        self.n_layers, self.eps = n_layers, eps

    def output_size(self, embedding_size: int) -> int:
        """Width of the output for tables of the given width: the same."""
        return embedding_size

    def forward(self, graph: BipartiteGraph, x: Tensor) -> Tensor:
        """[n_nodes, d] -> [n_nodes, d] without noise."""
        return graph.propagate(layer_mean(graph, x, self.n_layers - 1))

    def perturbed(self, graph: BipartiteGraph, x: Tensor) -> list[Tensor]:
        """The layers 1 to K [n_nodes, d] with noise from torch's global state."""
        layers = []
        for _ in range(self.n_layers):
            x = graph.propagate(x)
            x = x + self.eps * x.sign() * F.normalize(torch.rand_like(x), dim=1)
            layers.append(x)
        return layers


class NGCF(nn.Module):
    """NGCF (Wang et al., SIGIR 2019) as RecBole computes it, the layers side by side.

    With L the normalised adjacency matrix, a layer is::

        h  = LeakyReLU( W1 (L + I) e + b1 + W2 (L e * e) + b2 ),  slope 0.2
        e' = dropout(h) / |dropout(h)|

    The output joins layer 0, the input as it is, and all e'.

    Args:
        embedding_size: width of the input.
        hidden_sizes: width of each layer.
        message_dropout: probability in [0, 1) with which an entry of h is dropped in training.

    Raises:
        ValueError: for a size below 1 or a probability outside [0, 1).

    Differs from the paper: as in RecBole, both transforms have a bias and each layer is brought
        to length 1. Node dropout is left to the caller, who may pass ``edge_dropout``'s view.
    """

    def __init__(
        self, embedding_size: int, hidden_sizes: Sequence[int], message_dropout: float = 0.1
    ) -> None:
        super().__init__()
        sizes = [embedding_size, *hidden_sizes]
        if min(sizes) < 1:
            raise ValueError(
                f"embedding_size and hidden_sizes are {embedding_size} and {list(hidden_sizes)}, "
                "expected sizes of 1 or more"
            )
        check_probability("message_dropout", message_dropout)
        self.sizes = sizes
        pairs = list(itertools.pairwise(sizes))
        self.sums = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)  # W1
        self.products = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)  # W2
        self.dropout = nn.Dropout(message_dropout)

    def output_size(self, embedding_size: int) -> int:
        """Width of the output, input included, for tables of the given width."""
        if embedding_size != self.sizes[0]:
            raise ValueError(f"embedding_size is {embedding_size}, expected {self.sizes[0]}")
        return sum(self.sizes)

    def forward(self, graph: BipartiteGraph, x: Tensor) -> Tensor:
        """[n_nodes, embedding] -> [n_nodes, embedding + sum of hidden sizes]."""
        layers = [x]
        for by_sum, by_product in zip(self.sums, self.products, strict=True):
            neighbours = graph.propagate(x)
            x = by_sum(neighbours + x) + by_product(neighbours * x)  # [n_nodes, hidden]
            x = F.normalize(self.dropout(F.leaky_relu(x, 0.2)), dim=1)
            layers.append(x)
        return torch.cat(layers, dim=1)
