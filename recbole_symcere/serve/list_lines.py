"""Lists of items as a person reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

from recbole_symcere.base.text_table import cut, plain, text_width

__all__ = ["list_lines", "ranked_line"]

_ID, _WIDTH = 24, 120  # columns of an item's id, and of a line where no terminal says


def list_lines(rows: Sequence[Mapping[str, Any]], width: int) -> str:
    """Rows of lists, user by user, with a blank line after each.

    Args:
        rows: user_id, rank, item_id, score (None where the run doesn't know the user) and title.
        width: columns of the terminal; 0 where there is none.
    """
    said: list[str] = []
    last = None
    for row in rows:
        if row["user_id"] != last:
            said += [""] if said else []
            last = row["user_id"]
            popular = "  (unknown to the run: popular items)" if row["score"] is None else ""
            said.append(f"{plain(row['user_id'])}{popular}")
        score = "" if row["score"] is None else f"{row['score']:9.4f}"
        said.append(ranked_line(row["rank"], row["item_id"], score, row["title"], width))
    return "\n".join([*said, "", ""]) if said else ""


def ranked_line(rank: int, item: str, score: str, more: str, width: int) -> str:
    """An item of a list: its rank, id and score, and what else fits on the line."""
    item, more = plain(item), plain(more)
    room = min(_ID, max((width or _WIDTH) - 6 - len(score) - 2, 1))
    shown = item if not width else cut(item, room)
    start = f"  {rank:>3}  {shown}{' ' * (room - text_width(shown))} {score}"
    return cut(f"{start}  {more}".rstrip(), width or _WIDTH)
