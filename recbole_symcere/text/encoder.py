"""Text encoders: Hugging Face models, frozen or with LoRA, and the projection to the graph."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from recbole_symcere.base.errors import InputError
from recbole_symcere.text.load import load_encoder
from recbole_symcere.text.pooling import TextHead
from recbole_symcere.text.source import DEFAULT_ENCODER
from recbole_symcere.text.tokens import TokenStore

__all__ = [
    "DEFAULT_ENCODER",
    "Projection",
    "TextEncoder",
    "load_encoder",
    "resolve_text_mode",
]

# The attention projections that LoRA adapts, by architecture (Hu et al., 2022, adapt query and
# value); the first line whose names a model has is taken.
_LORA_TARGETS = (
    ("query", "value"),  # BERT, RoBERTa, ELECTRA
    ("q_proj", "v_proj"),  # Llama, Mistral, Qwen
    ("q_lin", "v_lin"),  # DistilBERT
    ("query_proj", "value_proj"),  # DeBERTa
    ("q", "v"),  # MPNet
    ("query_key_value",),  # GPT-NeoX, BLOOM
    ("Wqkv",),  # ModernBERT
    ("qkv_proj",),  # Phi-3
    ("c_attn",),  # GPT-2
)


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
    """

    model: nn.Module

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

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode texts.

        Args:
            input_ids: int64 [B, T].
            attention_mask: [B, T], nonzero on tokens. A row of zeros is an empty text.

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
        hidden = self.model(input_ids=input_ids, attention_mask=seen.long()).last_hidden_state
        vectors: torch.Tensor = self.head(hidden.float(), seen)
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
    ) -> None:
        """Add trainable low-rank adapters (Hu et al., 2022); they start as the identity.

        peft's injection is used, not ``get_peft_model``, whose wrapper breaks RecBole's get_flops.

        Args:
            rank: r > 0.
            alpha: the update is scaled by alpha / r.
            dropout: on the adapters' input, 0 <= p < 1.
            target_modules: names of the layers to adapt; by architecture if None.

        Raises:
            InputError: if the layers are not found or a number is out of range.
        """
        from peft import LoraConfig, inject_adapter_in_model

        if rank < 1 or not 0.0 <= dropout < 1.0:
            raise InputError(
                f"lora_rank={rank}, lora_dropout={dropout}: expected a rank of at least 1 and "
                "0 <= dropout < 1. The defaults are 8 and 0.05."
            )
        settings = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=_lora_targets(self.model, target_modules),
        )
        inject_adapter_in_model(settings, self.model)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_("lora_" in name)


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


def _lora_targets(model: nn.Module, wanted: Sequence[str] | None) -> list[str]:
    names = {name.rsplit(".", 1)[-1] for name, layer in model.named_modules() if _is_linear(layer)}
    for candidate in (tuple(wanted),) if wanted else _LORA_TARGETS:
        if set(candidate) <= names:
            return list(candidate)
    asked = f"lora_target_modules={list(wanted)}" if wanted else "lora_target_modules is not set"
    raise InputError(
        f"{asked}: {type(model).__name__} has no such attention layers. Expected names out of "
        f"{', '.join(sorted(names))}. Set lora_target_modules to its query and value layers."
    )


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D"  # GPT-2's linear


def _max_tokens(model: Any) -> int | None:
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is None or limit < 1:
        return None
    positions = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    # RoBERTa counts positions from padding_idx + 1
    return int(limit) if padding is None else int(limit) - int(padding) - 1
