"""The command ``tune``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import suggesting, take_options
from recbole_symcere.plugin.first_look import look_first
from recbole_symcere.plugin.run_options import FileOptions, JobOptions
from recbole_symcere.run.metrics_file import metrics_in
from recbole_symcere.tune.search_options import SearchOptions

if TYPE_CHECKING:
    from recbole_symcere.tune.search import SearchResult

__all__ = ["help_text", "run"]

_HELP = """\
tune --model=NAME --dataset=NAME [--num_samples=12] [--config_files=FILES] [--key=value ...]
tune --resume=DIR [--ray_address=ADDRESS]

Searches the settings of a model on validation, then trains the best once more and tests it once.
Beside the options of the search, any setting of a run holds for every trial. If a trial failed, all
else is done and the exit status is 1.

"""


def help_text() -> str:
    """What ``tune --help`` says."""
    return _HELP + help_of(JobOptions, FileOptions, SearchOptions)


def run(pairs: dict[str, Any]) -> int:
    """Search, or go on with a search.

    Args:
        pairs: options of the search and settings of its runs, as strings.

    Returns:
        The exit status: 0, or 1 if a trial failed.

    Raises:
        InputError: for a mistake in what was given.
    """
    out = pairs.pop("resume", None)
    if out is not None:
        address = pairs.pop("ray_address", None)
        if pairs:
            raise InputError("--resume=DIR goes on with a search as it was; give nothing else.")
        from recbole_symcere.tune.search import resume

        return _ended(resume(out, address))
    job, options = take_options(JobOptions, pairs), take_options(SearchOptions, pairs)
    files = take_options(FileOptions, pairs).files
    with suggesting(SearchOptions, JobOptions, FileOptions):
        look_first([job.model], [job.dataset], files, pairs)
        # torch and RecBole take seconds to load; a typing error shouldn't
        from recbole_symcere.tune.search import search

        found = search(job.model, job.dataset, settings=pairs, files=files, options=options)
    return _ended(found)


def _ended(found: "SearchResult") -> int:
    """Tell machines of a search; its exit status."""
    trials = [asdict(trial) for trial in found.trials]
    failed = sum(trial["status"] == "failed" for trial in trials)
    refit = None
    if terminal.mode().json and found.refit is not None:
        refit = metrics_in(found.refit["run_dir"])
    files = sorted(str(path) for path in found.out.glob("[!.]*") if path.is_file())
    terminal.document(out=str(found.out), best=asdict(found.best), trials=trials)
    terminal.document(failed=failed, refit=refit, files=files)
    return 1 if failed else 0
