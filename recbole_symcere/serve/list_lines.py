"""Lists of items as a person reads them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from recbole_symcere.base.text_table import cut, plain, text_width

__all__ = ["by_user", "list_lines", "ranked_line"]

_ID, _WIDTH = 24, 120  # columns of an item's id, and of a line where no terminal says


def by_user(
    names: Iterable[str], tables: Iterable[Any]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each user with the rows of his list, which may be none.

    Args:
        names: ids of users, each once.
        tables: of `Recommender.tables`, their lists in that order.
    """
    rows = (row for table in tables for row in table.to_pylist())
    row = next(rows, None)
    for name in names:
        mine = []
        while row is not None and row["user_id"] == name:
            mine.append(row)
            row = next(rows, None)
        yield name, mine


def list_lines(user: str, rows: Sequence[Mapping[str, Any]], n_items: int, width: int) -> str:
    """A user's list, with a blank line after it.

    Args:
        user: his id.
        rows: rank, item_id, score (None where the run doesn't know the user) and title.
        n_items: number of items to choose from.
        width: columns of the terminal; 0 where there is none.
    """
    about = ""
    if not rows:
        about = f"  (no list: he has each of the {n_items:,} items to choose from)"
    elif rows[0]["score"] is None:
        about = "  (unknown to the run: popular items)"
    said = [f"{plain(user)}{about}"]
    for row in rows:
        score = "" if row["score"] is None else f"{row['score']:9.4f}"
        said.append(ranked_line(row["rank"], row["item_id"], score, row["title"], width))
    return "\n".join([*said, "", ""])


def ranked_line(rank: int, item: str, score: str, more: str, width: int) -> str:
    """An item of a list: its rank, id and score, and what else fits on the line."""
    item, more = plain(item), plain(more)
    room = min(_ID, max((width or _WIDTH) - 6 - len(score) - 2, 1))
    shown = item if not width else cut(item, room)
    start = f"  {rank:>3}  {shown}{' ' * (room - text_width(shown))} {score}"
    return cut(f"{start}  {more}".rstrip(), width or _WIDTH)
