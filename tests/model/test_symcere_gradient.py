"""SymCERE's gradient on the golden numbers' tables against slopes of a float64 oracle."""

import numpy as np
import oracles
import pytest
from model import test_symcere as golden

USERS, ITEMS, NEGATIVES = (np.array(x) for x in (golden.USERS, golden.ITEMS, golden.NEGATIVES))
PAIRS = [(user, item) for user, known in golden.HISTORY.items() for item in known]
TABLES = {"E_USER": golden.E_USER, "E_ITEM": golden.E_ITEM, "TEXT": golden.TEXT}
EVERYONE = oracles.others(len(USERS))


def cross(user, item, pair, text, loss):
    if loss == "info_nce":
        masks, candidates = (EVERYONE, EVERYONE), pair
    else:
        mask = oracles.negative_mask(USERS, ITEMS, PAIRS)
        masks, candidates = (mask, mask), pair
        if loss == "both":
            masks = (oracles.both(mask),) * 2
        if loss == "anchor_user":
            candidates = oracles.pair_vectors_of_anchor_user(user[USERS], item[ITEMS])
    forth = oracles.contrastive_rows(pair, text, masks[0], 0.2)
    back = oracles.contrastive_rows(text, candidates, masks[1], 0.2)
    return (forth.mean() + back.mean()) / 2


def total(tables, loss):
    """L_cross + 0.5 L_intra + 0.05 L_BPR of the golden batch."""
    user, item, raw = (tables[name] for name in TABLES)
    pair, view = (oracles.unit((user[USERS] + k * item[ITEMS]) / 2) for k in (1, 2))
    text, masked = oracles.unit(raw), oracles.unit(raw + np.array([0, 1, 0]))
    intra = sum(
        oracles.contrastive_rows(one, other, EVERYONE, 0.2).mean()
        for one, other in ((pair, view), (text, masked))
    )
    u, i, j = oracles.unit(user[USERS]), oracles.unit(item[ITEMS]), oracles.unit(item[NEGATIVES])
    bpr = oracles.bpr_rows((u * i).sum(1), (u * j).sum(1)).mean()
    return cross(user, item, pair, text, loss) + 0.5 * intra + 0.05 * bpr


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ({}, "sincere"),
        ({"mask_orientation": "both"}, "both"),
        ({"text_to_graph": "anchor_user"}, "anchor_user"),
        ({"cross_modal_loss": "info_nce"}, "info_nce"),
    ],
)
def test_its_gradient(monkeypatch, options, loss):
    leaves = {name: table.clone().requires_grad_() for name, table in TABLES.items()}
    for name, leaf in leaves.items():
        monkeypatch.setattr(golden, name, leaf)
    found = sum(golden.golden_model(**options).calculate_loss(golden.golden_batch()))
    tables = {name: table.numpy() for name, table in TABLES.items()}
    assert found.item() == pytest.approx(total(tables, loss), abs=1e-12)
    found.backward()
    step = 1e-5
    for name, leaf in leaves.items():
        for place in np.ndindex(leaf.shape):
            ends = []
            for sign in (1, -1):
                moved = tables[name].copy()
                moved[place] += sign * step
                ends.append(total({**tables, name: moved}, loss))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert leaf.grad[place].item() == pytest.approx(slope, abs=1e-7)
