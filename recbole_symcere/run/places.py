"""Finds data, cache and text encoder of a run that was moved, beside its folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recbole_symcere.base.files import bundled_data_path
from recbole_symcere.base.storage import put_back
from recbole_symcere.data.intact import memory_of
from recbole_symcere.run.data_fingerprint import fingerprint_of, kinds_read

__all__ = ["PLACES", "located"]

PLACES = ("data_path", "cache_dir", "text_encoder")
"""Settings that say where something lies; they may be given anew."""


def located(
    settings: Mapping[str, Any],
    run: Path,
    given: Mapping[str, Any],
    fingerprint: str | None,
) -> dict[str, Any]:
    """A run's settings with the places where its things lie now.

    What isn't given is looked for where it was, and then beside the run's folder: a run in
    A/runs/ID whose data were in X/dataset_atomic finds them in A/dataset_atomic. Data are known by
    their fingerprint.

    Args:
        settings: as the run was started.
        run: its folder.
        given: new values of `PLACES`; None for one that isn't given.
        fingerprint: of its data, if that is known.
    """
    found = {**settings, **{key: given[key] for key in PLACES if given.get(key) is not None}}
    for key in ("cache_dir", "text_encoder"):
        place = found.get(key)
        if place and given.get(key) is None and not Path(place).exists():
            there = (path for path in _beside(run, Path(place)) if _IS_ONE[key](path))
            found[key] = str(next(there, place))
    if found.get("data_path") and given.get("data_path") is None:
        found["data_path"] = str(_data_path(found, run, fingerprint))
    return found


def _data_path(settings: Mapping[str, Any], run: Path, fingerprint: str | None) -> Path:
    """The folder of the data set's folder, the first whose data are those of the run."""
    stored, name = Path(settings["data_path"]), str(settings["dataset"])
    usual = (Path("dataset_atomic"), Path("dataset"), bundled_data_path())
    places = []
    for place in (stored, *_beside(run, stored), *usual):
        put_back(place / name)
        if (place / name).is_dir():
            places.append(place)
    memory = memory_of(settings.get("cache_dir"))
    if fingerprint is not None and len(places) > 1:
        kinds = kinds_read(settings.get("load_col", {}), settings.get("additional_feat_suffix"))
        for place in places:
            for read in (kinds, ()):  # an earlier version hashed fewer files
                if fingerprint_of(place / name, name, memory, read) == fingerprint:
                    return place
    return next(iter(places), stored)


def _beside(run: Path, place: Path) -> Iterator[Path]:
    """Where ``place`` may have come to if it moved together with the run's folder."""
    parts = [part for part in place.parts if part not in {place.anchor, ".."}]
    for folder in run.absolute().parents:
        for first in range(len(parts) if place.is_absolute() else 1):
            yield folder.joinpath(*parts[first:])


_IS_ONE = {
    "cache_dir": lambda path: any((path / name).is_dir() for name in ("tokens", "vectors")),
    "text_encoder": lambda path: any(
        (path / name).is_file() for name in ("config.json", "modules.json")
    ),
}
