"""What RecBole imports for few and every start would wait for.

RecBole's metrics import three functions of scikit-learn, which takes a quarter of the time that a
run takes to start. They are imported when one of them is called: AUC, MAE and RMSE do.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["delay_sklearn", "end_delay"]

_FUNCTIONS = ("auc", "mean_absolute_error", "mean_squared_error")
_STANDING_IN: dict[str, ModuleType] = {}


def delay_sklearn() -> None:
    """Before RecBole's metrics are imported: let other functions stand in, if it isn't loaded."""
    if "sklearn" in sys.modules:
        return
    _STANDING_IN["sklearn"] = ModuleType("sklearn")
    _STANDING_IN["sklearn.metrics"] = metrics = ModuleType("sklearn.metrics")
    for name in _FUNCTIONS:
        setattr(metrics, name, _late(name))
    sys.modules.update(_STANDING_IN)


def end_delay(module: ModuleType) -> None:  # noqa: ARG001 # called with what was imported
    """After that: whoever imports scikit-learn itself gets the real one."""
    for name, stands in _STANDING_IN.items():
        if sys.modules.get(name) is stands:
            del sys.modules[name]
    _STANDING_IN.clear()


def _late(name: str) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module("sklearn.metrics"), name)(*args, **kwargs)

    called.__name__ = name
    return called
