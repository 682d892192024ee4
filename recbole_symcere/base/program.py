"""What a user types to start this program, for help and messages."""

import sys
from pathlib import Path

__all__ = ["program"]

_SCRIPT = "run_recbole_symcere.py"
_COMMAND = "recbole-symcere"
_CHECKOUT = Path(__file__).parents[2]


def program() -> str:
    """The words before a command: the script of a checkout, or the command that pip installs.

    A wheel has no script, so it is named only where it was started or stands beside the package.
    """
    started = Path(sys.argv[0])
    if started.name == _SCRIPT:
        return f"python {started}"
    script = _CHECKOUT / _SCRIPT
    if started.name == _COMMAND or not script.is_file():
        return _COMMAND
    here = Path.cwd()
    return f"python {script.relative_to(here) if script.is_relative_to(here) else script}"
