"""What held for runs of before, which don't tell of it; loads neither torch nor RecBole."""

from collections.abc import Mapping
from typing import Any

from recbole_symcere.model.registry import adopted, lineage
from recbole_symcere.plugin.run_options import FILTERS

__all__ = ["completed"]

_TIES = {"tie_order": "file"}  # interactions of one time stayed as the file has them
_PROPAGATION = {"batches_per_propagation": 1}
_SHARING = frozenset(
    {
        *("SymCERE", "SymCEREPlus", "AlphaRec", "RLMRecCon", "SMORET"),
        *("DirectAU", "SimGCL", "XSimGCL"),
    }
)
"""The models that have that setting."""
_MASKS = {"mask_seed": 0}  # all runs of before shared their masked copies
_MASKING = frozenset({"SymCERE", "SymCEREPlus"})
"""The models that have masked copies."""
_ITEM_TEXT = {"item_text": "joined"}  # CollabContext read an item's reviews as one text

_OWN_TEXT = {"own_item_text": False}  # an item's own text counted only where it had no review
_OF_WORDS = frozenset({"SymCEREPlus", "WordKNN", "Stack"})
"""The models that count words; so does a blend."""


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a stored run or search, with what was so before there was a setting for it.

    Args:
        settings: with the model's name.
    """
    name = str(settings.get("model"))
    own = adopted(name)
    names = lineage(own) if own else [name]
    found: dict[str, Any] = _TIES | (_PROPAGATION if not _SHARING.isdisjoint(names) else {})
    found = found | (_MASKS if not _MASKING.isdisjoint(names) else {})
    words = not _OF_WORDS.isdisjoint(names) or bool(settings.get("blend"))
    found = found | (_OWN_TEXT if words else {})
    found = found | (_ITEM_TEXT if "CollabContext" in names else {}) | dict(settings)
    for key in FILTERS if found.get("benchmark_filename") else ():  # had no effect, but passed
        found.pop(key, None)
    reg, blend = found.pop("blend_ease_reg", 100.0), found.get("blend")
    if isinstance(blend, str):  # of two experts; their weights are other ones
        ease = f"ease_{reg:.0f}"
        found["blend"] = {"both": ["words", ease], "ease": [ease]}.get(blend, [blend])
    return found
