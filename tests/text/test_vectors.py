import logging
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import synthetic_texts, tiny_bert, tiny_llama

from recbole_symcere.base.errors import InputError
from recbole_symcere.text import encode
from recbole_symcere.text import vectors as cache
from recbole_symcere.text.encode import make_plan
from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.masking import draw_words, mask_words_by_draws
from recbole_symcere.text.tokens import TokenStore
from recbole_symcere.text.vectors import text_vectors, weights_fingerprint

TEXTS = [*synthetic_texts(60), "", "bala"]
SETTINGS = {"masked_views": 2, "mask_probability": 0.3, "seed": 5, "show_progress": False}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {
        "bert": tiny_bert(tmp_path_factory.mktemp("bert")),
        "llama": tiny_llama(tmp_path_factory.mktemp("llama")),
    }


@pytest.fixture
def bert(folders, tmp_path):
    model, tokenizer = load_encoder(folders["bert"])
    return TextEncoder(model), tokenizer, TokenStore.open_or_build(TEXTS, tokenizer, 32, tmp_path)


def _plain(encoder, store, text_id):
    batch = store.take(np.array([text_id]))
    with torch.no_grad():
        return encoder.eval()(batch.input_ids, batch.attention_mask)[0]


@pytest.mark.parametrize("name", ["bert", "llama"])
@pytest.mark.parametrize("batch_tokens", [1, 100, 100_000])
def test_vectors_are_those_of_the_encoder(folders, tmp_path, name, batch_tokens):
    model, tokenizer = load_encoder(folders[name])
    encoder = TextEncoder(model, "mean")
    store = TokenStore.open_or_build(TEXTS, tokenizer, 32, tmp_path)
    vectors = text_vectors(encoder, tokenizer, store, batch_tokens=batch_tokens, **SETTINGS)
    assert vectors.original.shape == (len(store), 32)
    assert vectors.masked.shape == (2, len(store), 32)
    expected = torch.stack([_plain(encoder, store, i) for i in range(len(store))])
    torch.testing.assert_close(vectors.original, expected, atol=1e-5, rtol=0)
    changed = (vectors.masked - expected).abs().amax(dim=2) > 1e-4
    assert 0.6 < changed.float().mean() < 0.98
    empty = store.text_index[TEXTS.index("")]
    one_word = store.text_index[TEXTS.index("bala")]
    assert (vectors.original[empty] == 0).all()
    assert (vectors.masked[:, empty] == 0).all()
    assert torch.equal(vectors.masked[:, one_word], vectors.original[one_word].expand(2, -1))
    assert not torch.allclose(vectors.masked[0], vectors.masked[1], atol=1e-4)


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_masked_view_is_the_vector_of_the_masked_text(folders, tmp_path, name):
    model, tokenizer = load_encoder(folders[name])
    encoder = TextEncoder(model, "first" if name == "bert" else "last")
    store = TokenStore.open_or_build(TEXTS, tokenizer, 32, tmp_path)
    views = text_vectors(encoder, tokenizer, store, batch_tokens=200, **SETTINGS).masked
    for view, text_id in [(0, 0), (1, 0), (1, 7), (0, 30)]:
        batch = store.take(np.array([text_id]))
        draws, _ = draw_words(batch.input_ids, batch.attention_mask, SETTINGS["seed"], view)
        ids, mask = mask_words_by_draws(*batch, draws, 0.3, tokenizer.mask_token_id)
        with torch.no_grad():
            expected = encoder(ids, mask)[0]
        torch.testing.assert_close(views[view, text_id], expected, atol=1e-5, rtol=0)


def test_batches_do_not_depend_on_the_order_of_the_texts(bert, tmp_path):
    _, tokenizer, store = bert
    other = TokenStore.open_or_build(TEXTS[::-1], tokenizer, 32, tmp_path)
    one, two = (make_plan(s, tokenizer, None, 1, 0.3, 5) for s in (store, other))
    assert (one.hashes[one.order] == two.hashes[two.order]).all()
    assert (np.diff(store.lengths[one.order]) <= 0).all()
    assert (one.order != np.argsort(-store.lengths, kind="stable")[: len(one.order)]).any()


def test_masked_view_does_not_depend_on_the_other_texts(bert, tmp_path):
    encoder, tokenizer, store = bert
    whole = text_vectors(encoder, tokenizer, store, **SETTINGS)
    few = TokenStore.open_or_build(["new", *TEXTS[10:5:-1]], tokenizer, 32, tmp_path)
    part = text_vectors(encoder, tokenizer, few, **SETTINGS)
    rows = store.text_index[np.arange(10, 5, -1)]
    torch.testing.assert_close(part.masked[:, 1:], whole.masked[:, rows], atol=1e-5, rtol=0)


