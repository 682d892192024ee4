"""Tokenised review texts, packed on disk and memory-mapped.

Texts are tokenised once, at `KEPT` tokens, and cut where fewer are read. Workers, Ray trials and
later runs map the same files, so one copy in the page cache serves them all. Each distinct text is
kept once: ``text_index`` says where.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from recbole_symcere.base.errors import InputError
from recbole_symcere.text import token_files
from recbole_symcere.text.tokenise import (
    CHUNK,
    LONGEST_WORD,
    n_closing,
    pad_id,
    tokenise,
    tokenizer_fingerprint,
)

__all__ = [
    "KEPT",
    "TokenBatch",
    "TokenStore",
    "any_written",
    "padded",
    "warn_of_unknown",
]

_LOG = logging.getLogger("recbole_symcere")
_FORMAT = 2
KEPT = 512
"""Tokens kept of a text, unless more are read."""
_MANY_UNKNOWN = 0.05  # of the tokens


class TokenBatch(NamedTuple):
    """Tokens of B texts, right-padded to the longest of them (T >= 1).

    Attributes:
        input_ids: int64 [B, T], the tokenizer's pad id after a text's end.
        attention_mask: bool [B, T], True on tokens. All False for an empty text.
        word_ids: int64 [B, T], index of the word within its text, -1 on special and pad tokens.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    word_ids: torch.Tensor


class TokenStore:
    """Read-only view of the tokens of ``len(store)`` distinct texts.

    Made by :meth:`open_or_build`. Pickling keeps the folder only; each process maps the files
    itself when it first reads.

    Attributes:
        directory: folder that holds this store's files; its name is the content key.
        meta: counts, tokenizer name and fingerprint, pad id, maximum length of the files.
        max_length: longest text read, in tokens, special ones included.
        unknown_id: what stands for a word that the tokenizer doesn't know, if there is such an id.
    """

    def __init__(
        self,
        directory: Path,
        meta: dict[str, Any],
        max_length: int,
        unknown_id: int | None = None,
    ) -> None:
        self.directory = directory
        self.meta = meta
        self.max_length = max_length
        self.unknown_id = unknown_id
        self._arrays: dict[str, npt.NDArray[Any]] | None = None

    @classmethod
    def open_or_build(
        cls,
        texts: "pa.Array | pa.ChunkedArray | Sequence[str | None]",
        tokenizer: Any,
        max_length: int,
        directory: Path,
    ) -> "TokenStore":
        """Open the store of these texts below ``directory``, or tokenise them into a new one.

        Args:
            texts: one text per row, repeats allowed; a null counts as an empty text.
            tokenizer: a transformers tokenizer.
            max_length: longest text read, in tokens, special tokens included.
            directory: parent folder of all stores; created if absent.

        Raises:
            InputError: if ``max_length`` leaves no room for a word, or a text is not a string.
        """
        room = tokenizer.num_special_tokens_to_add(pair=False)
        if max_length <= room:
            raise InputError(
                f"max_length={max_length}: expected more than {room}, the number of special tokens "
                f"that {type(tokenizer).__name__} adds to each text. Give 64 or 128."
            )
        unique, index = _distinct(texts)
        fingerprint, kept = tokenizer_fingerprint(tokenizer), max(max_length, KEPT)
        if tokenizer.truncation_side == "left":  # the end is read, which depends on the length
            fingerprint, kept = f"{fingerprint} left", max_length
        key = _content_key(unique, index, fingerprint, kept)
        folder = Path(directory) / key
        problem = token_files.damage(folder)
        if problem is not None:
            if folder.exists():
                _LOG.warning("Token store %s is damaged (%s); building it again.", folder, problem)
            facts = {
                "format": _FORMAT,
                "n_rows": len(index),
                "tokenizer": f"{type(tokenizer).__name__} {tokenizer.name_or_path}",
                "tokenizer_fingerprint": fingerprint,
                "pad_token_id": pad_id(tokenizer),
                "max_length": kept,
                "n_closing": n_closing(tokenizer),
            }
            small = len(tokenizer) < 65_536
            chunks = tokenise(unique, tokenizer, kept)
            token_files.write(folder, chunks, index, facts, np.uint16 if small else np.uint32)
        return cls(folder, token_files.read_meta(folder), max_length, tokenizer.unk_token_id)

    @property
    def key(self) -> str:
        """The sha256 of texts, tokenizer, length of the files and format, in hexadecimal."""
        return self.directory.name

    @property
    def pad_token_id(self) -> int:
        """The id that fills ``input_ids`` after the end of a text."""
        return int(self.meta["pad_token_id"])

    @property
    def text_index(self) -> npt.NDArray[np.int64]:
        """int64 [n_rows], the text that each row holds."""
        return self._open()["text_index"]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64 [n_texts], tokens read per text; 0 for an empty text."""
        return np.minimum(np.diff(self._open()["offsets"]), self.max_length)

    @property
    def unknown_share(self) -> float:
        """The share of the tokens, special ones left out, that the tokenizer doesn't know."""
        arrays = self._open()
        inside = np.asarray(arrays["words"]) >= 0
        unknown = np.asarray(arrays["ids"]) == (-1 if self.unknown_id is None else self.unknown_id)
        return float((unknown & inside).sum() / max(inside.sum(), 1)) if len(self) else 0.0

    @property
    def highest_id(self) -> int:
        """The highest token id of all texts; 0 where there is no token."""
        return int(self._open()["ids"].max(initial=0))

    def __len__(self) -> int:
        return int(self.meta["n_texts"])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": None}

    def take(self, text_ids: npt.NDArray[np.int64]) -> TokenBatch:
        """Tokens of the given texts; row ids are turned into text ids by ``text_index[rows]``.

        Args:
            text_ids: int64 [B], each in ``0 <= id < len(store)``.

        Raises:
            IndexError: if an id is out of range.
        """
        text_ids = np.asarray(text_ids, dtype=np.int64)
        if text_ids.size and (text_ids.min() < 0 or text_ids.max() >= len(self)):
            raise IndexError(f"text ids must lie in 0..{len(self) - 1}")
        arrays = self._open()
        start, stop = (arrays["offsets"][text_ids + after] for after in (0, 1))
        length = np.minimum(stop - start, self.max_length)
        input_ids, inside = padded(arrays["ids"], start, length, self.pad_token_id)
        word_ids, _ = padded(arrays["words"], start, length, -1)
        cut = np.flatnonzero(stop - start > self.max_length)
        # a tokenizer closes what it cuts, too
        for back in range(1, self.meta["n_closing"] + 1 if cut.size else 1):
            input_ids[cut, self.max_length - back] = arrays["ids"][stop[cut] - back]
            word_ids[cut, self.max_length - back] = -1
        return TokenBatch(*map(torch.from_numpy, (input_ids, inside, word_ids)))

    def _open(self) -> dict[str, npt.NDArray[Any]]:
        if self._arrays is None:
            self._arrays = token_files.map_arrays(self.directory, self.meta)
        return self._arrays


