from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_symcere.base.errors import InputError
from recbole_symcere.cli import main
from recbole_symcere.data.dataset import ReviewDataset
from recbole_symcere.model.registry import MODELS, text_use
from recbole_symcere.run.audit import audit
from recbole_symcere.run.two_phase_trainer import TwoPhaseTrainer


@pytest.fixture
def small(small):
    """An audit trains four times; an epoch is enough to be trained."""
    return small | {"epochs": 1}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"text_level": "item"},
        {"text_level": "item", "item_text": "mean"},
        {"text_mode": "lora"},
        {"train_neg_sample_args": {"distribution": "popularity"}},
    ],
    ids=str,
)
def test_nothing_leaks(small, extra):
    result = audit("SymCERE", "small", {**small, **extra})
    assert result.clean
    assert result.planted == 24 * 2
    seen = ("training batches", "vectors before training", "vectors after training")
    seen += ("scores of all users and items",)
    assert set(result.equal) == {f"{s}, {what}" for s in seen for what in ("texts", "pairs")}


@pytest.mark.parametrize(
    "name", ["SymCEREPlus", *(name for name in MODELS if text_use(name) == "once")]
)
def test_nothing_leaks_into_vectors_that_are_made_once(name, small):
    result = audit(name, "small", small)
    assert result.clean
    assert result.planted == 24 * 2


def test_a_leak_into_vectors_that_are_made_once_is_seen(small, monkeypatch):
    training = ReviewDataset.training_reviews

    def leaking(self):
        import pyarrow as pa

        held_out = self._read_reviews(["text"])["text"].to_pylist()[7::8]  # a user's last review
        users = self.inter_feat["user_id"].numpy()
        texts = training(self).to_pylist()
        return pa.array([f"{held_out[u - 1]} {text}" for u, text in zip(users, texts, strict=True)])

    monkeypatch.setattr(ReviewDataset, "training_reviews", leaking)
    result = audit("AlphaRec", "small", {**small, "max_length": 64})
    assert not result.clean
    assert result.equal["training batches, texts"]  # which hold no text
    assert not result.equal["vectors before training, texts"]


def test_a_model_without_reviews_has_nothing_to_audit(small):
    with pytest.raises(InputError, match="SimGCL reads no reviews"):
        audit("SimGCL", "small", small)


def test_a_leak_through_the_texts_is_seen(small, monkeypatch):
    # as if an item's text were made of all its reviews, the held-out ones too
    training = ReviewDataset.training_item_texts

    def leaking(self):
        import pyarrow as pa

        words = [
            text.split()[-1] if text else ""
            for text in self._read_reviews(["text"])["text"].to_pylist()
        ]
        extra = np.resize(np.array(words[6::8], dtype=object), self.item_num)
        return pa.array(
            [f"{a} {b}" for a, b in zip(training(self).to_pylist(), extra, strict=True)]
        )

    monkeypatch.setattr(ReviewDataset, "training_item_texts", leaking)
    result = audit("SymCERE", "small", {**small, "text_level": "item", "max_length": 64})
    assert not result.clean
    assert not result.equal["training batches, texts"]
    assert not result.equal["scores of all users and items, texts"]


def test_held_out_pairs_in_the_mask_are_counted(small):
    result = audit("SymCERE", "small", {**small, "history_scope": "all"})
    assert result.held_out_in_history == 24 * 2
    assert not result.clean


def test_pairs_that_leak_by_a_bug_are_seen(small, monkeypatch):
    # not by the setting that says so, but as if somebody had taken the wrong matrix
    from recbole_symcere.data.dataloader import ReviewTrainDataLoader
    from recbole_symcere.model.base import GraphRecommender

    load = ReviewTrainDataLoader.__init__

    def wrong_mask(self, config, dataset, *args, **kwargs):
        load(self, config, dataset, *args, **kwargs)
        self.history = dataset.all_history

    with monkeypatch.context() as patch:
        patch.setattr(ReviewTrainDataLoader, "__init__", wrong_mask)
        result = audit("SymCERE", "small", small)
    assert result.held_out_in_history == 24 * 2
    assert not result.clean
    make = GraphRecommender.__init__

    def wrong_graph(self, config, dataset, *args):
        import copy

        import torch

        everything = copy.copy(dataset)
        users, items = (torch.from_numpy(ids) for ids in dataset.all_history.nonzero())
        everything.inter_feat = {"user_id": users.long(), "item_id": items.long()}
        make(self, config, everything, *args)

    monkeypatch.setattr(GraphRecommender, "__init__", wrong_graph)
    result = audit("SymCERE", "small", small)
    assert not result.equal["vectors before training, pairs"]
    assert not result.clean


def test_a_blind_check_is_no_proof(small, monkeypatch):
    monkeypatch.setattr("recbole_symcere.run.audit.CANARY", "")
    monkeypatch.setattr(ReviewDataset, "training_reviews", constant_texts)
    result = audit("SymCERE", "small", small)
    assert not result.control_differs
    assert not result.clean


def constant_texts(self):
    import pyarrow as pa

    return pa.array(["bafa"] * len(self.inter_feat))


def test_a_model_without_texts_has_nothing_to_audit(small):
    with pytest.raises(InputError, match="BPR reads no reviews"):
        audit("BPR", "small", {"data_path": small["data_path"]})


def test_the_command(small, capsys):
    words = [f"--{key}={value}" for key, value in small.items()]
    assert main(["audit", "--dataset=small", *words]) == 0
    out = capsys.readouterr().out
    assert "planted 'zyxcanaryxyz' in 48 validation and test reviews" in out
    assert out.count("bit-equal") == 8
    assert "no held-out review or pair reaches the model" in out
    assert main(["audit", "--dataset=small", *words, "--history_scope=all"]) == 1
    assert "LEAK" in capsys.readouterr().out


def test_a_leak_into_the_blend_is_seen(small, monkeypatch):
    from recbole_symcere.model import symcereplus

    make = symcereplus.blend_of

    def leaking(config, dataset, words):
        users, items = map(torch.from_numpy, dataset.all_history.nonzero())
        fields = ("user_num", "item_num", "uid_field", "iid_field", "time_field")
        everything = SimpleNamespace(**{field: getattr(dataset, field) for field in fields})
        pairs = {dataset.uid_field: users.long(), dataset.iid_field: items.long()}
        everything.inter_feat = Interaction(pairs)
        return make(config, everything, words)

    monkeypatch.setattr(symcereplus, "blend_of", leaking)
    result = audit("SymCEREPlus", "small", small)
    assert not result.clean
    assert not result.equal["scores of all users and items, pairs"]


def test_every_phase_is_audited(small, monkeypatch):
    begun, begin = set(), TwoPhaseTrainer.begin_phase

    def watched(self, phase):
        begun.add(phase)
        begin(self, phase)

    monkeypatch.setattr(TwoPhaseTrainer, "begin_phase", watched)
    settings = {key: value for key, value in small.items() if key != "epochs"}
    assert audit("CollabContext", "small", settings).clean
    assert begun == {1, 2}
