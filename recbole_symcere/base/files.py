"""Files that are whole or not there, and where the package's own files lie."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from recbole_symcere.base.storage import aside_folder, writing

__all__ = [
    "HashedFile",
    "bundled_data_path",
    "properties_path",
    "replacing",
    "sha256_of",
    "sync",
    "write_bytes",
]

_PACKAGE = Path(__file__).parents[1]


def sync(path: Path) -> None:
    """Let the file or folder reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class HashedFile:
    """A file being written, hashed on a thread of its own instead of being read again.

    Args:
        path: the file; what is there is replaced.

    Attributes:
        closed: whether it is.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._hashing = ThreadPoolExecutor(1)
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> int:
        """Append all of ``data``."""
        content = bytes(data)  # pyarrow may hand over a buffer that it will use again
        self._hashing.submit(self._digest.update, content)
        return self._file.write(content)

    def flush(self) -> None:
        """Pass on what is held back."""
        self._file.flush()

    def close(self) -> None:
        """Close the file; then the hash is complete."""
        self.closed = True
        self._hashing.shutdown()
        self._file.close()

    def sha256(self) -> str:
        """The sha256 of a closed file's content, in hexadecimal."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], make_folder: bool = True) -> Iterator[Path]:
    """Give a path in a folder beside to write to; at the end it is synced and becomes ``path``.

    If the block fails that file is removed and what stood at ``path`` is untouched.

    Args:
        path: the file.
        make_folder: whether its folder is made if it is missing.

    Raises:
        StorageError: if it can't be written.
    """
    path = Path(path)
    with writing(path):
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        # in a folder, because some libraries write aside once more
        with aside_folder(path) as aside:
            yield aside / path.name
            sync(aside / path.name)
            (aside / path.name).replace(path)
        sync(path.parent)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path`` so that a crash leaves the old file or the new one, whole."""
    with replacing(path) as aside:
        aside.write_bytes(content)


def _shipped(name: str) -> Path:
    """In a checkout beside the package, in a wheel inside it."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def properties_path() -> Path:
    """The folder of overall.yaml, model/ and dataset/."""
    return _shipped("properties")


def bundled_data_path() -> Path:
    """The folder of the data sets that come with the package."""
    return _shipped("dataset_atomic")
