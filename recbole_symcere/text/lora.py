"""Which layers of a text model get LoRA (Hu et al., 2022)."""

from collections.abc import Sequence

from torch import nn

from recbole_symcere.base.errors import InputError

__all__ = ["inject_lora"]

# The attention projections that LoRA adapts, by architecture (Hu et al., 2022, adapt query and
# value); the first line whose names a model has is taken.
_TARGETS = (
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


def inject_lora(
    model: nn.Module,
    rank: int,
    alpha: int,
    dropout: float,
    target_modules: Sequence[str] | None,
    within: Sequence[str] | None = None,
) -> None:
    """Add trainable low-rank adapters, which start as the identity; all other weights are frozen.

    peft's injection is used, not ``get_peft_model``, whose wrapper breaks RecBole's get_flops.

    Args:
        model: a transformers model without head.
        rank: r > 0.
        alpha: the update is scaled by alpha / r.
        dropout: on the adapters' input, 0 <= p < 1.
        target_modules: names of the layers to adapt; by architecture if None.
        within: names of the parts of the model that get them; all if None.

    Raises:
        InputError: if the layers are not found or a number is out of range.
    """
    from peft import LoraConfig, inject_adapter_in_model

    if rank < 1 or not 0.0 <= dropout < 1.0:
        raise InputError(
            f"lora_rank={rank}, lora_dropout={dropout}: expected a rank of at least 1 and "
            "0 <= dropout < 1. The defaults are 8 and 0.05."
        )
    targets = _targets(model, target_modules)
    if within is not None:
        targets = [
            name
            for name, layer in model.named_modules()
            if _is_linear(layer)
            and name.rsplit(".", 1)[-1] in targets
            and any(name.startswith(f"{part}.") for part in within)
        ]
        if not targets:
            raise InputError(
                f"lora_target_modules={list(target_modules or ())}: {', '.join(within)} has no "
                "such layer. Set lora_layers to ~, or choose other ones."
            )
    settings = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)
    inject_adapter_in_model(settings, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


def _targets(model: nn.Module, wanted: Sequence[str] | None) -> list[str]:
    names = {name.rsplit(".", 1)[-1] for name, layer in model.named_modules() if _is_linear(layer)}
    for candidate in (tuple(wanted),) if wanted else _TARGETS:
        if set(candidate) <= names:
            return list(candidate)
    asked = f"lora_target_modules={list(wanted)}" if wanted else "lora_target_modules is not set"
    raise InputError(
        f"{asked}: {type(model).__name__} has no such attention layers. Expected names out of "
        f"{', '.join(sorted(names))}. Set lora_target_modules to its query and value layers."
    )


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D"  # GPT-2's linear
