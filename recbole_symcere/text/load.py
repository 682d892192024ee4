"""Loading a Hugging Face text model and its tokenizer, with checks that it is one."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.text.pooling import transformer_folder
from recbole_symcere.text.source import one_line, resolve_folder

__all__ = ["load_encoder", "load_tokenizer"]


def load_encoder(name_or_path: str) -> tuple[nn.Module, Any]:
    """Load a text model without its head, in float32 and evaluation mode, and its tokenizer.

    Encoder-decoder models (T5) are refused: which half gives the text vector, and how to pool
    it, is not settled for them. A decoder-only model loads without its language-model head.
    Remote code stays off; weights are read from safetensors alone.

    Args:
        name_or_path: see :func:`recbole_symcere.text.source.resolve_folder`.

    Returns:
        The transformers model and its tokenizer.

    Raises:
        InputError: if there is no such model, or if it is not a text model that can be used.
    """
    from transformers import AutoConfig, AutoModel

    folder = transformer_folder(resolve_folder(name_or_path))
    with _quiet_loading(), _as_input_error(name_or_path, folder):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _check_config(name_or_path, config)
        model, info = AutoModel.from_pretrained(
            folder,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # reported by _check_model, with names
            output_loading_info=True,
        )
        tokenizer = _tokenizer(folder)
    _drop_pooler(model)
    _check_model(name_or_path, model, tokenizer, info)
    model.config.use_cache = False
    return model.float().eval(), tokenizer


def load_tokenizer(name_or_path: str) -> Any:
    """The tokenizer of a text model, without the model.

    Args:
        name_or_path: as in :func:`load_encoder`.

    Raises:
        InputError: if there is no such model, or its tokenizer can't be loaded.
    """
    folder = transformer_folder(resolve_folder(name_or_path))
    with _quiet_loading(), _as_input_error(name_or_path, folder):
        return _tokenizer(folder)


def _tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder; it lowers the case where sentence-transformers would."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    file = folder / "sentence_bert_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if settings.get("do_lower_case") and tokenizer.is_fast:
        from tokenizers.normalizers import Lowercase, Sequence

        backend = tokenizer.backend_tokenizer
        own = [backend.normalizer] if backend.normalizer is not None else []
        backend.normalizer = Sequence([Lowercase(), *own])
    return tokenizer


def _drop_pooler(model: Any) -> None:
    # BERT's pooler is not used, and where a checkpoint lacks it, it would be random
    if getattr(model, "pooler", None) is not None and hasattr(model.config, "vocab_size"):
        model.pooler = None


def _check_config(name: str, config: Any) -> None:
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"text_encoder={name}: {kind} is an encoder-decoder model. Expected an encoder (BERT, "
            "RoBERTa...) or a decoder (Llama, Qwen...); choose one of these."
        )
    if not hasattr(config, "vocab_size") or not hasattr(config, "hidden_size"):
        raise InputError(
            f"text_encoder={name}: {kind} is not a text model (config.json has no vocab_size or "
            "hidden_size). Expected a text encoder or decoder; choose one."
        )


def _check_model(name: str, model: Any, tokenizer: Any, info: dict[str, Any]) -> None:
    table = model.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise InputError(
            f"text_encoder={name}: {type(model).__name__} does not read tokens. Expected a text "
            "encoder or decoder; choose one."
        )
    wrong = {key for key in info["missing_keys"] if "pooler" not in key}
    wrong |= {key[0] for key in info.get("mismatched_keys", ())}  # (name, found, expected)
    if wrong:
        raise InputError(
            f"text_encoder={name}: the weights do not fit config.json ({len(wrong)} tensors of "
            f"{type(model).__name__} are absent or of another shape, such as {min(wrong)}). "
            "Expected both from one model; copy the folder again."
        )
    if len(tokenizer) > table.num_embeddings:
        raise InputError(
            f"text_encoder={name}: the tokenizer has {len(tokenizer)} tokens, the model "
            f"{table.num_embeddings}. Expected the model's own tokenizer; copy it into the folder."
        )


@contextmanager
def _as_input_error(name: str, folder: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise InputError(
            f"text_encoder={name}: {folder} could not be loaded as a text model "
            f"({one_line(error)}). Expected a model and "
            "tokenizer written by save_pretrained; copy or download it again."
        ) from error


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """No progress bar and no report about heads that are not used; real errors still raise."""
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