def padded(
    values: npt.NDArray[Any],
    start: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
    fill: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Pieces of a packed array as the rows of a matrix, padded on the right.

    Args:
        values: [n], not empty.
        start: where each piece begins [B].
        length: how long it is [B].
        fill: what stands after a piece's end.

    Returns:
        int64 [B, T] with T the longest piece, at least 1, and True where a piece is, bool [B, T].
    """
    step = np.arange(max(int(length.max(initial=0)), 1))
    inside = step < length[:, None]
    # beyond a piece's end any index will do that exists: its value is replaced
    flat = np.minimum(start[:, None] + step, values.size - 1)
    return np.where(inside, values[flat], np.int64(fill)), inside


def _used(texts: pa.DictionaryArray) -> tuple[pa.Array, pa.Array]:
    """The texts that rows have, in the order of their first rows, and which each row has."""
    numbers = texts.indices.dictionary_encode()
    return texts.dictionary.take(numbers.dictionary), numbers.indices


def _distinct(texts: Any) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    if isinstance(texts, pa.DictionaryArray) and not texts.null_count:
        unique, index = _used(texts)
        return unique.cast(pa.large_string()), index.to_numpy().astype(np.int64)
    try:
        if not isinstance(texts, pa.Array | pa.ChunkedArray):
            texts = pa.array(texts, pa.large_string())
        rows = pc.fill_null(texts.cast(pa.large_string()), "")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"texts: {error}. Expected strings only; check the text column of the review file."
        ) from error
    if isinstance(rows, pa.ChunkedArray):
        rows = rows.combine_chunks()
    encoded = rows.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _content_key(
    unique: pa.Array, index: npt.NDArray[np.int64], fingerprint: str, max_length: int
) -> str:
    head = f"{_FORMAT} {LONGEST_WORD} {max_length} {fingerprint} {len(unique)} {len(index)} "
    digest = hashlib.sha256(head.encode())
    # lengths and joined bytes together name the texts without ambiguity
    digest.update(pc.binary_length(unique).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
    for start in range(0, len(unique), CHUNK):
        digest.update("".join(unique.slice(start, CHUNK).to_pylist()).encode())
    digest.update(index.astype("<i8").tobytes())
    return digest.hexdigest()


def warn_of_unknown(store: TokenStore, what: str) -> None:
    """Say so if the text encoder can't read a good part of the texts.

    Args:
        store: the tokens.
        what: the texts, in words.
    """
    share = store.unknown_share
    if share > _MANY_UNKNOWN:
        _LOG.warning(
            "%.0f %% of the tokens of %s are unknown to %s, to which such words are all the same. "
            "Choose a text encoder of that language, or of many, such as --text_encoder="
            "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2.",
            100 * share, what, store.meta["tokenizer"],
        )  # fmt: skip


def any_written(texts: pa.Array) -> bool:
    """Whether any of the texts has more than white space."""
    if isinstance(texts, pa.DictionaryArray):
        texts, _ = _used(texts)
    written = pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)
    return bool(pc.any(written).as_py())
