"""Batches of random tokens, and encoders with LoRA whose weights are large enough to matter."""

import numpy as np
import torch

from recbole_symcere.text.encoder import TextEncoder, load_encoder
from recbole_symcere.text.step_encoder import Texts


def tuned(folder, dropout=0.0, layers=None):
    """A float64 encoder in training, whose LoRA weights are no longer the identity."""
    model, tokenizer = load_encoder(folder)
    encoder = TextEncoder(model, "mean").double()
    encoder.add_lora(rank=2, dropout=dropout, layers=layers)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in encoder.named_parameters():
        if "lora_" in name:
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data.copy_(values)
    return encoder.train(), tokenizer


def texts_of(lengths, seed=0, width=None):
    """Texts of these lengths, right-padded with token 0."""
    rng = np.random.default_rng(seed)
    width = width or max([1, *lengths])
    mask = torch.arange(width)[None] < torch.tensor(lengths, dtype=torch.int64)[:, None]
    ids = torch.from_numpy(rng.integers(5, 60, (len(lengths), width))) * mask
    place = torch.arange(len(lengths))
    return Texts(ids, mask, place, torch.full_like(place, -1))


def expected(encoder, texts):
    """Mean of the tokens' vectors, text by text, without padding; zeros for an empty text."""
    rows = []
    for ids, mask in zip(texts.input_ids, texts.attention_mask, strict=True):
        ids = ids[mask][None]
        if not len(ids[0]):
            rows.append(torch.zeros(1, encoder.width, dtype=torch.float64))
            continue
        hidden = encoder.model(input_ids=ids, attention_mask=torch.ones_like(ids))
        rows.append(hidden.last_hidden_state.mean(dim=1))
    return torch.cat(rows)


def gradients(encoder, vectors):
    """The LoRA gradients of a loss that contrasts all vectors with each other."""
    encoder.zero_grad()
    scores = vectors @ vectors.T / len(vectors)
    (torch.logsumexp(scores, dim=1).sum() + vectors.sin().sum()).backward()
    found = {n: p.grad.clone() for n, p in encoder.named_parameters() if p.requires_grad}
    assert any(g.abs().max() > 1e-3 for g in found.values())
    return found


def assert_alike(found, truth, atol):
    assert found.keys() == truth.keys()
    for name, value in truth.items():
        torch.testing.assert_close(found[name], value, atol=atol, rtol=atol)
