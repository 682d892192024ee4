"""The command ``compare``."""

import os
import sys
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import suggesting, take_options
from recbole_symcere.compare.compare_options import CompareOptions, checked_options
from recbole_symcere.page.markdown_text import readable
from recbole_symcere.plugin.first_look import look_first
from recbole_symcere.plugin.run_options import FileOptions

__all__ = ["help_text", "run"]

_HELP = """\
compare --models=A,B --datasets=D,E --seeds=0,1,2 --out=DIR [--tune=N] [--config_files=FILES]
        [--key=value ...]

Trains what is missing, each run in a process of its own, and writes table.md, table.csv,
table.html and runs.csv to DIR; the last has metrics, times and memory of every run. Of several data
sets it writes sets.csv, too: how every row stands over all of them. Given again it goes on where it
was stopped; a finished run isn't repeated while its settings, data, text encoder, kind of device
and our code are the same, a crashed one is tried once more and reported. Beside the options below,
any setting of a run holds for every run; without --epochs each model may train as long as its own
file says (CollabContext for 400 epochs, the others for 300).

"""


def help_text() -> str:
    """What ``compare --help`` says."""
    return _HELP + help_of(CompareOptions, FileOptions)


def run(pairs: dict[str, Any]) -> int:
    """Compare, or go on with a comparison.

    Args:
        pairs: options of the comparison and settings of its runs, as strings.

    Returns:
        The exit status: 0, or 1 if a run failed for good.

    Raises:
        InputError: for a mistake in what was given, before anything is trained.
    """
    options, files = checked_options(pairs), take_options(FileOptions, pairs).files
    with suggesting(CompareOptions, FileOptions):
        look_first(options.models, options.datasets, files, pairs)
    # torch and RecBole take seconds to load; a typing error shouldn't
    from recbole_symcere.compare.document import describe
    from recbole_symcere.compare.execute import execute
    from recbole_symcere.compare.over_sets import over_sets
    from recbole_symcere.compare.plan import checked_tasks, plan_rows
    from recbole_symcere.compare.table import make_block
    from recbole_symcere.compare.write import write_tables
    from recbole_symcere.run.log_lines import manifest_notice
    from recbole_symcere.run.run_directory import RunDirectory

    rows = plan_rows(options)
    with suggesting(CompareOptions, FileOptions):
        tasks = checked_tasks(options, rows, pairs, files)
    out = Path(options.out).absolute()
    with RunDirectory(out).locked():
        done = execute(tasks, out, options.seeds, options.jobs)
        metric = str(tasks[0].settings["valid_metric"]).lower()
        blocks = []
        for dataset in options.datasets:
            folder = next(task.folder for task in tasks if task.dataset == dataset)
            runs = [run for run in done if run.dataset == dataset]
            notice = manifest_notice(folder / "manifest.json")
            blocks.append(make_block(dataset, rows, runs, metric, notice, options.significance))
        over = over_sets(blocks, options.against)
        write_tables(out, describe(blocks, over, options), blocks, over, done)
    failed = [run for run in done if run.error]
    if len(failed) == len(done):
        raise InputError(f"Every run failed. The first: {failed[0].error}; see {failed[0].folder}.")
    _say(out, len(done), len(failed))
    return 1 if failed else 0


def _say(out: Path, n: int, failed: int) -> None:
    place = os.path.relpath(out)
    sys.stdout.write(readable((out / "table.md").read_text(encoding="utf-8")))
    sys.stdout.write(f"\n{n - failed} of {n} runs are in {place}/runs; see {place}/table.html\n")
    if failed:
        sys.stdout.write(f"{failed} failed; the table says why. The same command tries again.\n")
