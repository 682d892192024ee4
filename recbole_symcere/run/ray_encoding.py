"""Encoding on the workers of a Ray cluster: the batches and the arithmetic of one machine.

A worker holds the encoder, which travels through Ray's object store once per node, and encodes one
batch at a time on one thread, or on a GPU. Tokens go to it with each call, and vectors come back:
nodes share no disk. The batches of a worker that is lost are given to others.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
import torch
import transformers
from ray.exceptions import RayActorError, RayError, RayTaskError

from recbole_symcere.base.errors import InputError
from recbole_symcere.run.ray_cluster import reason_of
from recbole_symcere.text.encoder import TextEncoder
from recbole_symcere.text.executors import Found, Tokens, vectors_of
from recbole_symcere.version import __version__

__all__ = ["RayWorkers"]

_AHEAD = 2  # batches given to a worker: one waits while the other is encoded
_TRIES = 3  # of a batch whose workers are lost
_SECONDS_TO_START = 180.0
_VERSIONS = {
    "recbole_symcere": __version__,
    "torch": torch.__version__,
    "transformers": transformers.__version__,
}


class RayWorkers:
    """An `Executor` on the cluster that this process is connected to.

    Args:
        workers: how many, each with a CPU core or, where the cluster has GPUs, a GPU; None for all.
        use_gpu: whether to use GPUs if there are any.

    Attributes:
        device: of each worker.
        n_workers: how many were asked for.
        nodes: the nodes on which some have worked.

    Raises:
        InputError: if there are fewer than that.
    """

    def __init__(self, workers: int | None, use_gpu: bool) -> None:
        found = ray.cluster_resources()
        n_gpus = int(found.get("GPU", 0)) if use_gpu else 0
        room = n_gpus or int(found.get("CPU", 0))
        kind = "GPUs" if n_gpus else "CPU cores"
        if (workers or 1) > room:
            raise InputError(
                f"workers is {workers or 1}, but the cluster has {room} {kind}, one for each. "
                "Leave workers out to take all."
            )
        self.device = torch.device("cuda" if n_gpus else "cpu")
        self.n_workers, self.nodes = workers or room, set[str]()

    def __call__(
        self, encoder: TextEncoder, numbers: Sequence[int], tokens: Callable[[int], Tokens]
    ) -> Found:
        """Yield the number and the vectors [B, d_t] of each batch, in the order of their end."""
        if not numbers:
            return
        run = _Run(self, encoder, numbers, tokens)
        try:
            yield from run.results()
        finally:
            run.end()


class _Run:
    """The workers of one call, what they are doing and what is left."""

    def __init__(
        self,
        told: RayWorkers,
        encoder: TextEncoder,
        numbers: Sequence[int],
        tokens: Callable[[int], Tokens],
    ) -> None:
        self._told, self._tokens = told, tokens
        # in a list, or Ray would unpack it before the versions are compared
        self._encoder = [ray.put(encoder)]
        self._left, self._again = iter(numbers), deque[int]()
        self._n_left, self._tries = len(numbers), Counter[int]()
        gpus = int(told.device.type == "cuda")
        self._kind = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(_Worker)
        self._pending: dict[Any, tuple[Any, int | None]] = {}
        self._workers, self._greeted = set[Any](), set[Any]()
        for _ in range(min(told.n_workers, len(numbers))):
            self._start()

    def results(self) -> Found:
        while self._n_left:
            limit = None if self._greeted else _SECONDS_TO_START
            done, _ = ray.wait([*self._pending], num_returns=1, timeout=limit)
            if not done:
                raise InputError(
                    f"No worker of the Ray cluster has started in {_SECONDS_TO_START:.0f} s: its "
                    "cores are taken, or its nodes have too little memory. Try fewer --workers."
                )
            worker, number = self._pending.pop(done[0])
            try:
                found = ray.get(done[0])
            except RayTaskError as error:
                raise error.cause from None  # what failed in the encoder itself
            except RayError as error:
                self._lose(worker, number, error)
                continue
            if number is None:
                self._greet(worker, found)
                continue
            self._n_left -= 1
            self._give(worker)
            yield number, found

    def end(self) -> None:
        for worker in self._workers:
            ray.kill(worker)

    def _start(self) -> None:
        worker = self._kind.remote(self._encoder, self._told.device.type)
        self._workers.add(worker)
        self._pending[worker.ready.remote(_VERSIONS)] = worker, None

    def _greet(self, worker: Any, found: tuple[str, str]) -> None:
        node, refusal = found
        if refusal:
            raise InputError(refusal)
        self._greeted.add(worker)
        self._told.nodes.add(node)
        for _ in range(_AHEAD):
            self._give(worker)

    def _give(self, worker: Any) -> None:
        if worker not in self._greeted:
            return
        number = self._again.popleft() if self._again else next(self._left, None)
        if number is None:
            return
        ids, mask = self._tokens(number)
        call = worker.encode.remote(ids.int().numpy(), mask.numpy())
        self._pending[call] = worker, number

    def _lose(self, worker: Any, number: int | None, error: RayError) -> None:
        """Let others do what a worker was doing, and another one take its place."""
        is_first = worker in self._workers
        self._workers.discard(worker)
        self._greeted.discard(worker)
        reason = reason_of(error)
        if number is not None:
            self._tries[number] += 1
            self._again.append(number)
        if number is not None and self._tries[number] == _TRIES:
            raise InputError(
                f"{_TRIES} workers of the Ray cluster were lost over one batch ({reason}). What "
                "was encoded is kept, and the same command goes on; nodes that are short of memory "
                "need fewer --workers."
            )
        if is_first and number is not None and isinstance(error, RayActorError):
            self._start()
        for other in [*self._greeted]:
            busy = sum(held is other for held, _ in self._pending.values())
            if self._again and busy < _AHEAD:
                self._give(other)
        if not self._pending:
            raise InputError(
                f"The Ray cluster has no worker left: {reason}. What was encoded is kept, and the "
                "same command goes on."
            )


class _Worker:
    """Runs on a node.

    Args:
        encoder: a list of one reference to the encoder.
        device: "cpu" or "cuda".
    """

    def __init__(self, encoder: list[Any], device: str) -> None:
        self._reference, self._device = encoder[0], torch.device(device)

    def ready(self, versions: dict[str, str]) -> tuple[str, str]:
        """The node, and why it can't do what the driver does; nothing if it can."""
        context = ray.get_runtime_context()
        for name, version in versions.items():
            if _VERSIONS[name] != version:
                return "", (
                    f"A node of the Ray cluster ({ray.util.get_node_ip_address()}) has {name} "
                    f"{_VERSIONS[name]}, this process {version}, so that vectors would differ. "
                    "Install the same versions on all nodes."
                )
        torch.set_num_threads(1)
        self._encoder = ray.get(self._reference).to(self._device).eval()
        return context.get_node_id(), ""

    def encode(
        self, ids: npt.NDArray[np.int32], mask: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        """The vectors [B, d_t] of tokens [B, T]."""
        tokens = torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(mask.copy())
        return vectors_of(self._encoder, *tokens, self._device)
