"""AlphaRec against a float64 oracle."""

import numpy as np
import oracles
import pytest
import torch
from model.parts import at, check_gradient, loss_of, mean_per, observed, silence, text_vectors_of
from model.test_contract import prepare

from recbole_symcere.base.errors import InputError

# It learns no vectors of ids, and the tiny encoder finds all texts alike, so that it needs hops to
# see a half of the planted task, and small steps: at a rate of .01 the seed and the processor
# decide whether it does (.57 to 1 is right).
PLANTED = {"n_layers": 6, "epochs": 60, "learning_rate": 0.002}

SETTINGS = {"n_layers": 2, "temperature": 0.3, "n_negatives": 5, "hidden_multiplier": 0.5}


def texts(given, small):
    """Item means and users' means of those."""
    vectors = text_vectors_of(given, small)
    items, has = mean_per(vectors, given.items, given.n_items)
    of_pairs = [items[i] if has[i] else None for i in given.items]
    users, _ = mean_per(of_pairs, given.users, given.n_users)
    return np.concatenate([users, items])


def ego(given, text):
    """The MLP of the texts."""
    w = given.weight
    if "mlp.weight" in w:
        return text @ w["mlp.weight"].T
    hidden = text @ w["mlp.0.weight"].T + w["mlp.0.bias"]
    hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    return hidden @ w["mlp.2.weight"].T + w["mlp.2.bias"]


def rows_of(given, text, sampled):
    """The loss of each row, and how many drawn items are spared."""
    nodes = oracles.unit(oracles.lightgcn(given.adjacency, ego(given, text), 2) + 1e-30)
    known = set(zip(given.users.tolist(), given.items.tolist(), strict=True))
    rows, spared = [], 0
    for user, item, others in zip(
        given.batch["user_id"], given.batch["item_id"], sampled, strict=True
    ):
        allowed = [j for j in others if (user, j) not in known]
        spared += len(others) - len(allowed)
        scores = [
            np.exp(oracles.dot(nodes[user], nodes[given.n_users + j]) / 0.3)
            for j in (item, *allowed)
        ]
        rows.append(-np.log(scores[0] / sum(scores)))
    return rows, spared


# with 20 per row all 30 items are scored, with 5 those that were drawn
@pytest.mark.parametrize(("multiplier", "drawn"), [(0.5, 20), (0, 20), (0.5, 5)])
def test_its_loss_and_gradient(small, multiplier, drawn, monkeypatch):
    silence(monkeypatch)
    changes = {"hidden_multiplier": multiplier, "n_negatives": drawn}
    model, batch, given = observed("AlphaRec", small, **{**SETTINGS, **changes})
    torch.manual_seed(3)
    loss, text = loss_of(model, batch), texts(given, small)
    torch.manual_seed(3)
    sampled = torch.randint(1, given.n_items, (len(batch), drawn)).numpy()
    rows, spared = rows_of(given, text, sampled)
    assert spared > 10
    assert loss.softmax == pytest.approx(np.mean(rows), abs=1e-6)  # vectors are float32

    model.text.uniform_(-1, 1)  # the tiny encoder finds all texts alike, which leaves no slope
    text = model.text[model.row].numpy()

    def seeded():
        torch.manual_seed(3)
        return model.calculate_loss(batch)

    check_gradient(
        model,
        seeded,
        given.weight,
        lambda weight: np.mean(rows_of(at(given, weight), text, sampled)[0]),
    )


def test_it_has_no_table_of_ids_and_scores_by_cosine(small):
    model, _, given = observed("AlphaRec", small, **SETTINGS)
    assert {name.split(".")[0] for name in given.weight} == {"mlp"}
    users, items = model.eval().scoring_vectors()
    layer_0 = ego(given, texts(given, small))
    nodes = oracles.unit(oracles.lightgcn(given.adjacency, layer_0, 2) + 1e-30)
    assert np.allclose(np.concatenate([users, items])[1:], nodes[1:], atol=1e-5)


def test_sampled_negatives_of_recbole_are_refused(small):
    sampled = {"distribution": "uniform", "sample_num": 1}
    with pytest.raises(InputError, match="AlphaRec would take a sampled item"):
        prepare("AlphaRec", small, train_neg_sample_args=sampled)


@pytest.mark.parametrize("drawn", [20, 5])
def test_a_user_who_knows_all_sampled_items(small, drawn):
    model, batch, _ = observed("AlphaRec", small, **{**SETTINGS, "n_negatives": drawn})
    model.graph.edges_of = lambda users, items: torch.zeros_like(items)
    model.graph.items_of = lambda users: torch.ones(len(users), model.n_items).nonzero(
        as_tuple=True
    )
    loss = model.calculate_loss(batch).softmax
    assert loss.item() == 0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
