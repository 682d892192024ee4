"""sha256 of large files, remembered as long as a file stays as it is."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import StorageError
from recbole_symcere.base.files import sha256_of, write_bytes

__all__ = ["known_sha256"]

_SETTLED = 2.0  # seconds after which a change can't leave a file's times as they are


def known_sha256(path: Path, memory: Path | None, anew: bool = False) -> str:
    """The sha256 of a file, read only if its size or its times aren't those that are remembered.

    Processes may share a memory: it is replaced as a whole, and what one forgets of another's is
    hashed again.

    Args:
        path: the file.
        memory: a JSON file, made if it is missing; None remembers nothing.
        anew: whether to read the file in any case.
    """
    stat = path.stat()
    mark = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    name, known = str(path.absolute()), _read(memory)
    if not anew and name in known and known[name][:-1] == mark:
        return str(known[name][-1])
    digest = sha256_of(path)
    # in the instant of a write times may stand still: what is that young isn't remembered
    if memory and time.time() - max(stat.st_mtime, stat.st_ctime) > _SETTLED:
        there = {name: entry for name, entry in _read(memory).items() if Path(name).exists()}
        content = json.dumps(there | {name: [*mark, digest]}, indent=1)
        with contextlib.suppress(StorageError):  # then it is hashed again the next time
            write_bytes(memory, content.encode())
    return digest


def _read(memory: Path | None) -> dict[str, list[Any]]:
    try:
        found = json.loads(memory.read_bytes()) if memory else {}
    except (OSError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, list) and len(entry) == 5}
