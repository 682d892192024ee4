"""The options of each command that recommends."""

from dataclasses import dataclass
from typing import Literal

from recbole_symcere.base.options import option
from recbole_symcere.run.place_options import PlaceOptions

__all__ = ["ExportOptions", "RecommendOptions", "ServeOptions", "SimilarOptions"]


@dataclass(frozen=True, kw_only=True)
class _RunOptions(PlaceOptions):
    """Which run, and where its things are now."""

    run: str = option(help="the run's folder")


@dataclass(frozen=True, kw_only=True)
class RecommendOptions(_RunOptions):
    """What `recommend` does."""

    users: list[str] | None = option(None, "ids of users, separated by commas; all if not given")
    users_file: str | None = option(None, "a file of ids of users, one a line")
    history: list[str] | None = option(
        None, "ids of items that a user who isn't in the data knows, separated by commas"
    )
    text: str | None = option(None, "what such a user wrote or looks for, with or without history")
    all: bool = option(False, "whether lists of all users are printed, not of the first alone")
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


@dataclass(frozen=True, kw_only=True)
class ExportOptions(_RunOptions):
    """What `export` writes."""

    out: str = option(help="the folder; it must be new or empty")
    overwrite: bool = option(False, "whether an earlier export in that folder is replaced")
    text_tower: bool = option(
        True, "whether a text encoder that was trained is written; that needs the run's data"
    )


@dataclass(frozen=True, kw_only=True)
class ServeOptions(_RunOptions):
    """What `serve` does."""

    host: str = option("127.0.0.1", "the address; 0.0.0.0 opens it to the network")
    port: int = option(8000, "the port; 0 for any free one", minimum=0, maximum=65535)
    popularity: float | None = option(None, "SymCEREPlus's dial; the run's own if not given")
