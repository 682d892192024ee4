"""Settings that were given and that nothing reads, as other settings are."""

import logging
from collections.abc import Mapping
from typing import Any

from recbole_symcere.base.options import defaults_of

__all__ = ["warn_of_idle"]

_log = logging.getLogger(__name__)


def warn_of_idle(options: Any, why: Mapping[str, set[str]]) -> None:
    """Name settings that are without effect and that aren't the default.

    Args:
        options: a dataclass of options.
        why: a reason -> the settings that nothing reads for it.
    """
    defaults = defaults_of(type(options))
    given = {name for name, default in defaults.items() if getattr(options, name) != default}
    for reason, idle in why.items():
        if found := sorted(idle & given):
            _log.warning(f"{', '.join(found)}: without effect, because {reason}.")
