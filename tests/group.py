"""Two processes that work together, started once for the tests of a module.

They stay on and take one job after the other: a function of a module, by name, and its arguments.
"""

import multiprocessing
import os
import socket
import sys
from importlib import import_module
from pathlib import Path

import torch

from recbole_symcere.base import processes

__all__ = ["Group"]


def _member(pipe, rank, n, port, folder):
    sys.path.insert(0, folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    processes.take(processes.Place(rank, n, rank, n, "localhost", port))
    processes.join(accelerator=False)
    while (job := pipe.recv()) is not None:
        module, name, arguments = job
        try:
            pipe.send(("done", getattr(import_module(module), name)(*arguments)))
        except Exception as error:  # noqa: BLE001 # the test tells of it
            pipe.send(("failed", f"{type(error).__name__}: {error}"))


class Group:
    """n processes of one group."""

    def __init__(self, n=2):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        context, folder = multiprocessing.get_context("spawn"), str(Path(__file__).parent)
        self._pipes, self._members = [], []
        for rank in range(n):
            ours, theirs = context.Pipe()
            member = context.Process(target=_member, args=(theirs, rank, n, port, folder))
            member.start()
            self._pipes.append(ours)
            self._members.append(member)

    def all_do(self, function, *arguments):
        """What the function gave in each process."""
        for pipe in self._pipes:
            pipe.send((function.__module__, function.__name__, arguments))
        answers = [pipe.recv() for pipe in self._pipes]
        assert all(kind == "done" for kind, _ in answers), answers
        return [value for _, value in answers]

    def end(self):
        for pipe in self._pipes:
            pipe.send(None)
        for member in self._members:
            member.join(10)
