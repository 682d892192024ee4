"""The paper's Tables 2 and 3: their rows, and what the paper prints in them."""

import re
from typing import Any, NamedTuple

from recbole_symcere.base.fast_yaml import read_yaml
from recbole_symcere.base.files import properties_path

__all__ = ["BACKBONES", "Printed", "preset_rows", "printed_values"]

BACKBONES = ("NGCF", "LightGCN")
_BASELINES = ("NeuMF", "NGCF", "LightGCN", "SGL", "DGCLR")
_ABLATIONS: dict[str, dict[str, Any]] = {
    "": {},
    ", w/o Norm": {"l2_normalize": False},
    ", MM w/ InfoNCE": {"cross_modal_loss": "info_nce"},
}


class Printed(NamedTuple):
    """A cell of the paper."""

    hit: float
    ndcg: float


def preset_rows(preset: str | None) -> list[tuple[str, str, dict[str, Any]]]:
    """Label, model and settings of the rows of ``preset``.

    Table 2 holds the baselines and SymCERE over both backbones, Table 3 SymCERE as a whole, without
    normalisation and with InfoNCE.
    """
    if preset is None:
        return []
    ablations = _ABLATIONS if preset == "table3" else {"": {}}
    ours = [
        (f"SymCERE ({backbone}){name}", "SymCERE", {"backbone": backbone, **settings})
        for backbone in BACKBONES
        for name, settings in ablations.items()
    ]
    if preset == "table3":
        return ours
    return [(name, name, {}) for name in _BASELINES] + ours


def printed_values(preset: str, dataset: str) -> dict[str, Printed]:
    """What the paper prints for a data set of that name; label -> cell. Empty if it has none."""
    text = (properties_path() / "paper" / "symcere.yaml").read_text(encoding="utf-8")
    wanted = re.sub(r"\W+", "_", dataset.lower())
    for content in read_yaml(text)[preset].values():
        if wanted in content["names"]:
            return {label: Printed(*cell) for label, cell in content.items() if label != "names"}
    return {}
