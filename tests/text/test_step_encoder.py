from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from text.training_parts import assert_alike, expected, gradients, texts_of, tuned
from tiny_models import tiny_bert, tiny_llama, tiny_roberta

from recbole_symcere.text import step_encoder
from recbole_symcere.text.free_memory import free_bytes
from recbole_symcere.text.step_encoder import StepEncoder

MANY = 10**9
LENGTHS = [9, 3, 20, 1, 0, 12, 20, 7, 2, 15, 6, 11]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    makers = {"bert": tiny_bert, "roberta": tiny_roberta, "llama": tiny_llama}
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in makers.items()}


@pytest.fixture(scope="module")
def bert(folders):
    return tuned(folders["bert"])[0]


@pytest.fixture
def small_budget(monkeypatch):
    monkeypatch.setattr(step_encoder, "token_budget", lambda _: 48)


@pytest.mark.parametrize("held", [MANY, 100, 1])
@pytest.mark.parametrize("name", ["bert", "roberta", "llama"])
def test_vectors_and_gradients_are_those_of_each_text_alone(folders, name, held, small_budget):
    encoder, _ = tuned(folders[name])
    texts = texts_of(LENGTHS)
    truth = expected(encoder, texts)
    wanted = gradients(encoder, truth)
    found = StepEncoder(encoder, held)(texts)
    torch.testing.assert_close(found, truth, atol=1e-10, rtol=0)
    assert_alike(gradients(encoder, found), wanted, 1e-9)


@settings(max_examples=8)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=9),
    held=st.sampled_from([MANY, 90, 1]),
)
def test_any_lengths(bert, lengths, held):
    texts = texts_of(lengths, width=31)
    found = StepEncoder(bert, held)(texts)
    torch.testing.assert_close(found.double(), expected(bert, texts), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["bert", "roberta", "llama"])
def test_what_is_encoded_again_has_the_same_dropout(folders, name, small_budget):
    encoder, _ = tuned(folders[name], dropout=0.3)
    texts, found = texts_of(LENGTHS), {}
    for held in (MANY, 130, 49):
        torch.manual_seed(5)
        vectors = StepEncoder(encoder, held)(texts)
        torch.rand(3)  # the generator moves on before backward
        found[held] = vectors.detach(), gradients(encoder, vectors), torch.rand(1)
    for held in (130, 49):
        assert torch.equal(found[held][0], found[MANY][0])
        assert_alike(found[held][1], found[MANY][1], 0)
        assert torch.equal(found[held][2], found[MANY][2])  # and so does the rest of the run
    torch.manual_seed(6)
    other = StepEncoder(encoder, MANY)(texts)
    assert not torch.allclose(other, found[MANY][0], atol=1e-3)


def _held(encoder, held, texts):
    """Numbers that a forward pass holds for backward outside of what it encodes again."""
    sizes = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: (sizes.update({x.untyped_storage().data_ptr(): x.numel()}), x)[1], lambda x: x
    ):
        vectors = StepEncoder(encoder, held)(texts)
    assert vectors.requires_grad
    return sum(sizes.values())


def test_only_so_many_tokens_hold_their_activations(bert, small_budget):
    texts = texts_of([24] * 40)  # 20 sub-batches of 48 tokens
    whole = _held(bert, 24 * 40, texts)
    assert _held(bert, 48 * 6, texts) < 0.4 * whole
    assert _held(bert, 1, texts) < 0.1 * whole


def test_sub_batches_have_few_padding_tokens(bert, monkeypatch):
    shapes = []
    monkeypatch.setattr(
        bert,
        "forward",
        lambda ids, mask, _: (shapes.append((ids, mask)), torch.zeros(len(ids), 1))[1],
    )
    monkeypatch.setattr(step_encoder, "token_budget", lambda _: 48)
    lengths = [*range(1, 31), 30, 1]
    with torch.no_grad():
        assert StepEncoder(bert)(texts_of(lengths)).shape == (32, 1)
    padded = sum(ids.numel() for ids, _ in shapes)
    assert all(ids.numel() <= 48 for ids, _ in shapes)
    assert sum(int(mask.sum()) for _, mask in shapes) == sum(lengths)
    assert padded < 1.2 * sum(lengths) < 0.7 * 32 * 30
    shapes.clear()
    with torch.no_grad():
        StepEncoder(bert, 20)(texts_of(lengths))
    assert max(ids.numel() for ids, _ in shapes) == 30  # one text is never cut


def test_how_much_is_held_is_chosen_from_the_free_memory(folders, monkeypatch, small_budget):
    encoder, _ = tuned(folders["bert"])
    texts = texts_of([24] * 40)
    calls = []
    twice = StepEncoder._encoded_twice
    monkeypatch.setattr(
        StepEncoder, "_encoded_twice", lambda *given: (calls.append(1), twice(*given))[1]
    )
    monkeypatch.setattr(step_encoder, "free_bytes", lambda _: 10**12)
    step = StepEncoder(encoder)
    for _ in range(2):
        step(texts)
    assert not calls
    per_token = 0.25 * 10**12 / step.held_tokens
    truth = _held(encoder, MANY, texts) * 8 / (24 * 40)  # float64
    assert per_token == pytest.approx(truth, rel=0.3)
    monkeypatch.setattr(step_encoder, "free_bytes", lambda _: int(4 * per_token * 48 * 10))
    step = StepEncoder(encoder)
    step(texts)
    # room for ten sub-batches: nine are held, one at a time is encoded again
    assert len(calls) == pytest.approx(11, abs=1)


def test_no_texts(bert):
    texts = texts_of([])
    assert StepEncoder(bert)(texts).shape == (0, 32)


def test_free_memory_is_what_the_machine_has_left():
    free = free_bytes(torch.device("cpu"))
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    told = {name: int(size) for name, size, *_ in map(str.split, lines)}
    assert 0 < free <= 1.2 * 1024 * told["MemAvailable:"]
