"""From token vectors to one vector per text, as the encoder's list of modules says.

What follows the language model (pooling, dense layers, normalisation) is sentence-transformers'.
That package takes a quarter of a second to import, and a run whose text vectors are kept already
encodes nothing: so its list, modules.json, is read here, and it is imported when a text is encoded.
"""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.files import sha256_of

__all__ = ["MODULES_FILE", "POOLINGS", "TextHead", "transformer_folder"]

MODULES_FILE = "modules.json"
POOLINGS = {"first": "cls", "mean": "mean", "last": "lasttoken"}
"""Our names of poolings -> those of sentence-transformers."""

_KINDS = ("Pooling", "Dense", "LayerNorm", "Dropout", "Normalize")
_WITH_WEIGHTS = {"Dense", "LayerNorm"}
_OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_building = threading.Lock()  # texts are encoded on several threads


class _Module(NamedTuple):
    """A module after the language model: its class's name, its settings, and where it is kept."""

    kind: str
    settings: dict[str, Any]
    folder: Path | None

    def told(self) -> str:
        """The module in words: a pooling by our name, if it has one."""
        if self.kind == "Dense":
            return f"Dense({self.settings['in_features']} -> {self.settings['out_features']})"
        if self.kind != "Pooling":
            return self.kind
        ours = {theirs: name for name, theirs in POOLINGS.items()}
        return "+".join(ours.get(mode, mode) for mode in _modes(self.settings))


