"""The user-item graph as one normalised symmetric matrix, and views of it with edges left out.

Users and items share one node axis: user u is node u, item i is node n_users + i. Ids are
RecBole's, whose id 0 is padding and takes part in no interaction: an isolated node.
"""

import functools
import warnings
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["BipartiteGraph", "Side", "check_probability", "edge_dropout"]

Side = Literal["user", "item"]

Ids = Tensor | NDArray[np.integer]

_STRUCTURE = ("row_pointer", "column", "edge_user", "mirror")


class BipartiteGraph(nn.Module):
    """The normalised adjacency matrix D^-1/2 A D^-1/2 over users and items, as CSR.

    The structure is fixed; only the weights of its entries change (``reweighted``). It is a module
    so that it moves with the model that holds it; its buffers are not part of a checkpoint.

    The first half of the entries are the edges in the order (user, item), seen from the users. The
    second half are the same edges seen from the items: entry n_edges + k is edge ``mirror[k]``.

    Args:
        users: [n] user ids of the training split; user n interacted with item n. A repeated pair
            counts once.
        items: [n] item ids.
        n_users: number of user ids, padding included.
        n_items: number of item ids, padding included.
        dtype: of the weights, and so of what passes through the graph.

    Raises:
        ValueError: for lengths that differ or an id outside its range.
    """

    row_pointer: Tensor
    column: Tensor
    edge_user: Tensor
    mirror: Tensor
    values: Tensor

    def __init__(
        self,
        users: Ids,
        items: Ids,
        n_users: int,
        n_items: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        user, item = _ids("users", users, n_users), _ids("items", items, n_items)
        if len(user) != len(item):
            raise ValueError(f"items has {len(item)} entries, expected {len(user)}, as users has")
        edge = torch.unique(user * n_items + item)  # [E], sorted by user, then item
        user, item = edge // n_items, edge % n_items  # [E]
        mirror = torch.argsort(item, stable=True)  # [E], sorted by item, then user
        degree = torch.bincount(torch.cat([user, item + n_users]), minlength=n_users + n_items)
        structure = {
            "row_pointer": F.pad(degree.cumsum(0), (1, 0)).int(),  # [n_nodes + 1]
            "column": torch.cat([item + n_users, user[mirror]]).int(),  # [2E]
            "edge_user": user.int(),
            "mirror": mirror.int(),
        }
        self._hold(n_users, n_items, structure)
        keep = torch.ones(len(edge), dtype=dtype, device=edge.device)
        self.register_buffer("values", self._weights(keep), persistent=False)

    @property
    def n_nodes(self) -> int:
        """Number of users and items together."""
        return self.n_users + self.n_items

    @property
    def n_edges(self) -> int:
        """Number of distinct user-item pairs in the structure, dropped ones included."""
        return len(self.edge_user)

    def edges_of(self, users: Tensor, items: Tensor) -> Tensor:
        """Where pairs of a user and an item stand among the edges, dropped ones included.

        Args:
            users: int64 ids of any shape.
            items: int64 ids; both are broadcast to one shape.

        Returns:
            int64 of that shape, 0 <= edge < n_edges; -1 for a pair that is no edge.
        """
        pairs = users * self.n_items + items
        if not self.n_edges:
            return torch.full_like(pairs, -1)
        edge_item = self.column[: self.n_edges].long() - self.n_users
        edges = self.edge_user.long() * self.n_items + edge_item  # [E], ascending
        place = torch.searchsorted(edges, pairs).clamp_max(self.n_edges - 1)
        return torch.where(edges[place] == pairs, place, -1)

    def known(self, users: Tensor, items: Tensor) -> Tensor:
        """Which of some items each user has an edge to, dropped edges included.

        Args:
            users: int64 [B].
            items: int64 [m], the same for all users; they may repeat.

        Returns:
            bool [B, m].
        """
        distinct, column = torch.unique(items, return_inverse=True)
        place = torch.full((self.n_items,), -1, device=items.device)
        place[distinct] = torch.arange(len(distinct), device=items.device)
        rows, own = self.items_of(users)
        own = place[own]
        found = torch.zeros(len(users), len(distinct), dtype=torch.bool, device=items.device)
        found[rows[own >= 0], own[own >= 0]] = True
        return found[:, column]

    def items_of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The items of users, dropped edges included.

        Args:
            users: int64 [B].

        Returns:
            Places in ``users`` and items, int64 [n] each: one pair per edge.
        """
        start = self.row_pointer[users].long()
        length = self.row_pointer[users + 1] - start
        rows = torch.arange(len(users), device=users.device).repeat_interleave(length)
        within = torch.arange(len(rows), device=users.device)
        within -= (length.cumsum(0) - length)[rows]
        return rows, self.column[start[rows] + within].long() - self.n_users

    def reweighted(self, keep: Tensor) -> "BipartiteGraph":
        """The graph of some of the edges, normalised by their own degrees.

        Args:
            keep: [n_edges] bool, in the order (user, item).

        Returns:
            A graph that shares this one's structure: only the weights are new.
        """
        graph = BipartiteGraph.__new__(BipartiteGraph)
        nn.Module.__init__(graph)
        graph._hold(self.n_users, self.n_items, {name: getattr(self, name) for name in _STRUCTURE})
        values = self._weights(keep.to(self.values.dtype))
        graph.register_buffer("values", values, persistent=False)
        return graph

    def matrix(self) -> Tensor:
        """The matrix as a sparse CSR tensor [n_nodes, n_nodes] that shares the buffers."""
        _draw_csr_notice()
        parts = (self.row_pointer, self.column, self.values, (self.n_nodes, self.n_nodes))
        return torch.sparse_csr_tensor(*parts, check_invariants=False)

    def blocks(self) -> tuple[Tensor, Tensor]:
        """The two blocks of the matrix that aren't zero, [n_users, n_items] and its transpose."""
        _draw_csr_notice()
        e, u, i = self.n_edges, self.n_users, self.n_items
        by_item = self.row_pointer[u:] - e
        parts = (
            self._of_users(self.values[:e]),
            (by_item, self.column[e:], self.values[e:], (i, u)),
        )
        first, second = (torch.sparse_csr_tensor(*part, check_invariants=False) for part in parts)
        return first, second

    def _of_users(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
        """CSR parts of the block [n_users, n_items] with these values of the edges."""
        u = self.n_users
        columns = self.column[: self.n_edges] - u
        return self.row_pointer[: u + 1], columns, values, (u, self.n_items)

    def propagate(self, x: Tensor) -> Tensor:
        """One step of neighbourhood averaging: the matrix times ``x``.

        Args:
            x: [n_nodes, d] in the dtype of the graph; half precision is lifted to it.

        Returns:
            [n_nodes, d]; zeros for a node without edges.

        Raises:
            ValueError: for a wrong shape, or a dtype that the graph would round.
        """
        product: Tensor = _SymmetricProduct.apply(self.matrix(), self.checked(x))  # type: ignore[no-untyped-call]  # torch's own
        return product

    def checked(self, x: Tensor, side: Side | None = None) -> Tensor:
        """``x`` in the dtype of the graph, if it can pass through it as a table of all or one side.

        Raises:
            ValueError: as `propagate`.
        """
        sizes = {"user": self.n_users, "item": self.n_items, None: self.n_nodes}
        if x.ndim != 2 or len(x) != sizes[side]:
            rows = f"{self.n_users} users and then {self.n_items} items"
            raise ValueError(
                f"x has shape {tuple(x.shape)}, expected [{sizes[side]}, d]: "
                f"{rows if side is None else f'a row per {side}'}"
            )
        if torch.promote_types(x.dtype, self.values.dtype) != self.values.dtype:
            raise ValueError(
                f"x has dtype {x.dtype} and the graph {self.values.dtype}, expected the same: "
                f"convert the graph with graph.to({x.dtype})"
            )
        return x.to(self.values.dtype)

    def _hold(self, n_users: int, n_items: int, structure: dict[str, Tensor]) -> None:
        self.n_users = n_users
        self.n_items = n_items
        for name, tensor in structure.items():
            self.register_buffer(name, tensor, persistent=False)

    def _weights(self, keep: Tensor) -> Tensor:
        """1 / sqrt(degree of user * degree of item) for the edges where ``keep`` is 1: [2E]."""
        edge_item = self.column[: self.n_edges]  # as nodes
        # sums of ones are exact in any order, so that a draw gives the same weights on every device
        degree = keep.new_zeros(self.n_nodes)
        degree.index_add_(0, self.edge_user, keep).index_add_(0, edge_item, keep)
        scale = degree.clamp_min(1).rsqrt()  # a node without edges has no weight to scale
        weight = keep * scale[self.edge_user] * scale[edge_item]  # [E]
        return torch.cat([weight, weight[self.mirror]])


@functools.cache
def _draw_csr_notice() -> None:
    """Let torch give its once-per-process notice that CSR is in beta, unheard."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        none = torch.zeros(0, dtype=torch.int32)
        torch.sparse_csr_tensor(
            F.pad(none, (1, 1)), none, none.float(), (1, 1), check_invariants=False
        )


class _SymmetricProduct(torch.autograd.Function):
    """Matrix @ x, whose backward uses the same matrix: it is its own transpose."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, x: Tensor) -> Tensor:
        ctx.matrix = matrix  # constant, not differentiated
        # autocast would turn the product into half precision, which CSR lacks on a CPU
        with torch.autocast(x.device.type, enabled=False):
            return matrix @ x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        grad: Tensor = _SymmetricProduct.apply(ctx.matrix, grads[0])  # type: ignore[no-untyped-call]  # torch's own
        return None, grad


def edge_dropout(
    graph: BipartiteGraph, probability: float, generator: torch.Generator
) -> BipartiteGraph:
    """A view of the graph without some of its edges, as SGL's edge dropout (SIGIR 2021).

    Each user-item pair is dropped with the given probability, in both directions together. Degrees
    are counted anew on what is left, so that the view is normalised like any graph. An edge that
    an earlier dropout took out stays out.

    Args:
        graph: the graph, which stays as it is.
        probability: in [0, 1).
        generator: makes the draw repeatable; it may live on another device than the graph.

    Returns:
        A graph that shares the structure of ``graph``: only its weights are new.

    Raises:
        ValueError: if ``probability`` is outside [0, 1).

    Differs from the paper: SGL's code keeps an exact number of edges; here, as in its equations,
        each edge is drawn by itself.
    """
    check_probability("probability", probability)
    draw = torch.rand(graph.n_edges, generator=generator, device=generator.device)
    keep = (draw >= probability).to(graph.values.device)
    return graph.reweighted(keep & (graph.values[: graph.n_edges] > 0))


def _ids(name: str, ids: Ids, size: int) -> Tensor:
    tensor = torch.as_tensor(ids)
    if tensor.ndim != 1 or tensor.is_floating_point() or tensor.dtype == torch.bool:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)} and dtype {tensor.dtype}, "
            "expected 1-D integers"
        )
    tensor = tensor.long()
    if len(tensor) and (tensor.min() < 0 or tensor.max() >= size):
        raise ValueError(
            f"{name} holds ids from {tensor.min()} to {tensor.max()}, expected 0 to {size - 1}"
        )
    return tensor


def check_probability(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= value < 1."""
    if not 0 <= value < 1:  # NaN fails too
        raise ValueError(f"{name} is {value}, expected a number in [0, 1)")
