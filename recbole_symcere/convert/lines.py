"""Lines of text out of a plain or gzip file, with everything odd about the bytes accounted for."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from recbole_symcere.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"


def check_file(path: Path) -> None:
    """Refuse a path that is no readable, non-empty file.

    Raises:
        InputError: if the file is missing, a folder or empty.
    """
    if not path.exists():
        raise InputError(f"--input: there is no file {path}; check the path")
    if not path.is_file():
        raise InputError(f"--input: {path} is a folder; name one file in it")
    if not os.access(path, os.R_OK):
        raise InputError(f"--input: {path} may not be read; check its permissions")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty; download or export it again")


class TextLines:
    r"""Iterates over the lines of a UTF-8 file, line ends kept.

    A line ends at ``\n``. Whether the file is gzip is read from its first bytes, not its name. A
    byte order mark is dropped; bytes that are not UTF-8 become U+FFFD and their lines are counted.

    Attributes:
        path: the file.
        n_lines: lines read so far.
        n_invalid: lines so far that held bytes that are not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        check_file(path)
        self.path = path
        self.n_lines = 0
        self.n_invalid = 0

    def __iter__(self) -> Iterator[str]:
        """Yield the lines.

        Raises:
            InputError: if the file is UTF-16, or its gzip stream is damaged or cut short.
        """
        try:
            with self._open() as stream:
                for raw in stream:
                    self.n_lines += 1
                    yield self._decode(raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{self.path.name}: the gzip file is damaged or cut short after line "
                f"{self.n_lines} ({error}); expected a complete gzip file; download it again"
            ) from error

    def notes(self) -> tuple[str, ...]:
        """Return what a report should say about the bytes."""
        if not self.n_invalid:
            return ()
        return (f"{self.n_invalid} lines held bytes that are not UTF-8; replaced by U+FFFD",)

    def _open(self) -> BinaryIO:
        with self.path.open("rb") as stream:
            is_gzip = stream.read(2) == _GZIP_MAGIC
        return cast(BinaryIO, gzip.open(self.path)) if is_gzip else self.path.open("rb")

    def _decode(self, raw: bytes) -> str:
        if self.n_lines == 1:
            if raw.startswith(_UTF16_MARKS):
                raise InputError(
                    f"{self.path.name}: the file is UTF-16; expected UTF-8; save it as UTF-8"
                )
            raw = raw.removeprefix(_UTF8_MARK)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.n_invalid += 1
            return raw.decode(errors="replace")
