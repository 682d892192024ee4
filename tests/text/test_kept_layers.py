import errno
import logging
import os

import numpy as np
import pytest
import torch
from text.training_parts import assert_alike, gradients, tuned
from tiny_models import synthetic_texts, tiny_bert, tiny_llama, tiny_roberta

from recbole_symcere.base.errors import StorageError
from recbole_symcere.text.kept_layers import KeptLayers
from recbole_symcere.text.masking import draw_words, mask_words_by_draws
from recbole_symcere.text.step_encoder import StepEncoder, Texts
from recbole_symcere.text.tokens import TokenStore

TEXTS = [*synthetic_texts(40), "", "bala"]
MASKING = {"views": 2, "probability": 0.4, "seed": 5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    makers = {"bert": tiny_bert, "roberta": tiny_roberta, "llama": tiny_llama}
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in makers.items()}


@pytest.fixture(params=["bert", "roberta", "llama"])
def parts(request, folders, tmp_path):
    encoder, tokenizer = tuned(folders[request.param], layers=1)
    return encoder, tokenizer, TokenStore.open_or_build(TEXTS, tokenizer, 32, tmp_path / "tokens")


def kept_of(parts, folder, **other):
    encoder, tokenizer, store = parts
    given = {**MASKING, "memory": None, "directory": folder, **other}
    return KeptLayers(encoder, tokenizer, store, **given)


def batch_of(store, places):
    """Texts and the tokens of their words."""
    ids, mask, words = store.take(np.array(places))
    places = torch.tensor(places)
    return Texts(ids, mask, places, torch.full_like(places, -1)), words


@pytest.mark.parametrize("held", [10**9, 1])
@pytest.mark.parametrize("memory", [None, 0], ids=["memory", "file"])
def test_vectors_and_gradients_are_those_of_all_layers(parts, tmp_path, memory, held):
    encoder, _, store = parts
    kept = kept_of(parts, tmp_path, memory=memory)
    texts, words = batch_of(store, [3, 17, 5, int(store.text_index[TEXTS.index("")]), 9])
    views = torch.tensor([0, 1, 1, 0, 0])
    masked = Texts(*kept.masked(*texts[:2], words, views), texts.text_ids, views)
    both = Texts(*map(torch.cat, zip(texts, masked, strict=True)))
    truth = encoder(*both[:2])
    wanted = gradients(encoder, truth)
    found = StepEncoder(encoder, held, kept)(both)
    torch.testing.assert_close(found, truth, atol=1e-10, rtol=0)
    assert_alike(gradients(encoder, found), wanted, 1e-9)
    assert not torch.allclose(found[:5], found[5:], atol=1e-2)
    assert list(tmp_path.glob("*")) == [tmp_path / "tokens"]  # the file has no name


def test_masked_copies_are_fixed_and_those_of_a_frozen_encoder(parts, tmp_path):
    _, tokenizer, store = parts
    texts, words = batch_of(store, [8, 2, 30])
    kept = kept_of(parts, tmp_path)
    for view in (0, 1):
        draws, _ = draw_words(*texts[:2], 5, view)
        ids, mask = mask_words_by_draws(
            *texts[:2], words, draws, 0.4, tokenizer.mask_token_id, store.pad_token_id
        )
        for _ in range(2):
            found = kept.masked(*texts[:2], words, torch.full((3,), view))
            assert torch.equal(found[0], ids)
            assert torch.equal(found[1], mask)
    assert not torch.equal(ids, texts.input_ids)


def test_lower_layers_run_once_per_text(parts, tmp_path):
    encoder, _, store = parts
    kept = kept_of(parts, tmp_path, views=0)
    texts, _ = batch_of(store, [3, 17, 5])
    rows = []
    name = encoder.cut.names[0].rsplit(".", 1)[0]
    lower = encoder.model.get_submodule(f"{name}.0")
    part = lower.get_submodule("mlp" if hasattr(lower, "mlp") else "output")
    part.register_forward_hook(lambda *given: rows.append(len(given[2])))
    step = StepEncoder(encoder, 10**9, kept)
    step(texts)
    ran = sum(int(n) for n in rows)
    step(texts)
    step(texts)
    assert ran == sum(rows) == len(store) - 1  # all but the empty text


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_do_not_depend_on_which_texts_came_first(parts, tmp_path, threads):
    _, _, store = parts
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        one, two = kept_of(parts, tmp_path), kept_of(parts, tmp_path, memory=0)
        lengths = np.asarray(store.lengths)
        one.take(np.array([4]), np.array([-1]), lengths[[4]])
        places = np.arange(len(store))
        views = np.full(len(store), -1)
        assert torch.equal(one.take(places, views, lengths), two.take(places, views, lengths))
    finally:
        torch.set_num_threads(before)


def test_what_is_kept_where_is_told(folders, tmp_path, caplog):
    encoder, tokenizer = tuned(folders["bert"], layers=1)
    store = TokenStore.open_or_build(TEXTS, tokenizer, 32, tmp_path / "tokens")
    size = int(store.lengths.sum())
    with caplog.at_level(logging.INFO, "recbole_symcere"):
        for memory in (size * 32 * 8, size * 32 * 8 - 1):
            kept = kept_of((encoder, tokenizer, store), tmp_path, views=0, memory=memory)
            kept.take(np.array([1]), np.array([-1]), np.asarray(store.lengths)[[1]])
    told = [record.getMessage() for record in caplog.records]
    assert told[0].endswith(f"MB for {size:,} tokens, kept in memory.")
    assert told[1].endswith(f"tokens, kept in a file in {tmp_path} (lora_cache_mb).")


def test_a_full_disk_is_told_before_anything_is_computed(folders, tmp_path, monkeypatch):
    encoder, tokenizer = tuned(folders["bert"], layers=1)
    store = TokenStore.open_or_build(TEXTS, tokenizer, 32, tmp_path / "tokens")
    kept = kept_of((encoder, tokenizer, store), tmp_path / "there", memory=0)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"there can't be written: No space left on device; fr"):
        kept.take(np.array([1]), np.array([-1]), np.array([3]))
