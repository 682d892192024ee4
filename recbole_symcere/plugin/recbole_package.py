"""RecBole of the one version that this needs: found, fetched where it is missing, or asked for.

RecBole 1.2.1 requires ray<=2.6.3, which has no build for Python 3.12 and newer (#2105, #1820), so
there it can be no requirement of ours: pip would take RecBole 1.2.0 without a word. What it needs
beside Ray is among our own requirements, so the first command fetches it without its own.
"""

import importlib.util
import os
import shutil
import subprocess
import sys

from recbole_symcere.base.errors import MissingPackageError
from recbole_symcere.base.packages import version_of

__all__ = ["RECBOLE_VERSION", "check_recbole", "fetch_recbole"]

RECBOLE_VERSION = "1.2.1"
_WANTED = ("install", "--no-deps", f"recbole=={RECBOLE_VERSION}")
_PIP = "pip"


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

    Nothing that is there is replaced. A checkout that isn't installed, and one of several processes
    of a launcher, are told the command instead.

    Raises:
        MissingPackageError: if RecBole can't be had, or another version is there.
    """
    ours = version_of("recbole-symcere") is not None
    if version_of("recbole") is None and ours and "WORLD_SIZE" not in os.environ:
        sys.stderr.write(
            f"RecBole isn't installed as yet; it is fetched once: {' '.join(_words())}\n"
        )
        done = subprocess.run(_words(), capture_output=True, text=True, check=False)
        importlib.invalidate_caches()
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise MissingPackageError(
                f"RecBole couldn't be installed: {lines[-1].strip()} Install it with: {_command()}"
            )
    check_recbole()


def _words() -> list[str]:
    """The installer of this environment; one that uv has made may lack pip."""
    uv = shutil.which("uv")
    if importlib.util.find_spec(_PIP) is None and uv is not None:
        return [uv, "pip", _WANTED[0], "--python", sys.executable, *_WANTED[1:]]
    return [sys.executable, "-m", _PIP, *_WANTED]


def _command() -> str:
    return " ".join(_words())
