"""The errors that a user's input can cause."""

import difflib
from collections.abc import Iterable

__all__ = [
    "InputError",
    "MissingPackageError",
    "ProcessEndedError",
    "StorageError",
    "UnknownKeyError",
    "did_you_mean",
]


class InputError(ValueError):
    """A mistake in what the user gave: a file, a key, a value.

    The message names the file and row or the key, the value found, what was expected and what to
    do. The command line prints it without a traceback.
    """


class StorageError(InputError):
    """A file or folder that can't be written: the disk is full, read-only, or gone."""


class MissingPackageError(InputError, ImportError):
    """A package that isn't installed, or isn't of the version that is needed."""


class ProcessEndedError(RuntimeError):
    """One of the processes of a run ended before its time.

    The message names it. The command line prints it without a traceback.
    """


class UnknownKeyError(InputError):
    """A key that means nothing here.

    Attributes:
        key: the key.
    """

    def __init__(self, key: str, hint: str) -> None:
        super().__init__(f"Unknown key {key!r}.{hint}")
        self.key = key


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The sentence " Did you mean 'x'?" for the closest known word, or nothing.

    >>> did_you_mean("learnig_rate", ["learning_rate", "epochs"])
    " Did you mean 'learning_rate'?"
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f" Did you mean {by_lower[close[0]]!r}?" if close and by_lower[close[0]] != word else ""
