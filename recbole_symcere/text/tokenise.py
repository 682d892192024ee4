"""From texts to token ids and the word that each token belongs to, by a tokenizer's own rules."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recbole_symcere.base.live_line import working

__all__ = ["CHUNK", "LONGEST_WORD", "n_closing", "pad_id", "tokenise", "tokenizer_fingerprint"]

CHUNK = 8192
"""Texts tokenised at once."""
LONGEST_WORD = 8
"""Sub-tokens of a word. One of more is a run of text without spaces (Japanese, a URL): masking it
as one word would hide a whole sentence, so its sub-tokens count as words of their own."""


def tokenise(
    unique: pa.Array, tokenizer: Any, max_length: int
) -> Iterator[tuple[npt.NDArray[np.int64], ...]]:
    """Per chunk of texts: ids [n_tokens], word indices [n_tokens], lengths [n_texts].

    A text without a word has no token.
    """
    with working("tokenising", len(unique), "texts") as shown:
        for start in range(0, len(unique), CHUNK):
            texts = unique.slice(start, CHUNK).to_pylist()
            yield _tokens_of(texts, tokenizer, max_length)
            shown.advance(len(texts))


def _tokens_of(
    texts: list[str], tokenizer: Any, max_length: int
) -> tuple[npt.NDArray[np.int64], ...]:
    ids, words = _encode(texts, tokenizer, max_length)
    # a text without a word ("", blanks, unprintable characters) has no tokens at all
    empty = [not t.strip() or max(w, default=-1) < 0 for t, w in zip(texts, words, strict=True)]
    ids = [[] if e else i for e, i in zip(empty, ids, strict=True)]
    words = [[] if e else w for e, w in zip(empty, words, strict=True)]
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    flat = (itertools.chain.from_iterable(rows) for rows in (ids, words))
    flat_ids, flat_words = (np.fromiter(values, np.int64, lengths.sum()) for values in flat)
    return flat_ids, _number_words(flat_words, lengths), lengths


def _encode(
    texts: list[str], tokenizer: Any, max_length: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids and words of each text; special tokens have the word -1."""
    if not tokenizer.is_fast:
        ids = tokenizer(texts, truncation=True, max_length=max_length, padding=False)["input_ids"]
        special = set(tokenizer.all_special_ids)
        return ids, [[-1 if i in special else at for at, i in enumerate(row)] for row in ids]
    # the library itself: transformers would make dictionaries of all that it returns
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_length, direction=tokenizer.truncation_side)
    found = backend.encode_batch(texts)
    words = [[-1 if word is None else word for word in one.word_ids] for one in found]
    return [one.ids for one in found], words


def n_closing(tokenizer: Any) -> int:
    """How many special tokens stand at a text's end."""
    if tokenizer.is_fast:
        backend = tokenizer.backend_tokenizer
        backend.no_padding()  # a tokenizer's file may ask for it, and a pad token counts as special
        backend.no_truncation()
        own = backend.encode("a").special_tokens_mask
    else:
        own = [int(i != -1) for i in tokenizer.build_inputs_with_special_tokens([-1])]
    return len(list(itertools.takewhile(bool, reversed(own))))


def _number_words(
    words: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Number each text's words 0, 1, 2, ...; over-long words are split into their sub-tokens."""
    if not words.size:
        return words
    text = np.repeat(np.arange(lengths.size), lengths)
    begins = np.ones(words.size, dtype=bool)
    begins[1:] = (words[1:] != words[:-1]) | (text[1:] != text[:-1])
    run = np.cumsum(begins) - 1
    begins |= np.bincount(run)[run] > LONGEST_WORD
    begins &= words >= 0
    counted = np.cumsum(begins)
    first = np.cumsum(lengths) - lengths  # where each text starts
    before = np.concatenate([[0], counted])[first]  # words of all earlier texts
    return np.where(words >= 0, counted - before[text] - 1, -1)


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """A sha256 of everything that decides which ids a text becomes.

    Padding and truncation are settings of a call, kept in a fast tokenizer by its last use; they
    are left out, or the same tokenizer would have two fingerprints.
    """
    if tokenizer.is_fast:
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        state["padding"] = state["truncation"] = None
    else:
        state = {"vocabulary": tokenizer.get_vocab(), "special": tokenizer.all_special_tokens}
    state["class"] = type(tokenizer).__name__
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def pad_id(tokenizer: Any) -> int:
    """The id that fills up a row; another special token's where a tokenizer has none of its own."""
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    return 0
