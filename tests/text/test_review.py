import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from text.training_parts import expected, texts_of, tuned
from tiny_models import tiny_bert

from recbole_symcere.text.encoder import resolve_precision
from recbole_symcere.text.review import FrozenReviews, TunedReviews
from recbole_symcere.text.vectors import TextVectors

LENGTHS = [6, 9, 1, 0, 4]
MASK, PAD = 4, 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def encoder(folder):
    return tuned(folder)[0]


def batch_of(text_ids, lengths=LENGTHS):
    """The rows of a batch with these texts; every token is a word."""
    texts = texts_of(lengths)
    rows = torch.tensor(text_ids)
    ids, mask = texts.input_ids[rows], texts.attention_mask[rows]
    words = torch.where(mask, torch.arange(mask.shape[1]), -1)
    return rows, ids, mask, words


def reviews_of(encoder, probability=0.5):
    return TunedReviews(encoder, probability, MASK, PAD)


@pytest.fixture(scope="module")
def alone(encoder):
    """The vector of each text, encoded by itself."""
    return expected(encoder, texts_of(LENGTHS))


@settings(max_examples=20)
@given(text_ids=st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_rows_get_the_vectors_of_their_texts(encoder, alone, text_ids):
    batch = batch_of(text_ids)
    truth = alone[batch[0]]
    views = reviews_of(encoder)(*batch, masked=True)
    for vectors in (views.original, views.masked):
        assert vectors.shape == (len(text_ids), 32)
        assert (vectors[batch[0] == 3] == 0).all()  # the empty text
    torch.testing.assert_close(views.original.double(), truth, atol=1e-10, rtol=0)
    one_word = batch[0] == 2  # which masking never takes
    torch.testing.assert_close(views.masked[one_word], views.original[one_word], atol=1e-10, rtol=0)


def test_masked_copies_are_those_texts_with_words_masked(encoder):
    batch = batch_of([1, 0])
    torch.manual_seed(0)
    found = reviews_of(encoder, 1.0)(*batch, masked=True).masked
    # at 1.0 all words but one are masked: one of these is the copy
    ids = torch.full_like(batch[1][:1], MASK).expand(9, 9).clone()
    ids[range(9), range(9)] = batch[1][0]
    with torch.no_grad():
        candidates = encoder(ids, torch.ones_like(ids))
    assert (candidates - found[0]).abs().amax(dim=1).min() < 1e-9


def test_equal_texts_are_encoded_once_and_share_their_vectors(folder, monkeypatch):
    encoder, _ = tuned(folder, dropout=0.4)
    seen = []
    run = encoder.forward
    monkeypatch.setattr(
        encoder, "forward", lambda ids, *rest: (seen.append(len(ids)), run(ids, *rest))[1]
    )
    batch = batch_of([1, 0, 1, 1, 0])
    views = reviews_of(encoder)(*batch, masked=True)
    assert sum(seen) == 4  # two texts, a masked copy of each
    for vectors in views:
        assert torch.equal(vectors[0], vectors[2])
        assert torch.equal(vectors[1], vectors[4])
        assert not torch.allclose(vectors[0], vectors[1])
    assert not torch.allclose(*views)
    seen.clear()
    views = reviews_of(encoder)(*batch, masked=False)
    assert sum(seen) == 2
    assert views.masked.shape == (0, 32)


def test_frozen_vectors_are_looked_up(folder):
    original, masked = torch.randn(4, 3), torch.randn(2, 4, 3)
    ids = torch.tensor([2, 0, 2])
    reviews = FrozenReviews(TextVectors(original, masked))
    views = reviews(ids, masked=True)
    assert torch.equal(views.original, original[ids])
    for row, text in zip(views.masked, ids, strict=True):
        assert any(torch.equal(row, copy[text]) for copy in masked)
    alone = FrozenReviews(TextVectors(original, masked[:0]))(ids, masked=False)
    assert torch.equal(alone.original, original[ids])
    assert alone.masked.shape == (0, 3)


def test_each_row_draws_one_of_its_texts_masked_copies():
    """From torch's own state; a row's draw says nothing of another row's."""
    copies = torch.arange(4 * 6, dtype=torch.float32).view(4, 6, 1)
    reviews = FrozenReviews(TextVectors(torch.full((6, 1), -1.0), copies))
    ids = torch.arange(6)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    drawn = torch.stack([reviews(ids, masked=True).masked[:, 0] for _ in range(400)])
    view = drawn.long() // 6  # [400, 6]
    assert (drawn.long() % 6 == ids).all()
    counts = torch.stack([(view == v).float().mean(dim=0) for v in range(4)])
    assert (counts - 0.25).abs().max() < 0.1
    alike = (view[:, :1] == view[:, 1:]).float().mean(dim=0)
    assert (alike - 0.25).abs().max() < 0.1
    torch.set_rng_state(state)
    again = torch.stack([reviews(ids, masked=True).masked[:, 0] for _ in range(400)])
    assert torch.equal(again, drawn)


def test_tuned_copies_have_words_masked_and_are_drawn_anew(encoder):
    batch = batch_of([0, 1])
    views = [reviews_of(encoder, 0.5)(*batch, masked=True) for _ in range(4)]
    for one in views:
        assert torch.equal(one.original, views[0].original)
        assert not torch.allclose(one.masked, one.original, atol=1e-4)
    assert any(not torch.allclose(one.masked, views[0].masked, atol=1e-4) for one in views[1:])


def test_the_frozen_model_has_no_dropout_and_lora_has(folder):
    batch = batch_of([1, 0])
    encoder, _ = tuned(folder, dropout=0.0)
    assert encoder.model.config.hidden_dropout_prob > 0
    assert torch.equal(*(encoder(*batch[1:3]) for _ in range(2)))
    encoder, _ = tuned(folder, dropout=0.4)
    assert not torch.allclose(*(encoder(*batch[1:3]) for _ in range(2)))
    encoder.eval()
    assert torch.equal(*(encoder(*batch[1:3]) for _ in range(2)))


def test_bfloat16_is_for_training_alone(folder):
    batch = batch_of([1, 0])
    encoder = tuned(folder)[0].float()
    plain = encoder(*batch[1:3])
    encoder.precision = torch.bfloat16
    low = encoder(*batch[1:3])
    assert low.dtype == torch.float32
    assert 1e-5 < (low - plain).abs().max() < 0.1
    low.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in encoder.parameters() if p.requires_grad)
    assert torch.equal(encoder.eval()(*batch[1:3]), plain)


@pytest.mark.parametrize(
    ("asked", "bf16", "device", "found"),
    [
        ("auto", True, "cuda", torch.bfloat16),
        ("auto", False, "cuda", None),
        ("auto", True, "cpu", None),
        ("float32", True, "cuda", None),
        ("bfloat16", True, "cpu", torch.bfloat16),
    ],
)
def test_the_precision_of_a_device(monkeypatch, asked, bf16, device, found):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    assert resolve_precision(asked, device) == found
