import pytest
import torch

from recbole_symcere.run.fused_optimizer import fused


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_a_fused_optimizer_takes_the_same_steps(kind):
    found = []
    for change in (lambda optimizer: optimizer, fused):
        weights = [torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)]
        groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.5}]
        optimizer = change(kind(groups, lr=0.1, weight_decay=0.3))
        for step in range(4):
            optimizer.zero_grad()
            sum((w * (w - step)).sum() for w in weights).backward()
            optimizer.step()
        found.append(torch.cat(weights))
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    assert all(group["fused"] for group in optimizer.param_groups)
    torch.testing.assert_close(*found)


def test_another_optimizer_stays():
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
    assert fused(optimizer) is optimizer
