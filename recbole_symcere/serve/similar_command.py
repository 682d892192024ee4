"""The command ``similar``."""

import sys
from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.serve.serve_options import SimilarOptions

__all__ = ["help_text", "run"]

_HELP = """\
similar --run=RUN --item=ITEM [--k=10]

Prints the items that are nearest by the model's vectors (their cosine; of a model without vectors
the items that it scores alike over users), and by the words of titles and training reviews, with
the words that they share.

"""
_SHOWN = ("rank", "similar_id", "similarity", "title")


def help_text() -> str:
    """What ``similar --help`` says."""
    return _HELP + help_of(SimilarOptions)


def run(pairs: dict[str, Any]) -> int:
    """Print neighbours.

    Args:
        pairs: the options as strings.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a run or item that isn't there, or a k above the catalogue.
    """
    options = take_options(SimilarOptions, pairs)
    refuse_unknown(pairs, "similar", SimilarOptions)
    refuse_missing_run(options.run)
    from recbole_symcere.serve.recommender import Recommender

    recommender = Recommender.load(options.run, None, **options.places)
    found = recommender.similar(options.item, options.k)
    said = [f"Nearest to {options.item} by vectors\n"]
    said += [_line(*row) for row in zip(*(found[name] for name in _SHOWN), strict=True)]
    said.append("\nby words\n")
    try:
        near = recommender.similar_by_words(options.item, options.k)
    except InputError as error:
        near = []
        said.append(f"  {error}\n")
    else:
        if not near:
            said.append("  no other item shares a word with it\n")
    ids = recommender.catalogue.items
    for rank, item in enumerate(near, 1):
        words = ", ".join(item.shared)
        said.append(_line(rank, ids[item.item].as_py(), item.similarity, words))
    sys.stdout.write("".join(said))
    return 0


def _line(rank: int, name: str, similarity: float, more: str) -> str:
    more = " ".join(more.split())[:70]
    return f"  {rank:>3}  {name:<24} {similarity:7.4f}  {more}".rstrip() + "\n"
