"""The command ``compare``."""

import os
import sys
from pathlib import Path
from typing import Any

from recbole_symcere.errors import InputError

__all__ = ["HELP", "run"]

HELP = """\
compare --models=A,B --datasets=D,E --seeds=0,1,2 --out=DIR [--tune=N] [--key=value ...]

Trains what is missing, each run in a process of its own, and writes table.md, table.csv,
table.html and runs.csv to DIR; the last has metrics, times and memory of every run. Given again it
goes on where it was stopped; a finished run isn't repeated while its settings, data, text encoder,
kind of device and our code are the same, a crashed one is tried once more and reported.

  --models        names of models, ours or RecBole's
  --datasets      names of data sets
  --seeds         at least two for a significance test
  --out           the folder of tables, runs/ and tune/
  --tune          trials of a search on validation, for each model and data set (default: 0)
  --preset        table2 or table3: rows and layout of the SymCERE paper's tables
  --text_control  shuffled,constant,random: rows of the text models with text that says nothing
  --untuned       models that get a row at their own settings too, beside the tuned one
  --proposed      the models compared with the best of the others (default: SymCERE...)
  --significance  False leaves out the tests
  --jobs          runs at a time (default: 1)
  --config_files, --key=value   settings of every run
"""


def run(pairs: dict[str, Any], files: list[str]) -> int:
    """Compare, or go on with a comparison.

    Args:
        pairs: options of the comparison and settings of its runs, as strings.
        files: yaml files of settings.

    Returns:
        The exit status: 0, or 1 if a run failed for good.

    Raises:
        InputError: for a mistake in what was given, before anything is trained.
    """
    from recbole_symcere.compare.options import take_options

    options = take_options(pairs)
    # torch and RecBole take seconds to load; a typing error shouldn't
    from recbole_symcere.compare.document import describe
    from recbole_symcere.compare.execute import execute
    from recbole_symcere.compare.plan import checked_tasks, plan_rows
    from recbole_symcere.compare.table import make_block
    from recbole_symcere.compare.write import write_tables
    from recbole_symcere.results import RunDirectory
    from recbole_symcere.summary import manifest_notice

    rows = plan_rows(options)
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
        write_tables(out, describe(blocks, options), blocks, done)
    failed = [run for run in done if run.error]
    if len(failed) == len(done):
        raise InputError(f"Every run failed. The first: {failed[0].error}; see {failed[0].folder}.")
    _say(out, len(done), len(failed))
    return 1 if failed else 0


def _say(out: Path, n: int, failed: int) -> None:
    place = os.path.relpath(out)
    sys.stdout.write((out / "table.md").read_text(encoding="utf-8"))
    sys.stdout.write(f"\n{n - failed} of {n} runs are in {place}/runs; see {place}/table.html\n")
    if failed:
        sys.stdout.write(f"{failed} failed; the table says why. The same command tries again.\n")
