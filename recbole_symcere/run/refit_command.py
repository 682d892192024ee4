"""The command ``refit``."""

from dataclasses import dataclass
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import option, refuse_unknown, take_options
from recbole_symcere.run.metrics_file import metrics_in
from recbole_symcere.run.place_options import PlaceOptions, refuse_missing_run

__all__ = ["RefitOptions", "help_text", "run"]

_HELP = """\
refit --run=RUN [--run_dir=DIR]

Trains a finished run's settings on all of its interactions (training, validation and test), for as
many optimizer steps as its best epoch had taken; the last epoch may be cut. A blend has
the weights that RUN chose for it. Nothing is left to test it on: its figures are those of RUN.
--resume=DIR goes on if it was stopped.

"""


@dataclass(frozen=True, kw_only=True)
class RefitOptions(PlaceOptions):
    """What `refit` does."""

    run: str = option(help="the run's folder")
    run_dir: str | None = option(None, "folder of the new run; RUN-refit if not given")


def help_text() -> str:
    """What ``refit --help`` says."""
    return _HELP + help_of(RefitOptions)


def run(pairs: dict[str, Any]) -> int:
    """The command ``refit``.

    Args:
        pairs: the options as strings.

    Returns:
        The exit status, 0.
    """
    options = take_options(RefitOptions, pairs)
    refuse_unknown(pairs, "refit", RefitOptions)
    refuse_missing_run(options.run)
    # torch and RecBole take seconds to load; a typing error shouldn't
    from recbole_symcere.run.refit import refit

    result = refit(options.run, options.run_dir, options.places)
    if terminal.mode().json:
        terminal.document(**metrics_in(result["run_dir"]))
    return 0
