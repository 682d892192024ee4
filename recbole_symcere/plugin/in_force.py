"""Whether what `register` queues has been done to RecBole."""

from collections.abc import Callable, Mapping

__all__ = ["not_in_force"]


def not_in_force() -> list[str]:
    """Import RecBole and name what it should find of ours and doesn't; empty if all is in force.

    Raises:
        ImportError: if RecBole can't be imported.
    """
    import recbole.quick_start  # noqa: F401 # everything of RecBole that a run needs

    checks: Mapping[str, Callable[[], bool]] = {
        "names that NumPy and SciPy dropped": _has_dropped_names,
        "our models": _finds_models,
        "our trainers": _finds_trainers,
        "settings without eval": _reads_settings,
        "checkpoints without pickle": _reads_checkpoints,
    }
    return [name for name, holds in checks.items() if not holds()]


def _has_dropped_names() -> bool:
    import numpy as np
    from scipy.sparse import dok_matrix

    return "float_" in vars(np) and hasattr(dok_matrix, "_update")


def _is_ours(thing: object) -> bool:
    return str(getattr(thing, "__module__", "")).startswith("recbole_symcere.")


def _finds_models() -> bool:
    from recbole.utils import get_model

    return _is_ours(get_model("SymCERE"))


def _finds_trainers() -> bool:
    from recbole.utils import ModelType, get_trainer

    return _is_ours(get_trainer(ModelType.GENERAL, "SymCERE"))


def _reads_settings() -> bool:
    from recbole.config import Config

    return _is_ours(Config._convert_config_dict)


def _reads_checkpoints() -> bool:
    import torch
    from recbole.trainer import trainer

    return trainer.torch.load is not torch.load
