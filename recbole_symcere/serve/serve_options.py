"""The options of each command that recommends."""

from dataclasses import dataclass
from typing import Literal

from recbole_symcere.base.options import option

__all__ = ["RecommendOptions", "SimilarOptions"]


@dataclass(frozen=True, kw_only=True)
class _RunOptions:
    """Which run, and where its things are now, if they were moved otherwise than with it."""

    run: str = option(help="the run's folder")
    data_path: str | None = option(None, "folder that holds the data set's folder")
    cache_dir: str | None = option(None, "folder of tokens and text vectors")
    text_encoder: str | None = option(None, "the text encoder's folder, or its id")

    @property
    def places(self) -> dict[str, str | None]:
        """What `Recommender.load` takes."""
        return {name: getattr(self, name) for name in ("data_path", "cache_dir", "text_encoder")}


@dataclass(frozen=True, kw_only=True)
class RecommendOptions(_RunOptions):
    """What `recommend` does."""

    users: list[str] | None = option(None, "ids of users, separated by commas; all if not given")
    users_file: str | None = option(None, "a file of ids of users, one a line")
    history: list[str] | None = option(
        None, "ids of items that a user who isn't in the data knows, separated by commas"
    )
    text: str | None = option(None, "what such a user wrote or looks for, with or without history")
    k: int = option(10, "items a user", minimum=1)
    out: str | None = option(None, "the file: .csv, .jsonl or .parquet; printed if not given")
    items_file: str | None = option(
        None, "a file of ids, one a line, of the only items to recommend"
    )
    keep_seen: bool = option(False, "whether items that a user knows may be recommended")
    popularity: float | None = option(None, "SymCEREPlus's dial; the run's own if not given")
    fallback: Literal["popular"] | None = option(
        None, "popular: users whom the run doesn't know get the most popular items"
    )

    @property
    def is_new(self) -> bool:
        """Whether the list is of a user whom the data don't have."""
        return self.history is not None or self.text is not None


@dataclass(frozen=True, kw_only=True)
class SimilarOptions(_RunOptions):
    """What `similar` does."""

    item: str = option(help="the item's id as in the file")
    k: int = option(10, "neighbours", minimum=1)
