"""A run's tensorboard, which never stops or litters a run that can't write it."""

import logging
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from recbole_symcere.base.storage import storage_error

__all__ = ["Curves"]

_log = logging.getLogger(__name__)


class Curves:
    """A SummaryWriter that says once that it can't write, and then is silent.

    Args:
        folder: where its files go.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        _silence_its_thread()
        self._folder = folder
        self._writer: Any = None
        self._writer = self._guarded(SummaryWriter)(folder)

    def __getattr__(self, name: str) -> Any:
        """The writer's method of that name."""
        return self._guarded(lambda *given, **more: getattr(self._writer, name)(*given, **more))

    def _guarded(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def tried(*given: Any, **more: Any) -> Any:
            if self._writer is self:
                return None
            try:
                return write(*given, **more)
            except OSError as error:
                self._writer = self  # no more of it
                _log.warning(f"{storage_error(self._folder, error)} The run has no curves.")
                return self

        return tried


@cache
def _silence_its_thread() -> None:
    """Tensorboard's thread prints a traceback of what the next call raises again."""
    before = threading.excepthook

    def hook(caught: threading.ExceptHookArgs) -> None:
        if type(caught.thread).__name__ != "_AsyncWriterThread" or not isinstance(
            caught.exc_value, OSError
        ):
            before(caught)

    threading.excepthook = hook
