"""The graph encoders against dense float64 oracles."""

import doctest
import json
import pickle
from pathlib import Path

import numpy as np
import oracles
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.graph import bipartite, encoders
from recbole_symcere.graph.bipartite import BipartiteGraph, edge_dropout
from recbole_symcere.graph.encoders import NGCF, LightGCN

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "symcere.json").read_text())
N_USERS, N_ITEMS = 4, 5
pair_lists = st.lists(st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1)))


def linked(pairs):
    """Which user has which item, dense."""
    dense = np.zeros((N_USERS, N_ITEMS))
    for user, item in pairs:
        dense[user, item] = 1
    return dense


@given(pair_lists, st.lists(st.integers(0, N_USERS - 1), max_size=6))
def test_items_of_users_one_pair_per_edge(pairs, users):
    rows, items = build(pairs).items_of(torch.tensor(users, dtype=torch.int64))
    found = sorted(zip(rows.tolist(), items.tolist(), strict=True))
    assert found == [(row, item) for row, user in enumerate(users)
                     for item in np.flatnonzero(linked(pairs)[user])]  # fmt: skip


def build(pairs, n_users=N_USERS, n_items=N_ITEMS, dtype=torch.float64):
    users, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return BipartiteGraph(users, items, n_users, n_items, dtype)


def table(width, n_nodes=N_USERS + N_ITEMS, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(size=(n_nodes, width)))


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def random_graph():
    rng = np.random.default_rng(3)
    pairs = np.stack([rng.integers(1, 200, 4000), rng.integers(1, 150, 4000)], axis=1)
    return build(pairs, 200, 150)


class TestBipartiteGraph:
    @given(pair_lists)
    def test_the_matrix_is_the_dense_one(self, pairs):
        dense = oracles.normalised_adjacency(pairs, N_USERS, N_ITEMS)
        np.testing.assert_allclose(build(pairs).matrix().to_dense(), dense, atol=1e-12)

    @given(pair_lists)
    def test_a_step_is_the_dense_product_and_so_is_its_gradient(self, pairs):
        dense = torch.as_tensor(oracles.normalised_adjacency(pairs, N_USERS, N_ITEMS))
        x, weight = table(3).requires_grad_(), table(3, seed=1)
        out = build(pairs).propagate(x)
        torch.testing.assert_close(out, dense @ x, rtol=1e-12, atol=1e-12)
        (grad,) = torch.autograd.grad((out * weight).sum(), x)
        torch.testing.assert_close(grad, dense.T @ weight, rtol=1e-12, atol=1e-12)

    def test_gradcheck_first_and_second_order(self):
        graph = build([(0, 0), (0, 1), (2, 1), (3, 4)])
        x = table(2).requires_grad_()
        assert torch.autograd.gradcheck(graph.propagate, [x])
        assert torch.autograd.gradgradcheck(lambda x: graph.propagate(x).square(), [x])

    def test_isolated_nodes_give_zeros_and_no_nan(self):
        graph = build([(1, 1)])
        x = table(2).requires_grad_()
        out = graph.propagate(x)
        isolated = [n for n in range(N_USERS + N_ITEMS) if n not in (1, N_USERS + 1)]
        assert (out[isolated] == 0).all()
        out.sum().backward()
        assert (x.grad[isolated] == 0).all()

    def test_no_edges_at_all(self):
        assert torch.equal(build([]).propagate(table(2)), torch.zeros(9, 2, dtype=torch.float64))

    def test_repeated_pairs_count_once(self):
        once, twice = build([(1, 2), (3, 2)]), build([(3, 2), (1, 2), (3, 2), (1, 2)])
        assert once.n_edges == twice.n_edges == 2
        assert torch.equal(once.matrix().to_dense(), twice.matrix().to_dense())

    def test_indices_take_32_bits(self, random_graph):
        assert random_graph.row_pointer.dtype == random_graph.column.dtype == torch.int32

    def test_it_moves_and_converts_with_its_model_and_stays_out_of_the_checkpoint(self):
        model = torch.nn.Module()
        model.graph = BipartiteGraph(torch.tensor([1]), torch.tensor([2]), 2, 3)
        assert model.graph.values.dtype == torch.float32
        assert not model.state_dict()
        model.to(torch.float64)
        assert model.graph.propagate(torch.ones(5, 2, dtype=torch.float64)).dtype == torch.float64
        moved = model.to("meta").graph
        assert {b.device.type for b in moved.buffers()} == {"meta"}

    def test_it_survives_pickling(self, random_graph):
        copy = pickle.loads(pickle.dumps(random_graph))  # noqa: S301  # our own bytes
        x = table(2, random_graph.n_nodes)
        assert torch.equal(copy.propagate(x), random_graph.propagate(x))

    def test_half_precision_is_lifted_in_and_out_of_autocast(self):
        graph = build([(0, 0), (1, 0)], dtype=torch.float32)
        x = table(2).bfloat16()
        expected = graph.propagate(x.float())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(graph.propagate(x), expected)
        assert torch.equal(graph.propagate(x), expected)

    def test_errors(self):
        one = np.array([1])
        with pytest.raises(ValueError, match="items has 2 entries, expected 1, as users has"):
            BipartiteGraph(one, np.array([1, 2]), 3, 3)
        with pytest.raises(ValueError, match="users holds ids from 1 to 1, expected 0 to 0"):
            BipartiteGraph(one, one, 1, 3)
        with pytest.raises(ValueError, match="items holds ids from -1 to -1, expected 0 to 2"):
            BipartiteGraph(one, -one, 3, 3)
        with pytest.raises(ValueError, match=r"users has shape \(1,\) and dtype torch.float64"):
            BipartiteGraph(one / 2, one, 3, 3)
        graph = BipartiteGraph(one, one, 3, 3)
        with pytest.raises(ValueError, match=r"x has shape \(5, 2\), expected \[6, d\]: 3 users"):
            graph.propagate(torch.ones(5, 2))
        with pytest.raises(ValueError, match=r"convert the graph with graph\.to\(torch\.float64\)"):
            graph.propagate(torch.ones(6, 2, dtype=torch.float64))


