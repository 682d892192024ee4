"""A text encoder that a run has trained, as sentence-transformers and ONNX Runtime load it."""

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.text.encode import encode_texts
from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.tokenise import pad_id

__all__ = ["ONNX", "TOWER", "merged", "write_onnx", "write_tower"]

TOWER = "text_tower"
"""The tower's folder."""

ONNX = f"{TOWER}.onnx"

_APART = 1e-4  # vectors, as a share of the longest: rounding stays far below, a fault doesn't
_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_CPU = torch.device("cpu")


def merged(model: nn.Module) -> nn.Module:
    """A copy of a language model in which LoRA's update is part of the weights it adapts."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    found = copy.deepcopy(model).eval()
    adapted = [n for n, layer in found.named_modules() if isinstance(layer, BaseTunerLayer)]
    for name in adapted:
        layer: Any = found.get_submodule(name)
        layer.double()  # the sum of both rounds once
        layer.merge(safe_merge=True)
        parent, _, own = name.rpartition(".")
        setattr(found.get_submodule(parent), own, layer.get_base_layer().float())
    return found.requires_grad_(False)


def write_tower(
    folder: Path, encoder: TextEncoder, tokenizer: Any, max_length: int, texts: Sequence[str]
) -> tuple[Any, str]:
    """Write ``text_tower/``: the language model with LoRA merged, pooling and what follows it.

    Args:
        folder: it is there.
        encoder: of the run, with its LoRA weights, on the CPU.
        tokenizer: its tokenizer.
        max_length: tokens that it reads of a text.
        texts: by which both are compared; none of them empty.

    Returns:
        The SentenceTransformer as it loads from there, and what was written, in words.

    Raises:
        InputError: if it gives other vectors than the run's encoder.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    expected = encode_texts(encoder, tokenizer, texts, max_length, _CPU)  # builds the head too
    backbone: Any = merged(encoder.model)
    with _quiet(), tempfile.TemporaryDirectory() as aside:
        backbone.save_pretrained(aside)
        _padding(tokenizer).save_pretrained(aside)
        first = Transformer(aside, max_seq_length=max_length)
        after = [copy.deepcopy(layer) for layer in encoder.head.layers or ()]
        whole = SentenceTransformer(modules=[first, *after], device="cpu")
        whole.save_pretrained(str(folder / TOWER), create_model_card=False)
        tower = SentenceTransformer(str(folder / TOWER), device="cpu", local_files_only=True)
    found = tower.encode(
        list(texts), convert_to_tensor=True, normalize_embeddings=False, show_progress_bar=False
    )
    apart = _apart(found, expected, "sentence-transformers")
    return tower, (
        f"the text encoder, LoRA merged, in {TOWER}/: sentence-transformers gives its vectors to "
        f"{apart:.1e}, {len(texts):,} texts"
    )


def _padding(tokenizer: Any) -> Any:
    """A tokenizer that can pad: Llama's has no token for it, and the mask hides whichever it is."""
    if tokenizer.pad_token is not None:
        return tokenizer
    found = copy.deepcopy(tokenizer)
    found.pad_token = found.convert_ids_to_tokens(pad_id(tokenizer))
    return found


def write_onnx(folder: Path, tower: Any, texts: Sequence[str]) -> str:
    """Write ``text_tower.onnx``, from input_ids and attention_mask to sentence_embedding.

    Args:
        folder: it is there.
        tower: the SentenceTransformer.
        texts: at least two, by which both are compared.

    Returns:
        What was written, in words.

    Raises:
        InputError: if it gives other vectors.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        install = f"pip install {' '.join(missing)}"
        return f"no ONNX file of the text encoder: {missing[0]} isn't installed ({install})"
    import onnxruntime

    few, whole = (_tokens(tower, some) for some in (texts[:2], texts))
    network = _Network(tower).eval()
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    with _quiet():
        torch.onnx.export(
            network,
            few,
            str(folder / ONNX),
            input_names=["input_ids", "attention_mask"],
            output_names=["sentence_embedding"],
            dynamic_shapes={"input_ids": free, "attention_mask": free},
            external_data=(folder / TOWER / "model.safetensors").stat().st_size > 1_500_000_000,
            dynamo=True,
            verbose=False,
        )
    _forget_traces(folder / ONNX)
    session = onnxruntime.InferenceSession(str(folder / ONNX), providers=["CPUExecutionProvider"])
    fed = {"input_ids": whole[0].numpy(), "attention_mask": whole[1].numpy()}
    with torch.no_grad():
        expected = network(*whole)
    found = torch.from_numpy(session.run(None, fed)[0])
    apart = _apart(found, expected, "ONNX Runtime")
    return (
        f"the same as {ONNX}: ONNX Runtime gives its vectors to {apart:.1e}, {len(texts):,} texts"
    )


def _forget_traces(file: Path) -> None:
    """Take the exporter's notes out of each node: places of source files on this machine."""
    import onnx

    model = onnx.load(str(file), load_external_data=False)
    for graph in (model.graph, *model.functions):
        for node in graph.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        graph.ClearField("metadata_props")
        graph.ClearField("value_info")
    file.write_bytes(model.SerializeToString())


class _Network(nn.Module):
    """Tokens [B, T] to text vectors [B, d_t]."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        first, *after = tower
        self.model, self.after = copy.deepcopy(first.model), nn.ModuleList(after)
        # the fused attention has a kernel a mask, which an exported graph can't choose among
        self.model.set_attn_implementation("eager")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        found = {"token_embeddings": hidden, "attention_mask": attention_mask}
        for layer in self.after:
            found = layer(found)
        vectors: torch.Tensor = found["sentence_embedding"]
        return vectors


def _tokens(tower: Any, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    found = tower.tokenizer(
        list(texts),
        padding=True,
        truncation=True,
        max_length=tower.max_seq_length,
        return_tensors="pt",
    )
    return found["input_ids"], found["attention_mask"]


def _apart(found: torch.Tensor, expected: torch.Tensor, what: str) -> float:
    """The largest difference of two numbers of vectors.

    Raises:
        InputError: if it is more than rounding.
    """
    apart = float((found - expected).abs().max())
    if not apart <= _APART * max(1.0, float(expected.norm(dim=1).max())):
        raise InputError(
            f"{what} gives other vectors than the run's text encoder (they differ by {apart:.1e}), "
            "so the text encoder isn't exported. Leave it out: --text_tower=False."
        )
    return apart


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and none of the exporter's notes to those who write exporters."""
    from transformers.utils import logging as hf_logging

    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()
