"""Blocks of whole lines out of a plain or compressed file, with odd bytes accounted for."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from recbole_symcere.base.errors import InputError

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_BLOCK = 8 << 20
_LONGEST_LINE = 256 << 20
_INVALID = "{} lines held bytes that are not {encoding}; replaced by U+FFFD"

#: What a damaged or cut compressed file raises.
DAMAGED = (
    EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """Whole lines.

    Attributes:
        data: the bytes; only the file's last block may lack a line break at its end.
        first_line: number of the first line, counted from 1.
    """

    data: bytes
    first_line: int

    @cached_property
    def n_lines(self) -> int:
        """Number of lines, blank ones included."""
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))


def check_file(path: Path, option: str = "--input") -> None:
    """Refuse a path that is no readable, non-empty file.

    Raises:
        InputError: if the file is missing, a folder or empty.
    """
    if not path.exists():
        raise InputError(f"{option}: there is no file {path}; check the path")
    if path.is_dir():
        raise InputError(f"{option}: {path} is a folder; name one file in it")
    if not path.is_file():
        raise InputError(f"{option}: {path} is no ordinary file; save its content as one")
    if not os.access(path, os.R_OK):
        raise InputError(f"{option}: {path} may not be read; check its permissions")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty; download or export it again")


class LineBlocks:
    r"""Iterates over a file in blocks of whole lines; a line ends at ``\n``.

    Whether the file is gzip or zstd is read from its first bytes, not its name. A byte order mark
    is dropped.

    Args:
        path: the file.
        opener: opens what the lines come from, given the raw file; by default the file itself,
            decompressed. It is how a member of an archive is read.
        block_size: bytes read at once.
    """

    def __init__(
        self,
        path: Path,
        opener: Callable[[IO[bytes]], Any] | None = None,
        block_size: int = _BLOCK,
    ) -> None:
        check_file(path)
        self.path = path
        self._opener = opener or decompressed
        self._block_size = block_size
        self._raw: IO[bytes] | None = None

    def position(self) -> int:
        """Bytes of the file, as it is on disk, that were read so far."""
        return 0 if self._raw is None or self._raw.closed else self._raw.tell()

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks.

        Raises:
            InputError: if the file is UTF-16, a compressed stream is damaged or cut short, a line
                is too long to be one, or the disk can't be read.
        """
        n_lines = 0
        try:
            with self.path.open("rb") as self._raw:
                for data in self._whole_lines(self._opener(self._raw)):
                    block = Block(data, n_lines + 1)
                    n_lines += block.n_lines
                    yield block
        except (*DAMAGED, OSError) as error:
            raise InputError(
                f"{self.path.name}: the file is damaged or cut short after line {n_lines} "
                f"({error}); expected a complete file; download it again"
            ) from error

    def _whole_lines(self, stream: Any) -> Iterator[bytes]:
        rest, first = b"", True
        while data := stream.read(self._block_size):
            if first:
                data, first = self._without_mark(data + stream.read(2)), False
            cut = data.rfind(b"\n") + 1
            if cut:
                yield b"".join((rest, memoryview(data)[:cut]))
                rest = data[cut:]
            else:
                rest += data
            if len(rest) > _LONGEST_LINE:
                raise InputError(
                    f"{self.path.name}: a line is longer than {_LONGEST_LINE >> 20} MB; expected "
                    "one review per line; give the right file or source"
                )
        if rest:
            yield rest

    def _without_mark(self, data: bytes) -> bytes:
        if data.startswith(_UTF16_MARKS):
            raise InputError(
                f"{self.path.name}: the file is UTF-16; expected UTF-8; save it as UTF-8"
            )
        return data.removeprefix(_UTF8_MARK)


def decompressed(raw: IO[bytes]) -> Any:
    """A stream of the content of an open file, whatever it is compressed with."""
    head = raw.read(4)
    raw.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if head == b"\x28\xb5\x2f\xfd":
        return pa.CompressedInputStream(pa.PythonFile(raw), "zstd")
    if head.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    return raw


class TextLines:
    r"""Iterates over the lines of a file as text, line ends kept.

    Args:
        blocks: the lines.
        encoding: of the file; bytes that don't fit become U+FFFD and their lines are counted.

    Attributes:
        n_invalid: lines so far with bytes that don't fit.
    """

    def __init__(self, blocks: LineBlocks, encoding: str = "utf-8") -> None:
        self._blocks = blocks
        self._encoding = encoding
        self.n_invalid = 0

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            try:
                # only \n ends a line: str.splitlines would also split at a form feed
                yield from io.StringIO(block.data.decode(self._encoding), newline="\n")
            except UnicodeDecodeError:
                for line in io.BytesIO(block.data):
                    text, valid = decode_line(line, self._encoding)
                    self.n_invalid += not valid
                    yield text

    def notes(self) -> Counter[str]:
        """Return what a report should say about the bytes since the last call."""
        found = invalid_note(self.n_invalid, self._encoding)
        self.n_invalid = 0
        return found


def decode_line(line: bytes, encoding: str = "utf-8") -> tuple[str, bool]:
    """Return a line as text, and whether all of its bytes fit the encoding."""
    try:
        return line.decode(encoding), True
    except UnicodeDecodeError:
        return line.decode(encoding, errors="replace"), False


def invalid_note(count: int, encoding: str = "utf-8") -> Counter[str]:
    """Return the remark for ``count`` lines with bytes that don't fit, if there are any."""
    name = "UTF-8" if encoding == "utf-8" else encoding
    return Counter({_INVALID.replace("{encoding}", name): count} if count else {})
