"""What an examination finds, as plain values."""

from typing import Literal, TypedDict

__all__ = ["Facts", "Finding", "found", "note", "trouble"]

State = Literal["ok", "note", "trouble"]


class Finding(TypedDict):
    """One thing that was looked at.

    Attributes:
        about: what.
        state: "ok"; "note" where something optional is missing; "trouble".
        said: what was found.
        remedy: what to do; empty where nothing has to be done.
    """

    about: str
    state: State
    said: str
    remedy: str


class Facts(TypedDict):
    """A whole examination.

    Attributes:
        versions: of Python, of this package and of those that it works with; None for one that
            isn't installed.
        findings: in the order in which they are told.
    """

    versions: dict[str, str | None]
    findings: list[Finding]


def found(about: str, said: str) -> Finding:
    """Something that is as it should be."""
    return Finding(about=about, state="ok", said=said, remedy="")


def note(about: str, said: str, remedy: str = "") -> Finding:
    """Something that may be as it is."""
    return Finding(about=about, state="note", said=said, remedy=remedy)


def trouble(about: str, said: str, remedy: str = "") -> Finding:
    """Something that keeps us from working."""
    return Finding(about=about, state="trouble", said=said, remedy=remedy)
