"""How much of a source is read, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recbole_symcere.base.live_line import working
from recbole_symcere.convert.records import Reading

__all__ = ["shown_reading"]


@contextmanager
def shown_reading(reading: Reading, label: str) -> Iterator[Callable[[int], None]]:
    """Show how many rows are read, and by the bytes behind them the time that remains.

    Args:
        reading: what is read.
        label: what it is called.

    Yields:
        What counts rows that were read.
    """
    position = reading.position
    n_bytes = sum(path.stat().st_size for path in reading.inputs) if position else 0
    behind = 0
    with working(f"reading {label}", unit="rows", weight=n_bytes) as work:

        def count(n_rows: int) -> None:
            nonlocal behind
            before, behind = behind, max(position(), behind) if position else 0
            work.advance(n_rows, behind - before)

        yield count
