"""The command ``compare``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import suggesting, take_options
from recbole_symcere.compare.compare_options import CompareOptions, checked_options
from recbole_symcere.plugin.first_look import look_first
from recbole_symcere.plugin.run_options import FileOptions

if TYPE_CHECKING:
    from recbole_symcere.compare.execute import Done
    from recbole_symcere.compare.plan import Task
    from recbole_symcere.page.page import Part

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
file says (CollabContext for 400 epochs, the others for 300). If a run, or a trial of a search,
failed for good, the tables are written without it and the exit status is 1.

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
    from recbole_symcere.compare.named_rows import named_rows
    from recbole_symcere.compare.over_sets import over_sets
    from recbole_symcere.compare.plan import checked_tasks
    from recbole_symcere.compare.rows import plan_rows
    from recbole_symcere.compare.table import make_block
    from recbole_symcere.compare.write import write_tables
    from recbole_symcere.run.run_directory import RunDirectory

    with suggesting(CompareOptions, FileOptions):
        rows = plan_rows(options, pairs, files)
        step("reading the data sets")
        tasks = checked_tasks(options, rows, pairs, files)
    out = Path(options.out).absolute()
    with RunDirectory(out).locked():
        done = execute(tasks, out, options.seeds, options.jobs)
        step("testing differences")
        metric = str(tasks[0].settings["valid_metric"]).lower()
        blocks = []
        for dataset in options.datasets:
            notice = _notice(next(task for task in tasks if task.dataset == dataset))
            runs = [run for run in done if run.dataset == dataset]
            blocks.append(make_block(dataset, rows, runs, metric, notice, options.significance))
        against = named_rows(options.against, [row.label for row in rows])
        over = over_sets(blocks, against)
        parts = describe(blocks, over, options)
        write_tables(out, parts, blocks, over, done)
    failed = [run for run in done if run.error]
    _tell_machines(out, parts, done)
    if len(failed) == len(done):
        raise InputError(f"Every run failed. The first: {failed[0].error}; see {failed[0].folder}.")
    _say(out, parts, done)
    return 1 if failed or any(run.failed_trials for run in done) else 0


def _notice(task: "Task") -> str | None:
    """What is to be seen of a data set, and of its split where that is random."""
    from recbole_symcere.run.log_lines import manifest_notice

    said, settings = manifest_notice(task.folder / "manifest.json"), task.settings
    if settings["eval_args"]["order"] != "RO" or settings.get("benchmark_filename"):
        return said
    whose = "All seeds here" if task.found else "All seeds here, and their search,"
    split = f"{whose} share the split of split_seed {settings['split_seed']}."
    if task.found:
        split += " The settings have to be found on the same one, or they know what is tested."
    return f"{said.rstrip('.')}. {split}" if said else split


def _say(out: Path, parts: "Sequence[Part]", done: "Sequence[Done]") -> None:
    """The tables, where everything is, and what failed."""
    from recbole_symcere.page.terminal_page import as_terminal
    from recbole_symcere.run.log_lines import short_path

    place, n = short_path(out), len(done)
    failed = [run for run in done if run.error]
    lines = [
        as_terminal(parts),
        f"{n - len(failed)} of {n} runs are in {place}/runs; see {place}/table.html",
    ]
    if failed:
        lines.append(f"{len(failed)} failed; the same command tries them again:")
    lines += [f"  {run.name}: {run.error}\n    its log: {short_path(run.log)}" for run in failed]
    searches = {run.search: run.failed_trials for run in done if run.search and run.failed_trials}
    lines += [
        f"{n} trials of a search failed; {short_path(folder)}/trials.md says why"
        for folder, n in searches.items()
    ]
    terminal.out("\n".join(lines))


def _tell_machines(out: Path, parts: "Sequence[Part]", done: "Sequence[Done]") -> None:
    from recbole_symcere.page.terminal_page import as_data

    runs = [
        {
            **{"dataset": run.dataset, "row": run.label, "seed": run.seed},
            **{"run_dir": str(run.folder), "error": run.error, "trials": run.trials},
            **{"failed_trials": run.failed_trials, "attempts": run.attempts},
        }
        for run in done
    ]
    files = [str(out / name) for name in ("table.csv", "table.md", "table.html", "runs.csv")]
    terminal.document(out=str(out), files=files, runs=runs, tables=as_data(parts))
