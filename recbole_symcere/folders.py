"""Where the package's own files lie: in a checkout beside the package, in a wheel inside it."""

from pathlib import Path

__all__ = ["bundled_data_path", "properties_path"]

_PACKAGE = Path(__file__).parent


def _shipped(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def properties_path() -> Path:
    """The folder of overall.yaml, model/ and dataset/."""
    return _shipped("properties")


def bundled_data_path() -> Path:
    """The folder of the data sets that come with the package."""
    return _shipped("dataset_atomic")
