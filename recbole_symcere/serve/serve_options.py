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

    users: str = option("", "ids of users, separated by commas; all if not given")
    users_file: str | None = option(None, "a file of ids of users, one a line")
    history: str = option(
        "", "ids of items that a user who isn't in the data knows, separated by commas"
    )
    history_file: str | None = option(None, "a file of such ids, one a line")
    ordered: bool = option(
        False,
        "whether those ids are in order of time, the latest last, as a blend's experts of recent "
        "interactions need it",
    )
    text: str = option("", "what such a user wrote or looks for, with or without history")
    all: bool = option(False, "whether lists of all users are printed, not of the first alone")
    k: int | None = option(None, "items a user; 10, or all there are, if not given", minimum=1)
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
        return bool(self.history or self.history_file or self.text)


@dataclass(frozen=True, kw_only=True)
class SimilarOptions(_RunOptions):
    """What `similar` does."""

    item: str = option(help="the item's id as in the file")
    k: int | None = option(None, "neighbours; 10, or all there are, if not given", minimum=1)


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