class TestEdgeDropout:
    def test_probability_0_is_the_identity(self, random_graph):
        view = edge_dropout(random_graph, 0.0, seeded(0))
        assert torch.equal(view.values, random_graph.values)

    @given(pair_lists, st.floats(0, 0.9), st.integers(0, 1000))
    def test_the_view_is_the_graph_of_the_edges_left(self, pairs, probability, seed):
        view = edge_dropout(build(pairs), probability, seeded(seed)).matrix().to_dense()
        left = view[:N_USERS, N_USERS:].nonzero().tolist()
        assert set(map(tuple, left)) <= set(pairs)
        dense = oracles.normalised_adjacency(left, N_USERS, N_ITEMS)
        np.testing.assert_allclose(view, dense, atol=1e-12)

    def test_both_directions_go_together(self, random_graph):
        view = edge_dropout(random_graph, 0.5, seeded(0)).matrix().to_dense()
        assert torch.equal(view, view.T)

    @pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
    def test_the_share_of_dropped_edges(self, random_graph, probability):
        n_edges, draws = random_graph.n_edges, 20
        dropped = sum(
            (edge_dropout(random_graph, probability, seeded(s)).values[:n_edges] == 0).sum().item()
            for s in range(draws)
        )
        deviation = (probability * (1 - probability) / (n_edges * draws)) ** 0.5
        assert abs(dropped / (n_edges * draws) - probability) < 4 * deviation

    def test_one_seed_gives_one_view(self, random_graph):
        first, again, other = (edge_dropout(random_graph, 0.3, seeded(s)) for s in (1, 1, 2))
        assert torch.equal(first.values, again.values)
        assert not torch.equal(first.values, other.values)

    def test_one_generator_gives_a_new_view_each_time(self, random_graph):
        generator = seeded(1)
        first, second = (edge_dropout(random_graph, 0.3, generator) for _ in range(2))
        assert not torch.equal(first.values, second.values)

    def test_the_structure_is_shared_and_the_graph_unchanged(self, random_graph):
        before = random_graph.values.clone()
        view = edge_dropout(random_graph, 0.3, seeded(1))
        for name in ("row_pointer", "column", "edge_user", "mirror"):
            assert getattr(view, name).data_ptr() == getattr(random_graph, name).data_ptr()
        assert torch.equal(random_graph.values, before)

    def test_a_dropped_edge_stays_out(self, random_graph):
        view = edge_dropout(random_graph, 0.5, seeded(1))
        second = edge_dropout(view, 0.5, seeded(2))
        assert (second.values[view.values == 0] == 0).all()
        assert torch.equal(edge_dropout(view, 0.0, seeded(3)).values, view.values)

    @pytest.mark.parametrize("probability", [-0.1, 1, float("nan")])
    def test_errors(self, random_graph, probability):
        with pytest.raises(ValueError, match=rf"probability is {probability}, expected a number"):
            edge_dropout(random_graph, probability, seeded(0))


