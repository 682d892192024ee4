"""The adaptor of text vectors, and its own ReLU with dropout."""

import numpy as np
import oracles
import pytest
import torch
import torch.nn.functional as F

from recbole_symcere.text.adaptor import Adaptor, FromDirections, LearnedTable, relu_dropout


@pytest.mark.parametrize(
    ("hidden", "shapes"),
    [
        (None, [(6, 6), (6, 6), (6, 6)]),
        ([4], [(4, 6), (6, 4)]),
        ([], [(6, 6)]),
    ],
)
def test_it_is_the_oracles_without_dropout(hidden, shapes):
    adaptor = Adaptor(6, hidden, 0.5).double().eval()
    layers = [(x.weight.detach().numpy(), x.bias.detach().numpy()) for x in adaptor.layers]
    assert [weight.shape for weight, _ in layers] == shapes
    x = torch.randn(5, 6, dtype=torch.float64)
    np.testing.assert_allclose(adaptor(x).detach(), oracles.mlp(x.numpy(), layers), atol=1e-12)


def test_dropout_in_training_only():
    adaptor = Adaptor(8, None, 0.5)
    x = torch.randn(4, 8)
    assert not torch.equal(adaptor(x), adaptor(x))
    adaptor.eval()
    assert torch.equal(adaptor(x), adaptor(x))


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 0.999999])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 400_003])
def test_entries_are_dropped_and_scaled(probability, size):
    torch.manual_seed(0)
    x = torch.rand(size, 1, dtype=torch.float64) + 0.5
    y = relu_dropout(x, probability)
    kept = y > 0
    assert torch.allclose(
        y[kept], x[kept] / (1 - probability), rtol=2e-4 if probability < 0.9 else 1
    )
    if size > 1000:
        assert kept.double().mean().item() == pytest.approx(1 - probability, abs=3e-3)
        # the four entries of one draw don't know of each other
        rows = kept[: size // 4 * 4].view(-1, 4).double()
        assert torch.allclose(rows.mean(0), torch.full((4,), 1 - probability).double(), atol=5e-3)
        if 0 < probability < 0.9:
            assert (torch.corrcoef(rows.T) - torch.eye(4)).abs().max() < 0.02


def test_relu_and_its_gradient():
    x = torch.tensor([[-1.0, 0.0, 2.0]], requires_grad=True)
    assert torch.equal(relu_dropout(x, 0.0), F.relu(x))
    torch.manual_seed(0)
    x = torch.randn(50, 7, requires_grad=True)
    y = relu_dropout(x, 0.3)
    y.sum().backward()
    assert (y[x <= 0] == 0).all()
    # the gradient passes where the value does, with the same factor
    assert torch.allclose(x.grad * x, y)


def test_one_seed_gives_one_draw():
    x = torch.rand(30, 5)
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(relu_dropout(x, 0.4))
    assert torch.equal(*draws)
    assert not torch.equal(relu_dropout(x, 0.4), draws[0])


def test_a_learned_table_starts_as_what_it_was_given_and_leaves_it_alone():
    text = torch.rand(4, 3)
    table = LearnedTable(text)
    assert torch.equal(table(text), text)
    with torch.no_grad():
        table.weight.zero_()
    assert text.abs().sum() > 0


def started(inputs, width, seed=0, slowness=5.0):
    torch.manual_seed(seed)
    return FromDirections(inputs, width, slowness)


def rows_of_rank(rank, n=40, width=12):
    rng = np.random.default_rng(1)
    scale = 2.0 ** -np.arange(rank)
    rows = (rng.normal(size=(n, rank)) * scale) @ rng.normal(size=(rank, width))
    rows[::7] = 0
    return torch.from_numpy(rows.astype(np.float32))


@pytest.mark.parametrize("width", [1, 4, 12, 20])
def test_a_matrix_starts_at_the_leading_directions(width):
    x = rows_of_rank(12)
    _, _, turned = np.linalg.svd(x.numpy().astype(np.float64))
    kept = x.numpy() @ turned[:width].T
    f = started(x, width)(x).detach()
    assert f.shape == (40, width)
    np.testing.assert_allclose(f @ f.T, kept @ kept.T, atol=2e-4)


def test_the_start_is_turned_at_random_by_the_seed():
    x = rows_of_rank(12)
    one, again, other = (started(x, 4, seed).matrix.detach() for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert (one - other).abs().max() > 0.1
    assert torch.allclose(one.T @ one, other.T @ other, atol=1e-4)


def test_directions_in_which_nothing_differs_are_left_out():
    x = rows_of_rank(3)
    f = started(x, 6)
    across = torch.linalg.svd(x.double())[2][3:].float()  # inputs that no row is like
    assert f(across).abs().max() < 1e-4
    assert torch.allclose(f(x).norm(dim=1), x.norm(dim=1), rtol=1e-4)
    assert not started(torch.zeros(5, 4), 2).matrix.any()


@pytest.mark.parametrize("slowness", [1.0, 5.0])
def test_a_step_of_adam_moves_f_by_the_rate_over_the_slowness(slowness):
    x = rows_of_rank(12)
    f = started(x, 4, slowness=slowness)
    before, eye = f(torch.eye(12)).detach(), torch.eye(12)
    optimizer = torch.optim.Adam(f.parameters(), lr=0.01)
    f(x[1:7]).square().sum().backward()
    optimizer.step()
    moved = (f(eye).detach() - before).abs()
    assert moved.max() == pytest.approx(0.01 / slowness, rel=1e-3)


def test_of_many_rows_some_are_read_and_few_at_once(monkeypatch):
    x = rows_of_rank(12)
    whole = started(x, 4).matrix
    monkeypatch.setattr("recbole_symcere.text.adaptor._ROWS", 7)
    assert torch.allclose(started(x, 4).matrix, whole, atol=1e-4)
    monkeypatch.setattr("recbole_symcere.text.adaptor._MOST", 40)
    others = torch.randn(80, 12)
    others[::2] = x
    assert torch.allclose(started(others, 4).matrix, whole, atol=1e-4)
