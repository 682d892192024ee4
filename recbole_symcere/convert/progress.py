"""A progress bar for people; files and pipes get none."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm

from recbole_symcere.convert.records import Reading


class Progress:
    """Shows on a terminal how much of a source is read, the rate and the time that remains.

    Args:
        reading: what is read.
        label: what it is called.
    """

    def __init__(self, reading: Reading, label: str) -> None:
        self._position = reading.position
        n_bytes = sum(path.stat().st_size for path in reading.inputs)
        in_bytes = self._position is not None
        self._bar = tqdm(
            desc=f"reading {label}",
            total=n_bytes if in_bytes else None,
            unit="B" if in_bytes else " rows",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
            leave=False,
        )
        self._rows = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def update(self, n_rows: int) -> None:
        """Count rows that were read."""
        self._rows += n_rows
        if self._position is None:
            self._bar.update(n_rows)
            return
        self._bar.set_postfix_str(f"{self._rows:,} rows", refresh=False)
        self._bar.update(max(self._position() - self._bar.n, 0))
