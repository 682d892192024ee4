"""Batches that share a propagation: values and gradients of their plain mean."""

import itertools
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from model.test_contract import prepare
from recbole.utils import init_seed

from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.model.base import GraphRecommender
from recbole_symcere.model.loss_batches import BatchGroup, BatchGroups, group_loss, rows_of
from recbole_symcere.model.symcere import SymCERE
from recbole_symcere.run.prepare import build_trainer
from recbole_symcere.run.steps import StepLimit

GRAPH_MODELS = (
    "SymCERE", "SymCEREPlus", "DirectAU", "SimGCL", "XSimGCL", "AlphaRec", "RLMRecCon", "SMORET",
)  # fmt: skip
SETTINGS = {
    "SymCEREPlus": {"alpha": 0.5, "beta": 0.1, "node_weight": 0.1},
    "DirectAU": {"n_layers": 2},
}


def in_double(name, small, **extra):
    _, model, _, (train, *_) = prepare(
        name, small, train_batch_size=40, **{**SETTINGS.get(name, {}), **extra}
    )
    model = model.double().train()
    ids = (train.dataset.inter_feat[f].numpy() for f in ("user_id", "item_id"))
    model.graph = BipartiteGraph(*ids, model.n_users, model.n_items, torch.float64)
    return model, list(train)


def gradients(model):
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.allclose(one[name], other[name], rtol=1e-10, atol=1e-14), name


@pytest.mark.parametrize("name", GRAPH_MODELS)
def test_a_group_has_the_value_and_gradient_of_the_mean(name, small):
    model, batches = in_double(name, small)
    assert len(batches) == 4
    init_seed(5, True)
    shared = model.propagated()
    found = [model.losses(batch, *shared) for batch in batches]
    expected = [torch.stack(term).mean() for term in zip(*found, strict=True)]
    sum(expected).backward()
    plain = gradients(model)
    assert plain
    init_seed(5, True)
    model.begin_epoch()
    terms = model.calculate_loss(BatchGroup(batches))
    assert type(terms) is type(found[0])
    assert torch.allclose(torch.stack([*terms]), torch.stack(expected), rtol=1e-12)
    (3 * sum(terms)).backward()
    same({key: 3 * grad for key, grad in plain.items()}, gradients(model))


def test_lora_learns_from_a_group_as_from_its_batches(small):
    # the encoder is float32
    settings = {"text_mode": "lora", "lora_dropout": 0.0, "train_batch_size": 40}
    _, model, _, (train, *_) = prepare("SymCERE", small, **settings)
    batches = list(train)
    init_seed(5, True)
    shared = model.propagated()
    (sum(sum(model.losses(batch, *shared)) for batch in batches) / len(batches)).backward()
    plain = gradients(model)
    assert any("lora" in key for key in plain)
    init_seed(5, True)
    model.begin_epoch()
    sum(model.calculate_loss(BatchGroup(batches))).backward()
    found = gradients(model)
    assert found.keys() == plain.keys()
    for key, grad in found.items():
        assert torch.allclose(grad, plain[key], rtol=1e-3, atol=1e-6 * plain[key].abs().max()), key


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


def test_terms_with_weights_of_their_own_are_refused():
    table = torch.ones(3, 2, requires_grad=True)

    def losses(batch, nodes):
        return Pair(rows_of(batch, nodes).sum(), nodes.sum())

    one, two = group_loss(losses, BatchGroup([torch.tensor([0]), torch.tensor([2])]), [table], [])
    assert (one.item(), two.item()) == (2.0, 6.0)
    with pytest.raises(RuntimeError, match="can only be added up"):
        (one + 2 * two).backward()


def test_a_look_up_in_a_shared_table_has_a_gradient_of_its_rows_alone():
    shared, weight = torch.ones(9, 2, requires_grad=True), torch.nn.Parameter(torch.ones(9, 2))
    for table, sparse in ((shared, True), (weight, False), (2 * weight, False)):
        (grad,) = torch.autograd.grad(rows_of(torch.tensor([1, 1]), table).sum(), [table])
        assert grad.is_sparse == sparse
        assert (grad.to_dense() if sparse else grad)[:, 0].tolist() == [0, 2] + [0] * 7


