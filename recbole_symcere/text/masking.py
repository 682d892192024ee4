"""Random word masking, the text augmentation of SymCERE (eq. 10-11)."""

import torch

__all__ = ["draw_words", "mask_words", "mask_words_by_draws"]

# SplitMix64 (Steele, Lea and Flood, 2014), as signed 64-bit numbers because torch has no
# unsigned arithmetic; products and sums wrap around either way.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64


def mask_words(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    word_ids: torch.Tensor,
    probability: float,
    generator: torch.Generator | None = None,
    mask_token_id: int | None = None,
    pad_token_id: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask each word with the given probability, all its tokens together.

    Args:
        input_ids: int64 [B, T].
        attention_mask: [B, T], nonzero on tokens.
        word_ids: int64 [B, T], index of the word a token belongs to, -1 on special and pad tokens.
        probability: chance of a word to be masked, 0 <= p <= 1.
        generator: source of randomness; torch's own if None.
        mask_token_id: replaces the tokens of a masked word. If None (Llama family), they are
            deleted and the rest of the row moves to the left.
        pad_token_id: fills the places that deletion leaves.

    Returns:
        input_ids and attention_mask, shaped and typed as given. Special and pad tokens are never
        touched, and a row that has words keeps at least one of them.
    """
    n_words = int(word_ids.max()) + 1 if word_ids.numel() else 0
    device = word_ids.device if generator is None else generator.device
    shape = (word_ids.shape[0], max(n_words, 1))
    draws = torch.rand(shape, generator=generator, device=device).to(word_ids.device)
    return mask_words_by_draws(
        input_ids, attention_mask, word_ids, draws, probability, mask_token_id, pad_token_id
    )


def mask_words_by_draws(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    word_ids: torch.Tensor,
    draws: torch.Tensor,
    probability: float,
    mask_token_id: int | None = None,
    pad_token_id: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`mask_words` with the randomness given: word w of row r is masked if draws[r, w] < p.

    Args:
        input_ids: as in :func:`mask_words`, and so the other arguments.
        attention_mask: see there.
        word_ids: see there.
        draws: [B, W] in [0, 1), W above every word index.
        probability: see there.
        mask_token_id: see there.
        pad_token_id: see there.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability={probability}: expected 0 <= probability <= 1")
    if not input_ids.numel():
        return input_ids, attention_mask
    is_word = (word_ids >= 0) & attention_mask.bool()  # [B, T]
    word = word_ids.clamp(min=0)
    exists = torch.zeros_like(draws, dtype=torch.int64)
    exists = exists.scatter_add_(1, word, is_word.long()) > 0  # [B, W]
    chosen = (draws < probability) & exists
    # where every word was chosen, the one with the largest draw stays
    keeper = torch.zeros_like(chosen).scatter_(
        1, draws.masked_fill(~exists, -1.0).argmax(dim=1, keepdim=True), True
    )
    none_left = (chosen == exists).all(dim=1, keepdim=True)
    chosen &= ~(none_left & keeper)
    hit = chosen.gather(1, word) & is_word
    if mask_token_id is not None:
        return input_ids.masked_fill(hit, mask_token_id), attention_mask
    return _delete(input_ids, attention_mask, hit, pad_token_id)


def draw_words(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, seed: int, view: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Uniform numbers per word that depend on (seed, view, the text itself) and on nothing else.

    Neither the other texts of a batch nor a text's place in a list have any influence.

    Args:
        input_ids: int64 [B, T], right-padded.
        attention_mask: [B, T], nonzero on tokens.
        seed: any integer.
        view: number of the masked view.

    Returns:
        draws: float64 [B, T] in [0, 1), one per possible word index.
        digest: int64 [B], a hash of each text's tokens.
    """
    place = torch.arange(input_ids.shape[1], device=input_ids.device)
    digest = (_mix(input_ids + (place << 32)) * attention_mask.long()).sum(dim=1)
    stream = _mix(digest + _mix(torch.tensor(seed % 2**62)) + _mix(torch.tensor(~view)))
    bits = _mix(stream[:, None] + (place + 1) * _GOLDEN)  # [B, T]
    return ((bits >> 11) & (2**53 - 1)).double() * 2.0**-53, digest


def _delete(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, hit: torch.Tensor, pad_token_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    order = hit.long().argsort(dim=1, stable=True)  # kept tokens first, each group in its order
    gone = hit.gather(1, order)
    kept_ids = input_ids.gather(1, order)
    kept_mask = attention_mask.gather(1, order)
    return kept_ids.masked_fill(gone, pad_token_id), kept_mask.masked_fill(gone, 0)


def _mix(x: torch.Tensor) -> torch.Tensor:
    x = x + _GOLDEN
    x = (x ^ ((x >> 30) & (2**34 - 1))) * _MIX_1
    x = (x ^ ((x >> 27) & (2**37 - 1))) * _MIX_2
    return x ^ ((x >> 31) & (2**33 - 1))
