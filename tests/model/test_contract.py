"""What every model of ours must do. A new model is tested by being in `MODELS`."""

import ast
import copy
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.data.transform import construct_transform
from recbole.utils import InputType, get_flops, get_model, init_seed
from small_data import small_rows, write_rows

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import properties_path
from recbole_symcere.base.options import hints_of
from recbole_symcere.data.dataloader import HISTORY_MASK
from recbole_symcere.data.dataset import ReviewDataset
from recbole_symcere.data.history import history_matrix
from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.model.registry import MODELS, class_of, text_use
from recbole_symcere.model.untrained import Untrained
from recbole_symcere.plugin import checkpoint
from recbole_symcere.plugin.config import Config
from recbole_symcere.plugin.config_patches import option_groups
from recbole_symcere.plugin.run_options import RUN_GROUPS
from recbole_symcere.run.prepare import build_trainer


def planted(name):
    """Settings under which a model solves the planted task, where they aren't its defaults.

    They are ``PLANTED`` of tests/model/test_<name>.py.
    """
    file = Path(__file__).with_name(f"test_{name.lower()}.py")
    for node in ast.parse(file.read_text()).body if file.is_file() else ():
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PLANTED":
            return ast.literal_eval(node.value)
    return {}


LEARNING = [name for name in MODELS if not issubclass(class_of(name), Untrained)]
every_model = pytest.mark.parametrize("name", MODELS)
every_that_learns = pytest.mark.parametrize("name", LEARNING)


def prepare(name, settings, **extra):
    config = Config(name, "small", config_dict={**settings, **extra})
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    model = config.model_class(config, loaders[0].dataset)
    return config, model, dataset, loaders


_trained = {}


def trained(name, settings, **extra):
    """A copy of the model after training, and its loaders; trained once per session."""
    key = name, repr(sorted(extra.items())), settings["epochs"], settings["text_encoder"]
    if key not in _trained:
        config, model, _, loaders = prepare(name, settings, **extra)
        build_trainer(config, model).fit(*loaders[:2], verbose=False, saved=False)
        _trained[key] = model.eval(), loaders
    model, loaders = _trained[key]
    return copy.deepcopy(model), loaders


def all_scores(model):
    users = torch.arange(1, model.n_users)
    scores = model.full_sort_predict(Interaction({model.USER_ID: users}))
    return scores.view(len(users), model.n_items)


@every_model
def test_a_pair_scores_as_in_the_full_ranking(name, small):
    model, _ = trained(name, small)
    full = all_scores(model)
    users = torch.arange(1, model.n_users).repeat_interleave(model.n_items)
    items = torch.arange(model.n_items).repeat(model.n_users - 1)
    pairs = model.predict(Interaction({model.USER_ID: users, model.ITEM_ID: items}))
    assert torch.allclose(pairs.view_as(full), full, atol=1e-6)
    assert torch.isfinite(full).all()


@every_model
def test_its_settings_are_checked_before_any_data_are_read(name, small):
    read = set(hints_of(*option_groups(get_model(name))))
    file = properties_path() / "model" / f"{name}.yaml"
    own = set(yaml.safe_load(file.read_text(encoding="utf-8")))
    assert own <= read | set(hints_of(*RUN_GROUPS)) | {"train_neg_sample_args"}
    for key in read - {"refit_blend", "refit_of", "refit_steps"}:  # refit's own
        with pytest.raises(InputError, match=rf"{key} is \{{'no': 'value'\}}"):
            Config(name, "small", config_dict={**small, key: {"no": "value"}})


@every_model
def test_reviews_without_a_word_are_refused(name, small, tmp_path):
    write_rows(tmp_path / "d", "small", [(*row[:4], " ") for row in small_rows()])
    settings = {**small, "data_path": str(tmp_path / "d")}
    if text_use(name) == "none":
        prepare(name, settings)
        return
    with pytest.raises(InputError, match=r"All training reviews of small are|No item of small has"):
        prepare(name, settings)


@every_model
def test_scores_may_be_overwritten(name, small):
    # RecBole masks the training items in place
    model, _ = trained(name, small)
    first = all_scores(model)
    kept = first.clone()
    first.fill_(-np.inf)
    assert torch.equal(all_scores(model), kept)


@every_that_learns
def test_a_checkpoint_keeps_the_scores(name, small, tmp_path):
    model, _ = trained(name, small)
    checkpoint.save(tmp_path / "x", {"state_dict": model.state_dict()})
    fresh = prepare(name, small, seed=7)[1].eval()
    assert not torch.equal(all_scores(fresh), all_scores(model))
    fresh.load_state_dict(checkpoint.load(tmp_path / "x")["state_dict"])
    assert torch.equal(all_scores(fresh), all_scores(model))
    with pytest.raises(RuntimeError, match="foreign"):
        fresh.load_state_dict({**model.state_dict(), "foreign": torch.ones(1)})
    with pytest.raises(RuntimeError, match="Missing"):
        fresh.load_state_dict(dict(list(model.state_dict().items())[1:]))


