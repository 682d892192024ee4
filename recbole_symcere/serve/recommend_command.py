"""The command ``recommend``."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step, working
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.serve.serve_options import RecommendOptions
from recbole_symcere.serve.typed_ids import lines_in, listed, typed

__all__ = ["help_text", "run", "writer"]

_HELP = """\
recommend --run=RUN [--users=A,B | --users_file=FILE | --all=True] [--k=10] [--out=FILE]

Lists the best items of each user, without those that he has an interaction with, in any split or
where val_interval, cold_items or cold_users took it out of all three. Without --users and
--users_file all users get a list; without --out the first of them are printed (--all=True prints
all). FILE ends in .csv, .jsonl or .parquet; its columns are user_id, rank, item_id, score and
title, where <name>.items.parquet knows it.

An id is looked up as it stands, with its blanks, quote marks and commas; only one that isn't there
is taken for a list.

--history=I,J and --text="..." give the list of one new user, whom the data don't have, by items
that he knows and by words of his; nothing is trained (docs/fold_in.md). --ordered=True takes the
last of these items for the latest.

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
    lines = {
        name: lines_in(file) if (file := getattr(options, name)) else None
        for name in ("users_file", "history_file", "items_file")
    }

    from recbole_symcere.serve.folding import NEW_USER, checked_texts
    from recbole_symcere.serve.recommender import Recommender

    texts = checked_texts("text", options.text or None)
    step("loading the run")
    recommender = Recommender.load(options.run, options.popularity, **options.places)
    step("scoring")
    named = partial(_named, recommender)
    allowed_names = named("item", "", lines["items_file"], "items")
    n_items = len(allowed_names or recommender.catalogue.items[1:])
    if options.is_new:
        history = named("item", options.history, lines["history_file"], "history")
        frame = recommender.fold_in(
            history, texts, options.k, not options.keep_seen, allowed_names, options.ordered
        )
        return _write_new(frame, out, NEW_USER, n_items)
    may_be_unknown = options.fallback is not None
    users = named("user", options.users, lines["users_file"], "users", may_be_unknown)
    names = users or recommender.catalogue.users.to_pylist()[1:]
    shortened = users is None and out is None and not options.all
    more = max(0, len(names) - _PRINTED) if shortened else 0
    names = names[: len(names) - more]
    allowed = None if allowed_names is None else recommender.places("item", allowed_names)
    tables = recommender.tables(names, options.k, not options.keep_seen, allowed, options.fallback)
    if out is None:
        _show(names, tables, n_items)
        if more:
            terminal.out(
                f"and {more:,} users more: --all=True prints them, --out=FILE.csv writes them"
            )
        return 0
    n_rows = n_users = 0
    with writer(out) as write, working("listing", len(names), "users") as shown:
        for table in tables:
            write(table)
            n_rows, n = n_rows + table.num_rows, len(table["user_id"].unique())
            n_users += n
            shown.advance(n)
    terminal.out(f"{n_rows:,} rows of {n_users:,} users are in {out}")
    if n_users < len(names):
        terminal.out(
            f"{len(names) - n_users:,} users have no row: they have each of the {n_items:,} items "
            "to choose from"
        )
    terminal.document(out=str(out), rows=n_rows, users=n_users)
    return 0


def _named(
    recommender: Any, side: str, text: str, lines: list[str] | None, key: str, unknown: bool = False
) -> list[str] | None:
    """The ids that an option or its file names; None where neither is given.

    Each once, but in a history, where the last place of a repeated one may count.

    Args:
        recommender: of the run.
        side: "user" or "item".
        text: of the option.
        lines: of its file.
        key: the option's name.
        unknown: whether the run needn't know them.

    Raises:
        InputError: for an unknown one in the text; where it may be a piece of an id with a comma,
            it tells how to give such an id.
    """
    knows = getattr(recommender, f"knows_{side}")
    if lines is None and not text:
        return None
    names = typed(text, knows, key) if lines is None else listed(lines, knows)
    if key != "history":
        names = [*dict.fromkeys(names)]
    if lines is None and "," in text and not unknown:
        try:
            recommender.places(side, names)
        except InputError as error:
            raise InputError(
                f"{error} An id that holds a comma goes into a file, one id a line: "
                f"--{key}_file=FILE."
            ) from None
    return names


def _show(names: Sequence[str], tables: Iterable[Any], n_items: int) -> None:
    """Print lists."""
    from recbole_symcere.serve.list_lines import by_user, list_lines

    for name, rows in by_user(names, tables):
        terminal.out(list_lines(name, rows, n_items, terminal.width()))
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
    if options.history and options.history_file:
        raise InputError("--history and --history_file name items both; give one of them.")
    if options.ordered and not (options.history or options.history_file):
        raise InputError("--ordered tells of --history or --history_file; give one of them.")
    if options.is_new and (options.users or options.users_file or options.fallback):
        raise InputError(
            "--history and --text are of a new user; --users, --users_file and --fallback don't go "
            "with them."
        )


def _write_new(frame: Any, out: Path | None, name: str, n_items: int) -> int:
    """Write or print the list of a new user."""
    import pyarrow as pa

    from recbole_symcere.serve.recommender import SCHEMA

    table = pa.Table.from_pandas(frame, SCHEMA, preserve_index=False)
    if out is None:
        _show([name], [table], n_items)
        return 0
    with writer(out) as write:
        write(table)
    terminal.out(f"{table.num_rows:,} rows of a new user are in {out}")
    terminal.document(out=str(out), rows=table.num_rows)
    return 0


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