class TestLightGCN:
    def test_golden_numbers(self):
        given, expected = GOLDEN["input"], GOLDEN["lightgcn"]
        tables = np.concatenate([given["user_table"], given["item_table"]])
        x = torch.as_tensor(tables, dtype=torch.float64)
        out = LightGCN(expected["n_layers"])(build(given["history"], 3, 3), x)
        users, items = out[:3], out[3:]
        np.testing.assert_allclose(users, expected["users"], atol=1e-6)
        np.testing.assert_allclose(items, expected["items"], atol=1e-6)
        np.testing.assert_allclose(users @ items.T, expected["dot"], atol=1e-6)
        cosine = F.normalize(users, dim=1) @ F.normalize(items, dim=1).T
        np.testing.assert_allclose(cosine, expected["cosine"], atol=1e-6)

    @given(pair_lists, st.integers(0, 4))
    def test_it_is_the_mean_of_the_powers(self, pairs, n_layers):
        dense = oracles.normalised_adjacency(pairs, N_USERS, N_ITEMS)
        x = table(3)
        out = LightGCN(n_layers)(build(pairs), x)
        np.testing.assert_allclose(out, oracles.lightgcn(dense, x.numpy(), n_layers), atol=1e-12)

    @given(pair_lists, st.integers(0, 4), st.sampled_from(["user", "item"]))
    def test_a_sides_part_is_that_of_a_table_with_zeros(self, pairs, n_layers, side):
        graph, weight = build(pairs), table(3, seed=1)
        own = slice(0, N_USERS) if side == "user" else slice(N_USERS, None)
        x = table(3)[own].clone().requires_grad_()
        whole = torch.zeros(N_USERS + N_ITEMS, 3, dtype=torch.float64)
        whole[own] = x.detach()
        out = LightGCN(n_layers).of_side(graph, x, side)
        dense = oracles.normalised_adjacency(pairs, N_USERS, N_ITEMS)
        expected = oracles.lightgcn(dense, whole.numpy(), n_layers)
        np.testing.assert_allclose(out.detach(), expected, atol=1e-12)
        (grad,) = torch.autograd.grad((out * weight).sum(), x)
        # the matrix is symmetric, so the gradient is the mean of the powers times the weights
        expected = oracles.lightgcn(dense, weight.numpy(), n_layers)[own]
        np.testing.assert_allclose(grad, expected, atol=1e-12)

    def test_a_side_has_its_own_number_of_rows(self):
        graph = build([(0, 0)])
        with pytest.raises(ValueError, match=r"shape \(9, 3\), expected \[4, d\]: a row per user"):
            LightGCN(1).of_side(graph, table(3), "user")
        with pytest.raises(ValueError, match=r"expected \[5, d\]: a row per item"):
            LightGCN(1).of_side(graph, table(3, 4), "item")

    def test_the_input_stays_as_it_is(self):
        x = table(3)
        before = x.clone()
        LightGCN(2)(build([(0, 0), (1, 0)]), x)
        assert torch.equal(x, before)

    def test_float32_stays_float32(self):
        out = LightGCN(2)(build([(0, 0)], dtype=torch.float32), table(3).float())
        assert out.dtype == torch.float32

    def test_output_size(self):
        assert LightGCN(3).output_size(64) == 64

    def test_errors(self):
        with pytest.raises(ValueError, match="n_layers is -1, expected 0 or more"):
            LightGCN(-1)


class TestNGCF:
    @given(pair_lists, st.lists(st.integers(1, 4), max_size=3), st.integers(0, 100))
    def test_it_equals_the_formula(self, pairs, hidden_sizes, seed):
        torch.manual_seed(seed)
        model = NGCF(3, hidden_sizes, message_dropout=0.0).double()
        x = table(3, seed=seed)
        out = model(build(pairs), x)
        dense = oracles.normalised_adjacency(pairs, N_USERS, N_ITEMS)
        layers = [
            [p.detach().numpy() for p in (a.weight, a.bias, b.weight, b.bias)]
            for a, b in zip(model.sums, model.products, strict=True)
        ]
        np.testing.assert_allclose(
            out.detach(), oracles.ngcf(dense, x.numpy(), layers), rtol=1e-9, atol=1e-9
        )
        assert out.shape[1] == model.output_size(3) == 3 + sum(hidden_sizes)

    def test_messages_are_dropped_in_training_only(self):
        torch.manual_seed(0)
        graph, x = build([(0, 0), (1, 0), (1, 2)]), table(3)
        model = NGCF(3, [40], message_dropout=0.5).double()
        zeros = (model(graph, x)[:, 3:] == 0).double().mean().item()
        assert zeros == pytest.approx(0.5, abs=0.15)
        model.eval()
        assert (model(graph, x)[:, 3:] != 0).all()
        assert torch.equal(model(graph, x), model(graph, x))

    def test_every_weight_and_the_input_get_a_gradient(self):
        torch.manual_seed(0)
        model, x = NGCF(3, [4, 2], 0.0).double(), table(3).requires_grad_()
        model(build([(0, 0), (1, 0), (1, 2)]), x).square().sum(0).prod().backward()
        assert all(p.grad.abs().sum() > 0 for p in [x, *model.parameters()])

    def test_errors(self):
        with pytest.raises(ValueError, match=r"embedding_size and hidden_sizes are 3 and \[0\]"):
            NGCF(3, [0])
        with pytest.raises(ValueError, match=r"message_dropout is 1\.5, expected a number in"):
            NGCF(3, [3], 1.5)
        with pytest.raises(ValueError, match="embedding_size is 4, expected 3"):
            NGCF(3, [3]).output_size(4)


def test_the_examples_in_the_docstrings_run():
    results = [doctest.testmod(module) for module in (bipartite, encoders)]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0
