"""The settings of a run or a model in words, for ``--help``."""

from pathlib import Path
from typing import Any

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.base.fast_yaml import read_yaml
from recbole_symcere.base.files import properties_path
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import hints_of
from recbole_symcere.model.registry import MODELS, class_of, lineage
from recbole_symcere.plugin.config_patches import option_groups
from recbole_symcere.plugin.run_options import RUN_GROUPS, FileOptions, JobOptions, ProcessOptions
from recbole_symcere.plugin.stock_models import model_kinds, recboles_file
from recbole_symcere.plugin.stock_needs import refuse_unranked

__all__ = ["settings_help"]


def settings_help(model: str | None) -> str:
    """What ``--help`` tells of the settings of every run, or of one model.

    Args:
        model: its name; None for every run.

    Raises:
        InputError: for a model that isn't there.
    """
    if model is None:
        defaults = _read(recboles_file("overall.yaml")) | _read(properties_path() / "overall.yaml")
        told = help_of(JobOptions, FileOptions, ProcessOptions, *RUN_GROUPS, defaults=defaults)
        return f"What every run reads; RecBole's documentation tells of further settings:\n{told}"
    if model in MODELS:
        kind = class_of(model)
        files = [properties_path() / "model" / f"{name}.yaml" for name in lineage(kind)]
        defaults = {key: value for file in files for key, value in _read(file).items()}
        groups = option_groups(kind)
        names = {*hints_of(*groups), *defaults}
        told = help_of(*groups, *RUN_GROUPS, defaults=defaults, names=names)
        return f"{model}: its settings, beside those of every run (--help)\n\n{told}"
    if model not in model_kinds():
        raise InputError(
            f"There is no model named {model!r}.{did_you_mean(model, (*MODELS, *model_kinds()))} "
            f"Ours: {', '.join(MODELS)}; RecBole's have the names that it gives them."
        )
    refuse_unranked(model)
    file = recboles_file(f"model/{model}.yaml")
    told = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    if not told:
        return f"{model} is RecBole's; it has no settings beside those of every run (--help)\n"
    return f"{model} is RecBole's; it reads, beside what every run does (--help)\n\n{told}\n"


def _read(path: Path) -> dict[str, Any]:
    settings = read_yaml(path.read_text(encoding="utf-8")) if path.is_file() else None
    return settings or {}
