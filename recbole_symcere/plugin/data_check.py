"""Lets RecBole's Dataset, and ours with it, read only files that are what was converted."""

import logging
from functools import wraps
from pathlib import Path
from typing import Any

from recbole_symcere.data.intact import check_files, memory_of

__all__ = ["check_before_loading"]

_log = logging.getLogger(__name__)


def check_before_loading(dataset_class: Any) -> None:
    """Check a data set's files against its manifest before RecBole reads them."""
    load = dataset_class._load_data

    @wraps(load)
    def checked(self: Any, token: str, dataset_path: str) -> None:
        folder = Path(dataset_path)
        if folder.is_dir():
            said = check_files(folder, _read_by(self, token), memory_of(self.config["cache_dir"]))
            if said:
                _log.info(said)
        load(self, token, dataset_path)

    dataset_class._load_data = checked


def _read_by(dataset: Any, token: str) -> list[str]:
    """The files that a data set is read from, and of other tables those that there may be."""
    parts = dataset.benchmark_filename_list
    names = [f"{token}.inter"] if parts is None else [f"{token}.{part}.inter" for part in parts]
    if hasattr(dataset, "review_files"):
        names += [path.name for path in dataset.review_files()] + [f"{token}.items.parquet"]
    return names + [f"{token}.{kind}" for kind in ("user", "item", "kg", "link", "net")]
