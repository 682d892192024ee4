"""Review-enhanced recommendation for RecBole.

``import recbole_symcere`` makes RecBole 1.2.1 run on today's Python stack and find our models by
name. It loads neither RecBole nor torch; those come with the first name that needs them.
"""

from typing import Any

from recbole_symcere.base.errors import InputError
from recbole_symcere.model.registry import adopt
from recbole_symcere.plugin.register import register, registered
from recbole_symcere.version import __version__

__all__ = [
    "Config",
    "InputError",
    "Recommender",
    "SymCERE",
    "__version__",
    "adopt",
    "bpr",
    "history_mask",
    "info_nce",
    "load_data_and_model",
    "objective_function",
    "registered",
    "run_recbole",
    "sincere",
    "symmetric_sincere",
]

_HOMES = {
    "Config": "recbole_symcere.plugin.config",
    "Recommender": "recbole_symcere.serve.recommender",
    "SymCERE": "recbole_symcere.model.symcere",
    "bpr": "recbole_symcere.loss",
    "history_mask": "recbole_symcere.data.history",
    "info_nce": "recbole_symcere.loss",
    "load_data_and_model": "recbole_symcere.run.stored_run",
    "objective_function": "recbole_symcere.run.quick_start",
    "run_recbole": "recbole_symcere.run.quick_start",
    "sincere": "recbole_symcere.loss",
    "symmetric_sincere": "recbole_symcere.loss",
}


def _load_data_and_model(model_file: str, **places: str) -> Any:
    from recbole_symcere.run.stored_run import load_data_and_model

    return load_data_and_model(model_file, **places)


register(_load_data_and_model)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'recbole_symcere' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