def test_only_one_batch_is_held_at_a_time(small):
    model, batches = in_double("SymCERE", small)
    alive = most = 0

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            nonlocal alive
            alive -= 1
            return grad

    losses = model.losses
    model.losses = lambda *given: losses(*given)._replace(bpr=Watched.apply(losses(*given).bpr))
    sum(model.calculate_loss(BatchGroup(batches))).backward()
    assert (most, alive) == (1, 0)


def test_the_loader_hands_out_groups_in_order():
    loader = BatchGroups(range(7), 3)
    groups = [group.batches for group in loader]
    assert groups == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(loader) == len(groups)


@pytest.mark.parametrize(
    ("n_batches", "size"), [(1, 1), (157, 1), (200, 1), (201, 2), (1563, 8), (15_625, 79)]
)
def test_an_epoch_has_at_most_200_propagations(n_batches, size, small):
    _, model, *_ = prepare("SymCERE", small)
    assert model.batches_per_step(n_batches) == size
    assert -(-n_batches // size) <= 200


def test_the_size_of_a_group_can_be_given(small, caplog):
    _, model, *_ = prepare("SymCERE", small, batches_per_propagation=3)
    assert model.batches_per_step(2) == model.batches_per_step(9999) == 3
    assert "without effect" not in caplog.text


class OwnLoss(SymCERE):
    def calculate_loss(self, interaction):
        return super().calculate_loss(interaction)


@pytest.mark.parametrize(
    ("model", "settings", "why"),
    [
        (OwnLoss, {"batches_per_propagation": 3}, "OwnLoss has a calculate_loss of its own"),
        (OwnLoss, {"batches_per_propagation": 1}, None),
        (OwnLoss, {}, None),
        ("DirectAU", {"batches_per_propagation": 3, "enable_scaler": True}, "enable_scaler is"),
        ("DirectAU", {"enable_scaler": True}, None),
    ],
    ids=str,
)
def test_one_batch_at_a_time_and_that_a_given_size_has_no_effect(
    small, caplog, model, settings, why
):
    _, model, *_ = prepare(model, small, **settings)
    assert isinstance(model, GraphRecommender)
    assert model.batches_per_step(9999) == 1
    told = [r.getMessage() for r in caplog.records if "batches_per_propagation" in r.getMessage()]
    assert len(told) == (why is not None)
    if why:
        assert f"batches_per_propagation is 3, but without effect, because {why}" in told[0]


def test_the_trainer_steps_once_per_group_and_tells_of_it(small):
    config, model, _, (train, *_) = prepare(
        "DirectAU", small, batches_per_propagation=2, train_batch_size=40, epochs=2, eval_step=0
    )
    trainer = build_trainer(config, model)
    steps, seen, step = [], [], trainer.optimizer.step
    losses = model.losses
    trainer.optimizer.step = lambda *given: (steps.append(len(seen)), step(*given))
    model.losses = lambda *given: (seen.append(1), losses(*given))[1]
    trainer.fit(train, saved=False, verbose=False)
    assert steps == [2, 4, 6, 8]  # four batches an epoch
    assert trainer.facts() == {"batches_per_propagation": 2, "steps_per_epoch": 2}
    assert len(trainer.history) == 2


def test_refit_steps_count_optimizer_steps(small):
    config, model, _, (train, *_) = prepare(
        "DirectAU", small, batches_per_propagation=2, train_batch_size=40, epochs=9, eval_step=0
    )
    trainer = build_trainer(config, model)
    trainer._steps = StepLimit([3])
    counted, step = itertools.count(1), trainer.optimizer.step
    last = SimpleNamespace(n=0)
    trainer.optimizer.step = lambda *given: (setattr(last, "n", next(counted)), step(*given))
    trainer.fit(train, saved=False, verbose=False)
    assert last.n == 3
