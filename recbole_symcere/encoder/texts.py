"""Vectors of texts that no store keeps: the many variants of a review that explanations need."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from recbole_symcere.data.tokens import pad_id, padded, tokenise
from recbole_symcere.encoder.encode import batches, run_jobs, token_budget
from recbole_symcere.encoder.text import TextEncoder

__all__ = ["encode_texts"]


def encode_texts(
    encoder: TextEncoder,
    tokenizer: Any,
    texts: Sequence[str],
    max_length: int,
    device: torch.device,
) -> torch.Tensor:
    """Encode texts as `text_vectors` does, without keeping anything.

    Args:
        encoder: frozen or tuned; it is left on ``device`` in the mode it was in.
        tokenizer: its tokenizer.
        texts: n texts; equal ones are encoded once.
        max_length: tokens read of a text, special ones included.
        device: where to compute.

    Returns:
        float32 [n, d_t] on the CPU; zeros for a text without a word.
    """
    place_of = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    chunks = list(tokenise(pa.array(list(place_of), pa.large_string()), tokenizer, max_length))
    vectors = np.zeros((len(place_of), encoder.width), dtype=np.float32)
    if chunks:
        ids, _, lengths = (np.concatenate(column) for column in zip(*chunks, strict=True))
        start, pad = np.cumsum(lengths) - lengths, pad_id(tokenizer)
        order = np.argsort(-lengths, kind="stable")
        order = order[lengths[order] > 0]

        def work(job: tuple[None, Any]) -> int:
            _, places = job
            rows = padded(ids, start[places], lengths[places], pad)
            tokens, mask = (torch.from_numpy(row).to(device) for row in rows)
            with torch.inference_mode():
                vectors[places] = encoder(tokens, mask).cpu().numpy()
            return len(places)

        training = encoder.training
        encoder.to(device).eval()
        try:
            jobs = [(None, places) for places in batches(order, lengths, token_budget(device))]
            run_jobs(work, jobs, device, show_progress=False)
        finally:
            encoder.train(training)
    return torch.from_numpy(vectors[[place_of[text] for text in texts]])
