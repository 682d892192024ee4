"""Encoding many texts fast: sorted by length, batched by tokens, one thread per batch.

`encode_plan` encodes what a token store holds, for the cache of text vectors; `encode_texts` the
variants of a review that explanations need and nobody keeps.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from recbole_symcere.base.live_line import showing, working
from recbole_symcere.base.work import Work
from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.executors import Executor, Tokens, evaluating, on_threads, vectors_of
from recbole_symcere.text.masking import draw_words, mask_words_by_draws
from recbole_symcere.text.sub_batches import sub_batches, token_budget
from recbole_symcere.text.tokenise import pad_id, tokenise
from recbole_symcere.text.tokens import TokenBatch, TokenStore, padded
from recbole_symcere.text.vector_files import Batches, Target

__all__ = ["Encoded", "Plan", "encode_plan", "encode_texts", "make_plan"]

_Ids = npt.NDArray[np.int64]
_SCAN_TOKENS = 262_144
_COPIED = 65_536  # vectors copied at once


class Plan(NamedTuple):
    """What shall be encoded.

    Attributes:
        text_ids: int64 [n], ascending.
        hashes: int64 [n], a hash of each text's tokens.
        order: int64 [n_nonempty], places in ``text_ids``, longest text first.
        changed: per masked view the places of the texts that have a masked word, in that order.
        views: number of masked views.
        probability: of a word to be masked.
        seed: of the masking.
        mask_token_id: None deletes masked words.
    """

    text_ids: _Ids
    hashes: _Ids
    order: _Ids
    changed: tuple[_Ids, ...]
    views: int
    probability: float
    seed: int
    mask_token_id: int | None


class Encoded(NamedTuple):
    """What `encode_plan` did.

    Attributes:
        wanted: texts, or masked copies.
        encoded: how many of them weren't there already.
        tokens: of these.
    """

    wanted: int
    encoded: int
    tokens: int


def make_plan(
    store: TokenStore,
    tokenizer: Any,
    text_ids: _Ids | None,
    views: int,
    probability: float,
    seed: int,
) -> Plan:
    """Sort the texts and find which of them the masking changes, view by view.

    Texts of equal length are sorted by their hash, so that the batches too depend on nothing but
    the texts asked for.
    """
    wanted = np.arange(len(store)) if text_ids is None else np.unique(np.asarray(text_ids))
    lengths = store.lengths[wanted]
    hashes = np.zeros(len(wanted), dtype=np.int64)
    changed = np.zeros((views, len(wanted)), dtype=bool)
    plan = Plan(wanted, hashes, wanted, (), views, probability, seed, tokenizer.mask_token_id)
    by_length = np.argsort(-lengths, kind="stable")
    for places in sub_batches(by_length[lengths[by_length] > 0], lengths, _SCAN_TOKENS):
        batch = store.take(wanted[places])
        for view in range(views):
            ids, mask = _masked(batch, plan, store.pad_token_id, view)
            differs = (ids != batch.input_ids) | (mask != batch.attention_mask)
            changed[view, places] = differs.any(dim=1).numpy()
        hashes[places] = draw_words(batch.input_ids, batch.attention_mask, seed, 0)[1].numpy()
    order = np.lexsort((hashes, -lengths))
    order = order[lengths[order] > 0]
    return plan._replace(order=order, changed=tuple(order[row[order]] for row in changed))


def encode_plan(
    encoder: TextEncoder,
    store: TokenStore,
    plan: Plan,
    target: Target,
    executor: Executor,
    batch_tokens: int | None,
    show_progress: bool,
    original: npt.NDArray[np.float32] | None = None,
) -> Encoded:
    """Put the vectors of the plan's texts [n, d_t] into a target.

    Args:
        encoder: the frozen encoder.
        store: the texts.
        plan: what of them.
        target: gets the rows; what it has already isn't encoded again.
        executor: what encodes a batch.
        batch_tokens: padded tokens of one; by device if None.
        show_progress: whether a terminal shows how far it is.
        original: the texts' vectors, where those of the masked copies [n_views, n, d_t] are wanted:
            a copy in which no word is masked has that of its text.
    """
    n, lengths = len(plan.text_ids), store.lengths[plan.text_ids]
    chosen = (plan.order,) if original is None else plan.changed
    batches = _cut(chosen, lengths, batch_tokens or token_budget(executor.device))
    there = target.begin(batches)
    if original is not None:
        for view, changed in enumerate(chosen):
            same = np.setdiff1d(plan.order, changed)
            for start in range(0, len(same), _COPIED):
                part = same[start : start + _COPIED]
                target.copy(part + view * n, original[part])

    def tokens(number: int) -> Tokens:
        view, places = divmod(batches.of(number), n)
        batch = store.take(plan.text_ids[places])
        if original is None:
            return batch.input_ids, batch.attention_mask
        ids, mask = _masked(batch, plan, store.pad_token_id, int(view[0]))
        width = int(mask.sum(dim=1).max())  # deletion shortens
        return ids[:, :width], mask[:, :width]

    left = np.ones(len(batches), dtype=bool)
    left[list(there)] = False
    encoded = batches.rows[np.repeat(left, np.diff(batches.cuts))]
    n_tokens = int(lengths[encoded % max(n, 1)].sum())
    unit = "texts" if original is None else "masked copies"
    work = Work("encoding", len(encoded), unit, weight=n_tokens)  # the longest come first
    with (
        showing(work) if show_progress else contextlib.nullcontext(),
        contextlib.closing(executor(encoder, np.flatnonzero(left).tolist(), tokens)) as found,
    ):
        for number, vectors in found:
            target.put(number, vectors)
            work.advance(len(vectors), int(lengths[batches.of(number) % n].sum()))
    return Encoded(len(batches.rows), len(encoded), n_tokens)


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

        def work(places: _Ids) -> int:
            rows = padded(ids, start[places], lengths[places], pad)
            tokens, mask = map(torch.from_numpy, rows)
            vectors[places] = vectors_of(encoder, tokens, mask, device)
            return len(places)

        batches = list(sub_batches(order, lengths, token_budget(device)))
        # all cores for one batch after the other, where there are few
        few = len(batches) < torch.get_num_threads()
        with evaluating(encoder, device), working("encoding", len(order), "texts") as shown:
            for n in map(work, batches) if few else on_threads(work, batches, device):
                shown.advance(n)
    return torch.from_numpy(vectors[[place_of[text] for text in texts]])


def _masked(
    batch: TokenBatch, plan: Plan, pad_token_id: int, view: int
) -> tuple[torch.Tensor, torch.Tensor]:
    draws, _ = draw_words(batch.input_ids, batch.attention_mask, plan.seed, view)
    return mask_words_by_draws(*batch, draws, plan.probability, plan.mask_token_id, pad_token_id)


def _cut(chosen: Sequence[_Ids], lengths: _Ids, budget: int) -> Batches:
    """The batches of texts, and of each masked copy after those of the one before."""
    sizes = [len(batch) for places in chosen for batch in sub_batches(places, lengths, budget)]
    rows = [places + view * len(lengths) for view, places in enumerate(chosen)]
    return Batches(
        np.concatenate([np.zeros(0, dtype=np.int64), *rows]),
        np.cumsum([0, *sizes], dtype=np.int64),
    )
