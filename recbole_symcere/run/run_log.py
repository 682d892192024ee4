"""What a run says: everything to run.log, to the terminal what a person wants to read."""

import contextlib
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from recbole_symcere.base import processes, terminal
from recbole_symcere.base.storage import storage_error, writing

__all__ = ["run_log"]

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class _FileHandler(logging.FileHandler):
    """The run's log; RecBole's tensorboard writer asks it for the run's folder."""

    def __init__(self, folder: Path) -> None:
        name = "run.log" if processes.is_first() else f"process{processes.rank()}.log"
        with writing(folder / name):
            super().__init__(folder / name, encoding="utf-8", delay=not processes.is_first())
        self.run_dir = folder
        self._failed = False

    def format(self, record: logging.LogRecord) -> str:
        return _ANSI.sub("", super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 # logging's
        """Say once that the log can't be written, where logging would print a traceback."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            sys.stderr.write(f"{storage_error(self.baseFilename, error)}\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what is held back may not fit on the disk
            super().close()


class _TerminalHandler(logging.Handler):
    """What a person sees; a terminal or pipe that is gone stops no run."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it as what it is: a warning, the result, or what happens on the way."""
        try:
            said = self.format(record)
            if record.levelno >= logging.WARNING:
                terminal.warn(said)
            else:
                (terminal.out if getattr(record, "is_result", False) else terminal.tell)(said)
        except Exception:  # noqa: BLE001 # logging's way
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 # logging's
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def _for_people(record: logging.LogRecord) -> bool:
    """Our own messages and everybody's warnings, except those of the Python warnings module."""
    ours = record.name.startswith("recbole_symcere")
    return ours or (record.levelno >= logging.WARNING and record.name != "py.warnings")


@contextlib.contextmanager
def run_log(folder: Path, level: str = "INFO") -> Iterator[None]:
    """Send every log record to run.log, and to the terminal what a person wants to read.

    Of several processes the others have a log each, process1.log and so on, and no terminal.
    """
    root = logging.getLogger()
    to_file = _FileHandler(folder)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = _TerminalHandler()
    to_terminal.addFilter(_for_people)
    level_before = root.level
    root.setLevel(level.upper())
    shown_before = warnings.showwarning
    logging.captureWarnings(True)
    captured_before = warnings.showwarning is shown_before
    root.addHandler(to_file)
    if processes.is_first():
        root.addHandler(to_terminal)
    try:
        yield
    finally:
        root.removeHandler(to_file)
        root.removeHandler(to_terminal)
        to_file.close()
        logging.captureWarnings(captured_before)
        root.setLevel(level_before)
