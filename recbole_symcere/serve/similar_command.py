"""The command ``similar``."""

from typing import Any

from recbole_symcere.base import terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.live_line import step
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.serve.list_lines import ranked_line
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
    from recbole_symcere.serve.folding import length_of
    from recbole_symcere.serve.recommender import Recommender

    step("loading the run")
    recommender = Recommender.load(options.run, None, **options.places)
    k = length_of(options.k, len(recommender.catalogue.items) - 2, "other items")
    found = recommender.similar(options.item, k)
    rows = [
        dict(zip(_SHOWN, row, strict=True)) for row in zip(*map(found.get, _SHOWN), strict=True)
    ]
    said = [f"Nearest to {options.item} by vectors", *(_line(*row.values()) for row in rows)]
    said += ["", "by words"]
    try:
        near = recommender.similar_by_words(options.item, k)
    except InputError as error:
        near = []
        said.append(f"  {error}")
    else:
        if not near:
            said.append("  no other item shares a word with it")
    ids = recommender.catalogue.items
    by_words = [
        {
            **{"rank": rank, "similar_id": ids[item.item].as_py(), "similarity": item.similarity},
            "shared": list(item.shared),
        }
        for rank, item in enumerate(near, 1)
    ]
    for row in by_words:
        words = ", ".join(row["shared"])
        said.append(_line(row["rank"], row["similar_id"], row["similarity"], words))
    terminal.out("\n".join(said))
    terminal.document(item=options.item, by_vectors=rows, by_words=by_words)
    return 0


def _line(rank: int, name: str, similarity: float, more: str) -> str:
    return ranked_line(rank, name, f"{similarity:7.4f}", more, terminal.width())
