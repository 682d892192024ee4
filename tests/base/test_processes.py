"""What several processes of one run tell each other, and the work that they share."""

import numpy as np
import pytest
import torch
from group import Group

from recbole_symcere.base import processes
from recbole_symcere.graph import columns
from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.graph.layers import layer_mean, side_mean
from recbole_symcere.text.sharded import encode_shared, own_texts


@pytest.fixture(scope="module")
def two():
    group = Group(2)
    yield group
    group.end()


# --- what is done in each process ----------------------------------------------------------------


def messages():
    rank = processes.rank()
    first = processes.from_first({"rank": rank})
    rows = processes.gathered_rows(torch.full((2 + rank, 3), float(rank)))
    flags = processes.gathered_rows(torch.tensor([rank == 1]))
    wide = processes.gathered_columns(torch.full((2, 2 + rank), float(rank)), 5)
    mean = torch.tensor([float(rank)])
    processes.average([mean])
    with processes.first_alone():
        alone = processes.count()
    processes.check_alike(1.0 + 1e-7 * rank, "it")
    return first, rows.tolist(), flags.tolist(), wide.tolist(), mean.item(), alone


def unlike():
    processes.check_alike(1.0 + rank_part(), "The weights")


def rank_part():
    return 0.1 * processes.rank()


class Encoder(torch.nn.Module):
    """A text's vector is tanh(W times the mean of its tokens' one-hot codes), in float64."""

    def __init__(self, dropout=0.0):
        super().__init__()
        weight = torch.randn(5, 11, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        self.weight = torch.nn.Parameter(weight)
        self.dropout = torch.nn.Dropout(dropout)
        self.rows = 0

    def forward(self, ids, mask):
        self.rows += len(ids)
        codes = torch.nn.functional.one_hot(ids, 11).double() * mask[..., None]
        return torch.tanh(self.dropout(codes.mean(dim=1)) @ self.weight.T)


def batch(n):
    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(0, 11, (n, 6), generator=generator)
    lengths = torch.randint(0, 7, (n,), generator=generator)
    return ids, torch.arange(6)[None] < lengths[:, None]


def contrasted(vectors):
    """A loss that mixes all rows of the batch."""
    return torch.logsumexp(vectors @ vectors.T, dim=1).mean()


def encoded(n):
    encoder = Encoder()
    ids, mask = batch(n)
    vectors = encode_shared(lambda rows: encoder(ids[rows], mask[rows]), mask.sum(dim=1), encoder)
    loss = contrasted(vectors)
    loss.backward()
    processes.average([encoder.weight.grad])
    return loss.item(), encoder.weight.grad.tolist(), encoder.rows


def encoded_with_dropout():
    torch.manual_seed(9)
    encoder = Encoder(dropout=0.5)
    ids, mask = batch(8)
    vectors = encode_shared(lambda rows: encoder(ids[rows], mask[rows]), mask.sum(dim=1), encoder)
    return vectors.tolist(), torch.rand(3).tolist()


def graph_and_table():
    generator = np.random.default_rng(0)
    users, items = generator.integers(0, 9, 30), generator.integers(0, 7, 30)
    x = torch.randn(16, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    return BipartiteGraph(users, items, 9, 7), x


def propagated():
    columns._WORTH_IT = 0
    graph, x = graph_and_table()
    found, gather, gathered = [], processes.gathered_columns, []
    processes.gathered_columns = lambda *told: gathered.append(1) or gather(*told)
    for table, mean in (
        (x, lambda t: layer_mean(graph, t, 3)),
        (x[:9], lambda t: side_mean(graph, t, "user", 3)),
        (x[9:], lambda t: side_mean(graph, t, "item", 2)),
    ):
        leaf = table.clone().requires_grad_()
        out = mean(leaf)
        (out**2).sum().backward()
        found.append((out.tolist(), leaf.grad.tolist()))
    processes.gathered_columns = gather
    return found, len(gathered)


# --- the tests -----------------------------------------------------------------------------------


def test_messages(two):
    expected = (
        {"rank": 0},
        [[0.0] * 3] * 2 + [[1.0] * 3] * 3,
        [False, True],
        [[0.0, 0.0, 1.0, 1.0, 1.0]] * 2,
        0.5,
        1,
    )
    assert two.all_do(messages) == [expected, expected]


def test_weights_that_have_drifted_apart_are_an_error(two):
    with pytest.raises(AssertionError, match="The weights differ between the processes"):
        two.all_do(unlike)


@pytest.mark.parametrize("n", [9, 2, 1])
def test_a_shared_encoding_has_the_loss_and_the_gradient_of_one_process(two, n):
    encoder = Encoder()
    ids, mask = batch(n)
    loss = contrasted(encoder(ids, mask))
    loss.backward()
    found = two.all_do(encoded, n)
    for value, gradient, _ in found:
        assert value == pytest.approx(loss.item(), rel=1e-12)
        assert torch.allclose(torch.tensor(gradient).double(), encoder.weight.grad, atol=1e-12)
    rows = [rows for _, _, rows in found]
    assert rows == ([1, 1] if n == 1 else [n - n // 2, n // 2])


def test_dropout_differs_between_the_processes_and_leaves_the_shared_state_alike(two):
    (vectors, after), (other_vectors, other_after) = two.all_do(encoded_with_dropout)
    assert vectors == other_vectors
    assert after == other_after
    torch.manual_seed(9)
    torch.randint(2**62, ())
    assert after == torch.rand(3).tolist()


def test_columns_that_are_shared_out_propagate_as_in_one_process(two, monkeypatch):
    monkeypatch.setattr(columns, "_WORTH_IT", columns._WORTH_IT)
    alone, _ = propagated()
    for found, n_gathered in two.all_do(propagated):
        assert n_gathered == 2 + 3 + 3  # a result each, but side by side two, and their gradients
        for (out, gradient), (whole, whole_gradient) in zip(found, alone, strict=True):
            assert torch.allclose(torch.tensor(out), torch.tensor(whole), atol=1e-6)
            assert torch.allclose(torch.tensor(gradient), torch.tensor(whole_gradient), atol=1e-5)


def test_texts_are_shared_out_by_their_tokens(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 3)
    lengths = torch.randint(0, 129, (500,), generator=torch.Generator().manual_seed(0))
    parts = own_texts(lengths)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(500))
    tokens = [int(lengths[part].sum()) for part in parts]
    assert max(tokens) - min(tokens) <= 128
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_process_by_itself_shares_nothing():
    assert (processes.count(), processes.rank(), processes.is_first()) == (1, 0, True)
    assert processes.from_first(3) == 3
    rows = torch.ones(2, 2)
    assert processes.gathered_rows(rows) is rows
    with processes.first_alone():
        processes.wait_for_all()
    processes.announce("folder", "x")


def test_a_process_that_is_forked_from_one_of_several_is_none_of_them(monkeypatch):
    place = processes.Place(1, 2, 1, 2, "localhost", 1, pid=-1)
    processes.take(place)
    try:
        assert (processes.count(), processes.rank()) == (1, 0)
    finally:
        processes.take(None)
