"""DirectAU against a float64 oracle."""

import numpy as np
import oracles
import pytest
from model.parts import at, check_gradient, loss_of, observed
from model.test_contract import prepare

from recbole_symcere.base.errors import InputError

# l_uniform tells users from users and items from items, also of the same half.
PLANTED = {"gamma": 0.3}


def terms(given, n_layers):
    nodes = oracles.lightgcn(given.adjacency, given.weight["embedding.weight"], n_layers)
    user = oracles.unit(nodes[given.batch["user_id"]])
    item = oracles.unit(nodes[given.n_users + given.batch["item_id"]])
    both = (oracles.uniformity(user) + oracles.uniformity(item)) / 2
    return oracles.alignment(user, item), 0.7 * both


@pytest.mark.parametrize("n_layers", [0, 2])
def test_its_loss_and_gradient(small, n_layers):
    model, batch, given = observed("DirectAU", small, gamma=0.7, n_layers=n_layers)
    assert len(set(given.batch["user_id"])) < len(given.batch["user_id"])  # some come twice
    loss, (align, uniform) = loss_of(model, batch), terms(given, n_layers)
    assert loss.align == pytest.approx(align, abs=1e-9)
    assert loss.uniform == pytest.approx(uniform, abs=1e-9)
    check_gradient(
        model,
        lambda: model.calculate_loss(batch),
        given.weight,
        lambda weight: sum(terms(at(given, weight), n_layers)),
    )


@pytest.mark.parametrize("score", ["dot", "cosine"])
def test_its_scores(small, score):
    model, _, given = observed("DirectAU", small, score=score)
    table = given.weight["embedding.weight"]
    expected = oracles.unit(table) if score == "cosine" else table
    assert np.allclose(np.concatenate(model.eval().scoring_vectors()), expected, atol=1e-12)


def test_a_batch_holds_no_sampled_items_and_none_are_accepted(small):
    _, batch, given = observed("DirectAU", small)
    pairs = set(zip(given.users.tolist(), given.items.tolist(), strict=True))
    assert set(zip(batch["user_id"].tolist(), batch["item_id"].tolist(), strict=True)) <= pairs
    sampled = {"distribution": "uniform", "sample_num": 1}
    with pytest.raises(InputError, match="DirectAU would take a sampled item"):
        prepare("DirectAU", small, train_neg_sample_args=sampled)
