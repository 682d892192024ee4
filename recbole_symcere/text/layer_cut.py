"""A transformer cut below its top layers: what is below runs alone, what is above goes on from it.

A layer is left out by putting another `forward` in its place for a while, so that masks, positions
and whatever else an architecture prepares for its layers stay its own.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from recbole_symcere.base.errors import InputError

__all__ = ["LayerCut"]

_ALIKE = 1e-4  # of the largest value: what rounding makes of equal hidden states


class LayerCut:
    """A transformer's layers, cut below the top ``k``.

    Args:
        model: a transformers model without head, in evaluation mode.
        top: k, layers above the cut.

    Attributes:
        names: of the layers above the cut within the model, such as "encoder.layer.5".

    Raises:
        InputError: if the model has no such layers, or does not compute the same when it is cut.
    """

    def __init__(self, model: nn.Module, top: int) -> None:
        self._model: Any = model
        name, layers = self._find(top)
        self._n_below = len(layers) - top
        self._layers = list(layers)
        self.names = [f"{name}.{place}" for place in range(self._n_below, len(layers))]
        self._beside: int | None = None  # what a layer returns beside its states, if in a tuple
        self._try(top)

    def above(self, hidden: torch.Tensor, **tokens: torch.Tensor) -> torch.Tensor:
        """The model's last hidden states [B, T, d].

        Args:
            hidden: [B, T, d], as `below` gives it for the same tokens.
            tokens: input_ids and attention_mask [B, T].
        """
        with self._instead(self._layers[: self._n_below], lambda *_, **__: self._out(hidden)):
            last: torch.Tensor = self._model(**tokens).last_hidden_state
        return last

    @contextlib.contextmanager
    def below(self) -> Iterator[Callable[..., torch.Tensor]]:
        """Gives a function from tokens to the hidden states [B, T, d] below the cut.

        Several threads may call it.
        """
        caught = threading.local()

        def catch(hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:
            caught.hidden = hidden_states
            return self._out(hidden_states)

        def skip(hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:
            return self._out(hidden_states)

        def run(**tokens: torch.Tensor) -> torch.Tensor:
            self._model(**tokens)
            hidden: torch.Tensor = caught.hidden
            return hidden

        first, others = self._layers[self._n_below], self._layers[self._n_below + 1 :]
        with self._instead([first], catch), self._instead(others, skip):
            yield run

    def _find(self, top: int) -> tuple[str, nn.ModuleList]:
        wanted = getattr(self._model.config, "num_hidden_layers", 0)
        for name, module in self._model.named_modules():
            if isinstance(module, nn.ModuleList) and len(module) == wanted:
                if not 1 <= top <= wanted:
                    raise InputError(
                        f"lora_layers={top}: the text encoder has {wanted} layers. Set 1 to "
                        f"{wanted}, or ~ for all."
                    )
                return name, module
        raise self._refused(top, "its layers are not a list")

    def _out(self, hidden: torch.Tensor) -> Any:
        return hidden if self._beside is None else (hidden, *[None] * self._beside)

    @contextlib.contextmanager
    def _instead(self, layers: list[nn.Module], forward: Callable[..., Any]) -> Iterator[None]:
        for layer in layers:
            layer.forward = forward
        try:
            yield
        finally:
            for layer in layers:
                del layer.forward

    @torch.no_grad()
    def _try(self, top: int) -> None:
        """Compare the model with its two parts, on two texts one of which is padded."""
        table = self._model.get_input_embeddings()
        ids = torch.arange(12, device=table.weight.device).view(2, 6) % table.num_embeddings
        seen = torch.ones_like(ids)
        ids[1, 4:], seen[1, 4:] = getattr(self._model.config, "pad_token_id", None) or 0, 0
        tokens = {"input_ids": ids, "attention_mask": seen}

        def note(_: Any, __: Any, out: Any) -> None:
            self._beside = len(out) - 1 if isinstance(out, tuple) else None

        handle = self._layers[0].register_forward_hook(note)
        whole = self._model(**tokens).last_hidden_state
        handle.remove()
        try:
            with self.below() as below:
                hidden = below(**tokens)
            parts = self.above(hidden, **tokens)
        except Exception as error:  # whatever an unknown architecture does with its layers
            raise self._refused(top, f"it fails with {type(error).__name__}") from error
        limit = _ALIKE * whole.abs().max()
        if not ((whole - parts).abs()[seen.bool()] <= limit).all():
            raise self._refused(top, "its vectors are others")

    def _refused(self, top: int, why: str) -> InputError:
        return InputError(
            f"lora_layers={top}: {type(self._model).__name__} can't be cut between its layers "
            f"({why}). Set lora_layers to ~, or choose another text_encoder."
        )
