"""Which rows ``against`` names."""

import re
from collections.abc import Collection, Sequence

from recbole_symcere.base.errors import InputError

__all__ = ["named_rows"]


def named_rows(given: Sequence[str], labels: Collection[str]) -> list[tuple[str, ...]]:
    """The labels that were named, in groups of which the best is meant.

    A label may have commas and slashes of its own, as "LightGCN, blended" and "w/o Norm" have: the
    longest label that fits is meant.

    Args:
        given: what stands between the commas: ``A,B/C`` is A, and the better one of B and C.
        labels: of all rows.

    Raises:
        InputError: for a name that no row has, or a group that is named twice.
    """
    groups: list[tuple[str, ...]] = []
    rest, in_group = ", ".join(given), False
    while rest or in_group:
        fitting = [x for x in labels if re.match(rf"{re.escape(x)}\s*(?:[,/]|$)", rest)]
        if not fitting:
            name = re.split("[,/]", rest)[0].strip()
            known = ", ".join(labels)
            raise InputError(f"against names {name!r}, which is not among the rows: {known}.")
        label = max(fitting, key=len)
        groups[-1:] = [(*groups[-1], label)] if in_group else [*groups[-1:], (label,)]
        rest = rest[len(label) :].lstrip()
        in_group, rest = rest.startswith("/"), rest[1:].lstrip()
    for group in groups:
        if groups.count(group) > 1:
            raise InputError(f"against names {'/'.join(group)} twice.")
    return groups
