import numpy as np
import torch

from recbole_symcere.model import smoret_neighbours as neighbours
from recbole_symcere.model.smoret_neighbours import averaged, nearest


def oracle(x, k):
    """Dense D^-1/2 S D^-1/2, where S keeps the k largest cosines of a row, those below 0 not."""
    length = np.sqrt((x**2).sum(1))
    unit = np.array([row / n if n else row for row, n in zip(x, length, strict=True)])
    cosine = unit @ unit.T
    s = np.zeros_like(cosine)
    for a in range(len(x)):
        for b in np.argsort(-cosine[a])[:k]:
            s[a, b] = max(cosine[a, b], 0)
    d = s.sum(1)
    return np.array(
        [[s[a, b] / np.sqrt(d[a] * d[b]) if s[a, b] else 0 for b in range(len(x))]
         for a in range(len(x))]
    )  # fmt: skip


def test_the_graph_and_the_average(monkeypatch):
    monkeypatch.setattr(neighbours, "_ROWS", 4)  # several blocks of rows
    x = torch.randn(11, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[0] = 0
    for k in (1, 4, 20):
        found = nearest(x, k)
        dense = oracle(x.numpy(), min(k, 11))
        values = torch.randn(11, 5, dtype=torch.float64)
        assert np.allclose(averaged(values, found), dense @ values.numpy(), atol=1e-12)
    assert (nearest(x, 4).weights[0] == 0).all()
    assert torch.equal(nearest(x, 1).ids[1:, 0], torch.arange(1, 11))  # itself


def test_the_average_passes_gradients_back():
    x = torch.randn(5, 3, dtype=torch.float64)
    found = nearest(x, 2)
    values = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: averaged(v, found), values)
