"""What a data set says of the settings of a run: names of its columns, and whether it has times."""

import json
from collections.abc import Mapping
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError

__all__ = ["fit_to_data"]

_FIELDS = {
    "user_id": "USER_ID_FIELD",
    "item_id": "ITEM_ID_FIELD",
    "rating": "RATING_FIELD",
    "timestamp": "TIME_FIELD",
}


def fit_to_data(config: Any) -> None:
    """Change a Config whose settings are merged as its data set wants it.

    Columns that the user has named are loaded; of ours those that are there, so that the settings
    of a run tell what it read, and can be given again. Data without times are split at random, by
    the seed.

    Raises:
        InputError: if such data are to be split in order of time.
    """
    settings, given = config.final_config_dict, config.external_config_dict
    if settings["load_col"] and "load_col" not in given:
        columns = settings["load_col"].get("inter") or []
        loaded = [settings[_FIELDS[name]] if name in _FIELDS else name for name in columns]
        there = _columns(settings)
        loaded = [name for name in loaded if there is None or name in there]
        settings["load_col"] = {**settings["load_col"], "inter": loaded}
    if not _order_is_unknown(Path(settings["data_path"])):
        return
    if (given.get("eval_args") or {}).get("order") == "TO":
        raise InputError(
            f"eval_args: order is TO, but {settings['dataset']} has no times, so nothing is known "
            "of the order of its interactions. Leave order out, which splits at random by the "
            "seed, or convert the data set again with its times."
        )
    settings["eval_args"] = {**settings["eval_args"], "order": "RO"}
    if not config.common_protocol:  # runs of ours show what the manifest says
        getLogger(__name__).warning(
            f"{settings['dataset']} has no times, so it is split at random, by the seed."
        )


def _columns(settings: Mapping[str, Any]) -> set[str] | None:
    """Names that the headers of all .inter files have, ids aside; None where one can't be read."""
    name, parts = settings["dataset"], settings.get("benchmark_filename")
    stems = [name] if not parts else [f"{name}.{part}" for part in parts]
    found = []
    for stem in stems:
        try:
            file = Path(settings["data_path"], f"{stem}.inter")
            with file.open(encoding=settings["encoding"] or "utf-8") as lines:
                header = lines.readline().rstrip("\r\n")
        except (OSError, UnicodeError, LookupError):
            return None  # the reader of the data tells what is wrong
        found.append(
            {field.partition(":")[0] for field in header.split(settings["field_separator"])}
        )
    ids = {settings["USER_ID_FIELD"], settings["ITEM_ID_FIELD"]}  # without them there is an error
    return ids.union(set.intersection(*found))


def _order_is_unknown(folder: Path) -> bool:
    """Whether the data set was converted from reviews without times."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("order") == "unknown"
