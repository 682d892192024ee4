"""Whether a data set's files are still what `convert` wrote, by the hashes of its manifest."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.known_hashes import known_sha256

__all__ = ["check_files", "copy_to_change", "memory_of"]

_CONVERTED, _ATTACHED = "manifest.json", "attach.json"


def memory_of(cache_dir: str | None) -> Path | None:
    """Where hashes of data files are remembered."""
    return Path(cache_dir, "checked.json") if cache_dir else None


def check_files(folder: Path, names: Iterable[str], memory: Path | None) -> str | None:
    """Stop at a file that isn't what its conversion wrote.

    Args:
        folder: the data set's.
        names: files in it that are about to be read; those that aren't there are passed over.
        memory: see `known_sha256`.

    Returns:
        A sentence if some of them can't be checked.

    Raises:
        InputError: for a file that has changed, or a manifest that can't be read.
    """
    there = [name for name in names if (folder / name).is_file()]
    known, manifest = _known(folder)
    for name in there:
        if name in known and _differs(folder / name, known[name], memory):
            raise InputError(
                f"{folder / name} isn't what was converted: {manifest[name]} tells another sha256. "
                "If it is damaged, convert the data set again or take it from a backup. If you "
                f"changed it on purpose, remove {manifest[name]} from its folder: the data set "
                "then runs as one that can't be checked."
            )
    unknown = ", ".join(name for name in there if name not in known)
    if not unknown:
        return None
    return f"{folder} has no manifest of {unknown}, so that damage to it can't be seen."


def copy_to_change(folder: Path, target: Path) -> None:
    """A copy of a data set's folder whose files may be changed: it has no manifest."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(_CONVERTED, _ATTACHED))


def _differs(path: Path, sha256: str, memory: Path | None) -> bool:
    # what is remembered may be damaged too: it is no reason to refuse a file
    return all(known_sha256(path, memory, anew) != sha256 for anew in (False, True))


def _known(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Name of a file -> its sha256, and -> the manifest that tells it."""
    known: dict[str, str] = {}
    tells: dict[str, str] = {}
    for manifest in (_CONVERTED, _ATTACHED):  # the second is the later one
        if (folder / manifest).is_file():
            found = _hashes(folder / manifest)
            known |= found
            tells |= dict.fromkeys(found, manifest)
    return known, tells


def _hashes(manifest: Path) -> dict[str, str]:
    try:
        said: Any = json.loads(manifest.read_text(encoding="utf-8"))
        found = {str(entry["file"]): str(entry["sha256"]) for entry in said.get("outputs", ())}
        if manifest.name == _ATTACHED:  # its review files go with .inter files that were there
            inputs = {str(entry["file"]): str(entry["sha256"]) for entry in said.get("inputs", ())}
            found |= {name: sha for name, sha in inputs.items() if name.endswith(".inter")}
        return found
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{manifest} can't be read ({type(error).__name__}: {error}), so it doesn't tell "
            "whether the data are what was converted. Convert the data set again, take the file "
            "from a backup, or remove it: then nothing is checked."
        ) from None
