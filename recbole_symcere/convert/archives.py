"""Members of tar and zip files as streams; nothing is unpacked to the disk."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from recbole_symcere.base.errors import InputError

Wanted = Callable[[str], bool]


class Member(NamedTuple):
    """One file of an archive: its path in there and its content."""

    name: str
    stream: Any


def is_archive(path: Path) -> bool:
    """Tell whether a file is a tar (plain or compressed) or a zip file."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def members(raw: IO[bytes], wanted: Wanted) -> Iterator[Member]:
    """Yield the members that are wanted, in the order of the archive.

    A tar file inside a zip file (Yelp's download is one) is looked into.

    Args:
        raw: the open archive, at its start.
        wanted: says of a member's path whether to yield it.

    Yields:
        Members; each is to be read before the next is asked for.
    """
    if not zipfile.is_zipfile(raw):
        raw.seek(0)
        yield from _tar_members(raw, wanted)
        return
    with zipfile.ZipFile(raw) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if wanted(info.filename):
                with archive.open(info) as stream:
                    yield Member(info.filename, stream)
            elif info.filename.lower().endswith((".tar", ".tgz", ".tar.gz")):
                with archive.open(info) as stream:
                    yield from _tar_members(stream, wanted)


def only_member(wanted: Wanted, what: str) -> Callable[[IO[bytes]], Any]:
    """Return an opener for `lines.LineBlocks` of the first member that is wanted."""

    def opened(raw: IO[bytes]) -> Any:
        found = members(raw, wanted)
        member = next(found, None)
        if member is None:
            name = Path(raw.name).name
            raise InputError(f"{name}: the archive holds no {what}; give the right file")
        return _Held(member.stream, found)

    return opened


def data_member(path: Path, endings: tuple[str, ...]) -> str | None:
    """Return the path of the one file in a zip file, or None if it is no zip file.

    Args:
        path: the file.
        endings: of a file that counts, in lower case; where no name has one, every file does.

    Raises:
        InputError: if there are several, or none that can be read.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    # what a Mac adds to every archive
    infos = [info for info in infos if not info.filename.startswith(("__MACOSX/", "."))]
    infos = [i for i in infos if i.filename.lower().endswith(endings)] or infos
    names = [info.filename for info in infos]
    if len(names) != 1:
        raise InputError(
            f"{path.name}: the archive holds {len(names)} files"
            f"{f', such as {names[0]} and {names[1]}' if names else ''}; expected one; unpack it "
            "and name those to be read with --input=FILE,FILE"
        )
    if infos[0].flag_bits & 1:
        raise InputError(f"{path.name}: {names[0]} is locked by a password; unpack it")
    return names[0]


class _Held:
    """A member's stream; the archive stays open as long as the search for members is not over."""

    def __init__(self, stream: Any, found: Iterator[Member]) -> None:
        self.read = stream.read
        self._found = found


def _tar_members(raw: Any, wanted: Wanted) -> Iterator[Member]:
    # "r|*" reads from front to back, which a compressed archive of any size allows
    with tarfile.open(fileobj=raw, mode="r|*") as archive:
        for info in archive:
            if info.isfile() and wanted(info.name):
                stream = archive.extractfile(info)
                if stream is not None:
                    yield Member(info.name, stream)