@every_that_learns
def test_one_seed_gives_one_model(name, small):
    first = trained(name, small)[0].state_dict()
    _trained.clear()
    second = trained(name, small)[0].state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = trained(name, small, seed=7)[0].state_dict()
    assert not all(torch.equal(first[key], other[key]) for key in first)


@every_that_learns
def test_every_trainable_weight_learns(name, small):
    _, model, _, (train, *_) = prepare(name, small)
    model.train()
    losses = model.calculate_loss(next(iter(train)))
    assert all(term.ndim == 0 and torch.isfinite(term) for term in losses)
    sum(losses).backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert parameter.grad.abs().sum() > 0, key


@every_model
def test_copies_of_a_pair_are_not_each_others_negatives(name, small):
    # RecBole repeats the rows of a batch for a second sampled item
    still = dict.fromkeys(("dropout", "edge_dropout"), 0.0)
    _, model, _, (train, *_) = prepare(name, small, **still, alpha=0.5, node_weight=0.1)
    if model.input_type != InputType.PAIRWISE:
        return
    once = next(iter(train))
    twice = copy.deepcopy(once).repeat(2)
    if HISTORY_MASK in once:
        twice[HISTORY_MASK] = once[HISTORY_MASK].repeat(2, 2)
    model.double().train()
    model.graph = BipartiteGraph(
        *(train.dataset.inter_feat[f].numpy() for f in ("user_id", "item_id")),
        model.n_users, model.n_items, torch.float64,
    )  # fmt: skip
    losses = []
    for batch in (once, twice):
        init_seed(3, True)
        model.begin_epoch()
        losses.append(model.calculate_loss(batch))
    for term, whole, repeated in zip(losses[0]._fields, *losses, strict=True):
        if (name, term) == ("RLMRecCon", "alignment"):
            continue  # contrasts the sampled items too, see test_rlmreccon.py
        assert repeated.item() == pytest.approx(whole.item(), rel=1e-6), term


@every_model
def test_the_optimizer_gets_each_weight_once(name, small):
    config, model, *_ = prepare(name, small)
    groups = build_trainer(config, model).optimizer.param_groups
    weights = [id(p) for group in groups for p in group["params"]]
    assert len(weights) == len(set(weights))
    assert set(weights) >= {id(p) for p in model.parameters() if p.requires_grad}


@every_that_learns
def test_cached_vectors_do_not_outlive_a_step(name, small):
    _, model, _, (train, *_) = prepare(name, small)
    model.eval()
    before = all_scores(model).clone()
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    sum(model.calculate_loss(next(iter(train)))).backward()
    optimizer.step()
    model.eval()
    assert not torch.equal(all_scores(model), before)


@every_model
def test_no_held_out_pair_or_text_is_needed_to_train(name, small):
    _, (train, *_) = trained(name, small)
    assert len(train.dataset.inter_feat) == 24 * 6
    assert isinstance(train.dataset, ReviewDataset) == (text_use(name) != "none")
    batch = next(iter(train))
    assert all(len(batch[field]) == len(batch) for field in batch.columns)


@every_model
def test_recboles_flops_counter_gets_through(name, small):
    config, model, dataset, _ = prepare(name, small)
    logger = logging.getLogger("flops")
    assert get_flops(model, dataset, config["device"], logger, construct_transform(config)) >= 0
    copy.deepcopy(model)


@every_that_learns
def test_the_planted_halves_are_found(name, small):
    # user u likes the items of its half of the catalogue, and the words of a review name the item
    settings = {"epochs": 40, "learning_rate": 0.01, "stopping_step": 100, **planted(name)}
    model, (train, *_) = trained(name, small, **settings)
    scores = all_scores(model)
    dataset = train.dataset
    pairs = (dataset.inter_feat[field].numpy() for field in ("user_id", "item_id"))
    seen = torch.from_numpy(history_matrix(*pairs, model.n_users, model.n_items).toarray())[1:]
    scores[seen] = -np.inf
    scores[:, 0] = -np.inf
    users = [int(u[1:]) for u in dataset.id2token("user_id", np.arange(1, model.n_users))]
    best = dataset.id2token("item_id", scores.topk(5).indices.numpy())
    right = [(int(item[1:]) >= 15) == (user % 2 == 1) for user, row in zip(users, best, strict=True)
             for item in row]  # fmt: skip
    assert np.mean(right) > 0.95
