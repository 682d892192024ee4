"""Text vectors of the frozen encoder: computed once, kept on disk.

A vector depends on the text, the model and the masking seed; not on the other texts of its batch
(up to rounding) nor on its place in the data. Only the texts asked for are read.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import replacing
from recbole_symcere.text.encode import Plan, encode_plan, make_plan
from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.tokens import TokenStore

__all__ = ["TextVectors", "encoder_key", "text_vectors", "weights_fingerprint"]

_LOG = logging.getLogger("recbole_symcere")
_FORMAT = 2
_ALIKE = 1e-6  # of the largest value: what rounding makes of equal vectors
_Floats = npt.NDArray[np.float32]


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

    With ``directory``, vectors that were computed before are read from there. A file's name is a
    sha256 over the tokens, model weights, tokenizer, pooling and masking. Masked copies have a file
    of their own, so that models with other ones, or none, share the originals. A file that is
    damaged is computed anew, with a warning.

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
    paths: dict[str, Path] = {}
    if directory:
        weights = weights_fingerprint(encoder)
        paths["original"] = Path(directory, _file(weights, encoder, store, plan, "original"))
        if masked_views:
            paths["masked"] = Path(directory, _file(weights, encoder, store, plan, "masked"))
    read = {name: _read(path, name) for name, path in paths.items()}
    rows = {name: found for name, found in read.items() if found is not None}
    if not paths or len(rows) < len(paths):
        known, where = rows.get("original"), torch.device(device)
        found = encode_plan(encoder, store, plan, batch_tokens, where, show_progress, known)
        for name in paths.keys() - rows.keys():
            only = {name: found[name]}
            with replacing(paths[name]) as aside, _as_os_error():
                save_file(only, aside, metadata={"sha256": _digest(only)})
        rows = found
    written = store.lengths[plan.text_ids] > 0
    _refuse_useless(rows["original"][written], f"{store.meta['tokenizer']}, {encoder.pooling}")
    none = np.zeros((0, len(plan.text_ids), encoder.width), dtype=np.float32)
    return _spread(rows["original"], rows.get("masked", none), plan.text_ids, len(store))


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


def _refuse_useless(vectors: _Floats, what: str) -> None:
    """Stop where the vectors of different texts [n, d_t] tell nothing apart.

    Raises:
        InputError: if one isn't finite, all are zero, or all are the same.
    """
    if len(vectors) < 2:  # one text has nothing to be told from
        return
    if not np.isfinite(vectors.sum()):
        told = "aren't all finite numbers"
    elif not vectors.any():
        told = "are all zero"
    elif np.ptp(vectors, axis=0).max() <= _ALIKE * np.abs(vectors).max():
        told = "are all the same"
    else:
        return
    raise InputError(
        f"text_encoder: the vectors of {len(vectors):,} different texts {told} ({what}), so that "
        "no model can learn from them. Check its weights and pooling, or take another."
    )


def _file(
    weights: str,
    encoder: TextEncoder,
    store: TokenStore,
    plan: Plan,
    what: Literal["original", "masked"],
) -> str:
    # the seed orders texts of one length, and so the rounding of the originals too
    masking = [plan.views, plan.probability, plan.seed, plan.mask_token_id]
    facts = {
        "format": _FORMAT,
        "weights": weights,
        "pooling": encoder.pooling,
        "dtype": "float32",
        "tokenizer": store.meta["tokenizer_fingerprint"],
        "max_length": store.max_length,
        "mask": masking if what == "masked" else [plan.seed],
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


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """Tell what safetensors can't write as Python does."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _digest(rows: dict[str, _Floats]) -> str:
    digest = hashlib.sha256()
    for name in sorted(rows):
        digest.update(f"{name} {rows[name].shape}".encode())
        digest.update(np.ascontiguousarray(rows[name]).data)
    return digest.hexdigest()


def _read(path: Path, name: str) -> _Floats | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            rows: _Floats = file.get_tensor(name)
            if (file.metadata() or {}).get("sha256") == _digest({name: rows}):
                return rows
        reason = "its content does not have the sha256 it was written with"
    except (SafetensorError, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
    _LOG.warning("Cached text vectors %s are damaged (%s); encoding again.", path, reason)
    return None
