"""Places to write to: what is said where that fails, and what killed writers leave behind.

A living writer holds a lock (flock) on what it writes aside. So whatever has the name of such a
file and no lock on it was left by a writer that is gone.
"""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from recbole_symcere.base.errors import StorageError

__all__ = [
    "aside_folder",
    "locked",
    "put_back",
    "remove_leftovers",
    "replaced_place",
    "scratch_folder",
    "storage_cause",
    "storage_error",
    "writing",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}
_OF_THE_DISK = _FULL | _FORBIDDEN | {errno.EIO, errno.ESTALE, errno.ENODEV}

_ASIDE = re.compile(r"\..{1,32}\.[0-9a-f]{32}(\.broken)?")
_JUST_MADE = 2.0  # seconds in which an empty one may be waiting for its lock


def storage_error(path: str | os.PathLike[str], error: OSError) -> StorageError:
    """What to tell of a place that can't be written: where, why, and what to do."""
    number = _number(error)
    if number in _FULL:
        advice = f"free some space there{_left(Path(path))}, or name another folder"
    elif number in _FORBIDDEN:
        advice = "make the folder writable, or name another one"
    elif number in _GONE:
        advice = "its folder was moved or removed meanwhile; put it back, or name another one"
    else:
        advice = "check the disk, or name another folder"
    reason = os.strerror(number) if number else error.strerror or str(error)
    return StorageError(f"{path} can't be written: {reason}; {advice}.")


def storage_cause(error: BaseException) -> StorageError | None:
    """The error of the disk behind an error that a library raised in its place, if it is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, StorageError):
            return cause
        if isinstance(cause, OSError) and _number(cause) in _OF_THE_DISK:
            return storage_error(cause.filename or "A file", cause)
        cause = cause.__cause__ or cause.__context__
    return None


def _number(error: OSError) -> int | None:
    """The number of an error; some libraries have it in words alone."""
    told = re.search(r"(?i)\berrno (\d+)|os error (\d+)", str(error))
    return error.errno or (int(told[1] or told[2]) if told else None)


def _left(path: Path) -> str:
    with contextlib.suppress(OSError):
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        return f" ({shutil.disk_usage(there).free / 1e6:,.1f} MB are free)"
    return ""


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say in one line what is wrong with ``path`` if the block fails to write there.

    Raises:
        StorageError: in the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


# --- what killed writers leave --------------------------------------------------------------------


@contextlib.contextmanager
def aside_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path`` to write to, removed at the end if it is still there."""
    aside = path.with_name(f".{path.name[:16]}.{uuid.uuid4().hex}")
    aside.mkdir()
    try:
        with locked(aside):
            yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a file or folder for the length of a block, if nobody else does.

    Args:
        path: it must be there.
        wait: whether to wait for whoever holds it.

    Yields:
        Whether it is held now; False too if it is gone.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def remove_leftovers(*folders: Path, alone: bool = False) -> None:
    """Remove what killed writers left in the folders; what a living one holds stays.

    Args:
        folders: those that aren't there are passed over.
        alone: whether no other process writes there now; else an empty folder that was made a
            moment ago may be that of one which is about to hold it.
    """
    for folder in folders:
        with contextlib.suppress(OSError):  # not there, or not ours to change
            for path in [*folder.iterdir()]:
                if _ASIDE.fullmatch(path.name):
                    _remove_if_left(path, alone)


def _remove_if_left(path: Path, alone: bool = False) -> None:
    with contextlib.suppress(OSError):
        is_folder = path.is_dir()  # earlier versions wrote files aside
        empty = not (any(path.iterdir()) if is_folder else path.stat().st_size)
        if empty and not alone and time.time() - path.stat().st_mtime < _JUST_MADE:
            return
        with locked(path) as ours:
            if ours and is_folder:
                shutil.rmtree(path, ignore_errors=True)
            elif ours:
                path.unlink()


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder for the length of a block; those of killed processes are removed first.

    Args:
        prefix: how its name begins; nobody else's may.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_if_left(path)
    with tempfile.TemporaryDirectory(prefix=prefix) as name, locked(Path(name)):
        yield Path(name)


# --- a data set that takes another one's place ---------------------------------------------------


def replaced_place(target: Path) -> Path:
    """Where a data set stands while another one takes its place."""
    return target.with_name(f".{target.name}.replaced")


def put_back(target: Path) -> None:
    """Give a data set its name again if a conversion was killed while it replaced it.

    A conversion that is alive is waited for: it needs a moment between its two renames.

    Raises:
        StorageError: if the folder can't be renamed.
    """
    aside = replaced_place(target)
    if target.exists() or not aside.is_dir():
        return
    with locked(aside, wait=True), writing(target):
        if not target.exists() and aside.is_dir():
            aside.rename(target)
