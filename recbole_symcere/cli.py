"""The command line: training without a sub-command, and the sub-commands."""

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import dropwhile, takewhile
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError, ProcessEndedError, did_you_mean
from recbole_symcere.base.files import properties_path
from recbole_symcere.base.interrupts import end_at_once, exit_status, take_signals
from recbole_symcere.base.live_line import paused
from recbole_symcere.base.options import parse_pairs, suggesting, take_options
from recbole_symcere.base.program import program
from recbole_symcere.base.storage import storage_cause
from recbole_symcere.plugin.first_look import look_first
from recbole_symcere.plugin.recbole_package import fetch_recbole
from recbole_symcere.plugin.run_options import FileOptions, JobOptions, ProcessOptions
from recbole_symcere.run import launch
from recbole_symcere.run.metrics_file import metrics_in
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.version import __version__

__all__ = ["main"]

_HELP = """\
Review-enhanced recommendation for RecBole.

Train, choose the epoch on validation, test once:
  PROGRAM --model=SymCERE --dataset=yelp [--run_dir=DIR] [--key=value ...]
  PROGRAM --model=SymCERE --help     what a model reads, with its defaults

The same in several processes, each with a GPU if there are any:
  PROGRAM --model=SymCERE --dataset=yelp --nproc=2

Go on with a run that was stopped:
  PROGRAM --resume=RUN_DIR

Make a data set from review files, describe it, add reviews to an existing one:
  PROGRAM convert SOURCE --input=FILE --name=NAME
  PROGRAM convert stats --name=NAME
  PROGRAM convert attach --input=FILE --name=NAME

Encode the texts before a run, on this machine or on a Ray cluster:
  PROGRAM encode --dataset=NAME [--model=NAME] [--ray_address=HOST:PORT]

Search the settings of a model on validation, then test the best once:
  PROGRAM tune --model=NAME --dataset=NAME [--num_samples=12]

Compare models over data sets and seeds, in one table with significance tests:
  PROGRAM compare --models=A,B --datasets=D --seeds=0,1,2 --out=DIR

Lists out of a finished run, and items that are near another one:
  PROGRAM recommend --run=RUN_DIR [--users=A,B] [--k=10] [--out=FILE.csv]
  PROGRAM similar --run=RUN_DIR --item=ITEM
  PROGRAM serve --run=RUN_DIR        a page to look at them

Its vectors, text encoder and split for other programs, with a model card:
  PROGRAM export --run=RUN_DIR --out=DIR

Ask a finished run what it reads in the reviews, put all of it on one page:
  PROGRAM explain anchor --run=RUN_DIR
  PROGRAM report --run=RUN_DIR

Train a finished run's settings on everything, for use:
  PROGRAM refit --run=RUN_DIR

Show that no held-out review reaches a model:
  PROGRAM audit --dataset=NAME [--model=NAME]

See whether all is there and works; what to paste into a bug report:
  PROGRAM doctor

A run that is stopped loses at most its unfinished epoch. Exit status: 0; 1, it diverged, one of its
processes died, a run of compare or a trial of tune failed, or audit found a leak; 2, a mistake in
the input or a place that can't be written; 130, 143 and 129, ended by SIGINT (Ctrl-C), SIGTERM and
SIGHUP.

Each command has a --help of its own; --version tells the version. Options and settings are written
--key=value or --key value, by their whole names; yes and no are True and False.

Every command takes --quiet, which leaves errors, warnings and the result, and, but for serve,
--json, which prints one JSON document on stdout and all else on stderr; help stays text.

"""

