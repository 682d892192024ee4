"""Propagation in several processes, each of some columns of the table.

A step of neighbourhood averaging treats every column by itself, and all processes of a run have the
same table.
"""

from collections.abc import Callable

from torch import Tensor

from recbole_symcere.base import processes

__all__ = ["by_columns"]

_WORTH_IT = 2**27
"""Products of a propagation below which two processes of a core each gain little by sharing it."""


def by_columns(
    function: Callable[..., tuple[Tensor, ...]], *tables: Tensor, work: int
) -> tuple[Tensor, ...]:
    """What ``function`` gives of tables [n, d], where columns don't mix.

    Args:
        function: tables to tables [m, d], column by column.
        tables: the same in all processes, without gradient.
        work: products for one column.
    """
    d = tables[0].shape[1]
    if processes.count() == 1 or d < processes.count() or work * d < _WORTH_IT:
        return function(*tables)
    start, stop = processes.spans(d)[processes.rank()]
    own = function(*(table[:, start:stop].contiguous() for table in tables))
    return tuple(processes.gathered_columns(part, d) for part in own)
