"""The command ``recommend``."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step, working
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.serve.serve_options import RecommendOptions

__all__ = ["help_text", "run", "writer"]

_HELP = """\
recommend --run=RUN [--users=A,B | --users_file=FILE | --all=True] [--k=10] [--out=FILE]

Lists the best items of each user, without those that he has an interaction with, in any split or
where val_interval, cold_items or cold_users took it out of all three. Without --users and --users_file all users get a list; without --out the first of them are printed (--all=True
prints all). FILE ends in .csv, .jsonl or .parquet; its columns are user_id, rank, item_id, score
and title, where <name>.items.parquet knows it.

--history=I,J and --text="..." give the list of one new user, whom the data don't have, by items
that he knows and by words of his; nothing is trained (docs/fold_in.md).

"""
_SUFFIXES = (".csv", ".jsonl", ".parquet")
_PRINTED = 10  # users, where there are lists of all of them


def help_text() -> str:
    """What ``recommend --help`` says."""
    return _HELP + help_of(RecommendOptions)


def run(pairs: dict[str, Any]) -> int:
    """Write or print lists.

    Args:
        pairs: the options as strings.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a run, user, item or file that isn't there, or a k above the catalogue.
    """
    options = take_options(RecommendOptions, pairs)
    refuse_unknown(pairs, "recommend", RecommendOptions)
    refuse_missing_run(options.run)
    out = Path(options.out) if options.out else None
    if out and out.suffix not in _SUFFIXES:
        raise InputError(f"--out={out}: expected a name that ends in {', '.join(_SUFFIXES)}.")
    _check_whose(options)
    users = _ids(options.users_file) if options.users_file else options.users
    allowed_names = _ids(options.items_file) if options.items_file else None

    from recbole_symcere.serve.recommender import Recommender

    step("loading the run")
    recommender = Recommender.load(options.run, options.popularity, **options.places)
    step("scoring")
    if options.is_new:
        frame = recommender.fold_in(
            options.history, options.text, options.k, not options.keep_seen, allowed_names
        )
        return _write_new(frame, out)
    names = users or recommender.catalogue.users.to_pylist()[1:]
    shortened = users is None and out is None and not options.all
    more = max(0, len(names) - _PRINTED) if shortened else 0
    names = names[: len(names) - more]
    allowed = None if allowed_names is None else recommender.places("item", allowed_names)
    tables = recommender.tables(names, options.k, not options.keep_seen, allowed, options.fallback)
    if out is None:
        for table in tables:
            _show(table)
        if more:
            terminal.out(
                f"and {more:,} users more: --all=True prints them, --out=FILE.csv writes them"
            )
        return 0
    n_rows = 0
    with writer(out) as write, working("listing", len(names), "users") as shown:
        for table in tables:
            write(table)
            n_rows += table.num_rows
            shown.advance(len(table["user_id"].unique()))
    terminal.out(f"{n_rows:,} rows of {len(names):,} users are in {out}")
    terminal.document(out=str(out), rows=n_rows, users=len(names))
    return 0


def _show(table: Any) -> None:
    """Print lists."""
    from recbole_symcere.serve.list_lines import list_lines

    rows = table.to_pylist()
    terminal.out(list_lines(rows, terminal.width()))
    if terminal.mode().json:
        lists = terminal.documented("lists", list)
        lists += rows


def _check_whose(options: RecommendOptions) -> None:
    """Stop at options that ask for lists of different users.

    Raises:
        InputError: naming them.
    """
    if options.all and (options.users or options.users_file or options.is_new):
        raise InputError("--all asks for all users; --users and the like don't go with it.")
    if options.users and options.users_file:
        raise InputError("--users and --users_file name users both; give one of them.")
    if options.is_new and (options.users or options.users_file or options.fallback):
        raise InputError(
            "--history and --text are of a new user; --users, --users_file and --fallback don't go "
            "with them."
        )


def _write_new(frame: Any, out: Path | None) -> int:
    """Write or print the list of a new user."""
    import pyarrow as pa

    from recbole_symcere.serve.recommender import SCHEMA

    table = pa.Table.from_pandas(frame, SCHEMA, preserve_index=False)
    if out is None:
        _show(table)
        return 0
    with writer(out) as write:
        write(table)
    terminal.out(f"{table.num_rows:,} rows of a new user are in {out}")
    terminal.document(out=str(out), rows=table.num_rows)
    return 0


def _ids(file: str) -> list[str]:
    """The ids in a file, one a line, each once.

    Raises:
        InputError: if it can't be read or is empty.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read as a list of ids: {error}.") from None
    names = [*dict.fromkeys(line.strip() for line in lines if line.strip())]
    if not names:
        raise InputError(f"{file} names nothing; write one id a line.")
    return names


@contextmanager
def writer(out: Path) -> Iterator[Callable[[Any], None]]:
    """A function that appends a table to a file, which appears when all of it is written."""
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    from recbole_symcere.base.files import replacing
    from recbole_symcere.serve.recommender import SCHEMA

    with replacing(out) as aside:
        if out.suffix == ".csv":
            with pc.CSVWriter(aside, SCHEMA) as csv:
                yield csv.write
        elif out.suffix == ".parquet":
            with pq.ParquetWriter(aside, SCHEMA) as parquet:
                yield parquet.write_table
        else:
            with aside.open("w", encoding="utf-8") as lines:
                yield lambda table: lines.writelines(
                    json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist()
                )
