"""SymCERE's loss against the golden numbers and a float64 oracle, and its switches."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import oracles
import pytest
import torch
from model.test_contract import all_scores, prepare, trained
from recbole.data.interaction import Interaction
from recbole.utils import init_seed
from small_data import small_rows, write_rows

from recbole_symcere.base.errors import InputError
from recbole_symcere.data import dataloader as batch
from recbole_symcere.graph.bipartite import BipartiteGraph
from recbole_symcere.model.symcere import SymCERE, SymCEREOptions
from recbole_symcere.run.prepare import build_trainer
from recbole_symcere.text.review import ReviewViews

# The intra-modal term tells every interaction from every other, also from those of the same half of
# the planted task, so on 24 users it has to stay out.
PLANTED = {"alpha": 0.0, "beta": 1.0}

E_USER = torch.eye(3, dtype=torch.float64)
E_ITEM = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 0, 1]], dtype=torch.float64)
TEXT = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1]], dtype=torch.float64)
HISTORY = {0: {0, 1}, 1: {1, 2}, 2: {2}}
USERS, ITEMS, NEGATIVES = [0, 0, 1, 2], [0, 1, 1, 2], [2, 2, 0, 1]

DEFAULTS = {
    "backbone": "LightGCN", "edge_dropout_per": "epoch", "l2_normalize": True,
    "cross_modal_loss": "sincere", "history_scope": "train", "mask_orientation": "anchor",
    "text_to_graph": "inbatch", "bpr_reduction": "mean", "score": None, "intra_temperature": None,
    "hidden_size_list": [3], "embedding_size": 3, "n_layers": 0, "message_dropout": 0.0,
    "edge_dropout": 0.0, "temperature": 0.2, "alpha": 0.5, "beta": 0.05,
    "lora_learning_rate": 2e-4,
}  # fmt: skip


def golden_model(**options):
    """SymCERE over the tables of the golden numbers, with the augmented vectors given."""
    model = SymCERE.__new__(SymCERE)
    torch.nn.Module.__init__(model)
    model.options = SymCEREOptions(**{**DEFAULTS, **options})
    model.n_users = model.n_items = 3
    model.USER_ID, model.ITEM_ID, model.NEG_ITEM_ID = "user_id", "item_id", "neg_item_id"
    pairs = [(u, i) for u, items in HISTORY.items() for i in items]
    users, items = torch.tensor(pairs).T
    model.graph = BipartiteGraph(users, items, 3, 3, dtype=torch.float64)
    plain, augmented = torch.cat([E_USER, E_ITEM]), torch.cat([E_USER, 2 * E_ITEM])
    model.nodes = lambda graph: plain if graph is model.graph else augmented
    model.augmented_graph = lambda: None
    model.projection = torch.nn.Identity()
    rows = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    model.reviews = lambda ids, *_, masked: ReviewViews(
        TEXT[ids], (TEXT[ids] + rows)[: len(ids) if masked else 0]
    )
    return model


def golden_batch(reviewed=(True, True, True, True)):
    known = [[i in HISTORY[u] for i in ITEMS] for u in USERS]
    attention = torch.tensor(reviewed)[:, None].expand(-1, 2)
    return Interaction(
        {
            "user_id": torch.tensor(USERS),
            "item_id": torch.tensor(ITEMS),
            "neg_item_id": torch.tensor(NEGATIVES),
            batch.HISTORY_MASK: torch.tensor(known),
            batch.TEXT_ID: torch.arange(4),
            batch.REVIEW_IDS: torch.ones(4, 2, dtype=torch.int64),
            batch.REVIEW_ATTENTION: attention,
            batch.REVIEW_WORDS: torch.zeros(4, 2, dtype=torch.int64),
        }
    )


def test_the_golden_total_and_its_terms():
    loss = golden_model().calculate_loss(golden_batch())
    assert float(loss.cross) == pytest.approx(0.585212, abs=1e-6)
    assert float(loss.intra) == pytest.approx(0.5 * 1.163515, abs=1e-6)
    assert float(loss.bpr) == pytest.approx(0.05 * 0.796845, abs=1e-6)
    assert float(sum(loss)) == pytest.approx(1.206811, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "cross"),
    [
        ({"text_to_graph": "anchor_user"}, 0.695792),
        ({"cross_modal_loss": "info_nce"}, 1.518270),
        ({"mask_orientation": "transpose"}, (0.471506 + 0.686487) / 2),
        ({"mask_orientation": "both"}, (0.394373 + 0.504574) / 2),
    ],
)
def test_the_golden_readings_of_the_cross_modal_term(options, cross):
    loss = golden_model(**options).calculate_loss(golden_batch())
    assert float(loss.cross) == pytest.approx(cross, abs=1e-6)


def test_bpr_as_a_sum():
    loss = golden_model(bpr_reduction="sum").calculate_loss(golden_batch())
    assert float(sum(loss)) == pytest.approx(1.326338, abs=1e-6)


def test_a_row_without_review_stays_out_of_the_text_terms():
    loss = golden_model().calculate_loss(golden_batch((True, True, False, True)))
    rows = [0, 1, 3]
    users, items = [USERS[r] for r in rows], [ITEMS[r] for r in rows]
    pairs = [(user, item) for user, known in HISTORY.items() for item in known]
    mask = oracles.negative_mask(users, items, pairs)
    pair = oracles.unit((E_USER[users] + E_ITEM[items]).numpy() / 2)
    text = oracles.unit(TEXT[rows].numpy())
    expected = (
        oracles.contrastive_rows(pair, text, mask, 0.2).mean()
        + oracles.contrastive_rows(text, pair, mask, 0.2).mean()
    ) / 2
    assert float(loss.cross) == pytest.approx(float(expected), abs=1e-9)
    assert float(loss.bpr) == pytest.approx(0.05 * 0.796845, abs=1e-6)  # of all rows


@pytest.mark.parametrize("copies", [1, 2])  # RecBole repeats rows for several sampled items
def test_every_review_of_a_pair_is_in_the_text_terms(copies):
    columns, place = golden_batch().interaction, [0, 1, 2, 3, 0]  # the pair of row 0 twice
    twice = {name: rows[place].repeat(copies, 1).reshape(-1, *rows.shape[1:])
             for name, rows in columns.items() if name != batch.HISTORY_MASK}  # fmt: skip
    twice[batch.TEXT_ID] = torch.tensor([0, 1, 2, 3, 1]).repeat(copies)
    twice[batch.HISTORY_MASK] = columns[batch.HISTORY_MASK][place][:, place].repeat(copies, copies)
    loss = golden_model().calculate_loss(Interaction(twice))
    users, items = E_USER[[USERS[n] for n in place]], E_ITEM[[ITEMS[n] for n in place]]
    known = [(user, item) for user, found in HISTORY.items() for item in found]
    mask = oracles.negative_mask(*([ids[n] for n in place] for ids in (USERS, ITEMS)), known)
    pair, view = (oracles.unit(((users + k * items) / 2).numpy()) for k in (1, 2))
    raw = TEXT[[0, 1, 2, 3, 1]].numpy()
    text, text_view = oracles.unit(raw), oracles.unit(raw + np.array([0.0, 1.0, 0.0]))
    cross = [oracles.contrastive_rows(a, b, mask, 0.2).mean()
             for a, b in ((pair, text), (text, pair))]  # fmt: skip
    others = ~np.eye(5, dtype=bool)
    graph = oracles.contrastive_rows(pair[:4], view[:4], others, 0.2).mean()
    intra = graph + oracles.contrastive_rows(text, text_view, others, 0.2).mean()
    assert float(loss.cross) == pytest.approx(np.mean(cross), rel=1e-9)
    assert float(loss.intra) == pytest.approx(0.5 * intra, rel=1e-9)


def test_a_batch_without_any_review():
    loss = golden_model().calculate_loss(golden_batch((False,) * 4))
    assert float(loss.cross) == 0
    assert float(loss.intra) == pytest.approx(0.5 * 0.497682, abs=1e-6)


def test_the_golden_files_total_is_this_one():
    golden = json.loads((Path(__file__).parents[1] / "golden" / "symcere.json").read_text())
    assert "1.206811" in json.dumps(golden)


def oracle_terms(tau=0.2, intra_tau=0.2, *, normalised=True, literal=False, alpha=0.5, beta=0.05):
    """The terms of the golden batch in float64, by loops."""
    unit = oracles.unit if normalised else (lambda rows: rows)
    users, items, text = (x.numpy() for x in (E_USER[USERS], E_ITEM[ITEMS], TEXT))
    pairs = [(user, item) for user, known in HISTORY.items() for item in known]
    mask = oracles.negative_mask(USERS, ITEMS, pairs)
    pair, t = unit((users + items) / 2), unit(text)
    back = oracles.contrastive_rows(t, pair, mask, tau)
    if literal:  # row r against (u_r, v_s)
        among = np.array([[unit(((u + v) / 2)[None])[0] for v in items] for u in users])
        scores = np.exp(np.einsum("rd,rsd->rs", t, among) / tau)
        own = np.diag(scores)
        back = -np.log(own / (own + (scores * mask).sum(axis=1)))
    cross = (oracles.contrastive_rows(pair, t, mask, tau).mean() + back.mean()) / 2
    others = ~np.eye(len(USERS), dtype=bool)
    view = unit((users + 2 * items) / 2)
    text_view = unit(text + np.array([0.0, 1.0, 0.0]))
    intra = sum(
        oracles.contrastive_rows(a, b, others, intra_tau).mean()
        for a, b in ((pair, view), (t, text_view))
    )
    sampled = E_ITEM[NEGATIVES].numpy()
    u, i, j = (unit(rows) for rows in (users, items, sampled))
    return cross, alpha * intra, beta * oracles.bpr_rows((u * i).sum(1), (u * j).sum(1)).mean()


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("intra", [None, 0.7])
def test_the_terms_are_the_oracles(literal, normalised, intra):
    found = golden_model(
        text_to_graph="anchor_user" if literal else "inbatch",
        l2_normalize=normalised,
        intra_temperature=intra,
    ).calculate_loss(golden_batch())
    expected = oracle_terms(intra_tau=intra or 0.2, normalised=normalised, literal=literal)
    assert [float(term) for term in found] == pytest.approx(expected, rel=1e-9)


def two_losses(name, small, **options):
    """The losses of the first two batches, each a number, from the same random states."""
    _, model, _, (train, *_) = prepare(name, small, **options)
    model.train()
    init_seed(5, True)
    found = [sum(model.calculate_loss(data)).item() for data, _ in zip(train, "ab", strict=False)]
    assert len(found) == 2
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"backbone": "NGCF", "hidden_size_list": [16, 8]},
        {"l2_normalize": False},
        {"cross_modal_loss": "info_nce"},
        {"text_to_graph": "anchor_user"},
        {"mask_orientation": "both"},
        {"text_level": "item", "max_length": 64},
        {"text_level": "item", "item_text": "mean"},
        {"edge_dropout_per": "step"},
        {"masked_views": 3},
        {"text_proj": "fc_tanh"},
        {"intra_temperature": 0.1},
        {"n_layers": 0},
        {"history_scope": "all"},
        {"word_mask": 0.4},
        {"bpr_reduction": "sum"},
        {"alpha": 0.4},
        {"beta": 0.1},
        {"temperature": 0.3},
        {"edge_dropout": 0.3},
    ],
    ids=str,
)
def test_every_switch_trains_and_changes_the_loss(small, options):
    model, _ = trained("SymCERE", small, epochs=1, **options)
    assert torch.isfinite(all_scores(model)).all()
    # the tiny encoder finds all texts alike, so that masked copies need a sharp look
    sharp = {"word_mask": 0.9, "intra_temperature": 0.01, "edge_dropout": 0.5}
    plain = two_losses("SymCERE", small, **sharp)
    assert plain == two_losses("SymCERE", small, **sharp)
    changed = two_losses("SymCERE", small, **{**sharp, **options})
    assert max(abs(a - b) for a, b in zip(plain, changed, strict=True)) > 1e-5


def test_the_score_is_a_switch_of_its_own(small):
    cosine, _ = trained("SymCERE", small, epochs=1)
    dot, _ = trained("SymCERE", small, epochs=1, score="dot")
    assert torch.equal(cosine.embedding.weight, dot.embedding.weight)
    assert not torch.allclose(all_scores(cosine), all_scores(dot))


def test_scores_are_cosines_unless_told_otherwise(small):
    _, model, *_ = prepare("SymCERE", small)
    users, items = model.eval().scoring_vectors()
    assert torch.allclose(users[1:].norm(dim=1), torch.ones(len(users) - 1))
    assert torch.allclose(items[1:].norm(dim=1), torch.ones(len(items) - 1))
    _, raw, *_ = prepare("SymCERE", small, l2_normalize=False)
    assert not raw.cosine
    users, _ = raw.eval().scoring_vectors()
    assert not torch.allclose(users[1:].norm(dim=1), torch.ones(len(users) - 1))


def test_ngcfs_width_is_the_projections(small):
    _, model, *_ = prepare("SymCERE", small, backbone="NGCF", hidden_size_list=[16, 8])
    assert model.projection(torch.zeros(1, model.reviews.width)).shape[1] == 16 + 16 + 8


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_view_of_an_epoch_outlives_sampling_by_score(small, dynamic):
    sampling = {"sample_num": 1, "dynamic": dynamic, "candidate_num": 3 if dynamic else 0}
    config, model, _, (train, valid, _) = prepare(
        "SymCERE", small, train_neg_sample_args=sampling, epochs=2
    )
    views, loss = [], model.calculate_loss

    def watched(interaction):
        terms = loss(interaction)
        views.append(tuple(model._augmented.values.tolist()))
        return terms

    model.calculate_loss = watched
    build_trainer(config, model).fit(train, valid, verbose=False, saved=False)
    n = len(train)
    assert len(views) == 2 * n
    assert len(set(views[:n])) == len(set(views[n:])) == 1
    assert views[0] != views[n]


def test_a_new_augmented_graph_per_epoch_or_per_step(small):
    for per, n_graphs in (("epoch", 1), ("step", 3)):
        _, model, _, (train, *_) = prepare("SymCERE", small, edge_dropout_per=per)
        model.train()
        drawn = []
        for data, _ in zip(train, range(3), strict=False):
            model.calculate_loss(data)
            drawn.append(model._augmented.values.clone())
        assert len({tuple(values.tolist()) for values in drawn}) == n_graphs
        model.train()
        model.calculate_loss(next(iter(train)))
        assert not torch.equal(model._augmented.values, drawn[-1])


@pytest.mark.parametrize("frozen", [True, False])
def test_a_checkpoint_holds_no_encoder(small, frozen):
    mode = "frozen" if frozen else "lora"
    _, model, *_ = prepare("SymCERE", small, text_mode=mode, embedding_size=8)
    names = set(model.state_dict())
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    assert names == learned
    assert any("lora_" in name for name in names) != frozen


@pytest.mark.parametrize("mode", ["frozen", "lora"])
def test_a_review_that_the_encoder_cannot_read_stops_before_training(small, tmp_path, mode):
    rows = small_rows()
    user, item, rating, time, _ = rows[3]
    rows[3] = user, item, rating, time, "bala " * 100
    write_rows(tmp_path, "small", rows)
    options = {"data_path": str(tmp_path), "text_mode": mode, "max_length": 512}
    message = r"max_length=512: a text has 202 tokens, the text encoder reads 66\."
    with pytest.raises(InputError, match=message):
        prepare("SymCERE", {**small, **options})


def test_lora_lowers_the_loss_and_moves_nothing_else_of_the_encoder(small):
    options = {"text_mode": "lora", "lora_learning_rate": 0.01, "lora_dropout": 0.0}
    config, model, _, (train, *_) = prepare("SymCERE", small, **options)
    encoder = model.reviews.encoder
    before = {name: p.clone() for name, p in encoder.named_parameters()}
    optimizer = torch.optim.Adam(model.parameter_groups(), lr=config["learning_rate"])
    assert [group["lr"] for group in optimizer.param_groups] == [0.001, 0.01]
    model.train()
    data = next(iter(train))
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = sum(model.calculate_loss(data))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for name, parameter in encoder.named_parameters():
        moved = not torch.equal(parameter, before[name])
        assert moved == ("lora_" in name), name
        assert (parameter.grad is not None) == ("lora_" in name), name


def test_the_protocol_says_what_text_was_seen(small):
    _, model, *_ = prepare("SymCERE", small, pooling="first")
    assert model.protocol["text_mode"] == "frozen"
    assert model.protocol["pooling"] == "first"
    assert model.protocol["history_scope"] == "train"
    assert SimpleNamespace(**model.protocol).distinct_texts > 100


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"text_to_graph": "anchor_user", "mask_orientation": "both"},
         ["mask_orientation: without effect, because text_to_graph is anchor_user."]),
        ({"message_dropout": 0.5, "hidden_size_list": [8]},
         ["hidden_size_list, message_dropout: without effect, because backbone is LightGCN."]),
        ({"backbone": "NGCF", "n_layers": 2, "hidden_size_list": [8], "message_dropout": 0.5},
         ["n_layers: without effect, because backbone is NGCF."]),
        ({"alpha": 0, "edge_dropout": 0.5, "edge_dropout_per": "step", "intra_temperature": 0.1},
         ["edge_dropout, edge_dropout_per, intra_temperature: without effect, "
          "because alpha is 0."]),
        ({"alpha": 0.3, "edge_dropout": 0.5, "intra_temperature": 0.1, "n_layers": 2,
          "mask_orientation": "both"}, []),
        ({"text_to_graph": "anchor_user", "alpha": 0}, []),
        ({"cross_modal_loss": "info_nce", "mask_orientation": "both"},
         ["mask_orientation: without effect, because cross_modal_loss is info_nce."]),
        ({"cross_modal_loss": "info_nce", "text_to_graph": "anchor_user",
          "mask_orientation": "both"},
         ["mask_orientation: without effect, because text_to_graph is anchor_user."]),
        ({"beta": 0, "bpr_reduction": "sum"},
         ["bpr_reduction: without effect, because beta is 0."]),
        ({"beta": 0.1, "bpr_reduction": "sum", "history_scope": "all"}, []),
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_nothing_reads_are_told(small, caplog, settings, told):
    prepare("SymCERE", small, **settings)
    assert [r.getMessage() for r in caplog.records if "without effect" in r.getMessage()] == told


@pytest.mark.parametrize("name", ["SymCERE", "SymCEREPlus"])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_masked_copies_are_encoded_where_the_loss_reads_them(small, name, alpha):
    _, model, _, (train, *_) = prepare(name, small, alpha=alpha)
    assert len(model.reviews.masked) == (2 if alpha else 0)
    assert torch.isfinite(sum(model.calculate_loss(next(iter(train)))))
    _, model, _, (train, *_) = prepare(name, small, alpha=alpha, text_mode="lora")
    rows, encoder = [], model.reviews.encoder
    encoder.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
    batch = next(iter(train))
    sum(model.train().calculate_loss(batch)).backward()
    texts = batch["text_id"][batch["review_attention_mask"].any(dim=1)].unique()
    assert sum(rows) == len(texts) * (2 if alpha else 1)


@pytest.mark.parametrize("extra", [{}, {"lora_layers": 1}, {"encode_chunk_tokens": 64}], ids=str)
def test_lora_losses_are_those_of_one_padded_batch(small, extra):
    """The losses of some steps, beside ones whose texts are encoded all at once."""
    settings = {"text_mode": "lora", "lora_dropout": 0.0, "word_mask": 0.0, **extra}
    settings |= {"lora_learning_rate": 0.01, "edge_dropout": 0.0}
    found = []
    for plainly in (False, True):
        config, model, _, (train, *_) = prepare("SymCERE", small, **settings)
        encoder = model.reviews.encoder
        if plainly:
            model.reviews.forward = lambda _, ids, mask, *__, masked, e=encoder: ReviewViews(
                *e(torch.cat([ids, ids]), torch.cat([mask, mask])).chunk(2)
            )
        optimizer = torch.optim.Adam(model.parameter_groups(), lr=config["learning_rate"])
        model.train()
        losses = []
        for _ in range(3):
            for data in train:
                optimizer.zero_grad()
                loss = sum(model.calculate_loss(data))
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        found.append(losses)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0][-1] < found[0][0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lora_layers": 3}, r"lora_layers=3: the text encoder has 2 layers\. Set 1 to 2, or ~"),
        ({"lora_layers": 0}, r"lora_layers.*0.*at least 1"),
        ({"encode_chunk_tokens": 0}, r"encode_chunk_tokens.*0.*at least 1"),
        ({"lora_cache_mb": -1}, r"lora_cache_mb.*-1.*at least 0"),
        ({"text_precision": "float16"}, r"text_precision.*float16.*bfloat16"),
        ({"torch_compile": "yes"}, r"torch_compile.*yes"),
    ],
    ids=str,
)
def test_settings_of_lora_that_cannot_be(small, setting, message):
    with pytest.raises(InputError, match=message):
        prepare("SymCERE", small, text_mode="lora", **setting)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"text_mode": "frozen", "lora_layers": 1, "torch_compile": True},
            "lora_layers, torch_compile: without effect, because text_mode is frozen.",
        ),
        (
            {"text_mode": "lora", "lora_cache_mb": 5, "lora_rank": 2},
            "lora_cache_mb: without effect, because lora_layers is ~.",
        ),
        ({"text_mode": "lora", "lora_cache_mb": 5, "lora_layers": 1, "masked_views": 3}, None),
        (
            {"text_mode": "lora", "masked_views": 3},
            "masked_views: without effect, because lora_layers is ~.",
        ),
        (
            {"alpha": 0, "masked_views": 3, "word_mask": 0.3},
            "masked_views, word_mask: without effect, because no loss reads masked copies "
            "(alpha is 0).",
        ),
    ],
    ids=str,
)
def test_settings_without_effect_are_told(small, caplog, given, told):
    with caplog.at_level(logging.WARNING, "recbole_symcere"):
        prepare("SymCERE", small, **given)
    found = [r.getMessage() for r in caplog.records if "without effect" in r.getMessage()]
    assert found == ([told] if told else [])


@pytest.mark.parametrize("layers", [None, 1])
def test_the_layers_that_are_trained_are_compiled(small, monkeypatch, layers):
    compiled = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda layer, **how: compiled.append((layer, how))
    )
    options = {"text_mode": "lora", "torch_compile": True, "lora_layers": layers}
    _, model, *_ = prepare("SymCERE", small, **options)
    own = list(model.reviews.encoder.model.encoder.layer)[-(layers or 2) :]
    assert [layer for layer, _ in compiled] == own
    assert all(how == {"dynamic": True} for _, how in compiled)