class TextHead(nn.Module):
    """The modules after the language model: token vectors [B, T, d] to text vectors [B, width].

    Args:
        config: the transformers config of the language model.
        pooling: "auto" for the encoder's own; "first", "mean" or "last" take its place.
        normalize: whether text vectors are brought to length 1 at the end; None for what the list
            of modules says.

    Attributes:
        width: of a text vector.
        name: the modules in words, such as "mean" or "mean, Dense(384 -> 128), Normalize".

    Raises:
        InputError: for a list of modules that can't be read, or one that needs code of its own.
    """

    def __init__(self, config: Any, pooling: str = "auto", normalize: bool | None = None) -> None:
        super().__init__()
        if pooling not in ("auto", *POOLINGS):
            raise InputError(
                f"pooling={pooling}: expected auto, {', '.join(POOLINGS)}. Set one of these."
            )
        size = int(config.hidden_size)
        modules = _modules_of(config)
        if pooling != "auto":
            own = _pooling(size, (POOLINGS[pooling],))
            modules = [own if module.kind == "Pooling" else module for module in modules]
        if normalize is not None:
            modules = modules[:-1] if modules[-1].kind == "Normalize" else modules
            modules += [_Module("Normalize", {}, None)] if normalize else []
        self._modules_after, self.width = modules, _width(modules, size)
        self.name = ", ".join(module.told() for module in modules)
        self.layers: nn.ModuleList | None = None

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Vectors of texts.

        Args:
            hidden: float32 [B, T, d], of tokens.
            mask: bool [B, T], True on tokens; padding may be left or right.
        """
        self._build(hidden.device)
        # a pad token's vector may be infinite, and 0 * inf is NaN
        found = {"token_embeddings": torch.where(mask[..., None], hidden, 0.0)}
        found["attention_mask"] = mask.long()
        for layer in self.layers or ():
            found = layer(found)
        return found["sentence_embedding"]

    def fingerprint(self) -> str:
        """A hash over the files of modules that have weights; "" where none has."""
        files = [
            path
            for module in self._modules_after
            if module.kind in _WITH_WEIGHTS and module.folder
            for path in sorted(module.folder.iterdir())
        ]
        told = "".join(f"{path.name} {sha256_of(path)}\n" for path in files)
        return hashlib.sha256(told.encode()).hexdigest() if files else ""

    def reset(self) -> None:
        """Give layers that have weights random ones."""
        self._build(torch.device("cpu"))
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.LayerNorm):
                layer.reset_parameters()

    def _build(self, device: torch.device) -> None:
        if self.layers is not None:
            return
        with _building, torch.inference_mode(False):
            if self.layers is None:  # still, after the wait
                layers = [_made(module) for module in self._modules_after]
                self.layers = nn.ModuleList(layers).to(device).requires_grad_(False).eval()


def transformer_folder(root: Path) -> Path:
    """Where in an encoder's folder its language model is: there, or in 0_Transformer/ and the like.

    Raises:
        InputError: for a list of modules that can't be read.
    """
    listed = _listed(root / MODULES_FILE)
    return root / listed[0]["path"] if listed else root


def _modules_of(config: Any) -> list[_Module]:
    """The modules after a language model that was loaded from a folder."""
    size = int(config.hidden_size)
    root = Path(config.name_or_path or "/nowhere")
    if not (root / MODULES_FILE).is_file() and transformer_folder(root.parent) == root:
        root = root.parent
    listed = _listed(root / MODULES_FILE)[1:]
    if not listed and (root / "1_Pooling").is_dir():  # a copy without its list
        listed = [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]
    modules = [_read(entry["type"], root / entry["path"]) for entry in listed]
    modules = [_pooling(size, _modes(m.settings)) if m.kind == "Pooling" else m for m in modules]
    if all(module.kind != "Pooling" for module in modules):
        # decoders have seen the whole text at the last token alone; BERT and RoBERTa (so BLaIR)
        # put it into the first
        mode = "lasttoken" if _is_decoder_only(config) else "cls"
        modules.insert(0, _pooling(size, (mode,)))
    return modules


def _listed(file: Path) -> list[dict[str, str]]:
    """The entries of a modules.json, the language model first; none where there is no file."""
    if not file.is_file():
        return []
    entries = _json(file)
    if not isinstance(entries, list) or not all({"type", "path"} <= set(e) for e in entries):
        raise InputError(f"{file} is no list of modules; copy or download the encoder again.")
    kinds = [entry["type"].rsplit(".", 1)[-1] for entry in entries]
    for entry, kind in zip(entries, kinds, strict=True):
        known = entry["type"].startswith("sentence_transformers.")
        if not known or kind not in ("Transformer", *_KINDS) or ".." in Path(entry["path"]).parts:
            raise InputError(
                f"{file} asks for {entry['type']}, which is not one of Transformer, "
                f"{', '.join(_KINDS)}; code that comes with a model is not run. Choose another "
                "text_encoder."
            )
    if kinds[:1] != ["Transformer"] or "Transformer" in kinds[1:]:
        raise InputError(f"{file} doesn't begin with the one Transformer. Choose another encoder.")
    return entries


def _read(kind: str, folder: Path) -> _Module:
    kind = kind.rsplit(".", 1)[-1]
    file = folder / "config.json"
    settings = _json(file) if file.is_file() else {}
    if kind in _WITH_WEIGHTS and not (folder / "model.safetensors").is_file():
        raise InputError(
            f"{folder} has no model.safetensors, but {kind} has weights; pickled ones, which can "
            "run code, are not read. Save the encoder again with safe_serialization=True."
        )
    activation = str(settings.get("activation_function", "torch.nn."))
    if not activation.startswith("torch.nn."):
        raise InputError(f"{file}: activation_function is {activation}, expected one of torch.nn.")
    return _Module(kind, settings, folder)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} isn't valid JSON ({error}); copy the encoder again.") from None


def _pooling(size: int, modes: tuple[str, ...]) -> _Module:
    return _Module("Pooling", {"embedding_dimension": size, "pooling_mode": modes}, None)


def _modes(settings: dict[str, Any]) -> tuple[str, ...]:
    """The modes of a pooling, in the newer spelling or the older one."""
    named = settings.get("pooling_mode")
    if named is None:
        named = [mode for key, mode in _OLD_MODES.items() if settings.get(key)] or ["mean"]
    return (named,) if isinstance(named, str) else tuple(named)


def _width(modules: list[_Module], size: int) -> int:
    for module in modules:
        if module.kind == "Pooling":
            size *= len(_modes(module.settings))
        if module.kind == "Dense":
            size = int(module.settings["out_features"])
    return size


def _made(module: _Module) -> nn.Module:
    from sentence_transformers.sentence_transformer import modules

    kind: Any = getattr(modules, module.kind)
    if module.kind in _WITH_WEIGHTS:
        return kind.load(str(module.folder), local_files_only=True)  # type: ignore[no-any-return]
    return kind(**module.settings)  # type: ignore[no-any-return]


def _is_decoder_only(config: Any) -> bool:
    """Whether the architecture exists as a causal language model only (Llama, not BERT)."""
    from transformers.models.auto import modeling_auto

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return config.model_type in causal and config.model_type not in masked
