"""SimGCL and XSimGCL against float64 oracles."""

import numpy as np
import oracles
import pytest
import torch
from model.parts import at, bpr, check_gradient, l2, loss_of, observed, recorded_noise
from model.test_contract import prepare

from recbole_symcere.base.errors import InputError
from recbole_symcere.graph.encoders import NoisyLightGCN

# The contrastive loss tells users from users and items from items, also of the same half.
PLANTED = {"cl_weight": 0.1}

LOUD = {"n_layers": 3, "eps": 0.3, "cl_weight": 0.7, "reg_weight": 0.01, "temperature": 0.3}


def noisy_layers(given, x, eps, draws):
    """Layers 1 to K, each with its draw of noise."""
    layers = []
    for draw in draws:
        x = given.adjacency @ x
        noise = np.array([row / np.sqrt((row**2).sum()) for row in draw.numpy()])
        x = x + eps * np.sign(x) * noise
        layers.append(x)
    return layers


def contrast(given, first, second, temperature):
    total = 0
    for ids in (given.batch["user_id"], given.n_users + given.batch["item_id"]):
        ids = sorted(set(ids.tolist()))
        rows = oracles.unit(first[ids]), oracles.unit(second[ids])
        total += oracles.contrastive_rows(*rows, oracles.others(len(ids)), temperature).mean()
    return total


def simgcl_terms(given, draws):
    table = given.weight["embedding.weight"]
    views = [
        np.mean(noisy_layers(given, table, 0.3, three), axis=0) for three in (draws[:3], draws[3:])
    ]
    clean = np.mean([np.linalg.matrix_power(given.adjacency, k) @ table for k in (1, 2, 3)], axis=0)
    return bpr(given, clean), 0.7 * contrast(given, *views, 0.3), 0.01 * l2(given, table)


def xsimgcl_terms(given, draws, layer):
    table = given.weight["embedding.weight"]
    layers = noisy_layers(given, table, 0.3, draws)
    mean = np.mean(layers, axis=0)
    contrasted = 0.7 * contrast(given, mean, layers[layer - 1], 0.3)
    return bpr(given, mean), contrasted, 0.01 * l2(given, table)


@pytest.mark.parametrize("layer", [None, 1, 3])
def test_their_loss_and_gradient(small, monkeypatch, layer):
    name, more = ("XSimGCL", {"layer_cl": layer}) if layer else ("SimGCL", {})
    model, batch, given = observed(name, small, **LOUD, **more)
    draws = recorded_noise(monkeypatch)

    def terms(given):
        return xsimgcl_terms(given, draws, layer) if layer else simgcl_terms(given, draws)

    loss = loss_of(model, batch)
    assert len(draws) == (3 if layer else 6)  # one pass or two
    expected = terms(given)
    assert (loss.bpr, loss.contrast, loss.l2) == pytest.approx(expected, abs=1e-9)
    draws.clear()
    check_gradient(
        model,
        lambda: model.calculate_loss(batch),
        given.weight,
        lambda weight: sum(terms(at(given, weight))),
    )


@pytest.mark.parametrize("name", ["SimGCL", "XSimGCL"])
def test_scores_have_no_noise_and_no_layer_0(small, name):
    model, _, given = observed(name, small, **LOUD)
    table = given.weight["embedding.weight"]
    clean = np.mean([np.linalg.matrix_power(given.adjacency, k) @ table for k in (1, 2, 3)], axis=0)
    users, items = model.eval().scoring_vectors()
    assert np.allclose(np.concatenate([users, items]), clean, atol=1e-12)


def test_the_noise_has_length_eps_and_turns_no_sign(small):
    model, *_ = observed("SimGCL", small, n_layers=1, eps=0.2)
    x = model.embedding.weight
    (noisy,) = model.backbone.perturbed(model.graph, x)
    plain = model.graph.propagate(x)
    has = plain.abs().sum(1) > 0
    assert torch.allclose((noisy - plain)[has].norm(dim=1), torch.tensor(0.2).double())
    assert torch.equal(noisy[~has], plain[~has])
    assert torch.equal(noisy.sign(), plain.sign())


def test_a_contrasted_layer_that_is_not_there(small):
    with pytest.raises(InputError, match="layer_cl is 3, but it must be one of the 2 layers"):
        prepare("XSimGCL", small, layer_cl=3)
    with pytest.raises(ValueError, match="n_layers is 0"):
        NoisyLightGCN(0, 0.1)


def test_they_run_on_a_data_set_without_reviews(small_folder, tmp_path):
    from recbole_symcere.run.quick_start import run_recbole

    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "bare.inter").write_text((small_folder / "small" / "small.inter").read_text())
    settings = {"data_path": str(tmp_path), "runs_dir": str(tmp_path / "runs"), "epochs": 1}
    result = run_recbole("SimGCL", "bare", config_dict=settings)
    assert 0 <= result["test_result"]["ndcg@10"] <= 1
