"""Options of every command that reads a run: where the run's things are now."""

from dataclasses import dataclass
from pathlib import Path

from recbole_symcere.base.errors import InputError
from recbole_symcere.base.options import option

__all__ = ["PlaceOptions", "refuse_missing_run"]


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Where a run's things are now, if they were moved otherwise than with the run's folder."""

    data_path: str | None = option(None, "folder that holds the data set's folder")
    cache_dir: str | None = option(None, "folder of tokens and text vectors")
    text_encoder: str | None = option(None, "the text encoder's folder, or its id")

    @property
    def places(self) -> dict[str, str | None]:
        """What `load_data_and_model` takes."""
        names = ("data_path", "cache_dir", "text_encoder")
        return {name: getattr(self, name) for name in names}


def refuse_missing_run(path: str | Path, key: str = "run") -> None:
    """Stop where the folder of a run isn't there.

    Raises:
        InputError: naming it.
    """
    if not Path(path).is_dir():
        raise InputError(f"--{key}={path}: there is no such folder. Name a run's: runs/ID.")
