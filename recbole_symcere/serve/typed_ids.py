"""Ids as people type them on a command line or write them into a file.

An id is any text: blanks, quote marks and commas may be part of it. So the text as it stands is
looked up first, and only one that nobody bears is taken apart.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from recbole_symcere.base.errors import InputError

__all__ = ["lines_in", "listed", "typed"]


def typed(text: str, knows: Callable[[str], bool], key: str) -> list[str]:
    """The ids in a text: the text itself, if it is one, else what stands between its commas.

    Brackets around the list, and blanks and quote marks around an id, are taken off where the id
    isn't known with them.

    Args:
        text: such as ``a,b`` or ``[a, "b"]``.
        knows: whether an id is known.
        key: the option's name.

    Returns:
        The ids; those that aren't known without blanks and quote marks.

    Raises:
        InputError: if it names nothing.
    """
    if knows(text):
        return [text]
    words = text.split(",")
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]") and not all(map(knows, words)):
        words = bare[1:-1].split(",")
    found = [_known(word, knows) for word in words]
    names = [name for name in found if name]
    if not names:
        raise InputError(
            f"{key} is {text!r}, which names nothing. Write --{key}=A,B, or leave it out."
        )
    return names


def _known(word: str, knows: Callable[[str], bool]) -> str:
    """A word, or what is left of it without blanks and without quote marks."""
    bare = word.strip()
    return next((one for one in (word, bare) if knows(one)), bare.strip("'\""))


def lines_in(file: str) -> list[str]:
    """The lines of a file of ids, as they are.

    Raises:
        InputError: if it can't be read or is empty.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read as a list of ids: {error}.") from None
    if not any(line.strip() for line in lines):
        raise InputError(f"{file} names nothing; write one id a line.")
    return lines


def listed(lines: Sequence[str], knows: Callable[[str], bool]) -> list[str]:
    """The ids of lines; blanks around one that isn't known with them are taken off."""
    found = (line if knows(line) else line.strip() for line in lines)
    return [name for name in found if name]
