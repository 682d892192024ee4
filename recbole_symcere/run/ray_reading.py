"""Reading the files of a conversion on a Ray cluster, with the batches of one machine.

A task reads, checks and cleans one file; its batches wait in Ray's object store, which goes to the
disk where memory is short, until their turn comes. The driver takes them in the order of the files
and does the rest. The files lie under one path on all nodes. A task that is lost begins again, and
what was taken of it is passed over.
"""

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.inputs import Cleaned, Inputs, Reader, cleaner
from recbole_symcere.run.ray_cluster import connected, reason_of
from recbole_symcere.version import __version__

__all__ = ["reading_on"]

_AHEAD = 2  # files begun for each core
_TRIES = 3  # of a file whose tasks are lost
_LOOKED_AT = 1 << 20  # bytes at both ends of a file that tell it from another
_VERSIONS = {"recbole_symcere": __version__, "polars": pl.__version__}


class _Refused(NamedTuple):
    message: str


@contextlib.contextmanager
def reading_on(address: str) -> Iterator[Reader]:
    """What reads files on a cluster for the length of a block.

    Args:
        address: "auto" or host:port.

    Raises:
        InputError: if the cluster can't be reached; while reading, if a node doesn't have a file or
            has other versions, or the tasks of one file are lost again and again.
    """
    with connected(address):
        yield _read


def _read(inputs: Inputs, max_chars: int) -> Iterator[Cleaned]:
    import ray

    task = ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")(_read_file)

    def begin(path: Path) -> Any:
        return task.remote(inputs.read, path, _look(path), max_chars, _VERSIONS)

    most = _AHEAD * max(int(ray.cluster_resources().get("CPU", 1)), 1)
    begun: deque[tuple[Path, Any]] = deque()
    left = deque(path.absolute() for path in inputs.paths)
    while left or begun:
        while left and len(begun) < most:
            begun.append((left[0], begin(left.popleft())))
        yield _taken(*begun.popleft(), begin)


def _taken(path: Path, found: Any, begin: Callable[[Path], Any]) -> Cleaned:
    from ray.exceptions import RayError, RayTaskError

    n_taken, tries = 0, 1
    while True:
        try:
            for batch in _fetched(found, n_taken):
                n_taken += 1
                yield batch
            return
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            if tries == _TRIES:
                raise InputError(
                    f"{path.name}: {_TRIES} workers of the Ray cluster were lost over this file "
                    f"({reason_of(error)}). Give its nodes more memory, or leave ray_address out."
                ) from None
            tries, found = tries + 1, begin(path)


def _fetched(found: Any, n_taken: int) -> Cleaned:
    """The batches that a task yields, after the first ones."""
    import ray

    for number, reference in enumerate(found):
        if number < n_taken:
            continue
        batch = ray.get(reference)
        if isinstance(batch, _Refused):
            raise InputError(batch.message)
        yield batch


def _read_file(
    read: Callable[[Path], Any],
    path: Path,
    look: tuple[int, str],
    max_chars: int,
    versions: dict[str, str],
) -> Generator[Any]:
    """Runs on a node; yields the batches of a file, or why it can't."""
    node = import_module("ray.util").get_node_ip_address()
    for name, version in versions.items():
        if _VERSIONS[name] != version:
            yield _Refused(
                f"A node of the Ray cluster ({node}) has {name} {_VERSIONS[name]}, this process "
                f"{version}. Install the same versions on all nodes."
            )
            return
    if not path.is_file() or _look(path) != look:
        yield _Refused(
            f"--ray_address: {path} isn't the same file on the node {node}; put the files into a "
            "folder that all nodes see under one path, or leave ray_address out"
        )
        return
    try:
        reading = read(path)
        clean = cleaner(reading, max_chars)
        for block in reading.blocks:  # Ray can't follow a yield from
            yield clean(block)
    except InputError as error:
        yield _Refused(str(error))


def _look(path: Path) -> tuple[int, str]:
    """Size and a hash of both ends."""
    with path.open("rb") as file:
        digest, size = hashlib.sha256(file.read(_LOOKED_AT)), path.stat().st_size
        file.seek(max(0, size - _LOOKED_AT))
        digest.update(file.read())
    return size, digest.hexdigest()
