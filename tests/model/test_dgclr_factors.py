import numpy as np
import torch

from recbole_symcere.model.dgclr_factors import k_means, whitened


def test_whitened_vectors_are_those_of_the_inverse_covariance():
    # as a Gram matrix: the axes' signs are free
    x = torch.randn(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x @ torch.diag(torch.tensor([1, 5, 0.1, 3, 2, 0.5], dtype=torch.float64)) + 7
    ours = whitened(x, 6).numpy()
    centred = x.numpy() - x.numpy().mean(0)
    gram = centred @ np.linalg.inv(centred.T @ centred / 40) @ centred.T
    length = np.sqrt(np.diag(gram))
    assert np.allclose(ours @ ours.T, gram / length[:, None] / length, atol=1e-9)


def test_the_first_axes_are_kept_and_those_that_are_not_spanned_left_out():
    x = torch.zeros(4, 3)
    x[:, 0] = torch.tensor([5.0, 5.0, -5.0, -5.0])
    x[:, 1] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    one, two = whitened(x, 1), whitened(x, 3)
    assert one.abs().tolist() == [[1.0]] * 4
    assert (one[0] * one[2]).item() == -1
    assert two.shape == (4, 2)


def test_k_means_finds_clusters_and_keeps_empty_ones_finite():
    at = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1], [1, -0.1], [-1, 0.1], [-1, -0.1]]))
    found = k_means(at, 2, torch.Generator().manual_seed(1))
    assert sorted(round(x, 4) for x in found[:, 0].tolist()) == [-1, 1]
    same = k_means(torch.tensor([[1.0, 0.0]] * 5), 3, torch.Generator().manual_seed(1))
    assert same.tolist() == [[1.0, 0.0]] * 3
