"""Which packages are installed."""

__all__ = ["version_of"]


def version_of(package: str) -> str | None:
    """The version of an installed package, by the name that pip knows; None if it isn't there."""
    from importlib import metadata  # loads Python's e-mail package: not before it is asked for

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