def test_texts_not_asked_for_have_no_influence(bert, folders, tmp_path):
    encoder, tokenizer, store = bert
    wanted = np.arange(0, 30)
    directory = tmp_path / "cache"
    keep = {**SETTINGS, "directory": directory}
    part = text_vectors(encoder, tokenizer, store, text_ids=wanted, **keep)
    assert (part.original[30:] == 0).all()
    assert (part.masked[:, 30:] == 0).all()
    assert (part.original[:30].abs().amax(dim=1) > 0).all()
    planted = [text if i < 30 else f"{text} planted" for i, text in enumerate(TEXTS)]
    other = TokenStore.open_or_build(planted, tokenizer, 32, tmp_path)
    for again in (
        text_vectors(encoder, tokenizer, other, text_ids=wanted, **SETTINGS),
        text_vectors(encoder, tokenizer, other, text_ids=wanted, **keep),
    ):
        assert torch.equal(again.original[:30], part.original[:30])
        assert torch.equal(again.masked[:, :30], part.masked[:, :30])
    assert len(list(directory.iterdir())) == 2


def test_models_with_and_without_masked_copies_share_the_originals(bert, tmp_path, monkeypatch):
    encoder, tokenizer, store = bert
    keep = {**SETTINGS, "directory": tmp_path / "cache"}
    fresh = text_vectors(encoder, tokenizer, store, **SETTINGS)
    plain = text_vectors(encoder, tokenizer, store, **{**keep, "masked_views": 0})
    assert plain.masked.shape == (0, *fresh.original.shape)
    encoded, forward = [], type(encoder).forward
    monkeypatch.setattr(
        type(encoder), "forward", lambda self, ids, mask: encoded.append(len(ids))
        or forward(self, ids, mask),
    )  # fmt: skip
    both = text_vectors(encoder, tokenizer, store, **keep)
    assert sum(encoded) == sum(map(len, make_plan(store, tokenizer, None, 2, 0.3, 5).changed))
    for vectors in (both, text_vectors(encoder, tokenizer, store, **keep)):
        assert torch.equal(vectors.original, fresh.original)
        assert torch.equal(vectors.masked, fresh.masked)
    encoded.clear()
    text_vectors(encoder, tokenizer, store, **{**keep, "masked_views": 0})
    assert not encoded


def test_second_run_is_byte_equal_and_encodes_nothing(bert, tmp_path, monkeypatch):
    encoder, tokenizer, store = bert
    keep = {**SETTINGS, "directory": tmp_path / "cache"}
    first = text_vectors(encoder, tokenizer, store, **keep)
    fresh = text_vectors(encoder, tokenizer, store, **SETTINGS)
    monkeypatch.setattr(cache, "encode_plan", None)
    second = text_vectors(encoder, tokenizer, store, **keep)
    for vectors in (second, fresh):
        assert vectors.original.numpy().tobytes() == first.original.numpy().tobytes()
        assert vectors.masked.numpy().tobytes() == first.masked.numpy().tobytes()


def test_every_input_that_matters_changes_the_file(bert, folders, tmp_path):
    encoder, tokenizer, store = bert
    directory = tmp_path / "cache"

    def files(store=store, **changes):
        keep = {**SETTINGS, "directory": directory, **changes}
        text_vectors(encoder, tokenizer, store, **keep)
        return len(list(directory.iterdir()))

    assert files() == 2  # the originals, and their masked copies
    assert files(seed=6) == 3  # the originals are those of all seeds
    assert files(masked_views=1) == 4
    assert files(mask_probability=0.2) == 5
    assert files(TokenStore.open_or_build([*TEXTS[:-1], "dala"], tokenizer, 32, tmp_path)) == 7
    assert files(TokenStore.open_or_build(TEXTS[::-1], tokenizer, 32, tmp_path)) == 9
    assert files(TokenStore.open_or_build(TEXTS, tokenizer, 31, tmp_path)) == 11
    encoder.pooling = "mean"
    assert files() == 13
    with torch.no_grad():
        next(encoder.model.parameters())[5, 0] += 1e-6
    assert files() == 15


def _cut(path):
    path.write_bytes(path.read_bytes()[:-50])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("which", ["original", "masked"])
@pytest.mark.parametrize("harm", [_cut, _flip, _empty])
def test_damaged_file_is_computed_anew_with_a_warning(bert, tmp_path, caplog, harm, which):
    keep = {**SETTINGS, "directory": tmp_path / "cache"}
    first = text_vectors(*bert, **keep)
    files = sorted((tmp_path / "cache").iterdir())
    (path,) = (file for file in files if which in load_file(file))
    harm(path)
    with caplog.at_level(logging.WARNING, logger="recbole_symcere"):
        again = text_vectors(*bert, **keep)
    assert "are damaged" in caplog.text
    assert torch.equal(again.original, first.original)
    assert torch.equal(again.masked, first.masked)
    caplog.clear()
    text_vectors(*bert, **keep)
    assert not caplog.text
    assert sorted(path.parent.iterdir()) == files


