"""The random generators that training draws from, stored and set again."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from recbole_symcere.base import processes

__all__ = ["random_states", "set_random_states"]


def random_states(train_data: Any, gpu: bool) -> dict[str, Any]:
    """The state of each generator.

    Args:
        train_data: the training loader; None outside of a training.
        gpu: whether the accelerators' generators are drawn from.
    """
    version, words, position, *gauss = np.random.get_state()  # noqa: NPY002 # RecBole draws from it
    return {
        "python": random.getstate(),
        "numpy": (version, words, position, *gauss),
        "torch": torch.get_rng_state(),
        "cuda": _of_accelerators() if gpu else [],
        "loader": [generator.get_state() for generator in _generators(train_data)],
    }


def set_random_states(states: Mapping[str, Any], train_data: Any, gpu: bool) -> None:
    """Let all generators go on as they did when ``states`` were taken."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002 # RecBole's samplers draw from it
    torch.set_rng_state(states["torch"])
    if states["cuda"] and gpu and processes.place() is not None:
        torch.cuda.set_rng_state(states["cuda"][0])
    elif states["cuda"] and gpu:
        torch.cuda.set_rng_state_all(states["cuda"])
    for generator, state in zip(_generators(train_data), states["loader"], strict=True):
        generator.set_state(state)


def _of_accelerators() -> list[torch.Tensor]:
    """Each of several processes has one, and all of these have one state."""
    if processes.place() is not None:
        return [torch.cuda.get_rng_state()]
    return torch.cuda.get_rng_state_all()


def _generators(train_data: Any) -> list[torch.Generator]:
    """The generators of a loader, or of the two that a knowledge-aware loader is made of."""
    if train_data is None:
        return []
    names = ("general_dataloader", "kg_dataloader")
    loaders = [getattr(train_data, name) for name in names if hasattr(train_data, name)]
    return [loader.generator for loader in loaders or [train_data]]
