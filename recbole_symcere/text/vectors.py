"""Text vectors of the frozen encoder: computed once, kept on disk.

A vector depends on the text and the model, a masked copy's on the masking and its seed too; not on
the other texts of its batch (up to rounding) nor on its place in the data. Only the texts asked for
are read.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recbole_symcere.base.errors import InputError
from recbole_symcere.text.encode import Encoded, Plan, encode_plan, make_plan
from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.executors import Executor, Threads
from recbole_symcere.text.tokens import TokenStore
from recbole_symcere.text.vector_files import InMemory, Target, kept_vectors

__all__ = [
    "Account",
    "TextVectors",
    "accounting",
    "encoder_key",
    "encoding_by",
    "text_vectors",
    "weights_fingerprint",
]

What = Literal["original", "masked"]

_FORMAT = 2
_ALIKE = 1e-6  # of the largest value: what rounding makes of equal vectors
_LOOKED_AT = 65_536  # vectors at once
_Floats = npt.NDArray[np.float32]

_ELSEWHERE: ContextVar[Executor | None] = ContextVar("where text_vectors encodes", default=None)
_ACCOUNTS: ContextVar[tuple[list["Account"], ...]] = ContextVar("who is told", default=())


class TextVectors(NamedTuple):
    """Vectors of a token store's texts; zeros for empty texts and for those not asked for.

    Attributes:
        original: float32 [n_texts, d_t].
        masked: float32 [n_views, n_texts, d_t], the same texts with words masked at random.
    """

    original: torch.Tensor
    masked: torch.Tensor


def text_vectors(
    encoder: TextEncoder,
    tokenizer: Any,
    store: TokenStore,
    *,
    masked_views: int,
    mask_probability: float,
    seed: int,
    directory: Path | None = None,
    text_ids: npt.NDArray[np.int64] | None = None,
    batch_tokens: int | None = None,
    device: torch.device | str = "cpu",
    show_progress: bool = True,
) -> TextVectors:
    """Encode each text once, and once more per masked view in which a word of it is masked.

    With ``directory``, vectors that were computed before are read from there, and an encoding that
    was killed goes on. A file's name is a sha256 over the tokens, model weights, tokenizer, pooling
    and masking. Masked copies have a file of their own, so that models with other ones, or none,
    share the originals. A file that is damaged is computed anew, with a warning.

    Args:
        encoder: the frozen text encoder; it is left on ``device`` in the mode it was in.
        tokenizer: the store's tokenizer, asked for its mask token.
        store: the texts.
        masked_views: number of masked copies, >= 0.
        mask_probability: chance of a word to be masked.
        seed: of the masking.
        directory: folder of the cache, created if absent; None keeps nothing.
        text_ids: texts to encode, by default all. Give the training split's texts alone, so that
            no other review can reach a vector.
        batch_tokens: padded tokens per batch; by device if None.
        device: where to compute.
        show_progress: a progress bar on a terminal.

    Raises:
        InputError: if the mask settings are out of range, texts can't be read by the model, or all
            their vectors are the same.
    """
    _check(masked_views, mask_probability)
    encoder.refuse_unreadable(store)
    plan = make_plan(store, tokenizer, text_ids, masked_views, mask_probability, seed)
    executor = _ELSEWHERE.get() or Threads(torch.device(device))
    weights = weights_fingerprint(encoder) if directory else ""
    shape = (len(plan.text_ids), encoder.width)

    def rows(what: What, shape: tuple[int, ...], known: _Floats | None = None) -> _Floats:
        started, done = time.perf_counter(), Encoded(0, 0, 0)

        def fill(target: Target) -> None:
            nonlocal done
            done = encode_plan(
                encoder, store, plan, target, executor, batch_tokens, show_progress, known
            )

        if not directory:
            memory = InMemory(shape)
            fill(memory)
            return memory.vectors
        path = Path(directory, _file(weights, encoder, store, plan, what))
        # a GPU's batches are other ones than a CPU's
        how = f"{executor.device.type}{batch_tokens or ''}"
        found = kept_vectors(path, what, shape, how, fill)
        seconds = time.perf_counter() - started
        for accounts in _ACCOUNTS.get():
            n = len(plan.order) if what == "original" else sum(map(len, plan.changed))
            accounts.append(Account(what, path, n, done, seconds))
        return found

    original = rows("original", shape)
    name = f"{store.meta['tokenizer']}, {encoder.pooling}"
    _refuse_useless(original, store.lengths[plan.text_ids] > 0, name)
    masked = np.zeros((0, *shape), dtype=np.float32)
    if masked_views:
        masked = rows("masked", (masked_views, *shape), original)
    return _spread(original, masked, plan.text_ids, len(store))


class Account(NamedTuple):
    """What `text_vectors` did for one file of its cache.

    Attributes:
        what: "original" or "masked".
        path: the file.
        texts: how many are wanted: those that aren't empty, or the copies with a masked word.
        done: what was encoded; nothing, if the file was there.
        seconds: from asking for it to having it.
    """

    what: str
    path: Path
    texts: int
    done: Encoded
    seconds: float

    def words(self, where: str = "") -> str:
        """How many texts there are and how many of them were encoded, where and how fast."""
        wanted, encoded, tokens = self.done
        what = {"original": "texts", "masked": "masked copies"}[self.what]
        if not encoded:
            return f"{self.texts:,} {what}: there already"
        rate = max(self.seconds, 1e-9)
        return (
            f"{wanted:,} {what}: {wanted - encoded:,} there already, {encoded:,} encoded in "
            f"{self.seconds:.1f} s{where}, {encoded / rate:,.0f} texts/s, "
            f"{tokens / rate:,.0f} tokens/s"
        )


@contextlib.contextmanager
def encoding_by(executor: Executor | None) -> Iterator[list[Account]]:
    """Let `text_vectors` encode elsewhere for the length of a block, and tell what it did.

    Args:
        executor: what encodes batches; None for this process.
    """
    token = _ELSEWHERE.set(executor)
    try:
        with accounting() as accounts:
            yield accounts
    finally:
        _ELSEWHERE.reset(token)


@contextlib.contextmanager
def accounting() -> Iterator[list[Account]]:
    """What `text_vectors` does within a block."""
    accounts: list[Account] = []
    token = _ACCOUNTS.set((*_ACCOUNTS.get(), accounts))
    try:
        yield accounts
    finally:
        _ACCOUNTS.reset(token)


def encoder_key(encoder: TextEncoder, store: TokenStore) -> str:
    """A sha256 over the weights of an encoder and the tokenizer of a store."""
    told = f"{weights_fingerprint(encoder)} {store.meta['tokenizer_fingerprint']}"
    return hashlib.sha256(told.encode()).hexdigest()


def weights_fingerprint(encoder: TextEncoder) -> str:
    """A hash over the encoder's configuration and every parameter's and buffer's bytes."""
    config = encoder.model.config.to_dict()  # type: ignore[operator, union-attr] # transformers'
    for place in ("_name_or_path", "transformers_version", "dtype", "torch_dtype"):
        config.pop(place, None)
    text = json.dumps(config, sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode(), digest_size=32)  # twice as fast as sha256 here
    for name, tensor in encoder.model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(memoryview(flat.numpy()))
    return digest.hexdigest()


