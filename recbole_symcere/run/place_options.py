"""Options of every command that reads a run: where the run's things are now."""

from dataclasses import dataclass

from recbole_symcere.base.options import option

__all__ = ["PlaceOptions"]


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
