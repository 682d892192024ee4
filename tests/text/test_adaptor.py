"""The adaptor of text vectors, and its own ReLU with dropout."""

import numpy as np
import oracles
import pytest
import torch
import torch.nn.functional as F

from recbole_symcere.text.adaptor import Adaptor, LearnedTable, relu_dropout


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