def _check(views: int, probability: float) -> None:
    if views < 0:
        raise InputError(f"masked_views={views}: expected 0 or more. Set 1 for one masked copy.")
    if not 0.0 <= probability <= 1.0:
        raise InputError(f"mask_probability={probability}: expected 0 <= p <= 1, such as 0.15.")


def _refuse_useless(vectors: _Floats, written: npt.NDArray[np.bool_], what: str) -> None:
    """Stop where the vectors of different texts tell nothing apart.

    Args:
        vectors: [n, d_t].
        written: bool [n], whether there is a text.
        what: made them.

    Raises:
        InputError: if one isn't finite, all are zero, or all are the same.
    """
    n_written = int(written.sum())
    if n_written < 2:  # one text has nothing to be told from
        return
    finite, d_t = True, vectors.shape[1]
    lowest, highest = np.full(d_t, np.inf), np.full(d_t, -np.inf)
    for start in range(0, len(vectors), _LOOKED_AT):  # they may be more than fit in memory
        part = vectors[start : start + _LOOKED_AT]
        here = written[start : start + _LOOKED_AT]
        part = part if here.all() else part[here]
        if len(part):
            finite = finite and bool(np.isfinite(part.sum()))
            lowest = np.minimum(lowest, part.min(axis=0))
            highest = np.maximum(highest, part.max(axis=0))
    most = max(np.abs(lowest).max(), np.abs(highest).max())
    if not finite:
        told = "aren't all finite numbers"
    elif most == 0:
        told = "are all zero"
    elif (highest - lowest).max() <= _ALIKE * most:
        told = "are all the same"
    else:
        return
    raise InputError(
        f"text_encoder: the vectors of {n_written:,} different texts {told} ({what}), so that "
        "no model can learn from them. Check its weights and pooling, or take another."
    )


def _file(
    weights: str,
    encoder: TextEncoder,
    store: TokenStore,
    plan: Plan,
    what: What,
) -> str:
    masking = [plan.views, plan.probability, plan.seed, plan.mask_token_id]
    facts = {
        "format": _FORMAT,
        "weights": weights,
        "pooling": encoder.pooling,
        "dtype": "float32",
        "tokenizer": store.meta["tokenizer_fingerprint"],
        "max_length": store.max_length,
        "mask": masking if what == "masked" else [0],  # originals know no masking
    }
    after = encoder.head.fingerprint()
    if after:  # weights after the language model, which most encoders don't have
        facts["after"] = after
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    # the tokens of the texts asked for, in their order, and not the store's key: another text
    # of the store has no influence on these vectors
    digest.update(plan.hashes.astype("<i8").tobytes())
    digest.update(store.lengths[plan.text_ids].astype("<i8").tobytes())
    return f"{digest.hexdigest()}.safetensors"


def _spread(
    original: _Floats, masked: _Floats, text_ids: npt.NDArray[np.int64], n: int
) -> TextVectors:
    def full(values: _Floats) -> torch.Tensor:
        if len(text_ids) == n:
            return torch.from_numpy(values)
        spread = np.zeros((*values.shape[:-2], n, values.shape[-1]), dtype=np.float32)
        spread[..., text_ids, :] = values
        return torch.from_numpy(spread)

    return TextVectors(full(original), full(masked))
