"""The command line: training without a sub-command, and the sub-commands."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recbole_symcere.errors import InputError, did_you_mean
from recbole_symcere.version import __version__

__all__ = ["main", "parse_pairs"]

_HELP = """\
Review-enhanced recommendation for RecBole.

Train, choose the epoch on validation, test once:
  run_recbole_symcere.py --model=SymCERE --dataset=yelp [--key=value ...]
      --model         SymCERE, or any model of RecBole: LightGCN, NGCF, BPR, EASE, ...
      --dataset       the name of a folder under dataset_atomic/
      --config_files  "a.yaml b.yaml": settings from files; --key=value wins over them
      --run_dir       the folder for the results (default: a new one under runs/)
      --key=value     any setting of properties/, ours and RecBole's

Go on with a run that was stopped:
  run_recbole_symcere.py --resume=RUN_DIR

Make a data set from review files, describe it, add reviews to an existing one:
  run_recbole_symcere.py convert SOURCE --input FILE --name NAME   (convert --help, --list)
  run_recbole_symcere.py convert stats --name NAME
  run_recbole_symcere.py convert attach --input FILE --name NAME

Search the settings of a model on validation, then test the best once:
  run_recbole_symcere.py tune --model=NAME --dataset=NAME [--num_samples=12]   (tune --help)

Compare models over data sets and seeds, in one table with significance tests (compare --help):
  run_recbole_symcere.py compare --models=A,B --datasets=D --seeds=0,1,2 --out=DIR

Ask a finished run what it reads in the reviews:
  run_recbole_symcere.py explain anchor --run=RUN_DIR   (explain --help)
  run_recbole_symcere.py report --run=RUN_DIR           (one page of a run)

Show that no held-out review reaches a model:
  run_recbole_symcere.py audit --dataset=NAME [--model=NAME]

  --version, --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after the program's name; by default those of this process.

    Returns:
        The exit status: 0, 1 for a diverged run, 2 for a mistake in the input, 130 when
        interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Before torch is loaded: threads that wait by spinning make an epoch ten times as long where
    # another process wants the same cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        return _run(words)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except ArithmeticError as error:  # a loss that is no longer finite
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        then = "--resume=RUN_DIR goes on after the last finished epoch"
        if words[:1] == ["convert"]:
            then = "nothing was written; start the conversion again"
        if words[:1] == ["compare"]:
            then = "the same command goes on with the comparison"
        if words[:1] == ["tune"]:
            then = "tune --resume=DIR goes on with the search"
        sys.stderr.write(f"\ninterrupted; {then}\n")
        return 130


def _run(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(_HELP)
        return 0
    if words[0] == "--version":
        sys.stdout.write(f"recbole_symcere {__version__}\n")
        return 0
    if words[0].startswith("-"):
        return _train(words)
    commands: dict[str, Callable[[list[str]], int]] = {
        "convert": _convert,
        "audit": _audit,
        "compare": _compare,
        "tune": _tune,
        "explain": _explain,
        "report": _report,
    }
    if words[0] not in commands:
        raise InputError(
            f"There is no command {words[0]!r}.{did_you_mean(words[0], commands)} "
            "Settings are written --key=value; --help shows what there is."
        )
    return commands[words[0]](words[1:])


def parse_pairs(words: Sequence[str]) -> dict[str, str]:
    """``--key=value`` and ``--key value`` as a dictionary of strings.

    Raises:
        InputError: for a word that is neither, a key without a value, and a key given twice.
    """
    pairs: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) < 3:  # two dashes and a letter
            raise InputError(f"{word!r} isn't understood. Settings are written --key=value.")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise InputError(f"--{key} needs a value: --{key}=VALUE.")
            value = rest.pop(0)
        if key in pairs:
            raise InputError(f"--{key} is given twice: {pairs[key]!r} and {value!r}.")
        pairs[key] = value
    return pairs


def file_list(value: str) -> list[str]:
    """The files that ``--config_files`` names: one path, or several with quotes where needed."""
    return [value] if Path(value).is_file() else shlex.split(value)


def _train(words: list[str]) -> int:
    pairs = parse_pairs(words)
    # torch, RecBole and transformers take seconds to load; a typing error shouldn't
    from recbole_symcere import quick_start
    from recbole_symcere.settings import parse_value

    run_dir = pairs.pop("resume", None)
    if run_dir is not None:
        changes = {key: parse_value(value) for key, value in pairs.items()}
        quick_start.resume(run_dir, changes)
        return 0
    files = file_list(pairs.pop("config_files", ""))
    names: dict[str, Any] = {key: pairs.pop(key, None) for key in ("model", "dataset")}
    quick_start.run_recbole(**names, config_file_list=files, config_dict=pairs)
    return 0


def _convert(words: list[str]) -> int:
    from recbole_symcere.convert import command
    from recbole_symcere.folders import properties_path

    return command.main(words, properties_path() / "dataset")


def _tune(words: list[str]) -> int:
    from recbole_symcere.tune import command

    if words[:1] in (["-h"], ["--help"]):
        sys.stdout.write(command.HELP)
        return 0
    pairs = parse_pairs(words)
    return command.run(pairs, file_list(pairs.pop("config_files", "")))


def _compare(words: list[str]) -> int:
    from recbole_symcere.compare import command

    if words[:1] in (["-h"], ["--help"]):
        sys.stdout.write(command.HELP)
        return 0
    pairs = parse_pairs(words)
    return command.run(pairs, file_list(pairs.pop("config_files", "")))


def _explain(words: list[str]) -> int:
    from recbole_symcere.explain import command

    if not words or any(word in {"-h", "--help"} for word in words):
        sys.stdout.write(command.HELP)
        return 0
    return command.run(words, parse_pairs)


def _report(words: list[str]) -> int:
    from recbole_symcere.report import command

    if words[:1] in (["-h"], ["--help"]):
        sys.stdout.write(command.HELP)
        return 0
    return command.run(parse_pairs(words))


def _audit(words: list[str]) -> int:
    if words[:1] in (["-h"], ["--help"]):
        sys.stdout.write("audit --dataset=NAME [--model=SymCERE] [--key=value ...]\n")
        return 0
    from recbole_symcere.evaluate import audit

    pairs = parse_pairs(words)
    return audit.run(pairs, file_list(pairs.pop("config_files", "")))
