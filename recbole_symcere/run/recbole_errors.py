"""What stops RecBole's own code, in one line instead of a traceback."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import recbole

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin.stock_models import is_recboles

__all__ = ["in_one_line"]

_THEIRS, _OURS = Path(recbole.__file__).parent, Path(__file__).parents[1]


@contextmanager
def in_one_line(config: Any, doing: str) -> Iterator[None]:
    """Let an error that begins in RecBole's code for one of its models name the place there.

    What its models can't be or do under some setting they find out by failing. The traceback goes
    to the log. Errors of our code, and of models that aren't RecBole's, stay what they are.

    Args:
        config: of the run.
        doing: what is done, such as "trained".

    Raises:
        InputError: in the place of RecBole's error.
    """
    try:
        yield
    except Exception as error:
        place = _place(error)
        if isinstance(error, InputError) or place is None or not is_recboles(config.model_class):
            raise
        logging.getLogger().info("RecBole's error", exc_info=error)
        model, said = config["model"], " ".join(str(error).split())
        advice = f"--model={model} --help shows its settings"
        if isinstance(error, MemoryError) or "memory" in said:
            advice = "It lacks memory: give a smaller --train_batch_size or --eval_batch_size"
        if "more than 1 value per channel" in said:
            advice = "A batch of a single row is left at the end: give another --train_batch_size"
        raise InputError(
            f"{model} can't be {doing} with these settings on {config['dataset']}: "
            f"{type(error).__name__}{': ' if said else ''}{said}, from {Path(place.filename).name} "
            f"of RecBole: {place.line}. {advice}; the traceback is in run.log."
        ) from error


def _place(error: Exception) -> traceback.FrameSummary | None:
    """The innermost line of RecBole's that the error went through, unless ours lies within."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_OURS):
            return None
        if path.is_relative_to(_THEIRS):
            return frame
    return None
