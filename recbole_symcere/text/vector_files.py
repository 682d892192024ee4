"""Files of text vectors: filled batch by batch, so that a killed encoding goes on.

A file is safetensors with one float32 tensor and its sha256. While it is being filled it stands in
a folder beside its place, with a line for each finished batch: the batch's number and a hash of its
vectors. What the disk doesn't hold as that hash says is encoded again.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from recbole_symcere.base.files import sync
from recbole_symcere.base.storage import locked, writing

__all__ = ["Batches", "Filling", "InMemory", "Target", "kept_vectors", "read_vectors"]

_LOG = logging.getLogger("recbole_symcere")
_Ids = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]
_MAPPED = 2 << 30  # bytes: larger ones stay on the disk, mapped, and are shared by processes
_PIECE = 64 << 20  # bytes hashed at once
_DONE = struct.Struct("<q16s")
_NO_HASH = "0" * 64


class Batches(NamedTuple):
    """Which rows a batch fills: ``rows[cuts[k] : cuts[k + 1]]``.

    Attributes:
        rows: int64 [m].
        cuts: int64 [n_batches + 1].
    """

    rows: _Ids
    cuts: _Ids

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def of(self, number: int) -> _Ids:
        """The rows of a batch."""
        return self.rows[self.cuts[number] : self.cuts[number + 1]]


class Target(Protocol):
    """What takes the vectors of batches, in any order."""

    def begin(self, batches: Batches) -> set[int]:
        """Say which batches are there already."""

    def put(self, number: int, vectors: _Floats) -> None:
        """Take the vectors [B, d] of a batch."""

    def copy(self, rows: _Ids, vectors: _Floats) -> None:
        """Take rows that needn't be encoded."""


class InMemory:
    """Keeps vectors in memory.

    Args:
        shape: of the tensor; its last dimension is d, and rows count all others.

    Attributes:
        vectors: float32 of that shape.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.vectors = np.zeros(shape, dtype=np.float32)
        self._flat = self.vectors.reshape(-1, shape[-1])

    def begin(self, batches: Batches) -> set[int]:
        """Nothing is there."""
        self._batches = batches
        return set()

    def put(self, number: int, vectors: _Floats) -> None:
        """Take the vectors [B, d] of a batch."""
        self._flat[self._batches.of(number)] = vectors

    def copy(self, rows: _Ids, vectors: _Floats) -> None:
        """Take rows that needn't be encoded."""
        self._flat[rows] = vectors


class Filling:
    """A file in the making.

    Args:
        folder: where it is made, held by this process.
        name: of the tensor.
        shape: of the tensor; its last dimension is d, and rows count all others.
    """

    def __init__(self, folder: Path, name: str, shape: Sequence[int]) -> None:
        self._place, self._name, self._shape = folder / "vectors", name, tuple(shape)
        self._stride = 4 * self._shape[-1]
        self._offset = len(_header(name, self._shape, _NO_HASH))
        self._done = folder / "done"
        with writing(self._place):
            self._file = os.open(self._place, os.O_RDWR | os.O_CREAT, 0o644)
            os.ftruncate(self._file, self._offset + 4 * int(np.prod(self._shape)))
            self._log = self._done.open("ab", buffering=0)

    def begin(self, batches: Batches) -> set[int]:
        """Say which batches are there, each as its hash says."""
        self._batches = batches
        told, found = self._done.read_bytes(), set()
        whole = len(told) // _DONE.size * _DONE.size
        for number, digest in _DONE.iter_unpack(told[:whole]):
            if 0 <= number < len(batches) and _short(self._rows(batches.of(number))) == digest:
                found.add(number)
        os.truncate(self._done, whole)
        return found

    def put(self, number: int, vectors: _Floats) -> None:
        """Take the vectors [B, d] of a batch."""
        rows, vectors = self._batches.of(number), np.ascontiguousarray(vectors)
        self.copy(rows, vectors)
        with writing(self._done):
            self._log.write(_DONE.pack(number, _short(vectors)))

    def copy(self, rows: _Ids, vectors: _Floats) -> None:
        """Take rows that needn't be encoded."""
        order = np.argsort(rows, kind="stable")
        ends = np.flatnonzero(np.diff(rows[order]) != 1) + 1
        with writing(self._place):
            for part in np.split(order, ends):
                if len(part):
                    self._write(vectors[part].tobytes(), int(rows[part[0]]) * self._stride)

    def finish(self, path: Path) -> None:
        """Let the file take its place."""
        with writing(path):
            digest = hashlib.sha256(f"{self._name} {self._shape}".encode())
            for piece in self._pieces():
                digest.update(piece)
            header = _header(self._name, self._shape, digest.hexdigest())
            self._write(header, -self._offset)
            os.fsync(self._file)
            self._place.replace(path)
            sync(path.parent)

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._file)
        self._log.close()

    def _rows(self, rows: _Ids) -> _Floats:
        flat = np.frombuffer(
            b"".join(
                os.pread(self._file, self._stride, self._offset + row * self._stride)
                for row in rows.tolist()
            ),
            dtype=np.float32,
        )
        return flat.reshape(len(rows), -1)

    def _write(self, data: bytes, place: int) -> None:
        while data:
            written = os.pwrite(self._file, data, self._offset + place)
            data, place = data[written:], place + written

    def _pieces(self) -> Iterator[bytes]:
        start = self._offset
        while piece := os.pread(self._file, _PIECE, start):
            yield piece
            start += len(piece)


