"""Text encoders: Hugging Face models, frozen or with LoRA, and the projection to the graph."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.text.layer_cut import LayerCut
from recbole_symcere.text.load import load_encoder
from recbole_symcere.text.lora import inject_lora
from recbole_symcere.text.pooling import TextHead
from recbole_symcere.text.source import DEFAULT_ENCODER
from recbole_symcere.text.tokens import TokenStore

__all__ = [
    "DEFAULT_ENCODER",
    "Projection",
    "TextEncoder",
    "load_encoder",
    "resolve_precision",
    "resolve_text_mode",
]


class TextEncoder(nn.Module):
    """A text model with pooling: tokens of B texts to [B, d_t] float32.

    The base weights are frozen. ``state_dict`` leaves them out (they come from the model's own
    files, and would make a checkpoint of 100 kB one of 500 MB); ``load_state_dict`` does not ask
    for them, and is as strict as ever about every other key.

    Args:
        model: a transformers model without head, as :func:`load_encoder` returns it.
        pooling: "auto" (as the model was trained), "first", "mean" or "last".
        normalize: whether text vectors are brought to length 1; None for what the model's list of
            modules says.

    Attributes:
        width: d_t, of a text vector.
        pooling: the modules after the language model in words: "first", "mean", "last", ...
        max_tokens: longest text the model can read, in tokens; None if it does not say.
        precision: of the model's products in training, such as bfloat16; None for float32.
        cut: below the layers that have LoRA, if only the top ones have.
    """

    model: nn.Module
    precision: torch.dtype | None = None
    cut: LayerCut | None = None

    def __init__(
        self, model: nn.Module, pooling: str = "auto", normalize: bool | None = None
    ) -> None:
        super().__init__()
        self._told = pooling, normalize
        self.head = TextHead(model.config, pooling, normalize)
        self.model = model.requires_grad_(False)
        self.width, self.pooling = self.head.width, self.head.name
        self.max_tokens = _max_tokens(model)
        self.train(model.training)
        # (torch gives these two no types)
        self.register_state_dict_post_hook(_leave_out_frozen)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_fill_in_frozen)  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        below: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Encode texts.

        Args:
            input_ids: int64 [B, T].
            attention_mask: [B, T], nonzero on tokens. A row of zeros is an empty text.
            below: hidden states [B, T, d] of these tokens below the `cut`, where they are known.

        Returns:
            float32 [B, d_t]; zeros for an empty text.
        """
        mask = attention_mask.bool()
        if not mask.numel():
            return torch.zeros(len(mask), self.width, device=mask.device)
        empty = ~mask.any(dim=1, keepdim=True)  # [B, 1]
        # a softmax over no token is NaN, so an empty text attends to its first pad token
        first = torch.zeros_like(mask)
        first[:, 0] = True
        seen = mask | (empty & first)
        tokens = {"input_ids": input_ids, "attention_mask": seen.long()}
        # a tuned encoder is read at full precision when it isn't trained
        low = self.precision if self.training else None
        with torch.autocast(mask.device.type, low, enabled=low is not None):
            if below is not None and self.cut is not None:
                hidden = self.cut.above(below, **tokens)
            else:
                hidden = self.model(**tokens).last_hidden_state
        hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        vectors: torch.Tensor = self.head(hidden, seen)
        return vectors.masked_fill(empty, 0.0)

    def refuse_unreadable(self, store: TokenStore) -> None:
        """Stop if a text is longer than the model reads, or has a token that it doesn't have.

        Raises:
            InputError: naming both numbers.
        """
        longest = int(store.lengths.max(initial=0))
        if self.max_tokens is not None and longest > self.max_tokens:
            raise InputError(
                f"max_length={store.max_length}: a text has {longest} tokens, the text "
                f"encoder reads {self.max_tokens}. Set max_length to at most {self.max_tokens}."
            )
        backbone: Any = self.model
        n_tokens = backbone.get_input_embeddings().num_embeddings
        if store.highest_id >= n_tokens:
            raise InputError(
                f"text_encoder: its tokenizer ({store.meta['tokenizer']}) gave a text the token "
                f"{store.highest_id}, but its model has {n_tokens} tokens, counted from 0. The "
                "folder mixes the files of two encoders."
            )

    def random_twin(self) -> "TextEncoder":
        """An encoder of the same architecture whose weights are random, from torch's own state."""
        backbone: Any = self.model
        fresh = type(backbone)(backbone.config).float().eval()
        fresh.config.name_or_path = backbone.config.name_or_path
        twin = TextEncoder(fresh, *self._told)
        twin.head.reset()
        return twin

    def add_lora(
        self,
        rank: int = 8,
        alpha: int = 16,
        dropout: float = 0.05,
        target_modules: Sequence[str] | None = None,
        layers: int | None = None,
    ) -> None:
        """Add trainable low-rank adapters, see `inject_lora`.

        Args:
            rank: see there, as for the next three.
            alpha: see there.
            dropout: see there.
            target_modules: see there.
            layers: the top layers that get them; all if None. What is below them doesn't learn, so
                that it can be computed once, see `cut`.

        Raises:
            InputError: if the layers are not found or a number is out of range.
        """
        cut = None if layers is None else LayerCut(self.model, layers)
        within = cut.names if cut else None
        inject_lora(self.model, rank, alpha, dropout, target_modules, within)
        self.cut = cut
        self.train(self.training)

    def compile_layers(self) -> None:
        """Compile the layers that are trained, each by torch.compile, for texts of any length."""
        trained = {
            id(module)
            for module in self.model.modules()
            if any(p.requires_grad for p in module.parameters())
        }
        for module in self.model.modules():
            if isinstance(module, nn.ModuleList):
                for layer in module:
                    if id(layer) in trained:
                        layer.compile(dynamic=True)

    def train(self, mode: bool = True) -> "TextEncoder":
        """As torch's, but without dropout in the frozen model: it is a fixed function of a text.

        In training the dropout of LoRA's input is on, and nothing else.
        """
        super().train(mode)
        self.model.eval()
        for name, module in self.model.named_modules():
            if "lora_dropout" in name:
                module.train(mode)
        return self


