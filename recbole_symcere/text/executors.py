"""Who encodes a batch of tokens: threads of this process, or whatever is given in their place."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from recbole_symcere.text.encoder import TextEncoder

__all__ = ["Executor", "Found", "Threads", "Tokens", "evaluating", "on_threads", "vectors_of"]

T = TypeVar("T")
U = TypeVar("U")

Tokens = tuple[torch.Tensor, torch.Tensor]
"""Token ids int64 and mask [B, T] of a batch."""
Found = Generator[tuple[int, npt.NDArray[np.float32]]]
"""The number and the vectors [B, d_t] of batches."""


class Executor(Protocol):
    """Where batches are encoded.

    Attributes:
        device: of the encoder there; it decides how large batches are.
    """

    device: torch.device

    def __call__(
        self, encoder: TextEncoder, numbers: Sequence[int], tokens: Callable[[int], Tokens]
    ) -> Found:
        """Yield the number and the vectors [B, d_t] of each batch, in any order.

        Args:
            encoder: the frozen encoder.
            numbers: of the batches.
            tokens: gives the ids and the mask [B, T] of a batch.
        """


class Threads:
    """Encodes in this process.

    Args:
        device: where.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(
        self, encoder: TextEncoder, numbers: Sequence[int], tokens: Callable[[int], Tokens]
    ) -> Found:
        """Yield the number and the vectors [B, d_t] of each batch, in their order."""

        def work(number: int) -> tuple[int, npt.NDArray[np.float32]]:
            return number, vectors_of(encoder, *tokens(number), self.device)

        with evaluating(encoder, self.device):
            yield from on_threads(work, numbers, self.device)


def vectors_of(
    encoder: TextEncoder, ids: torch.Tensor, mask: torch.Tensor, device: torch.device
) -> npt.NDArray[np.float32]:
    """The vectors [B, d_t] of tokens [B, T]."""
    with torch.inference_mode():
        vectors: npt.NDArray[np.float32] = encoder(ids.to(device), mask.to(device)).cpu().numpy()
    return vectors


@contextlib.contextmanager
def evaluating(encoder: TextEncoder, device: torch.device) -> Iterator[None]:
    """The encoder on a device without dropout; it is left there in the mode it was in."""
    training = encoder.training
    encoder.to(device).eval()
    try:
        yield
    finally:
        encoder.train(training)


def on_threads(work: Callable[[T], U], jobs: Iterable[T], device: torch.device) -> Iterator[U]:
    """Do all jobs. On a CPU each thread takes whole batches, with one core per batch.

    That has no barrier inside a layer: 1.1 to 3 times as fast as many cores per batch, most
    where the machine is busy. The arithmetic of a batch is the same whichever thread does it, and
    however many there are.
    """
    before = torch.get_num_threads()
    threads = before if device.type == "cpu" else 1
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    torch.set_num_threads(1)
    pending: deque[Future[U]] = deque()
    try:
        for job in jobs:  # a few at a time: there may be millions
            pending.append(pool.submit(work, job))
            if len(pending) > 4 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for one batch, not for all
        torch.set_num_threads(before)