def kept_vectors(
    path: Path, name: str, shape: Sequence[int], how: str, fill: Callable[[Filling], None]
) -> _Floats:
    """The tensor of a file; what it lacks is filled in first.

    Of several processes that want one file, one fills it and the others wait for that.

    Args:
        path: the file.
        name: of its tensor.
        shape: of its tensor.
        how: what decides about the batches; what was filled in another way is begun anew.
        fill: fills all rows; it is called by the process that has the file to itself.
    """
    found = read_vectors(path, name)
    while found is None:
        folder = path.with_suffix(f".{how}.unfinished")
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            # mkdir(exist_ok=True) fails where whoever has just finished removes it meanwhile
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
        with locked(folder, wait=True):
            if not folder.exists():
                continue  # whoever held it has just finished
            found = read_vectors(path, name, warn=False)
            if found is None:
                filling = Filling(folder, name, shape)
                try:
                    fill(filling)
                    filling.finish(path)
                finally:
                    filling.close()
                found = read_vectors(path, name)
            shutil.rmtree(folder, ignore_errors=True)
    return found


def read_vectors(path: Path, name: str, warn: bool = True) -> _Floats | None:
    """The tensor of a file, or None where there is none that is whole.

    Args:
        path: the file.
        name: of its tensor.
        warn: whether to say that it is damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            told = (file.metadata() or {}).get("sha256")
            piece = file.get_slice(name)
            shape, kind = piece.get_shape(), piece.get_dtype()
        if kind == "F32":
            rows = _mapped(path, shape)
            if told == _digest(name, rows):
                return rows
        reason = "its content does not have the sha256 it was written with"
    except (SafetensorError, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
    if warn:
        _LOG.warning("Cached text vectors %s are damaged (%s); encoding again.", path, reason)
    return None


def _mapped(path: Path, shape: list[int]) -> _Floats:
    size = int(np.prod(shape))
    if not size:
        return np.zeros(shape, dtype=np.float32)
    if 4 * size < _MAPPED:
        return np.fromfile(path, np.float32, offset=path.stat().st_size - 4 * size).reshape(shape)
    offset = path.stat().st_size - 4 * size
    return np.memmap(path, np.float32, mode="c", offset=offset, shape=tuple(shape))


def _digest(name: str, rows: _Floats) -> str:
    digest = hashlib.sha256(f"{name} {tuple(rows.shape)}".encode())
    digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()


def _short(vectors: _Floats) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(vectors).data, digest_size=16).digest()


def _header(name: str, shape: tuple[int, ...], digest: str) -> bytes:
    """What stands before the numbers in a safetensors file; its length depends on no hash."""
    tensor = {
        "dtype": "F32",
        "shape": list(shape),
        "data_offsets": [0, 4 * int(np.prod(shape))],
    }
    told = json.dumps({"__metadata__": {"sha256": digest}, name: tensor}).encode()
    told += b" " * (-len(told) % 8)
    return struct.pack("<Q", len(told)) + told
