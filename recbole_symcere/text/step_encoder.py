"""Encoding the texts of a training step: sorted by length, with as many activations as fit."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks

from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.free_memory import free_bytes
from recbole_symcere.text.kept_layers import KeptLayers
from recbole_symcere.text.sub_batches import sub_batches, token_budget

__all__ = ["StepEncoder", "Texts"]

_CPU_SHARE, _ACCELERATOR_SHARE = 0.25, 0.6  # of the free memory, for activations


class Texts(NamedTuple):
    """Tokens of n texts, right-padded.

    Attributes:
        input_ids: int64 [n, T].
        attention_mask: [n, T], nonzero on tokens.
        text_ids: int64 [n], places of the texts in their token store.
        views: int64 [n], number of the masked copy that the tokens are; -1 for the text itself.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    text_ids: torch.Tensor
    views: torch.Tensor


class StepEncoder:
    """Encodes texts with gradient in sub-batches of few padding tokens.

    Activations are kept for backward as long as they fit. Beyond that a sub-batch is encoded
    without them, and once more in backward with the same dropout, where its share of the vectors'
    gradient is handed to the weights: gradient caching (Gao et al., 2021). The loss still
    contrasts all texts with each other, and its gradients are the same.

    Args:
        encoder: with LoRA.
        held_tokens: padded tokens whose activations are held at once; None chooses from the memory
            that is free at the first step, and from what a token of its longest texts holds.
        kept: the layers below the trained ones, computed before; None runs all layers.
    """

    def __init__(
        self, encoder: TextEncoder, held_tokens: int | None = None, kept: KeptLayers | None = None
    ) -> None:
        self._encoder, self.held_tokens, self._kept = encoder, held_tokens, kept

    def __call__(self, texts: Texts) -> torch.Tensor:
        """Vectors [n, d_t] of the texts, in their order."""
        device = texts.input_ids.device
        lengths = texts.attention_mask.sum(dim=1).cpu().numpy()  # [n]
        order = np.argsort(-lengths, kind="stable")
        budget = min(token_budget(device), self.held_tokens or token_budget(device))
        parts = list(sub_batches(order, lengths, budget))
        if not parts:
            return torch.zeros(0, self._encoder.width, device=device)
        sizes = [len(part) * int(lengths[part[0]]) for part in parts]
        found, held = [], 0
        for part, size in zip(parts, sizes, strict=True):
            chosen = torch.from_numpy(part).to(device)
            width = int(lengths[part[0]])
            ids = texts.input_ids[chosen, :width]
            mask = texts.attention_mask[chosen, :width]
            below = None
            if self._kept is not None:
                keys = (texts.text_ids[chosen], texts.views[chosen], lengths[part])
                below = self._kept.take(*(np.asarray(torch.as_tensor(k).cpu()) for k in keys))
                below = below.to(device)
            if not torch.is_grad_enabled():
                found.append(self._encoder(ids, mask, below))
            elif self.held_tokens is None:  # the first sub-batch of the first step
                found.append(self._measured(ids, mask, below))
                held += size
            elif self._fits(sizes, held + size):
                found.append(self._encoder(ids, mask, below))
                held += size
            else:
                found.append(self._encoded_twice(ids, mask, below))
        back = torch.from_numpy(np.argsort(order)).to(device)
        return torch.cat(found).index_select(0, back)

    def _encoded_twice(
        self, ids: torch.Tensor, mask: torch.Tensor, below: torch.Tensor | None
    ) -> torch.Tensor:
        weights = [p for p in self._encoder.parameters() if p.requires_grad]
        vectors: torch.Tensor = _EncodedTwice.apply(  # type: ignore[no-untyped-call] # torch's
            lambda: self._encoder(ids, mask, below), ids.device, *weights
        )
        return vectors

    def _fits(self, sizes: list[int], held: int) -> bool:
        """Whether ``held`` tokens can be, beside the sub-batch that is encoded anew."""
        limit = self.held_tokens or 0
        return sum(sizes) <= limit or held + max(sizes) <= limit

    def _measured(
        self, ids: torch.Tensor, mask: torch.Tensor, below: torch.Tensor | None
    ) -> torch.Tensor:
        """Encode texts, and find from what they hold how many tokens may be held."""
        free = free_bytes(ids.device)
        fixed = {p.untyped_storage().data_ptr() for p in self._encoder.parameters()}
        storages: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in fixed:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with saved_tensors_hooks(note, lambda tensor: tensor):
            vectors: torch.Tensor = self._encoder(ids, mask, below)
        if ids.numel() and vectors.requires_grad:
            share = _CPU_SHARE if ids.device.type == "cpu" else _ACCELERATOR_SHARE
            per_token = sum(storages.values()) / ids.numel()
            self.held_tokens = max(ids.numel(), int(share * free / per_token))
        return vectors


class _EncodedTwice(torch.autograd.Function):
    """Runs a function without activations, and in backward once more with them.

    Unlike torch's checkpoint it builds no graph the first time, whose many small pieces would keep
    the memory of the freed activations from being used again (measured: three times the peak).
    """

    @staticmethod
    def forward(
        ctx: Any, run: Callable[[], torch.Tensor], device: torch.device, *weights: torch.Tensor
    ) -> torch.Tensor:
        ctx.run, ctx.device = run, device
        ctx.save_for_backward(*weights)
        ctx.random = torch.get_rng_state()
        ctx.on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return run()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        on_gpu = ctx.on_gpu is not None
        with (
            torch.random.fork_rng([ctx.device] if on_gpu else []),
            torch.enable_grad(),
        ):
            torch.set_rng_state(ctx.random)
            if on_gpu:
                torch.cuda.set_rng_state(ctx.on_gpu, ctx.device)
            vectors = ctx.run()
        weights = ctx.saved_tensors
        if not vectors.requires_grad:  # of empty texts alone
            return (None,) * (2 + len(weights))
        found = torch.autograd.grad(vectors, weights, gradients, allow_unused=True)
        return None, None, *found
