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
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.encodings import Recoder, decode_line, invalid_note

_BLOCK = 8 << 20
_LONGEST_LINE = 256 << 20
_LONGEST_MARK = 4  # of a byte order mark

#: What a compressed file raises that is damaged, cut or compressed in a way that Python can't undo.
DAMAGED = (
    EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile,
    NotImplementedError,
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """Whole lines.

    Attributes:
        data: the bytes; only the file's last block may lack a line break at its end.
        first_line: number of the first line, counted from 1.
        notes: what a report should say about the bytes.
    """

    data: bytes
    first_line: int
    notes: Counter[str] = field(default_factory=Counter)

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
        raise InputError(
            f"{option}: {path} is a folder; name one file in it, or several by a pattern such as "
            "'FOLDER/*.csv'"
        )
    if not path.is_file():
        raise InputError(f"{option}: {path} is no ordinary file; save its content as one")
    if not os.access(path, os.R_OK):
        raise InputError(f"{option}: {path} may not be read; check its permissions")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty; download or export it again")


class LineBlocks:
    r"""Iterates over a file in blocks of whole lines of UTF-8; a line ends at ``\n``.

    Whether the file is gzip or zstd is read from its first bytes, not its name. A byte order mark
    is dropped.

    Args:
        path: the file.
        opener: opens what the lines come from, given the raw file; by default the file itself,
            decompressed. It is how a member of an archive is read.
        block_size: bytes read at once.
        recoder: what brings the lines to UTF-8; None for a file that is UTF-8 or, by its mark,
            UTF-16 or UTF-32. Other bytes are left in the lines.
    """

    def __init__(
        self,
        path: Path,
        opener: Callable[[IO[bytes]], Any] | None = None,
        block_size: int = _BLOCK,
        recoder: Recoder | None = None,
    ) -> None:
        check_file(path)
        self.path = path
        self._recoder = recoder or Recoder()
        self._opener = opener or decompressed
        self._block_size = block_size
        self._raw: IO[bytes] | None = None

    def position(self) -> int:
        """Bytes of the file, as it is on disk, that were read so far."""
        return 0 if self._raw is None or self._raw.closed else self._raw.tell()

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks.

        Raises:
            InputError: if a compressed stream is damaged or cut short, a line is too long to be
                one, or the disk can't be read.
        """
        n_lines = 0
        try:
            with self.path.open("rb") as self._raw:
                parts = self._parts(self._opener(self._raw))
                for data in self._whole_lines(self._recoder.chunks(parts)):
                    lines, notes = self._recoder.lines(data)
                    block = Block(lines, n_lines + 1, notes)
                    n_lines += block.n_lines
                    yield block
        except UnicodeError as error:
            raise InputError(
                f"{self.path.name}: the file is not in the encoding that --encoding names "
                f"({error}); name another, such as utf-16-le where it has no byte order mark"
            ) from error
        except (*DAMAGED, OSError) as error:
            raise InputError(
                f"{self.path.name}: the file is damaged or cut short after line {n_lines} "
                f"({error}); expected a complete file; download it again"
            ) from error

    def _parts(self, stream: Any) -> Iterator[bytes]:
        first = True
        while data := stream.read(self._block_size):
            while first and len(data) < _LONGEST_MARK and (more := stream.read(_LONGEST_MARK)):
                data += more
            first = False
            yield data

    def _whole_lines(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        rest = b""
        for data in parts:
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
        blocks: the lines; bytes that are not UTF-8 become U+FFFD and their lines are counted.
    """

    def __init__(self, blocks: LineBlocks) -> None:
        self._blocks = blocks
        self._notes: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            self._notes.update(block.notes)
            try:
                # only \n ends a line: str.splitlines would also split at a form feed
                yield from io.StringIO(block.data.decode(), newline="\n")
            except UnicodeDecodeError:
                for line in io.BytesIO(block.data):
                    text, valid = decode_line(line)
                    self._notes.update(invalid_note(int(not valid)))
                    yield text

    def notes(self) -> Counter[str]:
        """Return what a report should say about the bytes since the last call."""
        notes, self._notes = self._notes, Counter()
        return notes
