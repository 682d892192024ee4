"""RecBole of the one version that this needs: found, fetched where it is missing, or asked for.

RecBole 1.2.1 requires ray<=2.6.3, which has no build for Python 3.12 and newer (#2105, #1820), so
there it can be no requirement of ours: pip would take RecBole 1.2.0 without a word. What it needs
beside Ray is among our own requirements, so the first command fetches it without its own.
"""

import contextlib
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from recbole_symcere.base.errors import MissingPackageError
from recbole_symcere.base.packages import version_of
from recbole_symcere.base.storage import locked

__all__ = ["RECBOLE_VERSION", "check_recbole", "fetch_recbole"]

RECBOLE_VERSION = "1.2.1"
_WANTED = ("install", "--no-deps", f"recbole=={RECBOLE_VERSION}")
_PIP = "pip"
_NOTICE = "[notice]"
_LAUNCHERS = ("WORLD_SIZE", "SLURM_PROCID", "PMI_RANK", "OMPI_COMM_WORLD_RANK")


def check_recbole() -> None:
    """Stop with the command that mends it if RecBole is missing or of another version.

    Raises:
        MissingPackageError: naming what is there.
    """
    found = version_of("recbole")
    if found is None:
        raise MissingPackageError(f"RecBole isn't installed. Install it with: {_command()}")
    if found != RECBOLE_VERSION:
        raise MissingPackageError(
            f"RecBole {found} is installed, but recbole_symcere needs {RECBOLE_VERSION}. "
            f"Install it with: {_command()}"
        )


def fetch_recbole() -> None:
    """Install RecBole where it is missing beside an installed package of ours, and say so.

    Nothing that is there is replaced, and of several commands at once one fetches. A checkout that
    isn't installed, a process of a launcher, and one without pip and uv are told the command
    instead.

    Raises:
        MissingPackageError: if RecBole can't be had, or another version is there.
    """
    if version_of("recbole") is None:
        _fetch()
    check_recbole()


def _fetch() -> None:
    launched = any(name in os.environ for name in _LAUNCHERS)
    words = _installer()
    if version_of("recbole-symcere") is None or launched or words is None:
        return
    with _alone():
        importlib.invalidate_caches()
        if version_of("recbole") is None:  # nobody has fetched it while this one waited
            _install(words)


def _install(words: list[str]) -> None:
    sys.stderr.write(f"RecBole isn't installed as yet; it is fetched once: {' '.join(words)}\n")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    importlib.invalidate_caches()
    if done.returncode:
        raise MissingPackageError(
            f"RecBole couldn't be installed: {_reason(done.stderr or done.stdout)}. "
            f"Install it with: {_command()}"
        )


def _reason(said: str) -> str:
    """The line of an installer's that says why it failed, without a full stop."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    others = [line for line in lines if not line.startswith(_NOTICE)]
    return (errors or others or ["no reason given"])[-1].rstrip(".")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait for another command that installs into this environment."""
    environment = hashlib.sha256(sys.prefix.encode()).hexdigest()[:16]
    file = Path(tempfile.gettempdir(), f"recbole_symcere-{environment}.lock")
    with contextlib.suppress(OSError):  # another user's; to hold it, reading is enough
        file.touch()
    with locked(file, wait=True):
        yield


def _installer() -> list[str] | None:
    """The installer of this environment; one that uv has made may lack pip."""
    # by the path alone: setuptools answers a look for pip by taking distutils out of the process
    if PathFinder.find_spec(_PIP) is not None:
        return [sys.executable, "-m", _PIP, *_WANTED]
    uv = shutil.which("uv")
    if uv is None:
        return None
    return [uv, "pip", _WANTED[0], "--python", sys.executable, *_WANTED[1:]]


def _command() -> str:
    words = _installer()
    if words is not None:
        return " ".join(words)
    python = f"{sys.executable} -m"
    return f"{python} ensurepip && {python} {_PIP} {' '.join(_WANTED)}"
