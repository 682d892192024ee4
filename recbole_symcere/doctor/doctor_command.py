"""The command ``doctor``."""

from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.doctor.doctor_options import DoctorOptions

__all__ = ["help_text", "run"]

_HELP = """\
doctor [--self_test=False] [--text_encoder=NAME]

Looks at packages, machine, devices, threads, BLAS, folders, RecBole and the text encoder, trains a
small SymCERE whose outcome is known, and says what to do where something is wrong. As any first
command it fetches RecBole where that is missing. At the end stands what to paste into a bug report,
without names of users and machines. Exit status: 0, or 1 where something is wrong.

"""


def help_text() -> str:
    """What ``doctor --help`` says."""
    return _HELP + help_of(DoctorOptions)


def run(pairs: dict[str, Any]) -> int:
    """Examine the installation and tell of it.

    Args:
        pairs: options, as strings.

    Returns:
        0, or 1 where something is wrong.

    Raises:
        InputError: for an option that there isn't.
    """
    options = take_options(DoctorOptions, pairs)
    refuse_unknown(pairs, "doctor", DoctorOptions)
    from recbole_symcere.doctor.examine import examine
    from recbole_symcere.doctor.report import report

    facts = examine(options)
    terminal.out(report(facts).rstrip("\n"))
    terminal.document(**facts)
    return int(any(finding["state"] == "trouble" for finding in facts["findings"]))