class Projection(nn.Module):
    """From text width to graph width, trained: "linear", "fc_tanh" (SymCERE v1) or "mlp".

    "mlp" is the two-layer projector of RLMRec (Ren et al., 2024): a hidden layer half-way
    between both widths, LeakyReLU.

    Args:
        text_width: d_t.
        graph_width: width of the graph encoder's vectors, read from the backbone.
        text_proj: which of the three.
    """

    def __init__(self, text_width: int, graph_width: int, text_proj: str = "linear") -> None:
        super().__init__()
        middle = (text_width + graph_width) // 2
        layers: dict[str, list[nn.Module]] = {
            "linear": [nn.Linear(text_width, graph_width)],
            "fc_tanh": [nn.Linear(text_width, graph_width), nn.Tanh()],
            "mlp": [
                nn.Linear(text_width, middle),
                nn.LeakyReLU(),
                nn.Linear(middle, graph_width),
            ],
        }
        if text_proj not in layers:
            raise InputError(f"text_proj={text_proj}: expected one of {', '.join(layers)}.")
        self.layers = nn.Sequential(*layers[text_proj])

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[..., d_t] to [..., graph width]."""
        projected: torch.Tensor = self.layers(vectors)
        return projected


def resolve_text_mode(mode: str, device: torch.device | str) -> tuple[str, str]:
    """Decide between training the text encoder with LoRA and keeping it frozen.

    Args:
        mode: "auto", "lora" or "frozen".
        device: where the model runs.

    Returns:
        "lora" or "frozen", and a sentence for the log that says why.

    Raises:
        InputError: if ``mode`` is something else.
    """
    kind = torch.device(device).type
    if mode == "auto":
        if kind == "cpu":
            return "frozen", (
                "Text encoder frozen (text_mode: auto): there is no accelerator, and LoRA on a CPU "
                "encodes every review anew at each step."
            )
        return "lora", f"Text encoder trained with LoRA (text_mode: auto): the device is {kind}."
    if mode == "lora":
        return mode, "Text encoder trained with LoRA, as text_mode: lora asks for."
    if mode == "frozen":
        return mode, "Text encoder frozen, as text_mode: frozen asks for."
    raise InputError(f"text_mode={mode}: expected auto, lora or frozen. Set one of these.")


def resolve_precision(precision: str, device: torch.device | str) -> torch.dtype | None:
    """The dtype of a tuned encoder's products: None for float32.

    Args:
        precision: "auto" (bfloat16 on a GPU that computes in it), "float32" or "bfloat16".
        device: where the model runs.
    """
    on_gpu = torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if precision == "bfloat16" or (precision == "auto" and on_gpu) else None


def _frozen(encoder: TextEncoder) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in encoder.named_parameters():
        if not parameter.requires_grad:
            yield name, parameter
    yield from encoder.named_buffers()


def _leave_out_frozen(encoder: TextEncoder, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name, _tensor in _frozen(encoder):
        state.pop(prefix + name, None)


def _fill_in_frozen(encoder: TextEncoder, state: dict[str, Any], prefix: str, *_: Any) -> None:
    # ``state`` is load_state_dict's own copy. A parameter copied onto itself stays what it is.
    parts = {"model.": encoder.model, "head.": encoder.head}  # not the encoder: its hook is at work
    persistent = {
        name: tensor
        for place, part in parts.items()
        for name, tensor in nn.Module.state_dict(part, prefix=place, keep_vars=True).items()
    }
    for name, tensor in _frozen(encoder):
        if name in persistent:
            state.setdefault(prefix + name, tensor)


def _max_tokens(model: Any) -> int | None:
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is None or limit < 1:
        return None
    positions = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    # RoBERTa counts positions from padding_idx + 1
    return int(limit) if padding is None else int(limit) - int(padding) - 1
