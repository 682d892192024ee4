import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_symcere.text.masking import draw_words, mask_words

PAD, MASK = 0, 9
# a text: the number of sub-tokens of each of its words; None is no text at all
TEXT = st.one_of(st.none(), st.lists(st.integers(1, 3), min_size=1, max_size=8))


def _batch(texts):
    """[CLS] words [SEP], right-padded; every token id is distinct from its neighbours'."""
    rows = []
    for text in texts:
        words = [] if text is None else [w for w, n in enumerate(text) for _ in range(n)]
        frame = [] if text is None else [-1, *words, -1]
        rows.append(frame)
    width = max(1, *map(len, rows))
    word_ids = torch.tensor([row + [-1] * (width - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(width) < lengths[:, None]
    ids = torch.where(mask, torch.arange(width) + 10, PAD)
    return ids, mask, word_ids


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.lists(TEXT, min_size=1, max_size=6), st.floats(0, 1), st.integers(0, 2**31))
def test_whole_words_are_masked_and_nothing_else(texts, probability, seed):
    ids, mask, words = _batch(texts)
    generator = torch.Generator().manual_seed(seed)
    new, new_mask = mask_words(ids, mask, words, probability, generator, MASK, PAD)
    assert torch.equal(mask, new_mask)
    hit = new != ids
    assert (new[hit] == MASK).all()
    assert not hit[words < 0].any()
    for row, text in enumerate(texts):
        states = [set(hit[row][words[row] == w].tolist()) for w in range(len(text or []))]
        assert all(len(state) == 1 for state in states)
        assert not states or {False} in states


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.lists(TEXT, min_size=1, max_size=6), st.floats(0, 1), st.integers(0, 2**31))
def test_without_mask_token_the_same_words_are_deleted(texts, probability, seed):
    ids, mask, words = _batch(texts)
    masked, _ = mask_words(
        ids, mask, words, probability, torch.Generator().manual_seed(seed), MASK, PAD
    )
    new, new_mask = mask_words(
        ids, mask, words, probability, torch.Generator().manual_seed(seed), None, PAD
    )
    for row in range(len(texts)):
        kept = masked[row][mask[row] & (masked[row] != MASK)].tolist()
        assert new[row][new_mask[row]].tolist() == kept
        assert new_mask[row].tolist() == [True] * len(kept) + [False] * (len(ids[0]) - len(kept))
        assert (new[row][~new_mask[row]] == PAD).all()


@pytest.mark.parametrize("probability", [0.15, 0.5])
def test_rate_of_masked_words(probability):
    ids, mask, words = _batch([[1, 2] * 20] * 500)
    generator = torch.Generator().manual_seed(3)
    new, _ = mask_words(ids, mask, words, probability, generator, MASK, PAD)
    first = (words >= 0) & (words != words.roll(1, dims=1))
    rate = (new != ids)[first].float().mean()
    assert rate == pytest.approx(probability, abs=0.01)  # four standard errors


def test_extremes():
    ids, mask, words = _batch([[1, 1, 1], None, [2]])
    assert torch.equal(mask_words(ids, mask, words, 0.0, None, MASK)[0], ids)
    all_but_one = mask_words(ids, mask, words, 1.0, None, MASK)[0]
    assert (all_but_one == MASK).sum(dim=1).tolist() == [2, 0, 0]


def test_kept_word_is_not_always_the_same():
    ids, mask, words = _batch([[1, 1, 1, 1]] * 60)
    new, _ = mask_words(ids, mask, words, 1.0, torch.Generator().manual_seed(0), MASK)
    assert len({tuple(row) for row in new.tolist()}) == 4


def test_same_generator_same_masks():
    batch = _batch([[1, 2, 1, 2, 3]] * 8)
    runs = [
        mask_words(*batch, 0.5, torch.Generator().manual_seed(seed), MASK)[0] for seed in (5, 5, 6)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_probability_outside_0_to_1(probability):
    with pytest.raises(ValueError, match="expected 0 <= probability <= 1"):
        mask_words(*_batch([[1]]), probability)


def test_draws_depend_on_the_text_alone():
    ids, mask, _ = _batch([[1, 2], [3, 3, 3], None, [1, 1, 1, 1]])
    draws, digest = draw_words(ids, mask, seed=1, view=0)
    alone, alone_digest = draw_words(ids[:1, :5], mask[:1, :5], seed=1, view=0)
    assert torch.equal(draws[:1, :5], alone)
    assert digest[0] == alone_digest[0]
    assert len(set(digest.tolist())) == 4
    for seed, view in ((2, 0), (1, 1)):
        assert not (draw_words(ids, mask, seed, view)[0] == draws).any()


def test_draws_are_uniform():
    ids = torch.arange(20_000)[:, None].expand(-1, 5)
    draws, _ = draw_words(ids, torch.ones_like(ids), seed=0, view=0)
    assert ((draws >= 0) & (draws < 1)).all()
    counts = torch.histc(draws.float().flatten(), 10, 0, 1) / draws.numel()
    assert (counts - 0.1).abs().max() < 0.005
    assert torch.corrcoef(draws.T).fill_diagonal_(0).abs().max() < 0.03


def test_padding_with_a_word_index_is_not_touched():
    ids, mask, words = _batch([[1, 1, 1, 1], [1, 1]])
    words[1, -2:] = torch.tensor([0, 1])  # one of these two words is masked
    new, _ = mask_words(ids, mask, words, 1.0, None, MASK)
    assert torch.equal(new[~mask], ids[~mask])


def test_digest_knows_the_order_of_tokens():
    ids = torch.tensor([[1, 2, 3], [3, 2, 1]])
    _, digest = draw_words(ids, torch.ones_like(ids), seed=0, view=0)
    assert digest[0] != digest[1]