@pytest.fixture
def threads():
    """Two of torch's threads, where the tests' own are one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_encoder_and_threads_are_left_as_they_were(bert, threads):
    encoder, tokenizer, store = bert
    encoder.train()
    vectors = text_vectors(encoder, tokenizer, store, batch_tokens=100, **SETTINGS)
    assert encoder.training
    assert torch.get_num_threads() == threads
    again = text_vectors(encoder, tokenizer, store, batch_tokens=100, **SETTINGS)
    assert torch.equal(vectors.original, again.original)  # no dropout
    assert not vectors.original.requires_grad


def test_error_in_a_thread_reaches_the_caller(bert, threads, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(encode, "_masked", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        text_vectors(*bert, batch_tokens=100, **SETTINGS)
    assert torch.get_num_threads() == threads


def test_lora_weights_count_as_weights(bert):
    encoder = bert[0]
    plain = weights_fingerprint(encoder)
    encoder.add_lora(rank=2)
    assert weights_fingerprint(encoder) != plain


def test_fingerprint_does_not_know_the_folder(folders, tmp_path):
    other = tiny_bert(tmp_path / "elsewhere")
    one, two = (TextEncoder(load_encoder(folder)[0]) for folder in (folders["bert"], other))
    assert weights_fingerprint(one) == weights_fingerprint(two)


def test_weights_without_a_pooler_give_one_fingerprint(folders, tmp_path):
    folder = shutil.copytree(folders["bert"], tmp_path / "bare")  # as BLaIR's masked-LM weights
    weights = load_file(folder / "model.safetensors")
    bare = {name: value for name, value in weights.items() if "pooler" not in name}
    assert len(bare) < len(weights)
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    one, two = (TextEncoder(load_encoder(folder)[0]) for _ in range(2))
    assert weights_fingerprint(one) == weights_fingerprint(two)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masked_views": -1}, "masked_views=-1: expected 0 or more"),
        ({"mask_probability": 1.5}, r"mask_probability=1\.5: expected 0 <= p <= 1"),
    ],
)
def test_wrong_settings(bert, tmp_path, changes, message):
    for directory in (None, tmp_path):
        with pytest.raises(InputError, match=message):
            text_vectors(*bert, directory=directory, **{**SETTINGS, **changes})


def test_texts_longer_than_the_model_reads(bert, tmp_path):
    encoder, tokenizer, _ = bert
    store = TokenStore.open_or_build(["bala " * 80], tokenizer, 100, tmp_path)
    with pytest.raises(InputError, match=r"max_length=100: a text has 100 tokens.*at most 66"):
        text_vectors(encoder, tokenizer, store, **SETTINGS)


def test_no_masked_view(bert):
    vectors = text_vectors(*bert, **{**SETTINGS, "masked_views": 0})
    assert vectors.masked.shape == (0, len(bert[2]), 32)


def _poison(encoder, how):
    """Make the encoder give every text the same vector, zeros, or no numbers."""
    plain = encoder.head.forward

    def useless(hidden, mask):
        vectors = plain(hidden, mask)
        return {"same": vectors.mean(dim=0, keepdim=True).expand_as(vectors) * 0 + 0.25,
                "zero": vectors * 0, "nan": vectors * float("nan")}[how]  # fmt: skip

    encoder.head.forward = useless


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("same", "the vectors of 61 different texts are all the same"),
        ("zero", "the vectors of 61 different texts are all zero"),
        ("nan", "the vectors of 61 different texts aren't all finite numbers"),
    ],
)
def test_vectors_that_tell_nothing_apart_are_refused(bert, how, told):
    encoder, tokenizer, store = bert
    _poison(encoder, how)
    with pytest.raises(InputError, match=told):
        text_vectors(encoder, tokenizer, store, **SETTINGS)


@pytest.mark.parametrize("texts", [["bala"], ["bala", "bala", ""], ["", ""]])
def test_one_text_is_told_from_no_other(bert, tmp_path, texts):
    encoder, tokenizer, _ = bert
    _poison(encoder, "same")
    store = TokenStore.open_or_build(texts, tokenizer, 32, tmp_path)
    assert len(text_vectors(encoder, tokenizer, store, **SETTINGS).original) == len(set(texts))


def test_a_token_that_the_model_lacks_is_refused(bert):
    encoder, tokenizer, store = bert
    encoder.model.resize_token_embeddings(store.highest_id)
    message = (
        f"gave a text the token {store.highest_id}, but its model has {store.highest_id} tokens"
    )
    with pytest.raises(InputError, match=message):
        text_vectors(encoder, tokenizer, store, **SETTINGS)
