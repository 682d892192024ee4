"""What a metrics.json must hold to be one, and its checksum."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["checksum", "damage_of", "has", "metrics_in", "plain_numbers"]

# What metrics.json has for every run.
_RESULTS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("model", "dataset", "device"), str),
    **dict.fromkeys(("seed", "epochs_run", "parameters"), int),
    **dict.fromkeys(("valid", "test", "seconds", "data", "protocol", "versions"), dict),
    **{"history": list, "peak_memory_mb": (int, float), "best_epoch": (int, type(None))},
}
_HASHES = {"data_fingerprint", "per_user_sha256", "checksum"}


def has(settings: Any, key: str, kind: type | tuple[type, ...]) -> bool:
    """Whether ``settings`` is a dictionary with a value of that kind at ``key``."""
    return isinstance(settings, dict) and isinstance(settings.get(key), kind)


def metrics_in(run_dir: str | Path) -> dict[str, Any]:
    """What a finished run tells to machines: its folder, what makes it doubtful, metrics.json."""
    metrics = json.loads(Path(run_dir, "metrics.json").read_text(encoding="utf-8"))
    return {"run_dir": str(run_dir), "notice": metrics.get("notice"), "metrics": metrics}


def plain_numbers(result: Mapping[str, Any] | None) -> dict[str, float]:
    """RecBole's result of an evaluation as JSON takes it; of none it is empty."""
    return {name: float(value) for name, value in (result or {}).items()}


def checksum(metrics: dict[str, Any]) -> str:
    """sha256 of what metrics.json tells, however it is laid out."""
    content = {key: value for key, value in metrics.items() if key != "checksum"}
    as_read = json.loads(json.dumps(content))  # JSON makes text of a number that is a key
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[0-9a-f]{64}", value))


def damage_of(metrics: Any) -> str | None:
    """What is wrong with the content of a metrics.json; earlier versions wrote no checksum."""
    wrong = [key for key, kind in _RESULTS.items() if not has(metrics, key, kind)]
    if wrong:
        return f"{wrong[0]} is missing or of another type"
    times, numbers = metrics["seconds"], {**metrics["valid"], **metrics["test"]}
    if not times.keys() >= {"prepare", "train", "evaluate"}:
        return "seconds lacks a part"
    if not all(isinstance(value, int | float) for value in [*numbers.values(), *times.values()]):
        return "a metric or time is no number"
    nameless = [key for key, value in metrics.items() if key not in _HASHES and _is_sha256(value)]
    if nameless and "checksum" not in metrics:
        return f"{nameless[0]!r} holds a checksum"
    if metrics.get("checksum", checksum(metrics)) != checksum(metrics):
        return "its content isn't what its checksum says"
    return None