_COMMANDS = {
    "convert": "recbole_symcere.convert.convert_command",
    "encode": "recbole_symcere.run.encode_command",
    "audit": "recbole_symcere.run.audit_command",
    "compare": "recbole_symcere.compare.compare_command",
    "recommend": "recbole_symcere.serve.recommend_command",
    "similar": "recbole_symcere.serve.similar_command",
    "refit": "recbole_symcere.run.refit_command",
    "export": "recbole_symcere.serve.export_command",
    "serve": "recbole_symcere.serve.serve_command",
    "tune": "recbole_symcere.tune.tune_command",
    "explain": "recbole_symcere.explain.explain_command",
    "report": "recbole_symcere.explain.report_command",
    "doctor": "recbole_symcere.doctor.doctor_command",
}
_RUNS = "recbole_symcere.run.quick_start"
_THEN = {
    "convert": "nothing was written; start the conversion again",
    "compare": "the same command goes on with the comparison",
    "encode": "the same command goes on with the encoding",
}
_LOOK_FIRST = {"audit", "compare", "encode", "tune"}  # at names, before RecBole is fetched
_SIGNALLED = 128  # a status above is that of a signal
_ASKS = {"-h", "--help", "help"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after the program's name; by default those of this process, which then
            ends in an orderly way at SIGINT, SIGTERM and SIGHUP.

    Returns:
        The exit status: 0, 1 for a diverged run, 2 for a mistake in the input or a place that can't
        be written, and when interrupted 130 (SIGINT), 143 (SIGTERM) or 129 (SIGHUP).
    """
    terminal.open_closed()
    if arguments is not None:
        return _status(list(arguments))
    take_signals()
    status = _status(sys.argv[1:], alone=True)
    if status > _SIGNALLED:
        end_at_once(status)
    return status


def _status(words: list[str], alone: bool = False) -> int:
    """Run a command and say in one line what kept it from its end.

    Args:
        words: of the command.
        alone: whether this process is there for it.
    """
    # Before torch is loaded: threads that wait by spinning make an epoch ten times as long where
    # another process wants the same cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        how, words = terminal.take_flags(words)
        if how.json and words[:1] == ["serve"]:
            raise InputError("serve has no --json: its page and its addresses are what it gives.")
    except InputError as error:
        return _end(f"error: {error}", error, 2)
    with terminal.speaking(how, _title(words) if alone else None):
        return _ended(words)


def _title(words: list[str]) -> str | None:
    """What stands above all that a command says; None where it only tells of itself."""
    if not words or {*_ASKS, "--version"}.intersection(words):
        return None
    with contextlib.suppress(InputError):
        pairs = parse_pairs([*dropwhile(lambda word: not word.startswith("-"), words)])
        named = [pairs[key] for key in ("model", "models", "run", "resume", "name") if key in pairs]
        on = [f"on {pairs[key]}" for key in ("dataset", "datasets") if key in pairs]
        does = [*takewhile(lambda word: not word.startswith("-"), words)]
        return f"recbole_symcere {__version__}: {' '.join([*does, *named, *on])}"
    return None


def _ended(words: list[str]) -> int:
    try:
        return _run(words)
    except InputError as error:
        return _end(f"error: {error}", error, 2)
    except ProcessEndedError as error:
        return _end(f"error: {error}", error, 1)
    except ArithmeticError as error:  # a loss that is no longer finite
        return _end(f"error: {error}", error, 1)
    except KeyboardInterrupt as stop:
        then = _THEN.get(words[0]) if words else None
        return _end("\ninterrupted" + (f"; {then}" if then else ""), stop, exit_status())
    except Exception as error:
        cause = storage_cause(error)
        if cause is None:
            terminal.document(error=repr(error))
            raise
        return _end(f"error: {cause}", cause, 2)


def _end(said: str, error: BaseException, status: int) -> int:
    """Print what happened and the error's notes, which tell how to go on."""
    notes = getattr(error, "__notes__", [])
    mark = "; " if isinstance(error, KeyboardInterrupt) else " "
    terminal.document(error=mark.join([said.strip().removeprefix("error: "), *notes]))
    with contextlib.suppress(OSError), paused():  # a terminal that hung up
        sys.stderr.write(mark.join([said, *notes]) + "\n")
        sys.stderr.flush()
    return status


def _run(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        terminal.document(version=__version__)
        terminal.out(f"recbole_symcere {__version__}")
        return 0
    if not words or words[0].startswith("-") or words[0] in _ASKS:
        return _train(words)
    name, rest = words[0], words[1:]
    if name not in _COMMANDS:
        raise InputError(
            f"There is no command {name!r}.{did_you_mean(name, _COMMANDS)} "
            "Settings are written --key=value; --help shows what there is."
        )
    command = import_module(_COMMANDS[name])
    if name == "convert":
        return int(command.main(rest, properties_path() / "dataset", _on_cluster))
    asks = _ASKS.intersection(rest)
    if name == "explain":
        asked = asks or not rest
        return _say_help(command.help_text(rest)) if asked else int(_ready(command).run(rest))
    if name == "serve" and asks:
        return _say(command.help_text())
    if asks:
        return _say_help(command.help_text())
    pairs = parse_pairs(rest)
    looks = name in _LOOK_FIRST and "resume" not in pairs
    return int((command if looks else _ready(command)).run(pairs))


def _ready(command: Any) -> Any:
    """A command, once RecBole is there; the doctor sees to it itself."""
    if command.__name__ != _COMMANDS["doctor"]:
        fetch_recbole()
    return command


def _on_cluster(address: str) -> Any:
    """What reads a conversion's files on a Ray cluster."""
    from recbole_symcere.run.ray_reading import reading_on

    return reading_on(address)


def _train(words: list[str]) -> int:
    asks = not words or bool(_ASKS.intersection(words))
    pairs = parse_pairs([word for word in words if word not in _ASKS])
    if asks:
        if pairs:
            fetch_recbole()
        from recbole_symcere.plugin.settings_help import settings_help

        about = "" if "model" in pairs else _HELP.replace("PROGRAM", program())
        return _say(about + settings_help(pairs.get("model")))
    processes = take_options(ProcessOptions, pairs)
    run_dir = pairs.pop("resume", None)
    if run_dir is not None:
        refuse_missing_run(run_dir, "resume")
        fetch_recbole()
        return _call(processes, "resume", run_dir, pairs)
    job, files = take_options(JobOptions, pairs), take_options(FileOptions, pairs).files
    with suggesting(JobOptions, FileOptions, ProcessOptions):
        look_first([job.model], [job.dataset], files, pairs)
        return _call(processes, "run_recbole", job.model, job.dataset, files, pairs)


def _call(processes: ProcessOptions, function: str, *arguments: Any) -> int:
    """Call a function of the quick start, in this process or in several that work on one run."""
    if launch.several(processes):
        result = launch.launch(processes, f"{_RUNS}:{function}", *arguments)
    else:  # torch, RecBole and transformers take seconds to load; a typing error shouldn't
        result = getattr(import_module(_RUNS), function)(*arguments)
    if terminal.mode().json:
        terminal.document(**metrics_in(result["run_dir"]))
    return 0


def _say_help(text: str) -> int:
    return _say(text + terminal.FLAGS_HELP)


def _say(text: str) -> int:
    sys.stdout.write(text)
    return 0
