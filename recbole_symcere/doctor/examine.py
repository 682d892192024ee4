"""A whole examination: what is light here, what needs torch in a process of its own."""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from recbole_symcere.base.errors import MissingPackageError
from recbole_symcere.doctor import probe
from recbole_symcere.doctor.doctor_options import DoctorOptions
from recbole_symcere.doctor.findings import Facts, Finding, found, trouble
from recbole_symcere.doctor.machine import look_at_memory, look_at_place, look_at_threads, system
from recbole_symcere.doctor.packages_there import look_at_packages, versions
from recbole_symcere.plugin.recbole_package import RECBOLE_VERSION, fetch_recbole
from recbole_symcere.version import __version__

__all__ = ["examine"]

_PATIENCE = 300.0  # seconds for what takes ten on a quiet machine
_PACKAGE = Path(__file__).parents[1]


def examine(options: DoctorOptions) -> Facts:
    """Look at everything, and don't stop at what is wrong."""
    findings = [found("system", system()), *_recbole_fetched(), *look_at_packages()]
    findings += [look_at_memory(), look_at_threads()]
    findings += [
        look_at_place(about, Path(folder))
        for about, folder in (
            ("runs", options.runs_dir),
            ("cache", options.cache_dir),
            ("temporary", tempfile.gettempdir()),
        )
    ]
    findings += _under_torch(options)
    ours = {"recbole_symcere": __version__, "Python": platform.python_version()}
    return Facts(versions={**ours, **versions()}, findings=findings)


def _recbole_fetched() -> list[Finding]:
    try:
        fetch_recbole()
    except MissingPackageError as error:
        return [trouble("packages", f"RecBole {RECBOLE_VERSION} isn't there", str(error))]
    return []


def _under_torch(options: DoctorOptions) -> list[Finding]:
    """What the other process has told before its end."""
    try:
        with tempfile.TemporaryDirectory(prefix="recbole-symcere-doctor-") as folder:
            ended = _run_probe(folder, options)
            told = Path(folder, probe.TOLD)
            found = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else {}
    except OSError as error:
        return [trouble("self-test", f"it has no place to work in: {error}", "set TMPDIR")]
    findings: list[Finding] = found.get("findings", [])
    if ended:
        findings.append(trouble(found.get("doing") or "self-test", ended))
    return findings


def _run_probe(folder: str, options: DoctorOptions) -> str:
    """Run the other process; how it ended, if otherwise than it should."""
    words = [sys.executable, "-P", "-m", probe.__name__]
    words += [folder, options.text_encoder, str(options.self_test)]
    path = os.pathsep.join(filter(None, [str(_PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            words,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it wasn't done after {_PATIENCE:.0f} s"
    if not done.returncode:
        return ""
    lines = done.stderr.strip().splitlines()
    if done.returncode < 0:
        return f"the process was ended by {signal.Signals(-done.returncode).name}"
    return lines[-1] if lines else f"the process ended with status {done.returncode}"
