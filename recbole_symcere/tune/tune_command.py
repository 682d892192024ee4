"""The command ``tune``."""

from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import suggesting, take_options
from recbole_symcere.plugin.first_look import look_first
from recbole_symcere.plugin.run_options import FileOptions, JobOptions
from recbole_symcere.tune.search_options import SearchOptions

__all__ = ["help_text", "run"]

_HELP = """\
tune --model=NAME --dataset=NAME [--num_samples=12] [--config_files=FILES] [--key=value ...]
tune --resume=DIR [--ray_address=ADDRESS]

Searches the settings of a model on validation, then trains the best once more and tests it once.
Beside the options of the search, any setting of a run holds for every trial.

"""


def help_text() -> str:
    """What ``tune --help`` says."""
    return _HELP + help_of(JobOptions, FileOptions, SearchOptions)


def run(pairs: dict[str, Any]) -> int:
    """Search, or go on with a search.

    Args:
        pairs: options of the search and settings of its runs, as strings.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a mistake in what was given.
    """
    out = pairs.pop("resume", None)
    if out is not None:
        address = pairs.pop("ray_address", None)
        if pairs:
            raise InputError("--resume=DIR goes on with a search as it was; give nothing else.")
        from recbole_symcere.tune.search import resume

        resume(out, address)
        return 0
    job, options = take_options(JobOptions, pairs), take_options(SearchOptions, pairs)
    files = take_options(FileOptions, pairs).files
    with suggesting(SearchOptions, JobOptions, FileOptions):
        look_first([job.model], [job.dataset], files, pairs)
        # torch and RecBole take seconds to load; a typing error shouldn't
        from recbole_symcere.tune.search import search

        search(job.model, job.dataset, settings=pairs, files=files, options=options)
    return 0
